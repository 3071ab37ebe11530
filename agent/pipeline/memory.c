// SPDX-License-Identifier: Apache-2.0
// Source and sinks that are always ready, so that arm has nothing to arm.
#include "memory.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct memory_source {
    struct source source;
    const uint8_t *data;
    size_t len, pos;
};

struct memory_sink {
    struct sink sink;
    struct text *text; /* NULL: the null sink */
    size_t max_bytes;
};

static enum step memory_read(struct source *source, struct span_out *out, struct err *err)
{
    struct memory_source *memory = (struct memory_source *)source;
    size_t left = memory->len - memory->pos;
    size_t space = out->cap - out->len;
    size_t n = left < space ? left : space;

    (void)err;
    if (n > 0)
        memcpy(out->data + out->len, memory->data + memory->pos, n);
    out->len += n;
    memory->pos += n;
    return memory->pos == memory->len ? STEP_END : STEP_OK;
}

static void source_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    (void)source;
    (void)loop;
    waker.wake(waker.arg);
}

static void memory_source_close(struct source *source)
{
    free(source);
}

static const struct source_ops memory_source_ops = {
    .name = "memory",
    .read = memory_read,
    .arm = source_arm,
    .close = memory_source_close,
};

struct source *memory_source_new(const void *data, size_t len)
{
    struct memory_source *memory = mem_calloc(1, sizeof *memory);

    memory->source.ops = &memory_source_ops;
    memory->data = data;
    memory->len = len;
    return &memory->source;
}

static enum step memory_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct memory_sink *memory = (struct memory_sink *)sink;
    size_t n = in->len - in->pos;

    if (memory->text != NULL) {
        if (n > memory->max_bytes - memory->text->len) {
            err_set(err, ERR_CORRUPT, "larger than %zu bytes", memory->max_bytes);
            return STEP_ERROR;
        }
        text_add_bytes(memory->text, in->data + in->pos, n);
    }
    in->pos = in->len;
    return STEP_OK;
}

static enum step memory_commit(struct sink *sink, struct err *err)
{
    (void)sink;
    (void)err;
    return STEP_END;
}

static void sink_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void memory_sink_close(struct sink *sink)
{
    free(sink);
}

static const struct sink_ops memory_sink_ops = {
    .name = "memory",
    .write = memory_write,
    .commit = memory_commit,
    .arm = sink_arm,
    .close = memory_sink_close,
};

struct sink *memory_sink_new(struct text *text, size_t max_bytes)
{
    struct memory_sink *memory = mem_calloc(1, sizeof *memory);

    memory->sink.ops = &memory_sink_ops;
    memory->text = text;
    memory->max_bytes = max_bytes;
    return &memory->sink;
}

struct sink *null_sink_new(void)
{
    return memory_sink_new(NULL, 0);
}
