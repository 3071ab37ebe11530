// SPDX-License-Identifier: Apache-2.0
// upload: sends what fell back to local disk to the store where it belongs, then prunes there.
#include "upload.h"

#include "after.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "recording.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

struct telling {
    const struct job *job;
    const struct target *target;
    struct err last; /* failure */
};

/* They go oldest first, so the last one is the newest. */
static void on_sent(void *arg, const struct manifest *manifest, int64_t duration_ms)
{
    const struct telling *telling = arg;
    const char *store = telling->target->site->store->name;
    uint64_t bytes = manifest_stored_bytes(manifest);
    char size[24], took[24];

    recording_describe(telling->job, manifest);
    recording_report(telling->job)->backup_ended_ms = manifest->ended_ms;
    log_info("backup sent", LOG_TEXT("component", manifest->component),
             LOG_TEXT("backup", manifest->id), LOG_TEXT("store", store),
             LOG_NUMBER("stored_bytes", bytes), LOG_NUMBER("duration_ms", duration_ms));
    if (!telling->job->in->json)
        printf("%s@%s sent to %s: %s, read back and compared, in %s\n", manifest->component,
               manifest->id, store, text_show_bytes(bytes, size, sizeof size),
               text_show_duration(duration_ms, took, sizeof took));
    job_report(telling->job, telling->target,
               json_pack("{s:s, s:s, s:s, s:I, s:I}", "backup", manifest->id, "lineage",
                         manifest->lineage, "store", store, "stored_bytes", (json_int_t)bytes,
                         "duration_ms", (json_int_t)duration_ms));
}

static void on_failed(void *arg, const char *id, const struct err *err)
{
    struct telling *telling = arg;
    char *why = text_format("%s", err->text);

    telling->last = *err;
    log_mask(why);
    log_warn("backup not sent, it stays on local disk",
             LOG_TEXT("component", telling->target->component->name), LOG_TEXT("backup", id),
             LOG_TEXT("err", why), LOG_TEXT("hint", err_kind_hint(err->kind)));
    if (!telling->job->in->json)
        printf("%s@%s not sent: %s\n", telling->target->component->name, id, why);
    job_report(telling->job, telling->target,
               json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "result", "not_sent", "backup", id,
                         "error", "kind", err_kind_name(err->kind), "text", why, "hint",
                         err_kind_hint(err->kind)));
    free(why);
}

static int upload(struct job *job, const struct target *target, struct err *err)
{
    struct telling telling = {.job = job, .target = target, .last = ERR_INIT};
    const struct upload_watcher watcher = {.sent = on_sent, .failed = on_failed, .arg = &telling};
    struct upload_result result;
    int rc;

    rc = upload_run(target->fallback, target->site, &watcher, &result, err);
    if (result.sent > 0)
        recording_report(job)->retention_held = after_commit(target);
    if (rc == 0 && !job->in->json && result.sent + result.failed + result.busy == 0)
        printf("%s: nothing waits on local disk\n", target->component->name);
    if (rc == 0 && !job->in->json && result.busy > 0)
        printf("%s: another job works on %zu of the backups on local disk\n",
               target->component->name, result.busy);
    if (rc == 0 && result.failed > 0)
        rc = err_set(err, telling.last.kind,
                     "%zu of %zu backups on local disk could not be sent, the last for this: %s",
                     result.failed, result.failed + result.sent, telling.last.text);
    job->in_part += rc < 0 && result.sent > 0;
    return rc;
}

int cmd_upload(struct job *job)
{
    struct err err = ERR_INIT;

    if (job->options->fallback_store != NULL)
        return job_each(job, upload);
    err_set(&err, ERR_USAGE, "there is no fallback in %s, so nothing can wait there",
            job->in->config_path);
    log_err("upload failed", &err, NULL, 0);
    return err_kind_exit_status(err.kind);
}
