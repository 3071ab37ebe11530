// SPDX-License-Identifier: Apache-2.0
// The contract of the byte path: source -> stages -> sink. No call blocks; buffers are lent for
// one call. A source that has nothing and a sink that is full say AGAIN and are armed: they wake
// the pump when it is worth asking again. A stage never waits. pump.c is the only caller.
#pragma once

#include "err.h"
#include "step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;

struct span_in {
    const uint8_t *data;
    size_t len, pos; /* the callee advances pos */
};

struct span_out {
    uint8_t *data;
    size_t cap, len; /* the callee advances len */
};

/* Schedules a turn of the pump; never runs it. Legal until close() of the end that holds it. */
struct waker {
    void (*wake)(void *arg);
    void *arg;
};

/* Each implementation embeds one of these as its first member. */
struct source {
    const struct source_ops *ops;
};

struct source_ops {
    const char *name;
    /* OK: moved at least one byte. AGAIN: none now, arm() me. END: no more bytes, and all that
     * proves the stream whole (exit status, length, digest of the store) has been checked; it may
     * come with the last bytes. */
    enum step (*read)(struct source *source, struct span_out *out, struct err *err);
    /* After AGAIN: one wake() follows when read() is worth calling. */
    void (*arm)(struct source *source, struct ev_loop *loop, struct waker waker);
    /* Legal at any time; stops what runs, frees; no wake after it. NULL is not allowed. */
    void (*close)(struct source *source);
};

/* The order of stages on the way into a store; the way out is the same order backwards. */
enum phase { PHASE_PLAIN_DIGEST, PHASE_COMPRESS, PHASE_ENCRYPT };

struct stage {
    const struct stage_ops *ops;
};

struct stage_ops {
    const char *name;
    enum phase phase;
    /* Consumes from in, appends to out; moves at least one byte in or out, or says END.
     * last: no input follows what is in; END once everything is flushed. STEP_AGAIN is not a
     * legal answer. With room in out and nothing to do, OK without a move is legal only when in
     * is empty. */
    enum step (*step)(struct stage *stage, struct span_in *in, struct span_out *out, bool last,
                      struct err *err);
    void (*close)(struct stage *stage);
};

struct sink {
    const struct sink_ops *ops;
};

struct sink_ops {
    const char *name;
    /* OK: consumed at least one byte. AGAIN: full, arm() me. Never END. */
    enum step (*write)(struct sink *sink, struct span_in *in, struct err *err);
    /* After the last byte: AGAIN... until END: durable and visible. */
    enum step (*commit)(struct sink *sink, struct err *err);
    /* After AGAIN: one wake() follows when write() or commit() is worth calling. */
    void (*arm)(struct sink *sink, struct ev_loop *loop, struct waker waker);
    /* Legal at any time; frees; no wake after it. Before END of commit: nothing becomes visible,
     * and what was begun is taken back as far as that can be done within a second. */
    void (*close)(struct sink *sink);
};

static inline void source_close(struct source *source)
{
    if (source != NULL)
        source->ops->close(source);
}

static inline void stage_close(struct stage *stage)
{
    if (stage != NULL)
        stage->ops->close(stage);
}

static inline void sink_close(struct sink *sink)
{
    if (sink != NULL)
        sink->ops->close(sink);
}
