// SPDX-License-Identifier: Apache-2.0
// One answer to everything.
#include "absent.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

struct absent_store {
    struct store store;
    struct err why;
};

static int fail(struct store *store, struct err *err)
{
    *err = ((struct absent_store *)store)->why;
    return -1;
}

static int put(struct store *store, const char *key, struct sink **sink, struct err *err)
{
    (void)key;
    (void)sink;
    return fail(store, err);
}

static int get(struct store *store, const char *key, struct source **source, struct err *err)
{
    (void)key;
    (void)source;
    return fail(store, err);
}

static int stat_(struct store *store, const char *key, struct store_entry *entry, struct err *err)
{
    (void)key;
    (void)entry;
    return fail(store, err);
}

static int list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                struct err *err)
{
    (void)prefix;
    (void)each;
    (void)arg;
    return fail(store, err);
}

static int abort_upload(struct store *store, const char *key, const char *upload, struct err *err)
{
    (void)key;
    (void)upload;
    return fail(store, err);
}

static int remove_(struct store *store, const char *key, struct err *err)
{
    (void)key;
    return fail(store, err);
}

static int read_clock(struct store *store, int64_t *wall_ms, struct err *err)
{
    (void)wall_ms;
    return fail(store, err);
}

static void close_store(struct store *store)
{
    free(store);
}

static const struct store_ops absent_store_ops = {
    .name = "absent",
    .put = put,
    .get = get,
    .stat = stat_,
    .list = list,
    .list_uploads = list,
    .abort_upload = abort_upload,
    .remove = remove_,
    .clock = read_clock,
    .close = close_store,
};

struct store *absent_store_new(const char *name, const struct err *why)
{
    struct absent_store *absent = mem_calloc(1, sizeof *absent);

    absent->store.ops = &absent_store_ops;
    snprintf(absent->store.name, sizeof absent->store.name, "%s", name);
    absent->why = *why;
    return &absent->store;
}
