// SPDX-License-Identifier: Apache-2.0
// verify: the chosen backup of each component (the newest unless named), or with --all every one.
#include "verify.h"

#include "cancel.h"
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "recording.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

/* The last of them, with what it goes on from. */
static int verify_one(struct job *job, const struct target *target, struct site *const *sites,
                      struct manifest *const *manifests, size_t count, struct err *err)
{
    struct site *site = sites[count - 1];
    const struct manifest *manifest = manifests[count - 1];
    int64_t began_ms = clock_wall_ms();
    json_t *findings = json_object();
    char took[24];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = verify_backup(sites[i], manifests[i], findings, err);
        if (rc < 0 && i + 1 < count)
            err_wrap(err, "%s, which it goes on from", manifests[i]->id);
    }
    if (rc == 0)
        rc = verify_record(site, manifest, "verify", began_ms, findings, err);
    if (rc == 0) {
        log_info("backup verified", LOG_TEXT("component", target->component->name),
                 LOG_TEXT("backup", manifest->id),
                 LOG_NUMBER("duration_ms", clock_wall_ms() - began_ms));
        if (!job->in->json)
            printf("%s@%s verified: every byte read back, structure proven, in %s\n",
                   target->component->name, manifest->id,
                   text_show_duration(clock_wall_ms() - began_ms, took, sizeof took));
        job_report(job, target,
                   json_pack("{s:s, s:I, s:O}", "backup", manifest->id, "duration_ms",
                             (json_int_t)(clock_wall_ms() - began_ms), "findings", findings));
    } else {
        err_wrap(err, "backup %s", manifest->id);
    }
    json_decref(findings);
    return rc;
}

/* Goes on after a bad one: what else is bad matters as much. */
static int verify_all(struct job *job, const struct target *target, struct err *err)
{
    struct catalog *catalog = NULL;
    size_t bad = 0;
    bool away;

    if (job_catalog(target, &catalog, &away, err) < 0)
        return -1;
    bad = catalog->unreadable;
    for (size_t i = 0; i < catalog->count && !cancel_requested(); i++) {
        const struct backup *backup = &catalog->backups[i];
        struct manifest *manifest = NULL;
        struct err one = ERR_INIT;

        if (backup->manifest == NULL)
            continue;
        /* Each is read once: those that it goes on from have their own turn. */
        if (ancestry_check(catalog, backup, &one) < 0 ||
            site_get_manifest(backup->site, backup->lineage, backup->id, &manifest, &one) < 0 ||
            verify_one(job, target, &backup->site, &manifest, 1, &one) < 0) {
            log_warn("backup is not good", LOG_TEXT("backup", backup->id),
                     LOG_TEXT("err", one.text));
            bad++;
        }
        manifest_free(manifest);
    }
    if (cancel_check(err) == 0 && bad > 0)
        err_set(err, ERR_CORRUPT, "%zu of %zu backups cannot be restored", bad, catalog->count);
    catalog_free(catalog);
    if (err->kind != ERR_NONE)
        return -1;
    return away ? JOB_IN_PART : 0;
}

static int verify(struct job *job, const struct target *target, struct err *err)
{
    struct chosen chosen;
    int rc;

    if (job->in->all)
        return verify_all(job, target, err);
    rc = job_choose(target, &chosen, err);
    if (rc == 0) {
        recording_describe(job, chosen.manifest);
        rc = verify_one(job, target, chosen.ancestry.sites, chosen.ancestry.manifests,
                        chosen.ancestry.count, err);
    }
    chosen_fini(&chosen);
    return rc;
}

int cmd_verify(struct job *job)
{
    return job_each(job, verify);
}
