// SPDX-License-Identifier: Apache-2.0
// backup: one snapshot of each component, then the pruning that follows every committed backup. One
// that is on local disk only is done in part.
#include "after.h"
#include "channel.h"
#include "claim.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "progress.h"
#include "recording.h"
#include "snapshot.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static void tell(const struct job *job, const struct target *target,
                 const struct manifest *manifest)
{
    uint64_t plain = manifest_plain_bytes(manifest);
    uint64_t stored = manifest_stored_bytes(manifest);
    int64_t took_ms = manifest->ended_ms - manifest->started_ms;
    char plain_text[24], stored_text[24], took[24], shares[64];

    recording_describe(job, manifest);
    recording_report(job)->source_ms = manifest->source_ms;
    recording_report(job)->lifeboat_ms = manifest->lifeboat_ms;
    recording_report(job)->store_ms = manifest->store_ms;
    progress_shares((int64_t)manifest->source_ms, (int64_t)manifest->store_ms,
                    (int64_t)manifest->lifeboat_ms, shares);
    log_info("backup committed", LOG_TEXT("component", manifest->component),
             LOG_TEXT("backup", manifest->id), LOG_NUMBER("plain_bytes", plain),
             LOG_NUMBER("stored_bytes", stored), LOG_NUMBER("duration_ms", took_ms),
             LOG_TEXT("time", shares));
    if (!job->in->json)
        printf("%s@%s committed to %s: %s, %s stored, in %s (%s)\n", manifest->component,
               manifest->id, target->site->store->name,
               text_show_bytes(plain, plain_text, sizeof plain_text),
               text_show_bytes(stored, stored_text, sizeof stored_text),
               text_show_duration(took_ms, took, sizeof took), shares);
    job_report(job, target,
               json_pack("{s:s, s:s*, s:s, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "backup",
                         manifest->id, "parent",
                         manifest->parent[0] == '\0' ? NULL : manifest->parent, "lineage",
                         manifest->lineage, "store", target->site->store->name, "plain_bytes",
                         (json_int_t)plain, "stored_bytes", (json_int_t)stored, "duration_ms",
                         (json_int_t)took_ms, "time", "source_ms", (json_int_t)manifest->source_ms,
                         "lifeboat_ms", (json_int_t)manifest->lifeboat_ms, "store_ms",
                         (json_int_t)manifest->store_ms));
}

/* The database was not at fault and the data is safe, but not where it belongs. */
static void tell_fallback(const struct job *job, const struct target *target,
                          const struct snapshot_taken *taken)
{
    const struct manifest *manifest = taken->manifest;
    const char *hint = err_kind_hint(taken->away.kind);
    uint64_t stored = manifest_stored_bytes(manifest);
    char *why = text_format("%s", taken->away.text);
    char stored_text[24];

    log_mask(why);
    log_warn("backup on local disk only: lifeboat-agent upload sends it once the store is back",
             LOG_TEXT("component", manifest->component), LOG_TEXT("backup", manifest->id),
             LOG_NUMBER("stored_bytes", stored), LOG_TEXT("store", target->site->store->name),
             LOG_TEXT("err", why), LOG_TEXT("hint", hint));
    if (!job->in->json)
        printf("%s@%s on local disk only, %s stored in %s (store %s: %s)\n", manifest->component,
               manifest->id, text_show_bytes(stored, stored_text, sizeof stored_text),
               taken->site->store->name, target->site->store->name, why);
    job_report(job, target,
               json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:{s:s, s:s, s:s, s:s}}", "result",
                         "in_part", "backup", manifest->id, "lineage", manifest->lineage, "store",
                         taken->site->store->name, "plain_bytes",
                         (json_int_t)manifest_plain_bytes(manifest), "stored_bytes",
                         (json_int_t)stored, "duration_ms",
                         (json_int_t)(manifest->ended_ms - manifest->started_ms), "error", "store",
                         target->site->store->name, "kind", err_kind_name(taken->away.kind), "text",
                         why, "hint", hint));
    free(why);
}

/* *claim stays NULL where none is needed: for a person, and where one agent alone is responsible.
 */
static int claim_slot(const struct target *target, struct claim **claim, struct err *err)
{
    const struct component_options *component = target->component;
    char *lineage = NULL;
    int rc;

    if (component->run_on != RUN_ON_ONE || channel_slot_ms() == 0)
        return 0;
    if (target->site->system->lineage(component, &lineage, err) < 0)
        return -1;
    rc = claim_take(target->site, lineage, channel_slot_ms(), claim, err);
    /* Two backups are better than none: with the store away, each falls back to its own disk. */
    if (rc < 0 && target->fallback != NULL && err_kind_may_retry(err->kind)) {
        log_warn("the slot cannot be claimed, and is backed up here all the same",
                 LOG_TEXT("component", component->name), LOG_TEXT("err", err->text));
        err_clear(err);
        rc = 0;
    }
    free(lineage);
    return rc;
}

static int backup(struct job *job, const struct target *target, struct err *err)
{
    struct snapshot_taken taken;
    char *what;
    struct snapshot_wish wish = {.full = job->in->full};
    struct progress progress;
    struct pump_watcher signs;
    struct claim *claim = NULL;
    int rc;

    if (claim_slot(target, &claim, err) < 0)
        return -1;
    what = text_format("backup %s", target->component->name);
    progress_init(&progress, what, true, 0);
    wish.watcher = &progress.watcher;
    if (claim != NULL) {
        signs = claim_watcher(claim, &progress.watcher);
        wish.watcher = &signs;
    }
    rc = snapshot_take(target->site, target->fallback, &wish, &taken, err);
    if (claim != NULL)
        claim_end(claim, rc == 0);
    progress_fini(&progress);
    free(what);
    if (rc < 0)
        return -1;
    if (taken.site == target->site) {
        tell(job, target, taken.manifest);
        recording_report(job)->retention_held = after_commit(target);
    } else {
        recording_describe(job, taken.manifest);
        recording_in_part(job, target, &taken.away);
        tell_fallback(job, target, &taken);
        rc = JOB_IN_PART;
    }
    manifest_free(taken.manifest);
    return rc;
}

int cmd_backup(struct job *job)
{
    return job_each(job, backup);
}
