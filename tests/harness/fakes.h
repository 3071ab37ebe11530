// SPDX-License-Identifier: Apache-2.0
// Ends and stages that do as they are told, and a clock that stands still. Each lies in the test
// that uses it and outlives its close(), so that it can be asked afterwards how it was treated.
// Whatever breaks stream.h (armed twice, called while waiting, woken after close) aborts.
#pragma once

#include "clock.h"
#include "stream.h"
#include "text.h"

#include <ev.h>
#include <stdbool.h>

enum fake_wake {
    FAKE_WAKE_AT_ONCE, /* from within arm() */
    FAKE_WAKE_TIMER,
    FAKE_WAKE_ASYNC,
    FAKE_WAKE_BY_HAND, /* fake_wake() */
};

/* How an end behaves. Calls count from 1: read of a source, write and commit of a sink. */
struct fake_plan {
    size_t most_bytes;    /* moved by one call; 0: as many as fit */
    unsigned again_every; /* every so many-th call says AGAIN; 0: none */
    enum fake_wake wake;
    unsigned slow_commits; /* AGAIN so many times before the END of commit */
    unsigned fail_at;      /* this call fails with ERR_SOURCE, or ERR_STORE; 0: none */
    bool fail_commit;
    int64_t call_us; /* each call takes so long by the step clock */
};

/* How it was treated. */
struct fake_log {
    unsigned calls, arms, wakes, closes;
    bool waits; /* said AGAIN, and has not been woken */
    bool armed;
};

struct fake_waiter {
    struct ev_loop *loop;
    struct waker waker;
    ev_timer timer;
    ev_async async;
    struct fake_log *log;
};

struct fake_source {
    struct source source;
    struct fake_plan plan;
    struct fake_log log;
    struct fake_waiter waiter;
    const uint8_t *data; /* lent */
    size_t len, pos;
    void (*on_close)(void *arg); /* runs in close(); may be NULL */
    void *arg;
};

struct fake_stage {
    struct stage stage;
    unsigned calls, closes;
    unsigned fail_at; /* this call fails with ERR_CORRUPT; 0: none */
    size_t most_bytes;
    bool stuck; /* moves nothing, and says OK */
    int64_t call_us;
};

struct fake_sink {
    struct sink sink;
    struct fake_plan plan;
    struct fake_log log;
    struct fake_waiter waiter;
    struct text text; /* what arrived */
    bool full;        /* from now on every write says AGAIN */
    bool committed;
    struct text *journal; /* may be NULL: "write N\n", "commit\n", "close\n" */
};

/* The plan is copied; the ends are ready to be used through their first member. */
void fake_source_init(struct fake_source *fake, const struct fake_plan *plan, const void *data,
                      size_t len);
void fake_stage_init(struct fake_stage *fake);
void fake_sink_init(struct fake_sink *fake, const struct fake_plan *plan);
void fake_sink_fini(struct fake_sink *fake);
/* FAKE_WAKE_BY_HAND: the wake. It must be armed. */
void fake_wake(struct fake_waiter *waiter);

/* Puts a clock in place that moves only when told; both of its hands start at start_ms. */
void step_clock_set(int64_t start_ms);
void step_clock_add(int64_t us);
/* Puts the real clock back. */
void step_clock_end(void);

/* len bytes, the same for the same seed, half of them easy to compress; free() it. */
uint8_t *fake_bytes(size_t len, uint32_t seed);
