// SPDX-License-Identifier: Apache-2.0
// The sink counts what it let through; when it is closed without a commit, that is gone again.
#include "bounded.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

struct bounded_store {
    struct store store;
    struct store *inner;
    struct bound bound;
};

struct bounded_sink {
    struct sink sink;
    struct sink *inner;
    const struct bound *bound;
    int64_t bytes;
    bool committed;
};

static enum step bounded_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct bounded_sink *bounded = (struct bounded_sink *)sink;
    const struct bound *bound = bounded->bound;
    size_t before = in->pos;
    enum step step;

    if (bound->make_room(bound->arg, in->len - in->pos, err) < 0)
        return STEP_ERROR;
    step = bounded->inner->ops->write(bounded->inner, in, err);
    bounded->bytes += (int64_t)(in->pos - before);
    bound->moved(bound->arg, (int64_t)(in->pos - before));
    return step;
}

static enum step bounded_commit(struct sink *sink, struct err *err)
{
    struct bounded_sink *bounded = (struct bounded_sink *)sink;
    enum step step = bounded->inner->ops->commit(bounded->inner, err);

    bounded->committed = bounded->committed || step == STEP_END;
    return step;
}

static void bounded_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct bounded_sink *bounded = (struct bounded_sink *)sink;

    bounded->inner->ops->arm(bounded->inner, loop, waker);
}

static void bounded_close(struct sink *sink)
{
    struct bounded_sink *bounded = (struct bounded_sink *)sink;

    sink_close(bounded->inner);
    if (!bounded->committed)
        bounded->bound->moved(bounded->bound->arg, -bounded->bytes);
    free(bounded);
}

static const struct sink_ops bounded_sink_ops = {
    .name = "bounded store",
    .write = bounded_write,
    .commit = bounded_commit,
    .arm = bounded_arm,
    .close = bounded_close,
};

static int put(struct store *store, const char *key, struct sink **sink, struct err *err)
{
    struct bounded_store *bounded = (struct bounded_store *)store;
    struct sink *inner = NULL;
    struct bounded_sink *opened;

    if (bounded->bound.make_room(bounded->bound.arg, 0, err) < 0 ||
        bounded->inner->ops->put(bounded->inner, key, &inner, err) < 0)
        return -1;
    opened = mem_calloc(1, sizeof *opened);
    opened->sink.ops = &bounded_sink_ops;
    opened->inner = inner;
    opened->bound = &bounded->bound;
    *sink = &opened->sink;
    return 0;
}

const struct bound *bounded_store_bound(const struct store *store)
{
    return &((const struct bounded_store *)store)->bound;
}

static struct store *inner_of(struct store *store)
{
    return ((struct bounded_store *)store)->inner;
}

static int get(struct store *store, const char *key, struct source **source, struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->get(inner, key, source, err);
}

static int stat_(struct store *store, const char *key, struct store_entry *entry, struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->stat(inner, key, entry, err);
}

static int list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->list(inner, prefix, each, arg, err);
}

static int list_uploads(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                        struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->list_uploads(inner, prefix, each, arg, err);
}

static int abort_upload(struct store *store, const char *key, const char *upload, struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->abort_upload(inner, key, upload, err);
}

static int remove_(struct store *store, const char *key, struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->remove(inner, key, err);
}

static int read_clock(struct store *store, int64_t *wall_ms, struct err *err)
{
    struct store *inner = inner_of(store);

    return inner->ops->clock(inner, wall_ms, err);
}

static void close_store(struct store *store)
{
    struct bounded_store *bounded = (struct bounded_store *)store;

    store_close(bounded->inner);
    bounded->bound.close(bounded->bound.arg);
    free(bounded);
}

static const struct store_ops bounded_store_ops = {
    .name = "bounded",
    .put = put,
    .get = get,
    .stat = stat_,
    .list = list,
    .list_uploads = list_uploads,
    .abort_upload = abort_upload,
    .remove = remove_,
    .clock = read_clock,
    .close = close_store,
};

struct store *bounded_store_new(struct store *inner, const struct bound *bound)
{
    struct bounded_store *bounded = mem_calloc(1, sizeof *bounded);

    bounded->store.ops = &bounded_store_ops;
    snprintf(bounded->store.name, sizeof bounded->store.name, "%s", inner->name);
    bounded->inner = inner;
    bounded->bound = *bound;
    return &bounded->store;
}
