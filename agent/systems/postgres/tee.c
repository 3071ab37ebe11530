// SPDX-License-Identifier: Apache-2.0
// One stream into two sinks of different pace. A sink may take a part of what it is offered, and
// what is offered is lent, so the rest is kept here: one buffer, refilled when both have all of it.
#include "restoring.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)128 << 10)

struct branch {
    struct tee *tee;
    struct sink *sink;
    size_t pos;
    bool full, armed, committed; /* full: said AGAIN; armed: a wake is still to come */
};

struct tee {
    struct sink sink;
    struct branch branches[2];
    uint8_t *buffer;
    size_t len;
    struct waker waker;
    bool awaited; /* the pump waits for a wake */
};

/* Gives what the branch will take now. */
static enum step push(struct branch *branch, struct err *err)
{
    struct tee *tee = branch->tee;
    struct span_in in = {.data = tee->buffer, .len = tee->len, .pos = branch->pos};
    enum step step = STEP_OK;

    while (step == STEP_OK && in.pos < in.len && !branch->armed)
        step = branch->sink->ops->write(branch->sink, &in, err);
    branch->pos = in.pos;
    branch->full = step == STEP_AGAIN;
    return step;
}

static enum step push_both(struct tee *tee, struct err *err)
{
    for (size_t i = 0; i < 2; i++)
        if (push(&tee->branches[i], err) == STEP_ERROR)
            return STEP_ERROR;
    return STEP_OK;
}

static bool drained(const struct tee *tee)
{
    return tee->branches[0].pos == tee->len && tee->branches[1].pos == tee->len;
}

static enum step tee_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct tee *tee = (struct tee *)sink;
    size_t left = in->len - in->pos;

    if (push_both(tee, err) == STEP_ERROR)
        return STEP_ERROR;
    if (!drained(tee))
        return STEP_AGAIN;
    tee->len = left < BUFFER_BYTES ? left : BUFFER_BYTES;
    memcpy(tee->buffer, in->data + in->pos, tee->len);
    in->pos += tee->len;
    tee->branches[0].pos = tee->branches[1].pos = 0;
    return push_both(tee, err);
}

static enum step tee_commit(struct sink *sink, struct err *err)
{
    struct tee *tee = (struct tee *)sink;
    bool done = true;

    if (push_both(tee, err) == STEP_ERROR)
        return STEP_ERROR;
    for (size_t i = 0; i < 2; i++) {
        struct branch *branch = &tee->branches[i];

        if (branch->pos == tee->len && !branch->committed && !branch->armed) {
            enum step step = branch->sink->ops->commit(branch->sink, err);

            if (step == STEP_ERROR)
                return STEP_ERROR;
            branch->committed = step == STEP_END;
            branch->full = step == STEP_AGAIN;
        }
        done &= branch->committed;
    }
    return done ? STEP_END : STEP_AGAIN;
}

static void branch_woke(void *arg)
{
    struct branch *branch = arg;
    struct tee *tee = branch->tee;

    branch->full = branch->armed = false;
    if (!tee->awaited)
        return;
    tee->awaited = false;
    tee->waker.wake(tee->waker.arg);
}

static void tee_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct tee *tee = (struct tee *)sink;

    tee->waker = waker;
    tee->awaited = true;
    for (size_t i = 0; i < 2; i++) {
        struct branch *branch = &tee->branches[i];

        if (!branch->full || branch->armed)
            continue;
        branch->armed = true;
        branch->sink->ops->arm(branch->sink, loop,
                               (struct waker){.wake = branch_woke, .arg = branch});
    }
}

static void tee_close(struct sink *sink)
{
    struct tee *tee = (struct tee *)sink;

    sink_close(tee->branches[0].sink);
    sink_close(tee->branches[1].sink);
    free(tee->buffer);
    free(tee);
}

static const struct sink_ops tee_ops = {
    .name = "database",
    .write = tee_write,
    .commit = tee_commit,
    .arm = tee_arm,
    .close = tee_close,
};

struct sink *pg_tee_new(struct sink *first, struct sink *second)
{
    struct tee *tee = mem_calloc(1, sizeof *tee);

    tee->sink.ops = &tee_ops;
    tee->branches[0] = (struct branch){.tee = tee, .sink = first};
    tee->branches[1] = (struct branch){.tee = tee, .sink = second};
    tee->buffer = mem_calloc(1, BUFFER_BYTES);
    return &tee->sink;
}
