// SPDX-License-Identifier: Apache-2.0
// A prune that speaks through the log.
#include "after.h"

#include "job.h"
#include "log.h"
#include "prune.h"

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

bool after_commit(const struct target *target)
{
    struct target copy = *target;
    const struct prune_watcher watcher = {
        .judged = on_judged, .held = on_held, .orphan = on_orphan, .arg = &copy};
    struct prune_result result = {.held = false};
    struct err err = ERR_INIT;

    if (prune_run(target->site, target->fallback, false, &watcher, &result, &err) < 0)
        log_warn("pruning after the backup failed", LOG_TEXT("component", target->component->name),
                 LOG_TEXT("err", err.text), LOG_TEXT("hint", err_kind_hint(err.kind)));
    return result.held;
}
