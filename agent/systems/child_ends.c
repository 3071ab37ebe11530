// SPDX-License-Identifier: Apache-2.0
// A child's standard output as a source and its standard input as a sink. An end of file alone
// proves nothing: a tool that is killed half-way looks the same. So both wait for the exit status.
#include "child.h"

#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct child_source {
    struct source source;
    struct child *child;
    bool at_end; /* end of file seen, exit status awaited */
};

struct child_sink {
    struct sink sink;
    struct child *child;
    bool broken; /* it reads no more; its exit status says why */
};

static enum step finished(struct child *child, struct err *err)
{
    enum step step = child_ended(child, err);

    if (step == STEP_END && child_said(child)[0] != '\0')
        log_warn("the tool said on standard error", LOG_TEXT("text", child_said(child)));
    return step;
}

static enum step source_read(struct source *source, struct span_out *out, struct err *err)
{
    struct child_source *from = (struct child_source *)source;
    ssize_t got;

    if (!from->at_end) {
        do
            got = read(child_output(from->child), out->data + out->len, out->cap - out->len);
        while (got < 0 && errno == EINTR);
        if (got > 0) {
            out->len += (size_t)got;
            return STEP_OK;
        }
        if (got < 0 && errno != EAGAIN) {
            err_set_errno(err, errno, "read from a tool");
            return STEP_ERROR;
        }
        if (got < 0)
            return STEP_AGAIN;
        from->at_end = true;
    }
    return finished(from->child, err);
}

static void source_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct child_source *from = (struct child_source *)source;

    child_arm(from->child, loop, from->at_end ? CHILD_ENDED : CHILD_READABLE, waker);
}

static void source_free(struct source *source)
{
    struct child_source *from = (struct child_source *)source;

    child_free(from->child);
    free(from);
}

static const struct source_ops child_source_ops = {
    .name = "the database's tool",
    .read = source_read,
    .arm = source_arm,
    .close = source_free,
};

struct source *child_source_new(struct child *child)
{
    struct child_source *from = mem_calloc(1, sizeof *from);

    from->source.ops = &child_source_ops;
    from->child = child;
    return &from->source;
}

static enum step why_broken(struct child_sink *to, struct err *err)
{
    enum step step = child_ended(to->child, err);

    if (step != STEP_END)
        return step;
    err_set(err, ERR_SOURCE, "the tool ended well before it had read everything");
    return STEP_ERROR;
}

static enum step sink_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct child_sink *to = (struct child_sink *)sink;
    ssize_t put;

    if (to->broken)
        return why_broken(to, err);
    do
        put = write(child_input(to->child), in->data + in->pos, in->len - in->pos);
    while (put < 0 && errno == EINTR);
    if (put > 0) {
        in->pos += (size_t)put;
        return STEP_OK;
    }
    if (put < 0 && errno == EPIPE) {
        to->broken = true;
        return why_broken(to, err);
    }
    if (put < 0 && errno != EAGAIN) {
        err_set_errno(err, errno, "write to a tool");
        return STEP_ERROR;
    }
    return STEP_AGAIN;
}

static enum step sink_commit(struct sink *sink, struct err *err)
{
    struct child_sink *to = (struct child_sink *)sink;

    child_close_input(to->child);
    return finished(to->child, err);
}

static void sink_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct child_sink *to = (struct child_sink *)sink;
    bool writes = !to->broken && child_input(to->child) >= 0;

    child_arm(to->child, loop, writes ? CHILD_WRITABLE : CHILD_ENDED, waker);
}

static void sink_free(struct sink *sink)
{
    struct child_sink *to = (struct child_sink *)sink;

    child_free(to->child);
    free(to);
}

static const struct sink_ops child_sink_ops = {
    .name = "the database's tool",
    .write = sink_write,
    .commit = sink_commit,
    .arm = sink_arm,
    .close = sink_free,
};

struct sink *child_sink_new(struct child *child)
{
    struct child_sink *to = mem_calloc(1, sizeof *to);

    to->sink.ops = &child_sink_ops;
    to->child = child;
    return &to->sink;
}
