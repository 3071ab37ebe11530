// SPDX-License-Identifier: Apache-2.0
// A turn drains the sink, advances the stages from last to first, fills from the source, and does
// so again until the clock says enough or nothing moved. Far end first: so each link holds at most
// one chunk, and a full sink is felt by the source through full links, with no counting anywhere.
//
// Time is charged to whoever was worked in or waited for. When both ends are waited for, the source
// is: with its link empty it could deliver whether or not the sink has room.
#include "pump.h"

#include "cancel.h"
#include "clock.h"
#include "mem.h"

#include <assert.h>
#include <ev.h>
#include <stdlib.h>

#define TURN_US 10000

struct link {
    uint8_t *data;
    size_t start, end; /* the bytes that wait are data[start..end) */
};

struct end {
    bool waits; /* said AGAIN and has not woken since */
    bool armed;
    struct pump *pump;
};

struct pump {
    struct source *source;
    struct sink *sink;
    size_t stage_count;
    struct stage *stages[PUMP_MAX_STAGES];
    bool done[PUMP_MAX_STAGES + 1];         /* [0]: the source ended; [i + 1]: stage i did */
    struct link links[PUMP_MAX_STAGES + 1]; /* [i] feeds stage i, the last feeds the sink */
    struct pool *pool;
    struct end source_end, sink_end;
    bool committed;
    struct waker waker;
    int64_t charged_us; /* up to here the time has been charged */
    struct pump_status status;
};

struct pump *pump_new(struct source *source, struct stage *const *stages, size_t count,
                      struct sink *sink)
{
    struct pump *pump = mem_calloc(1, sizeof *pump);

    assert(count <= PUMP_MAX_STAGES);
    pump->source = source;
    pump->sink = sink;
    pump->stage_count = count;
    pump->pool = pool_new(PUMP_LINK_BYTES, count + 1);
    for (size_t i = 0; i < count; i++)
        pump->stages[i] = stages[i];
    for (size_t i = 0; i <= count; i++)
        pump->links[i].data = pool_take(pump->pool);
    pump->source_end.pump = pump;
    pump->sink_end.pump = pump;
    pump->charged_us = clock_mono_us();
    return pump;
}

void pump_free(struct pump *pump)
{
    if (pump == NULL)
        return;
    source_close(pump->source);
    for (size_t i = 0; i < pump->stage_count; i++)
        stage_close(pump->stages[i]);
    sink_close(pump->sink);
    for (size_t i = 0; i <= pump->stage_count; i++)
        pool_give(pump->pool, pump->links[i].data);
    pool_free(pump->pool);
    free(pump);
}

const struct pump_status *pump_status(const struct pump *pump)
{
    return &pump->status;
}

/* The time since the last charge goes to account. */
static void charge(struct pump *pump, int64_t *account)
{
    int64_t now_us = clock_mono_us();

    *account += now_us - pump->charged_us;
    pump->charged_us = now_us;
}

/* The same for time that was spent outside of a turn. */
static void charge_wait(struct pump *pump)
{
    if (pump->source_end.waits)
        charge(pump, &pump->status.source_us);
    else if (pump->sink_end.waits)
        charge(pump, &pump->status.sink_us);
    else
        charge(pump, &pump->status.stages_us);
}

static size_t filled(const struct link *link)
{
    return link->end - link->start;
}

static struct span_out room(struct link *link)
{
    if (link->start == link->end)
        link->start = link->end = 0;
    return (struct span_out){.data = link->data, .cap = PUMP_LINK_BYTES, .len = link->end};
}

/* Each of drain, advance and fill: OK moved something, AGAIN did not, ERROR failed. */

static enum step drain(struct pump *pump, struct err *err)
{
    struct link *link = &pump->links[pump->stage_count];
    struct span_in in = {.data = link->data, .len = link->end, .pos = link->start};
    enum step step;

