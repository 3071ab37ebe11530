// SPDX-License-Identifier: Apache-2.0
// One machine for waiting, shared by the two ends; the rest is counting.
#include "fakes.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAKE_AFTER_S 0.001

static int64_t step_us;
static bool stepping;

/* Not assert(): what breaks the contract must be seen in every build. */
static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "contract of stream.h broken: %s\n", what);
    abort();
}

static int64_t step_wall_ms(void)
{
    return step_us / 1000;
}

static int64_t step_mono_us(void)
{
    return step_us;
}

void step_clock_set(int64_t start_ms)
{
    static const struct clock_ops ops = {.wall_ms = step_wall_ms, .mono_us = step_mono_us};

    step_us = start_ms * 1000;
    stepping = true;
    clock_replace(&ops);
}

void step_clock_add(int64_t us)
{
    if (stepping)
        step_us += us;
}

void step_clock_end(void)
{
    stepping = false;
    clock_replace(NULL);
}

uint8_t *fake_bytes(size_t len, uint32_t seed)
{
    uint8_t *bytes = mem_calloc(len + 1, 1);

    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (i / 4096) % 2 == 0 ? (uint8_t)(seed >> 24) : (uint8_t) "lifeboat"[i % 8];
    }
    return bytes;
}

/* --- waiting --- */

void fake_wake(struct fake_waiter *waiter)
{
    struct fake_log *log = waiter->log;

    must(log->armed, "woken without being armed");
    must(log->closes == 0, "woken after close");
    log->armed = log->waits = false;
    log->wakes++;
    waiter->waker.wake(waiter->waker.arg);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    fake_wake(timer->data);
}

static void on_async(struct ev_loop *loop, ev_async *async, int events)
{
    (void)events;
    ev_async_stop(loop, async);
    fake_wake(async->data);
}

static void wait_start(struct fake_waiter *waiter, const struct fake_plan *plan,
                       struct ev_loop *loop, struct waker waker)
{
    must(waiter->log->waits, "armed without AGAIN");
    must(!waiter->log->armed, "armed twice");
    must(waiter->log->closes == 0, "armed after close");
    waiter->log->armed = true;
    waiter->log->arms++;
    waiter->loop = loop;
    waiter->waker = waker;
    switch (plan->wake) {
    case FAKE_WAKE_AT_ONCE:
        fake_wake(waiter);
        break;
    case FAKE_WAKE_TIMER:
        ev_timer_init(&waiter->timer, on_timer, WAKE_AFTER_S, 0.);
        waiter->timer.data = waiter;
        ev_timer_start(loop, &waiter->timer);
        break;
    case FAKE_WAKE_ASYNC:
        ev_async_init(&waiter->async, on_async);
        waiter->async.data = waiter;
        ev_async_start(loop, &waiter->async);
        ev_async_send(loop, &waiter->async);
        break;
    case FAKE_WAKE_BY_HAND:
        break;
    }
}

static void wait_stop(struct fake_waiter *waiter, const struct fake_plan *plan)
{
    must(waiter->log->closes == 0, "closed twice");
    waiter->log->closes++;
    if (waiter->log->armed && plan->wake == FAKE_WAKE_TIMER)
        ev_timer_stop(waiter->loop, &waiter->timer);
    if (waiter->log->armed && plan->wake == FAKE_WAKE_ASYNC)
        ev_async_stop(waiter->loop, &waiter->async);
    waiter->log->armed = false;
}

/* Counts the call; what it says unless it moves: AGAIN, ERROR, else OK. */
static enum step begin_call(struct fake_log *log, const struct fake_plan *plan)
{
    must(log->closes == 0, "called after close");
    must(!log->waits, "called before the wake");
    step_clock_add(plan->call_us);
    log->calls++;
    if (log->calls == plan->fail_at)
        return STEP_ERROR;
    log->waits = plan->again_every != 0 && log->calls % plan->again_every == 0;
    return log->waits ? STEP_AGAIN : STEP_OK;
}

static size_t least(size_t a, size_t b, size_t most)
{
    size_t n = a < b ? a : b;

    return most != 0 && most < n ? most : n;
}

/* --- source --- */

static enum step source_read(struct source *source, struct span_out *out, struct err *err)
{
    struct fake_source *fake = (struct fake_source *)source;
    size_t n = least(fake->len - fake->pos, out->cap - out->len, fake->plan.most_bytes);
    enum step step = begin_call(&fake->log, &fake->plan);

    must(out->len < out->cap, "read without room");
    if (step == STEP_ERROR)
        err_set(err, ERR_SOURCE, "the source failed");
    if (step != STEP_OK)
        return step;
    if (n > 0)
        memcpy(out->data + out->len, fake->data + fake->pos, n);
    out->len += n;
    fake->pos += n;
    return fake->pos == fake->len ? STEP_END : STEP_OK;
}

