// SPDX-License-Identifier: Apache-2.0
// The pump: that bytes arrive whole whatever the ends do, that a full sink is felt by the source,
// where the time goes, and that every way of ending closes everything and commits only what is
// whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pump.h"

#include "cancel.h"
#include "chain.h"
#include "fakes.h"
#include "mem.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINK PUMP_LINK_BYTES

static const struct fake_plan plain_plan = {.most_bytes = 0};

static void wake_counter(void *arg)
{
    ++*(unsigned *)arg;
}

static int setup(void **state)
{
    *state = ev_loop_new(EVFLAG_AUTO);
    return *state == NULL;
}

static int teardown(void **state)
{
    step_clock_end();
    ev_loop_destroy(*state);
    return 0;
}

/* --- round trips --- */

struct ends {
    const char *name;
    struct fake_plan source, sink;
};

static const struct ends ends[] = {
    {.name = "at once"},
    {.name = "short reads", .source = {.most_bytes = 777}},
    {.name = "short writes", .sink = {.most_bytes = 777}},
    {.name = "source waits", .source = {.most_bytes = 9999, .again_every = 3}},
    {.name = "sink waits", .sink = {.most_bytes = 9999, .again_every = 3, .slow_commits = 2}},
    {.name = "both wait on a timer",
     .source = {.most_bytes = 30000, .again_every = 2, .wake = FAKE_WAKE_TIMER},
     .sink = {.most_bytes = 20000, .again_every = 3, .wake = FAKE_WAKE_TIMER}},
    {.name = "both wait on an event",
     .source = {.most_bytes = 1001, .again_every = 3, .wake = FAKE_WAKE_ASYNC},
     .sink = {.most_bytes = 999, .again_every = 2, .wake = FAKE_WAKE_ASYNC, .slow_commits = 1}},
    {.name = "one at once, one on a timer",
     .source = {.most_bytes = 50000, .again_every = 2, .wake = FAKE_WAKE_TIMER},
     .sink = {.most_bytes = 4096, .again_every = 5}},
};

static void assert_moved(const struct fake_source *source, const struct fake_sink *sink)
{
    assert_int_equal(source->pos, source->len);
    assert_true(sink->committed);
    assert_int_equal(source->log.closes, 1);
    assert_int_equal(sink->log.closes, 1);
}

static void round_trip(struct ev_loop *loop, const struct ends *end, enum codec codec, size_t len)
{
    uint8_t *data = fake_bytes(len, (uint32_t)len + 1);
    struct digest_result digest = {.bytes = 1};
    struct chain inwards = chain_inwards(codec, 1, &digest);
    struct chain outwards = {.count = 0};
    struct pump_status status = {.source_bytes = 0};
    struct fake_source from, back_from;
    struct fake_sink to, back_to;
    struct err err = ERR_INIT;

    fake_source_init(&from, &end->source, data, len);
    fake_sink_init(&to, &end->sink);
    if (pump_move(&from.source, inwards.stages, inwards.count, &to.sink, loop, NULL, NULL, &status,
                  &err) < 0)
        fail_msg("%s, %s, %zu bytes inwards: %s", end->name, codec_name(codec), len, err.text);
    assert_moved(&from, &to);
    assert_int_equal(digest.bytes, len);
    assert_int_equal(status.source_bytes, len);
    assert_int_equal(status.sink_bytes, to.text.len);
    if (codec == CODEC_NONE)
        assert_int_equal(to.text.len, len);

    fake_source_init(&back_from, &end->source, to.text.data, to.text.len);
    fake_sink_init(&back_to, &end->sink);
    assert_int_equal(chain_outwards(codec_name(codec), &digest, "object", &outwards, &err), 0);
    if (pump_move(&back_from.source, outwards.stages, outwards.count, &back_to.sink, loop, NULL,
                  NULL, &status, &err) < 0)
        fail_msg("%s, %s, %zu bytes outwards: %s", end->name, codec_name(codec), len, err.text);
    assert_moved(&back_from, &back_to);
    assert_int_equal(back_to.text.len, len);
    if (len > 0)
        assert_memory_equal(back_to.text.data, data, len);
    fake_sink_fini(&to);
    fake_sink_fini(&back_to);
    free(data);
}

static void round_trips(struct ev_loop *loop, enum codec codec)
{
    const size_t sizes[] = {0, 1, LINK - 1, LINK, LINK + 1, 300001, 5 * LINK + 7};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
            round_trip(loop, &ends[i], codec, sizes[j]);
}