    if (pump->sink_end.waits || pump->committed)
        return STEP_AGAIN;
    if (filled(link) == 0 && !pump->done[pump->stage_count])
        return STEP_AGAIN;
    charge(pump, &pump->status.stages_us);
    if (filled(link) > 0) {
        step = pump->sink->ops->write(pump->sink, &in, err);
        pump->status.sink_bytes += in.pos - link->start;
        link->start = in.pos;
    } else {
        step = pump->sink->ops->commit(pump->sink, err);
        pump->committed = step == STEP_END;
    }
    charge(pump, &pump->status.sink_us);
    pump->sink_end.waits = step == STEP_AGAIN;
    if (step == STEP_ERROR)
        pump->status.failed = PUMP_SINK;
    return step == STEP_END ? STEP_OK : step;
}

static enum step advance(struct pump *pump, size_t i, struct err *err)
{
    struct link *from = &pump->links[i];
    struct link *to = &pump->links[i + 1];
    struct span_in in = {.data = from->data, .len = from->end, .pos = from->start};
    struct span_out out = room(to);
    size_t before = out.len;
    enum step step;

    if (pump->done[i + 1] || out.len == out.cap || (filled(from) == 0 && !pump->done[i]))
        return STEP_AGAIN;
    step = pump->stages[i]->ops->step(pump->stages[i], &in, &out, pump->done[i], err);
    if (step == STEP_ERROR)
        return STEP_ERROR;
    if (step == STEP_END)
        pump->done[i + 1] = true;
    else if (in.pos == from->start && out.len == before)
        step = STEP_AGAIN;
    from->start = in.pos;
    to->end = out.len;
    return step == STEP_END ? STEP_OK : step;
}

static enum step fill(struct pump *pump, struct err *err)
{
    struct link *link = &pump->links[0];
    struct span_out out = room(link);
    size_t before = out.len;
    enum step step;

    if (pump->source_end.waits || pump->done[0] || out.len == out.cap)
        return STEP_AGAIN;
    charge(pump, &pump->status.stages_us);
    step = pump->source->ops->read(pump->source, &out, err);
    charge(pump, &pump->status.source_us);
    pump->status.source_bytes += out.len - before;
    link->end = out.len;
    pump->source_end.waits = step == STEP_AGAIN;
    pump->done[0] = step == STEP_END;
    if (step == STEP_ERROR)
        pump->status.failed = PUMP_SOURCE;
    return step == STEP_END ? STEP_OK : step;
}

static enum step pass(struct pump *pump, struct err *err)
{
    enum step step = drain(pump, err);
    bool moved = step == STEP_OK;

    for (size_t i = pump->stage_count; step != STEP_ERROR && i-- > 0;) {
        step = advance(pump, i, err);
        moved |= step == STEP_OK;
    }
    if (step != STEP_ERROR) {
        step = fill(pump, err);
        moved |= step == STEP_OK;
    }
    if (step == STEP_ERROR)
        return STEP_ERROR;
    return moved ? STEP_OK : STEP_AGAIN;
}

enum step pump_turn(struct pump *pump, struct err *err)
{
    int64_t ends_us;
    enum step step;

    charge_wait(pump);
    ends_us = pump->charged_us + TURN_US;
    do {
        step = pass(pump, err);
        charge(pump, &pump->status.stages_us);
    } while (step == STEP_OK && !pump->committed && pump->charged_us < ends_us);

    if (step == STEP_ERROR)
        return STEP_ERROR;
    if (pump->committed)
        return STEP_END;
    if (step == STEP_AGAIN && !pump->source_end.waits && !pump->sink_end.waits) {
        err_set(err, ERR_INTERNAL, "the path from %s to %s stands still", pump->source->ops->name,
                pump->sink->ops->name);
        return STEP_ERROR;
    }
    return step;
}

static void end_woke(void *arg)
{
    struct end *end = arg;
    struct pump *pump = end->pump;

    charge_wait(pump);
    end->waits = end->armed = false;
    if (pump->waker.wake != NULL)
        pump->waker.wake(pump->waker.arg);
}

void pump_arm(struct pump *pump, struct ev_loop *loop, struct waker waker)
{
    pump->waker = waker;
    if (pump->source_end.waits && !pump->source_end.armed) {
        pump->source_end.armed = true;
        pump->source->ops->arm(pump->source, loop,
                               (struct waker){.wake = end_woke, .arg = &pump->source_end});
    }
    if (pump->sink_end.waits && !pump->sink_end.armed) {
        pump->sink_end.armed = true;
        pump->sink->ops->arm(pump->sink, loop,
                             (struct waker){.wake = end_woke, .arg = &pump->sink_end});
    }
}

