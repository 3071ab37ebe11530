// SPDX-License-Identifier: Apache-2.0
// Merging of what agents tell. The same state may come twice, or an old one after a new one (an
// inventory is of now, the reports that follow it are of the time when the link was down): the
// result does not depend on the order.
#include "fleet.h"

#include <string.h>

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static uint64_t more(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void clamp(int64_t *moment_ms, int64_t now_ms)
{
    if (*moment_ms > now_ms)
        *moment_ms = now_ms;
    if (*moment_ms < 0)
        *moment_ms = 0;
}

static void clamp_kind(lifeboat_v1_KindState *kind, int64_t now_ms)
{
    clamp(&kind->started_ms, now_ms);
    clamp(&kind->ended_ms, now_ms);
    clamp(&kind->success_ms, now_ms);
    if (kind->success_duration_ms < 0)
        kind->success_duration_ms = 0;
}

static void merge_kind(bool *has, lifeboat_v1_KindState *known, const lifeboat_v1_KindState *told)
{
    if (told->started_ms > known->started_ms ||
        (told->started_ms == known->started_ms && told->ended_ms >= known->ended_ms)) {
        known->started_ms = told->started_ms;
        known->ended_ms = told->ended_ms;
        known->outcome = told->outcome;
        known->has_error = told->has_error;
        known->error = told->error;
    }
    if (told->success_ms >= known->success_ms) {
        known->success_ms = told->success_ms;
        known->success_duration_ms = told->success_duration_ms;
    }
    known->done = more(known->done, told->done);
    known->failed = more(known->failed, told->failed);
    known->in_part = more(known->in_part, told->in_part);
    *has = true;
}

/* The end of the newest job that this state knows of. */
static int64_t newest_ms(const lifeboat_v1_ComponentState *state)
{
    return later(later(later(state->backup.ended_ms, state->verify.ended_ms),
                       later(state->drill.ended_ms, state->restore.ended_ms)),
                 later(state->prune.ended_ms, state->upload.ended_ms));
}

void fleet_merge(lifeboat_v1_ComponentState *known, const lifeboat_v1_ComponentState *told,
                 int64_t now_ms)
{
    lifeboat_v1_ComponentState now = *told;

    clamp_kind(&now.backup, now_ms);
    clamp_kind(&now.verify, now_ms);
    clamp_kind(&now.drill, now_ms);
    clamp_kind(&now.restore, now_ms);
    clamp_kind(&now.prune, now_ms);
    clamp_kind(&now.upload, now_ms);
    clamp(&now.recovery_point_ms, now_ms);
    if (now.backup.success_ms >= known->backup.success_ms) {
        memcpy(known->backup_id, now.backup_id, sizeof known->backup_id);
        known->plain_bytes = now.plain_bytes;
        known->stored_bytes = now.stored_bytes;
    }
    known->recovery_point_ms = later(known->recovery_point_ms, now.recovery_point_ms);
    if (newest_ms(&now) >= newest_ms(known)) {
        known->good = now.good;
        known->fallback_backups = now.fallback_backups;
        known->fallback_bytes = now.fallback_bytes;
        known->retention_held = now.retention_held;
    }
    merge_kind(&known->has_backup, &known->backup, &now.backup);
    merge_kind(&known->has_verify, &known->verify, &now.verify);
    merge_kind(&known->has_drill, &known->drill, &now.drill);
    merge_kind(&known->has_restore, &known->restore, &now.restore);
    merge_kind(&known->has_prune, &known->prune, &now.prune);
    merge_kind(&known->has_upload, &known->upload, &now.upload);
}