static void test_round_trips_plain(void **state)
{
    round_trips(*state, CODEC_NONE);
}

static void test_round_trips_gzip(void **state)
{
    round_trips(*state, CODEC_GZIP);
}

static void test_round_trips_zstd(void **state)
{
    round_trips(*state, CODEC_ZSTD);
}

/* --- turns --- */

static void test_source_rests_while_sink_is_full(void **state)
{
    const struct fake_plan by_hand = {.wake = FAKE_WAKE_BY_HAND};
    uint8_t *data = fake_bytes(20 * LINK, 1);
    struct digest_result digest;
    struct stage *stages[] = {digest_new(&digest)};
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;
    unsigned woken = 0;
    unsigned calls;
    struct pump *pump;
    enum step step;

    fake_source_init(&source, &plain_plan, data, 20 * LINK);
    fake_sink_init(&sink, &by_hand);
    sink.full = true;
    pump = pump_new(&source.source, stages, 1, &sink.sink);
    while ((step = pump_turn(pump, &err)) == STEP_OK)
        continue;
    assert_int_equal(step, STEP_AGAIN);
    assert_int_equal(source.pos, 2 * LINK);
    calls = source.log.calls;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pump_turn(pump, &err), STEP_AGAIN);
        pump_arm(pump, *state, (struct waker){.wake = wake_counter, .arg = &woken});
    }
    assert_int_equal(source.log.calls, calls);
    assert_int_equal(sink.log.calls, 1);
    assert_int_equal(sink.log.arms, 1);
    assert_int_equal(source.log.arms, 0);

    sink.full = false;
    fake_wake(&sink.waiter);
    assert_int_equal(woken, 1);
    while ((step = pump_turn(pump, &err)) == STEP_OK)
        continue;
    assert_int_equal(step, STEP_END);
    assert_int_equal(sink.text.len, 20 * LINK);
    assert_int_equal(digest.bytes, 20 * LINK);
    pump_free(pump);
    fake_sink_fini(&sink);
    free(data);
}

