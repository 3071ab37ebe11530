// SPDX-License-Identifier: Apache-2.0
// The order of a restore: everything that can be known first, then the question, then the bytes,
// then the proof, and the swap last. Whatever fails before, the system takes back.
#include "restore.h"

#include "cancel.h"
#include "clock.h"
#include "mem.h"
#include "progress.h"
#include "pump.h"
#include "safety.h"
#include "verify.h"

#include <stdlib.h>
#include <string.h>

struct restoring {
    struct site *site;
    const struct manifest *manifest;
    const struct ancestry *ancestry;
    void *restore; /* of the system */
    int64_t deadline_mono_us;
    json_t *findings;
    struct pump_status sum;
};

static int move_object(struct restoring *restoring, struct site *site,
                       const struct manifest *manifest, const struct manifest_object *object,
                       struct err *err)
{
    struct sink *sink = NULL;
    struct progress progress;
    struct pump_status status = {.source_bytes = 0};
    int rc;

    if (site->system->restore_sink(restoring->restore, manifest, object->name, &sink, err) < 0)
        return err_wrap(err, "%s", object->name);
    if (sink == NULL)
        return 0;
    progress_init(&progress, object->name, false, object->plain_bytes);
    rc = site_read_object(site, manifest, object, sink, restoring->deadline_mono_us,
                          &progress.watcher, &status, err);
    progress_fini(&progress);
    restoring->sum.source_us += status.source_us;
    restoring->sum.stages_us += status.stages_us;
    restoring->sum.sink_us += status.sink_us;
    return rc;
}

static int move_all(struct restoring *restoring, struct err *err)
{
    const struct ancestry *ancestry = restoring->ancestry;

    for (size_t i = 0; i < ancestry->count; i++) {
        const struct manifest *manifest = ancestry->manifests[i];

        for (size_t j = 0; j < manifest->object_count; j++)
            if (move_object(restoring, ancestry->sites[i], manifest, &manifest->objects[j], err) <
                0)
                return -1;
    }
    return 0;
}

static int ask(struct restoring *restoring, const struct restore_wish *wish, struct err *err)
{
    char *stake;
    int rc;

    if (wish->ask == NULL)
        return 0;
    stake = restoring->site->system->restore_stake(restoring->restore);
    rc = wish->ask(wish->arg, stake, err);
    free(stake);
    return rc;
}

/* What has no place beside is decided before the server is touched. */
static int make_sure(struct restoring *restoring, const struct restore_wish *wish, struct err *err)
{
    struct site *site = restoring->site;
    json_t *proven;
    int rc;

    if (!site->system->replaces_in_place || wish->to != NULL || wish->scratch)
        return 0;
    proven = json_object();
    rc = verify_backup(site, restoring->manifest, proven, err);
    json_decref(proven);
    if (rc < 0)
        return err_wrap(err, "nothing was changed: backup %s", restoring->manifest->id);
    if (wish->no_safety)
        return 0;
    return safety_take(site, restoring->findings, err);
}

static int run(struct restoring *restoring, const struct restore_wish *wish, struct err *err)
{
    const struct system_ops *system = restoring->site->system;
    int64_t moved_us;

    if (ask(restoring, wish, err) < 0 || make_sure(restoring, wish, err) < 0 ||
        system->restore_begin(restoring->restore, err) < 0)
        return -1;
    moved_us = clock_mono_us();
    if (move_all(restoring, err) < 0)
        return -1;
    moved_us = clock_mono_us() - moved_us;
    if (system->restore_finish(restoring->restore, restoring->findings, err) < 0)
        return -1;
    json_object_set_new(restoring->findings, "transfer",
                        json_pack("{s:I, s:I, s:I, s:I}", "total_ms", (json_int_t)(moved_us / 1000),
                                  "store_ms", (json_int_t)(restoring->sum.source_us / 1000),
                                  "lifeboat_ms", (json_int_t)(restoring->sum.stages_us / 1000),
                                  "database_ms", (json_int_t)(restoring->sum.sink_us / 1000)));
    return 0;
}

/* Where the data is that a failed restore may have cost. */
static int tell_safety(const json_t *findings, struct err *err)
{
    const char *safety = json_string_value(json_object_get(findings, "safety_backup"));

    return safety == NULL ? -1 : err_wrap(err, "(the data that was there is backup %s)", safety);
}

int restore_run(const struct ancestry *ancestry, const struct restore_wish *wish, json_t *findings,
                struct err *err)
{
    struct site *site = ancestry->sites[ancestry->count - 1];
    const struct manifest *manifest = ancestry->manifests[ancestry->count - 1];
    struct restoring restoring = {
        .site = site,
        .manifest = manifest,
        .ancestry = ancestry,
        .deadline_mono_us = clock_mono_us() + site->component->deadline_ms * 1000,
        .findings = findings,
    };
    const struct restore_request request = {
        .component = site->component,
        .manifest = manifest,
        .ancestry = ancestry->manifests,
        .ancestry_count = ancestry->count,
        .state_path = site->options->state_path,
        .to = wish->to,
        .topic = wish->topic,
        .to_topic = wish->to_topic,
        .until_ms = wish->until_ms,
        .append = wish->append,
        .replace = wish->replace,
        .scratch = wish->scratch,
        .globals = wish->globals,
        .leave_replication = wish->leave_replication,
        .drop_old = wish->drop_old,
        .deadline_mono_us = restoring.deadline_mono_us,
    };
    int rc = -1;

    if (strcmp(manifest->system, site->system->name) != 0)
        return err_set(err, ERR_REFUSED, "backup %s is of %s, component %s is of %s", manifest->id,
                       manifest->system, site->component->name, site->system->name);
    if (site->system->restore_open == NULL)
        return err_set(err, ERR_NOT_YET, "restore and drill of %s are not in this version yet",
                       site->system->name);
    if (site->system->restore_open(&request, site->loop, &restoring.restore, err) == 0)
        rc = run(&restoring, wish, err);
    if (rc < 0)
        cancel_grace(CANCEL_GRACE_MS);
    site->system->restore_close(restoring.restore);
    return rc < 0 ? tell_safety(findings, err) : 0;
}
