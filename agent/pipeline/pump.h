// SPDX-License-Identifier: Apache-2.0
// The one driver that moves bytes: source -> stages -> sink, with back-pressure. It owns its ends
// and closes them. Between two neighbours lies one link of PUMP_LINK_BYTES; that, and what the ends
// keep for themselves, is all the memory a transfer takes, whatever its size.
#pragma once

#include "stream.h"

#define PUMP_LINK_BYTES ((size_t)128 << 10)
#define PUMP_MAX_STAGES 4

enum pump_end { PUMP_NEITHER, PUMP_SOURCE, PUMP_SINK };

struct pump_status {
    uint64_t source_bytes; /* out of the source */
    uint64_t sink_bytes;   /* into the sink */
    /* Where the time went: waiting for or working in each of the three. Their sum is the time from
     * pump_new to the end of the last turn. */
    int64_t source_us, stages_us, sink_us;
    /* Which end failed, or was waited for when nothing moved for too long. NEITHER: a stage failed,
     * the deadline passed, or a stop was wished for. */
    enum pump_end failed;
};

struct pump_limits {
    int64_t deadline_mono_us; /* 0: none */
    int64_t stall_ms;         /* 0: none; ERR_TIMEOUT when no byte moved for so long */
};

struct pump_watcher {
    /* About four times a second while the pump runs, and once at its end. */
    void (*progress)(void *arg, const struct pump_status *status);
    void *arg;
};

struct pump;

/* Takes source, stages (in the order of the path, count <= PUMP_MAX_STAGES) and sink. */
struct pump *pump_new(struct source *source, struct stage *const *stages, size_t count,
                      struct sink *sink);
/* One bounded turn (about 10 ms). OK: call again soon. AGAIN: nothing can move before a wake of an
 * end in pump_arm. END: the sink is committed. */
enum step pump_turn(struct pump *pump, struct err *err);
/* After AGAIN: arms the ends that said so; each wake calls waker. */
void pump_arm(struct pump *pump, struct ev_loop *loop, struct waker waker);
const struct pump_status *pump_status(const struct pump *pump);
/* Closes the ends; before END that aborts the sink. NULL is allowed. */
void pump_free(struct pump *pump);

/* Turns until the end, on a loop; stopped by the limits and by cancel.h. watcher may be NULL. */
int pump_run(struct pump *pump, struct ev_loop *loop, const struct pump_limits *limits,
             const struct pump_watcher *watcher, struct err *err);

/* All of it at once: new, run, free. status may be NULL. */
int pump_move(struct source *source, struct stage *const *stages, size_t count, struct sink *sink,
              struct ev_loop *loop, const struct pump_limits *limits,
              const struct pump_watcher *watcher, struct pump_status *status, struct err *err);
