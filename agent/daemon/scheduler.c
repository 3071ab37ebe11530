// SPDX-License-Identifier: Apache-2.0
// From the last start to the next slot.
#include "scheduler.h"

#define JITTER_SHARE  20 /* 5 % */
#define JITTER_MAX_MS 60000

int64_t scheduler_jitter_ms(int64_t configured_ms, int64_t interval_ms)
{
    int64_t jitter_ms = interval_ms / JITTER_SHARE;

    if (configured_ms >= 0)
        return configured_ms;
    return jitter_ms > JITTER_MAX_MS ? JITTER_MAX_MS : jitter_ms;
}

/* The same for the same slot, else as good as random (the finalizer of splitmix64). */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static int64_t jitter_of(const struct plan *plan, int64_t slot_ms)
{
    if (plan->jitter_ms <= 0)
        return 0;
    return (int64_t)(mix(plan->seed ^ (uint64_t)slot_ms) % (uint64_t)plan->jitter_ms);
}

bool scheduler_next(const struct plan *plan, const struct plan_now *now, struct plan_slot *slot)
{
    bool ran = now->last_started_ms > 0;
    int64_t from_ms = ran ? now->last_started_ms : now->began_ms;
    int64_t slot_ms;

    if (plan->schedule.every_ms > 0 && !ran)
        slot_ms = from_ms;
    else
        slot_ms = schedule_next(&plan->schedule, from_ms);
    if (slot_ms < 0)
        return false;
    slot->slot_ms = slot_ms;
    slot->start_ms = slot_ms + jitter_of(plan, slot_ms);
    slot->missed = false;
    if (slot_ms < now->began_ms) {
        /* Agents that come back together do not begin together. */
        slot->start_ms = now->began_ms + jitter_of(plan, slot_ms);
        slot->missed = true;
    } else if (now->now_ms > slot->start_ms + JITTER_MAX_MS) {
        slot->missed = true;
    }
    return true;
}
