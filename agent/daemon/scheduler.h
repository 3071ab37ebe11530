// SPDX-License-Identifier: Apache-2.0
// When one kind of job of one component is due: a pure function of its schedule, of when it last
// ran, and of the time. Asked anew each time, so what a clock that jumps forward, or a machine that
// slept, has missed is caught up once.
#pragma once

#include "schedule.h"

#include <stdbool.h>
#include <stdint.h>

struct plan {
    struct schedule schedule;
    int64_t jitter_ms; /* at most so much after the slot */
    uint64_t seed;     /* of the jitter: agent, component and kind */
};

struct plan_now {
    int64_t now_ms;
    int64_t began_ms;        /* the daemon's start: what was missed before is caught up from here */
    int64_t last_started_ms; /* 0: never. Neither is later than now_ms */
};

struct plan_slot {
    int64_t slot_ms;  /* as the schedule says */
    int64_t start_ms; /* with its jitter */
    bool missed;      /* by more than the jitter: this one run stands for all that were missed */
};

/* The jitter of a component: as configured, or (negative) 5 % of the interval, at most 60 s. */
int64_t scheduler_jitter_ms(int64_t configured_ms, int64_t interval_ms);

/* The slot to run next, which may lie in the past; false when none ever comes. "@every" that never
 * ran is due at the daemon's start. */
bool scheduler_next(const struct plan *plan, const struct plan_now *now, struct plan_slot *slot);
