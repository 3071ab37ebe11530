// SPDX-License-Identifier: Apache-2.0
// backup: one snapshot of each component, then the pruning that follows every committed backup.
#include "catalog.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "progress.h"
#include "prune.h"
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
               json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "backup",
                         manifest->id, "lineage", manifest->lineage, "store",
                         target->site->store->name, "plain_bytes", (json_int_t)plain,
                         "stored_bytes", (json_int_t)stored, "duration_ms", (json_int_t)took_ms,
                         "time", "source_ms", (json_int_t)manifest->source_ms, "lifeboat_ms",
                         (json_int_t)manifest->lifeboat_ms, "store_ms",
                         (json_int_t)manifest->store_ms));
}

static void on_judged(void *arg, const struct backup *backup,
                      const struct retention_backup *judgement)
{
    (void)arg;
    if (!judgement->keep)
        log_info("backup removed", LOG_TEXT("backup", backup->id),
                 LOG_TEXT("reason", judgement->reason));
}

static void on_held(void *arg, const char *lineage, const struct retention_hold *hold)
{
    const struct target *target = arg;

    log_warn("retention held: this backup is less than half as large as usual; nothing is removed "
             "until lifeboat-agent adopt, or until its size comes back",
             LOG_TEXT("component", target->component->name), LOG_TEXT("lineage", lineage),
             LOG_TEXT("backup", hold->id), LOG_NUMBER("plain_bytes", hold->bytes),
             LOG_NUMBER("usual_bytes", hold->usual_bytes));
}

static void on_orphan(void *arg, const char *key, uint64_t bytes)
{
    (void)arg;
    log_info("orphan removed", LOG_TEXT("key", key), LOG_NUMBER("bytes", bytes));
}

/* The backup stands whatever becomes of this. */
static void prune_after(struct target *target)
{
    const struct prune_watcher watcher = {
        .judged = on_judged, .held = on_held, .orphan = on_orphan, .arg = target};
    struct prune_result result;
    struct err err = ERR_INIT;

    if (prune_run(target->site, NULL, false, &watcher, &result, &err) < 0)
        log_warn("pruning after the backup failed", LOG_TEXT("component", target->component->name),
                 LOG_TEXT("err", err.text), LOG_TEXT("hint", err_kind_hint(err.kind)));
}

static int backup(struct job *job, const struct target *target, struct err *err)
{
    struct target copy = *target;
    struct manifest *manifest = NULL;
    char *what = text_format("backup %s", target->component->name);
    struct progress progress;
    int rc;

    progress_init(&progress, what, true, 0);
    rc = snapshot_take(target->site, &progress.watcher, &manifest, err);
    progress_fini(&progress);
    free(what);
    if (rc < 0)
        return -1;
    tell(job, target, manifest);
    manifest_free(manifest);
    prune_after(&copy);
    return 0;
}

int cmd_backup(struct job *job)
{
    return job_each(job, backup);
}
