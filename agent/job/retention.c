// SPDX-License-Identifier: Apache-2.0
// The rule applied: first the hold, then what may go. Positions decide, not times, so that equal
// recovery points do no harm; only keep_within looks at the clock.
//
// A recovery point later than now means that a clock was wrong once, or is now. Such a backup is
// kept, but it is not taken for the newest, nor counted by keep_last: else one backup dated far
// ahead would push out every honest one that follows it.
#include "retention.h"

#include <string.h>

/* The state after the last of count backups. */
static struct retention_hold hold_after(const struct retention_backup *backups, size_t count)
{
    struct retention_hold hold = {.held = false};
    uint64_t usual_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        const struct retention_backup *backup = &backups[i];
        bool full = backup->parent == NULL;
        bool shrank = backup->plain_bytes < usual_bytes &&
                      backup->plain_bytes < usual_bytes - backup->plain_bytes;

        if (!full)
            continue;
        if (!shrank || backup->adopted) {
            usual_bytes = backup->plain_bytes;
            hold = (struct retention_hold){.held = false};
        } else if (!hold.held) {
            hold = (struct retention_hold){.held = true,
                                           .id = backup->id,
                                           .bytes = backup->plain_bytes,
                                           .usual_bytes = usual_bytes};
        }
    }
    return hold;
}

static void keep(struct retention_backup *backup, const char *reason)
{
    if (backup->keep)
        return;
    backup->keep = true;
    backup->reason = reason;
}

/* age_ms is not negative. */
static void apply_rule(const struct retention_options *rule, int64_t age_ms, size_t from_newest,
                       struct retention_backup *backup)
{
    if (rule->forever)
        keep(backup, "forever");
    if (from_newest < rule->keep_last)
        keep(backup, "keep_last");
    if (rule->keep_within_ms > 0 && age_ms <= rule->keep_within_ms)
        keep(backup, "keep_within");
    if (!rule->forever && rule->keep_last == 0 && rule->keep_within_ms <= 0)
        keep(backup, "no rule");
}

/* A parent is older than its child, but clocks are not to be trusted: until nothing changes. */
static void keep_parents(struct retention_backup *backups, size_t count)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = count; i-- > 0;) {
            if (!backups[i].keep || backups[i].parent == NULL)
                continue;
            for (size_t j = 0; j < count; j++) {
                if (backups[j].keep || strcmp(backups[j].id, backups[i].parent) != 0)
                    continue;
                keep(&backups[j], "parent");
                changed = true;
            }
        }
    }
}

void retention_apply(const struct retention_options *rule, int64_t now_ms,
                     struct retention_backup *backups, size_t count, struct retention_hold *hold)
{
    size_t past = count; /* so many are not later than now */
    bool verified_seen = false;

    while (past > 0 && backups[past - 1].recovery_point_ms > now_ms)
        past--;
    *hold = hold_after(backups, past);
    if (!hold->held)
        *hold = hold_after(backups, count);

    for (size_t i = count; i-- > 0;) {
        struct retention_backup *backup = &backups[i];

        backup->keep = false;
        backup->reason = "no rule keeps it";
        if (i >= past) {
            keep(backup, "later than now");
            continue;
        }
        if (i == past - 1)
            keep(backup, "newest");
        if (backup->verified && !verified_seen)
            keep(backup, "newest verified");
        verified_seen = verified_seen || backup->verified;
        apply_rule(rule, now_ms - backup->recovery_point_ms, past - 1 - i, backup);
        if (hold->held)
            keep(backup, "hold");
    }
    keep_parents(backups, count);
}