static void test_only_the_end_that_woke_is_armed_again(void **state)
{
    const struct fake_plan waiting = {
        .most_bytes = 10, .again_every = 2, .wake = FAKE_WAKE_BY_HAND};
    const struct fake_plan by_hand = {.wake = FAKE_WAKE_BY_HAND};
    uint8_t *data = fake_bytes(1000, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;
    unsigned woken = 0;
    struct pump *pump;

    fake_source_init(&source, &waiting, data, 1000);
    fake_sink_init(&sink, &by_hand);
    sink.full = true;
    pump = pump_new(&source.source, NULL, 0, &sink.sink);
    for (unsigned i = 1; i <= 5; i++) {
        enum step step;

        while ((step = pump_turn(pump, &err)) == STEP_OK)
            continue;
        assert_int_equal(step, STEP_AGAIN);
        pump_arm(pump, *state, (struct waker){.wake = wake_counter, .arg = &woken});
        assert_int_equal(source.log.arms, i);
        assert_int_equal(sink.log.arms, 1);
        fake_wake(&source.waiter);
        assert_int_equal(woken, i);
    }
    assert_int_equal(sink.log.calls, 1);
    pump_free(pump);
    assert_false(sink.committed);
    fake_sink_fini(&sink);
    free(data);
}

static void test_a_turn_is_bounded_by_the_clock(void **state)
{
    const struct fake_plan slow = {.most_bytes = 1, .call_us = 4000};
    uint8_t *data = fake_bytes(100, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;
    struct pump *pump;

    (void)state;
    step_clock_set(0);
    fake_source_init(&source, &slow, data, 100);
    fake_sink_init(&sink, &plain_plan);
    pump = pump_new(&source.source, NULL, 0, &sink.sink);
    for (unsigned turn = 1; turn <= 5; turn++) {
        assert_int_equal(pump_turn(pump, &err), STEP_OK);
        assert_int_equal(source.log.calls, 3 * turn);
    }
    pump_free(pump);
    fake_sink_fini(&sink);
    free(data);
}

static void test_a_stage_that_moves_nothing_is_a_defect(void **state)
{
    uint8_t *data = fake_bytes(10, 1);
    struct fake_source source;
    struct fake_stage stage;
    struct fake_sink sink;
    struct stage *stages[] = {&stage.stage};
    struct err err = ERR_INIT;

    fake_source_init(&source, &plain_plan, data, 10);
    fake_stage_init(&stage);
    fake_sink_init(&sink, &plain_plan);
    stage.stuck = true;
    assert_int_equal(
        pump_move(&source.source, stages, 1, &sink.sink, *state, NULL, NULL, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_INTERNAL);
    assert_string_equal(err.text, "the path from fake source to fake sink stands still");
    assert_false(sink.committed);
    free(data);
}

/* --- time --- */

static int64_t sum(const struct pump_status *status)
{
    return status->source_us + status->stages_us + status->sink_us;
}

static void test_time_of_work_is_charged_to_who_worked(void **state)
{
    const struct fake_plan source_plan = {.most_bytes = 10, .call_us = 3000};
    const struct fake_plan sink_plan = {.most_bytes = 7, .call_us = 200, .slow_commits = 0};
    uint8_t *data = fake_bytes(1000, 1);
    struct fake_source source;
    struct fake_stage stage;
    struct fake_sink sink;
    struct stage *stages[] = {&stage.stage};
    struct err err = ERR_INIT;
    struct pump *pump;
    const struct pump_status *status;
    enum step step;

    (void)state;
    step_clock_set(0);
    fake_source_init(&source, &source_plan, data, 1000);
    fake_stage_init(&stage);
    stage.call_us = 40;
    fake_sink_init(&sink, &sink_plan);
    pump = pump_new(&source.source, stages, 1, &sink.sink);
    status = pump_status(pump);
    while ((step = pump_turn(pump, &err)) == STEP_OK)
        assert_int_equal(sum(status), clock_mono_us());
    assert_int_equal(step, STEP_END);
    assert_int_equal(status->source_us, source.log.calls * 3000);
    assert_int_equal(status->sink_us, sink.log.calls * 200);
    assert_int_equal(status->stages_us, stage.calls * 40);
    assert_int_equal(sum(status), clock_mono_us());
    pump_free(pump);
    fake_sink_fini(&sink);
    free(data);
}

static void turn_until_waiting(struct pump *pump, struct ev_loop *loop, unsigned *woken)
{
    struct err err = ERR_INIT;
    enum step step;

    while ((step = pump_turn(pump, &err)) == STEP_OK)
        continue;
    assert_int_equal(step, STEP_AGAIN);
    pump_arm(pump, loop, (struct waker){.wake = wake_counter, .arg = woken});
}

static void test_time_of_waiting_is_charged_to_who_is_waited_for(void **state)
{
    const struct fake_plan waiting = {
        .most_bytes = 10, .again_every = 2, .wake = FAKE_WAKE_BY_HAND};
    const struct fake_plan by_hand = {.wake = FAKE_WAKE_BY_HAND};
    uint8_t *data = fake_bytes(20, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;
    unsigned woken = 0;
    struct pump *pump;
    const struct pump_status *status;
    enum step step;

    step_clock_set(0);
    fake_source_init(&source, &waiting, data, 20);
    fake_sink_init(&sink, &by_hand);
    pump = pump_new(&source.source, NULL, 0, &sink.sink);
    status = pump_status(pump);

    turn_until_waiting(pump, *state, &woken); /* 10 bytes through; the source waits */
    sink.full = true;
    step_clock_add(5000);
    fake_wake(&source.waiter);
    assert_int_equal(status->source_us, 5000);

    step_clock_add(300); /* awake, until the loop comes round: nobody is waited for */
    turn_until_waiting(pump, *state, &woken); /* the other 10 are read; the sink is full */
    assert_int_equal(status->stages_us, 300);
    sink.full = false;
    step_clock_add(70000);
    fake_wake(&sink.waiter);
    assert_int_equal(status->sink_us, 70000);
    while ((step = pump_turn(pump, &err)) == STEP_OK)
        continue;
    assert_int_equal(step, STEP_END);
    assert_int_equal(status->source_us, 5000);
    assert_int_equal(sum(status), clock_mono_us());
    pump_free(pump);
    fake_sink_fini(&sink);
    free(data);
}

static void test_when_both_wait_the_source_is_waited_for(void **state)
{
    const struct fake_plan waiting = {
        .most_bytes = 10, .again_every = 2, .wake = FAKE_WAKE_BY_HAND};
    const struct fake_plan by_hand = {.wake = FAKE_WAKE_BY_HAND};
    uint8_t *data = fake_bytes(50, 1);
    struct fake_source source;
    struct fake_sink sink;
    unsigned woken = 0;
    struct pump *pump;
    const struct pump_status *status;

    step_clock_set(0);
    fake_source_init(&source, &waiting, data, 50);
    fake_sink_init(&sink, &by_hand);
    sink.full = true;
    pump = pump_new(&source.source, NULL, 0, &sink.sink);
    status = pump_status(pump);
    turn_until_waiting(pump, *state, &woken);
    step_clock_add(1000);
    fake_wake(&sink.waiter); /* the source still waits */
    assert_int_equal(status->source_us, 1000);
    turn_until_waiting(pump, *state, &woken);
    step_clock_add(1000);
    fake_wake(&source.waiter);
    assert_int_equal(status->source_us, 2000);
    assert_int_equal(status->sink_us, 0);
    assert_int_equal(sum(status), clock_mono_us());
    pump_free(pump);
    fake_sink_fini(&sink);
    free(data);
}

/* --- ends of all kinds --- */

struct failure {
    unsigned source, stage, sink;
    bool commit;
    enum err_kind kind;
    enum pump_end end;
};

static void fail_once(struct ev_loop *loop, const struct failure *failure, enum fake_wake wake)
{
    const struct fake_plan source_plan = {
        .most_bytes = 5000, .again_every = 4, .wake = wake, .fail_at = failure->source};
    const struct fake_plan sink_plan = {.most_bytes = 3000,
                                        .again_every = 5,
                                        .wake = wake,
                                        .fail_at = failure->sink,
                                        .fail_commit = failure->commit};
    uint8_t *data = fake_bytes(100000, 1);
    struct fake_source source;
    struct fake_stage first, second;
    struct fake_sink sink;
    struct stage *stages[] = {&first.stage, &second.stage};
    struct pump_status status;
    struct err err = ERR_INIT;

    fake_source_init(&source, &source_plan, data, 100000);
    fake_stage_init(&first);
    fake_stage_init(&second);
    second.fail_at = failure->stage;
    fake_sink_init(&sink, &sink_plan);
    assert_int_equal(
        pump_move(&source.source, stages, 2, &sink.sink, loop, NULL, NULL, &status, &err), -1);
    assert_int_equal(err.kind, failure->kind);
    assert_int_equal(status.failed, failure->end);
    assert_false(sink.committed);
    assert_int_equal(source.log.closes, 1);
    assert_int_equal(first.closes, 1);
    assert_int_equal(second.closes, 1);
    assert_int_equal(sink.log.closes, 1);
    for (int i = 0; i < 3; i++)
        ev_run(loop, EVRUN_NOWAIT); /* a wake after close would abort */
    fake_sink_fini(&sink);
    free(data);
}

static void test_an_error_anywhere_closes_all_and_commits_nothing(void **state)
{
    static const struct failure failures[] = {
        {.source = 1, .kind = ERR_SOURCE, .end = PUMP_SOURCE},
        {.source = 7, .kind = ERR_SOURCE, .end = PUMP_SOURCE},
        {.source = 25, .kind = ERR_SOURCE, .end = PUMP_SOURCE},
        {.stage = 1, .kind = ERR_CORRUPT},
        {.stage = 6, .kind = ERR_CORRUPT},
        {.sink = 1, .kind = ERR_STORE, .end = PUMP_SINK},
        {.sink = 9, .kind = ERR_STORE, .end = PUMP_SINK},
        {.commit = true, .kind = ERR_STORE, .end = PUMP_SINK},
    };

    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        fail_once(*state, &failures[i], FAKE_WAKE_AT_ONCE);
        fail_once(*state, &failures[i], FAKE_WAKE_TIMER);
        fail_once(*state, &failures[i], FAKE_WAKE_ASYNC);
    }
}

static void run_loop_a_while(void *arg)
{
    for (int i = 0; i < 5; i++) {
        ev_sleep(0.001);
        ev_run(arg, EVRUN_NOWAIT);
    }
}

/* A close may run the loop (a last request to a store); the other end is still armed then. */
static void test_a_wake_while_the_other_end_closes_is_harmless(void **state)
{
    const struct fake_plan source_plan = {
        .most_bytes = 10, .again_every = 2, .wake = FAKE_WAKE_ASYNC, .fail_at = 3};
    const struct fake_plan sink_plan = {.wake = FAKE_WAKE_TIMER};
    uint8_t *data = fake_bytes(100, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;

    fake_source_init(&source, &source_plan, data, 100);
    source.on_close = run_loop_a_while;
    source.arg = *state;
    fake_sink_init(&sink, &sink_plan);
    sink.full = true;
    assert_int_equal(pump_move(&source.source, NULL, 0, &sink.sink, *state, NULL, NULL, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_SOURCE);
    assert_int_equal(sink.log.wakes, 1);
    free(data);
}

/* A pump over ends that have moved 10 bytes and then wait for ever. */
static int stand_still(struct ev_loop *loop, bool sink_full, const struct pump_limits *limits,
                       const struct pump_watcher *watcher, struct err *err)
{
    const struct fake_plan source_plan = {
        .most_bytes = 10, .again_every = sink_full ? 0 : 2, .wake = FAKE_WAKE_BY_HAND};
    const struct fake_plan sink_plan = {.wake = FAKE_WAKE_BY_HAND};
    uint8_t *data = fake_bytes(15, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct pump_status status;
    int rc;

    fake_source_init(&source, &source_plan, data, 15);
    fake_sink_init(&sink, &sink_plan);
    sink.full = sink_full;
    rc = pump_move(&source.source, NULL, 0, &sink.sink, loop, limits, watcher, &status, err);
    assert_int_equal(status.failed,
                     sink_full && err->kind == ERR_TIMEOUT ? PUMP_SINK : PUMP_NEITHER);
    assert_int_equal(source.log.closes, 1);
    assert_int_equal(sink.log.closes, 1);
    assert_false(sink.committed);
    fake_sink_fini(&sink);
    free(data);
    return rc;
}

static void count_progress(void *arg, const struct pump_status *status)
{
    assert_true(status->source_bytes > 0);
    ++*(unsigned *)arg;
}

static void test_the_deadline_ends_it(void **state)
{
    struct pump_limits limits = {.deadline_mono_us = clock_mono_us() + 300000};
    unsigned shown = 0;
    const struct pump_watcher watcher = {.progress = count_progress, .arg = &shown};
    struct err err = ERR_INIT;

    assert_int_equal(stand_still(*state, false, &limits, &watcher, &err), -1);
    assert_int_equal(err.kind, ERR_TIMEOUT);
    assert_string_equal(err.text, "the deadline passed while waiting for fake source");
    assert_true(shown >= 1);
    assert_true(clock_mono_us() - limits.deadline_mono_us < 2000000);
}

static void test_standing_still_ends_it(void **state)
{
    const struct pump_limits limits = {.stall_ms = 1000};
    struct err err = ERR_INIT;

    assert_int_equal(stand_still(*state, true, &limits, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_TIMEOUT);
    assert_string_equal(err.text, "no byte moved for 1 s while waiting for fake sink");
}

static void test_a_slow_stream_is_no_stall(void **state)
{
    const struct pump_limits limits = {.stall_ms = 300};
    const struct fake_plan slow = {.most_bytes = 1, .again_every = 2, .wake = FAKE_WAKE_TIMER};
    uint8_t *data = fake_bytes(400, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;

    fake_source_init(&source, &slow, data, 400);
    fake_sink_init(&sink, &plain_plan);
    assert_int_equal(
        pump_move(&source.source, NULL, 0, &sink.sink, *state, &limits, NULL, NULL, &err), 0);
    assert_int_equal(sink.text.len, 400);
    fake_sink_fini(&sink);
    free(data);
}

static void test_progress_is_told_at_the_end(void **state)
{
    unsigned shown = 0;
    const struct pump_watcher watcher = {.progress = count_progress, .arg = &shown};
    uint8_t *data = fake_bytes(10, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;

    fake_source_init(&source, &plain_plan, data, 10);
    fake_sink_init(&sink, &plain_plan);
    assert_int_equal(
        pump_move(&source.source, NULL, 0, &sink.sink, *state, NULL, &watcher, NULL, &err), 0);
    assert_int_equal(shown, 1);
    fake_sink_fini(&sink);
    free(data);
}

/* --- the wish to stop; it lasts, so each in a process of its own --- */

static void on_raise(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    raise(SIGTERM);
}

#define CHILD_MUST(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(__LINE__ % 200 + 2);                                                             \
    } while (0)

static void cancel_while_waiting(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    int64_t began_us = clock_mono_us();
    struct err err = ERR_INIT;
    ev_timer timer;

    cancel_install();
    ev_timer_init(&timer, on_raise, 0.05, 0.);
    ev_timer_start(loop, &timer);
    CHILD_MUST(stand_still(loop, true, NULL, NULL, &err) < 0);
    CHILD_MUST(err.kind == ERR_CANCELLED && strcmp(err.text, "stopped by SIGTERM") == 0);
    CHILD_MUST(clock_mono_us() - began_us < 1000000);
    CHILD_MUST(!cancel_requested()); /* the grace for cleaning up */
}

static void raise_at_progress(void *arg, const struct pump_status *status)
{
    (void)arg;
    (void)status;
    raise(SIGINT);
}

static void cancel_while_moving(void)
{
    const struct fake_plan endless = {.most_bytes = 1};
    const struct pump_watcher watcher = {.progress = raise_at_progress};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    uint8_t *data = fake_bytes((size_t)1 << 28, 1);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;

    cancel_install();
    fake_source_init(&source, &endless, data, (size_t)1 << 28);
    fake_sink_init(&sink, &plain_plan);
    CHILD_MUST(pump_move(&source.source, NULL, 0, &sink.sink, loop, NULL, &watcher, NULL, &err) <
               0);
    CHILD_MUST(err.kind == ERR_CANCELLED && strcmp(err.text, "stopped by SIGINT") == 0);
    CHILD_MUST(!sink.committed && sink.log.closes == 1 && source.log.closes == 1);
}

static void in_grace(void *arg)
{
    *(bool *)arg = !cancel_requested();
}

static void cancel_before_the_start(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct fake_source source;
    struct fake_sink sink;
    struct err err = ERR_INIT;
    bool graced = false;

    cancel_install();
    raise(SIGTERM);
    fake_source_init(&source, &plain_plan, "x", 1);
    source.on_close = in_grace;
    source.arg = &graced;
    fake_sink_init(&sink, &plain_plan);
    CHILD_MUST(pump_move(&source.source, NULL, 0, &sink.sink, loop, NULL, NULL, NULL, &err) < 0);
    CHILD_MUST(err.kind == ERR_CANCELLED && source.log.calls == 0);
    CHILD_MUST(graced);
    /* Cleaning up may move bytes, until a second signal. */
    fake_source_init(&source, &plain_plan, "x", 1);
    fake_sink_init(&sink, &plain_plan);
    CHILD_MUST(pump_move(&source.source, NULL, 0, &sink.sink, loop, NULL, NULL, NULL, &err) == 0);
    raise(SIGTERM);
    CHILD_MUST(stand_still(loop, true, NULL, NULL, &err) < 0 && err.kind == ERR_CANCELLED);
}

static void run_in_child(void (*body)(void))
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(0);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_a_signal_ends_a_pump_that_waits(void **state)
{
    (void)state;
    run_in_child(cancel_while_waiting);
}

static void test_a_signal_ends_a_pump_that_moves(void **state)
{
    (void)state;
    run_in_child(cancel_while_moving);
}

static void test_a_signal_before_the_start_moves_nothing(void **state)
{
    (void)state;
    run_in_child(cancel_before_the_start);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_round_trips_plain),
        WITH_LOOP(test_round_trips_gzip),
        WITH_LOOP(test_round_trips_zstd),
        WITH_LOOP(test_source_rests_while_sink_is_full),
        WITH_LOOP(test_only_the_end_that_woke_is_armed_again),
        WITH_LOOP(test_a_turn_is_bounded_by_the_clock),
        WITH_LOOP(test_a_stage_that_moves_nothing_is_a_defect),
        WITH_LOOP(test_time_of_work_is_charged_to_who_worked),
        WITH_LOOP(test_time_of_waiting_is_charged_to_who_is_waited_for),
        WITH_LOOP(test_when_both_wait_the_source_is_waited_for),
        WITH_LOOP(test_an_error_anywhere_closes_all_and_commits_nothing),
        WITH_LOOP(test_a_wake_while_the_other_end_closes_is_harmless),
        WITH_LOOP(test_the_deadline_ends_it),
        WITH_LOOP(test_standing_still_ends_it),
        WITH_LOOP(test_a_slow_stream_is_no_stall),
        WITH_LOOP(test_progress_is_told_at_the_end),
        WITH_LOOP(test_a_signal_ends_a_pump_that_waits),
        WITH_LOOP(test_a_signal_ends_a_pump_that_moves),
        WITH_LOOP(test_a_signal_before_the_start_moves_nothing),
    };

    return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