struct run {
    struct pump *pump;
    const struct pump_limits *limits;
    const struct pump_watcher *watcher;
    bool woken;
    uint64_t moved_bytes; /* when last looked at */
    int64_t moved_us;     /* when moved_bytes last changed */
};

static void run_woke(void *arg)
{
    ((struct run *)arg)->woken = true;
}

static void on_cancel(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    (void)io;
    ev_break(loop, EVBREAK_ONE);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct run *run = timer->data;

    (void)events;
    if (run->watcher != NULL)
        run->watcher->progress(run->watcher->arg, &run->pump->status);
    ev_break(loop, EVBREAK_ONE);
}

static const char *waited_for(const struct pump *pump)
{
    return pump->source_end.waits ? pump->source->ops->name : pump->sink->ops->name;
}

static int check_limits(struct run *run, struct err *err)
{
    const struct pump_status *status = &run->pump->status;
    uint64_t moved_bytes = status->source_bytes + status->sink_bytes;
    int64_t now_us = clock_mono_us();

    if (cancel_check(err) < 0)
        return -1;
    if (moved_bytes != run->moved_bytes) {
        run->moved_bytes = moved_bytes;
        run->moved_us = now_us;
    }
    if (run->limits == NULL)
        return 0;
    if (run->limits->deadline_mono_us != 0 && now_us > run->limits->deadline_mono_us)
        return err_set(err, ERR_TIMEOUT, "the deadline passed while waiting for %s",
                       waited_for(run->pump));
    if (run->limits->stall_ms != 0 && now_us - run->moved_us > run->limits->stall_ms * 1000) {
        run->pump->status.failed = run->pump->source_end.waits ? PUMP_SOURCE : PUMP_SINK;
        return err_set(err, ERR_TIMEOUT, "no byte moved for %lld s while waiting for %s",
                       (long long)(run->limits->stall_ms / 1000), waited_for(run->pump));
    }
    return 0;
}

int pump_run(struct pump *pump, struct ev_loop *loop, const struct pump_limits *limits,
             const struct pump_watcher *watcher, struct err *err)
{
    struct run run = {.pump = pump, .limits = limits, .watcher = watcher};
    enum step step = STEP_OK;
    ev_timer tick;
    ev_io cancel;

    run.moved_us = clock_mono_us();
    ev_timer_init(&tick, on_tick, 0.25, 0.25);
    tick.data = &run;
    ev_timer_start(loop, &tick);
    ev_io_init(&cancel, on_cancel, cancel_fd(), EV_READ);
    if (cancel_fd() >= 0)
        ev_io_start(loop, &cancel);
    while (step != STEP_END && step != STEP_ERROR) {
        if (check_limits(&run, err) < 0)
            break;
        step = pump_turn(pump, err);
        if (step == STEP_OK)
            ev_run(loop, EVRUN_NOWAIT);
        if (step != STEP_AGAIN)
            continue;
        run.woken = false;
        pump_arm(pump, loop, (struct waker){.wake = run_woke, .arg = &run});
        while (!run.woken && check_limits(&run, err) == 0)
            ev_run(loop, EVRUN_ONCE);
        if (!run.woken)
            break;
    }
    /* An end that is still armed may wake while another one's close runs the loop. */
    pump->waker = (struct waker){.wake = NULL};
    ev_io_stop(loop, &cancel);
    ev_timer_stop(loop, &tick);
    if (step == STEP_END && watcher != NULL)
        watcher->progress(watcher->arg, &pump->status);
    return step == STEP_END ? 0 : -1;
}

int pump_move(struct source *source, struct stage *const *stages, size_t count, struct sink *sink,
              struct ev_loop *loop, const struct pump_limits *limits,
              const struct pump_watcher *watcher, struct pump_status *status, struct err *err)
{
    struct pump *pump = pump_new(source, stages, count, sink);
    int rc = pump_run(pump, loop, limits, watcher, err);

    if (status != NULL)
        *status = pump->status;
    cancel_grace(CANCEL_GRACE_MS);
    pump_free(pump);
    return rc;
}
