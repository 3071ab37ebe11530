// SPDX-License-Identifier: Apache-2.0
// prune: what retention lets go, and orphans (those of the fallback too); with --dry-run only said.
#include "prune.h"

#include "commands.h"
#include "job.h"
#include "log.h"
#include "recording.h"
#include "text.h"

#include <stdio.h>

struct telling {
    const struct job *job;
    const struct target *target;
};

static void on_judged(void *arg, const struct backup *backup,
                      const struct retention_backup *judgement)
{
    const struct telling *telling = arg;
    const char *verb = judgement->keep             ? "keep"
                       : telling->job->in->dry_run ? "would remove"
                                                   : "removed";

    if (telling->job->in->json)
        job_report(telling->job, telling->target,
                   json_pack("{s:s, s:s, s:s}", "backup", backup->id, "action",
                             judgement->keep ? "keep" : "remove", "reason", judgement->reason));
    else if (telling->job->in->dry_run || !judgement->keep)
        printf("%s@%s %s (%s)\n", telling->target->component->name, backup->id, verb,
               judgement->reason);
}

static void on_held(void *arg, const char *lineage, const struct retention_hold *hold)
{
    const struct telling *telling = arg;

    log_warn("retention held: this backup is less than half as large as usual; if it is meant to "
             "be, say lifeboat-agent adopt",
             LOG_TEXT("component", telling->target->component->name), LOG_TEXT("lineage", lineage),
             LOG_TEXT("backup", hold->id), LOG_NUMBER("plain_bytes", hold->bytes),
             LOG_NUMBER("usual_bytes", hold->usual_bytes));
}

static void on_orphan(void *arg, const char *key, uint64_t bytes)
{
    const struct telling *telling = arg;
    char size[24];

    if (telling->job->in->json)
        job_report(telling->job, telling->target,
                   json_pack("{s:s, s:s, s:I}", "orphan", key, "action", "remove", "bytes",
                             (json_int_t)bytes));
    else
        printf("orphan %s %s (%s)\n", key, telling->job->in->dry_run ? "would go" : "removed",
               text_show_bytes(bytes, size, sizeof size));
}

static int prune(struct job *job, const struct target *target, struct err *err)
{
    struct telling telling = {.job = job, .target = target};
    const struct prune_watcher watcher = {
        .judged = on_judged, .held = on_held, .orphan = on_orphan, .arg = &telling};
    struct prune_result result;
    char freed[24];

    if (!job->in->dry_run && target->site->system->clean != NULL)
        target->site->system->clean(target->component, target->site->options->state_path);
    if (prune_run(target->site, target->fallback, job->in->dry_run, &watcher, &result, err) < 0)
        return -1;
    recording_report(job)->retention_held = result.held;
    if (!job->in->json)
        printf("%s: %zu backups kept, %zu %s, %zu orphans, %s%s\n", target->component->name,
               result.kept, result.removed, job->in->dry_run ? "would go" : "removed",
               result.orphans_removed, text_show_bytes(result.freed_bytes, freed, sizeof freed),
               result.held ? "; retention held" : "");
    job_report(job, target,
               json_pack("{s:I, s:I, s:I, s:I, s:b, s:b}", "kept", (json_int_t)result.kept,
                         "removed", (json_int_t)result.removed, "orphans",
                         (json_int_t)result.orphans_removed, "freed_bytes",
                         (json_int_t)result.freed_bytes, "held", result.held, "dry_run",
                         job->in->dry_run));
    return 0;
}

int cmd_prune(struct job *job)
{
    return job_each(job, prune);
}