static void source_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct fake_source *fake = (struct fake_source *)source;

    wait_start(&fake->waiter, &fake->plan, loop, waker);
}

static void source_close_(struct source *source)
{
    struct fake_source *fake = (struct fake_source *)source;

    wait_stop(&fake->waiter, &fake->plan);
    if (fake->on_close != NULL)
        fake->on_close(fake->arg);
}

static const struct source_ops source_ops = {
    .name = "fake source",
    .read = source_read,
    .arm = source_arm,
    .close = source_close_,
};

void fake_source_init(struct fake_source *fake, const struct fake_plan *plan, const void *data,
                      size_t len)
{
    *fake =
        (struct fake_source){.source.ops = &source_ops, .plan = *plan, .data = data, .len = len};
    fake->waiter.log = &fake->log;
}

/* --- stage --- */

static enum step stage_step(struct stage *stage, struct span_in *in, struct span_out *out,
                            bool last, struct err *err)
{
    struct fake_stage *fake = (struct fake_stage *)stage;
    size_t n = least(in->len - in->pos, out->cap - out->len, fake->most_bytes);

    must(fake->closes == 0, "stage called after close");
    must(out->len < out->cap, "stage called without room");
    step_clock_add(fake->call_us);
    if (++fake->calls == fake->fail_at) {
        err_set(err, ERR_CORRUPT, "the stage failed");
        return STEP_ERROR;
    }
    if (fake->stuck)
        return STEP_OK;
    if (n > 0)
        memcpy(out->data + out->len, in->data + in->pos, n);
    out->len += n;
    in->pos += n;
    return last && in->pos == in->len ? STEP_END : STEP_OK;
}

static void stage_close_(struct stage *stage)
{
    must(((struct fake_stage *)stage)->closes++ == 0, "stage closed twice");
}

static const struct stage_ops stage_ops = {
    .name = "fake stage",
    .phase = PHASE_PLAIN_DIGEST,
    .step = stage_step,
    .close = stage_close_,
};

void fake_stage_init(struct fake_stage *fake)
{
    *fake = (struct fake_stage){.stage.ops = &stage_ops};
}

/* --- sink --- */

static void note(struct fake_sink *fake, const char *what)
{
    if (fake->journal != NULL)
        text_add(fake->journal, "%s\n", what);
}

static enum step sink_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct fake_sink *fake = (struct fake_sink *)sink;
    size_t n = least(in->len - in->pos, in->len - in->pos, fake->plan.most_bytes);
    enum step step = begin_call(&fake->log, &fake->plan);

    must(n > 0, "write of nothing");
    if (step == STEP_ERROR)
        err_set(err, ERR_STORE, "the sink failed");
    if (fake->full && step == STEP_OK) {
        fake->log.waits = true;
        step = STEP_AGAIN;
    }
    if (step != STEP_OK)
        return step;
    text_add_bytes(&fake->text, in->data + in->pos, n);
    in->pos += n;
    note(fake, "write");
    return STEP_OK;
}

static enum step sink_commit(struct sink *sink, struct err *err)
{
    struct fake_sink *fake = (struct fake_sink *)sink;
    enum step step = begin_call(&fake->log, &fake->plan);

    must(!fake->committed, "committed twice");
    if (step == STEP_ERROR || fake->plan.fail_commit) {
        err_set(err, ERR_STORE, "the commit failed");
        return STEP_ERROR;
    }
    if (fake->plan.slow_commits > 0 && step == STEP_OK) {
        fake->plan.slow_commits--;
        fake->log.waits = true;
        step = STEP_AGAIN;
    }
    if (step != STEP_OK)
        return step;
    fake->committed = true;
    note(fake, "commit");
    return STEP_END;
}

static void sink_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct fake_sink *fake = (struct fake_sink *)sink;

    wait_start(&fake->waiter, &fake->plan, loop, waker);
}

static void sink_close_(struct sink *sink)
{
    struct fake_sink *fake = (struct fake_sink *)sink;

    wait_stop(&fake->waiter, &fake->plan);
    note(fake, "close");
}

static const struct sink_ops sink_ops = {
    .name = "fake sink",
    .write = sink_write,
    .commit = sink_commit,
    .arm = sink_arm,
    .close = sink_close_,
};

void fake_sink_init(struct fake_sink *fake, const struct fake_plan *plan)
{
    *fake = (struct fake_sink){.sink.ops = &sink_ops, .plan = *plan};
    fake->waiter.log = &fake->log;
}

void fake_sink_fini(struct fake_sink *fake)
{
    text_fini(&fake->text);
}
