// SPDX-License-Identifier: Apache-2.0
// The store is an array; uploads stand in it beside the objects.
#include "fake_store.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_put {
    struct sink sink;
    struct fake_store *store;
    char *key;
    char upload[16];
    struct text text;
    bool committed;
};

struct fake_get {
    struct source source;
    struct fake_store *store;
    char *key;
    uint8_t *data;
    size_t len, pos;
};

static const char *const op_names[] = {
    [FAKE_PUT] = "put",
    [FAKE_WRITE] = "write",
    [FAKE_COMMIT] = "commit",
    [FAKE_GET] = "get",
    [FAKE_READ] = "read",
    [FAKE_STAT] = "stat",
    [FAKE_LIST] = "list",
    [FAKE_LIST_UPLOADS] = "list uploads",
    [FAKE_ABORT_UPLOAD] = "abort",
    [FAKE_REMOVE] = "remove",
    [FAKE_CLOCK] = "clock",
};

/* Every call passes here; -1 when it is to fail. */
static int begin(struct fake_store *store, enum fake_op op, const char *key, struct err *err)
{
    if (store->before != NULL)
        store->before(store->arg, store, op, key);
    if (op == FAKE_COMMIT || op == FAKE_ABORT_UPLOAD || op == FAKE_REMOVE)
        text_add(&store->journal, "%s %s\n", op_names[op], key);
    if (++store->ops[op].calls == store->ops[op].fail_at)
        return err_set(err, store->ops[op].kind, "%s %s: told to fail", op_names[op], key);
    return 0;
}

void fake_store_fail(struct fake_store *store, enum fake_op op, unsigned n, enum err_kind kind)
{
    store->ops[op].fail_at = store->ops[op].calls + n;
    store->ops[op].kind = kind;
}

static struct fake_object *find(const struct fake_store *store, const char *key, const char *upload)
{
    for (size_t i = 0; i < store->count; i++) {
        struct fake_object *object = &store->objects[i];
        bool same = upload == NULL ? object->upload == NULL
                                   : object->upload != NULL && strcmp(object->upload, upload) == 0;

        if (same && strcmp(object->key, key) == 0)
            return object;
    }
    return NULL;
}

const struct fake_object *fake_store_find(const struct fake_store *store, const char *key)
{
    return find(store, key, NULL);
}

void fake_store_add(struct fake_store *store, const char *key, const char *upload, const void *data,
                    size_t len, int64_t modified_ms)
{
    store->objects = mem_realloc(store->objects, (store->count + 1) * sizeof *store->objects);
    store->objects[store->count++] = (struct fake_object){
        .key = mem_strdup(key),
        .upload = upload == NULL ? NULL : mem_strdup(upload),
        .data = (uint8_t *)mem_strndup(data, len),
        .len = len,
        .modified_ms = modified_ms,
    };
}

static void free_object(struct fake_object *object)
{
    free(object->key);
    free(object->upload);
    free(object->data);
}

static void drop(struct fake_store *store, struct fake_object *object)
{
    if (object == NULL)
        return;
    free_object(object);
    *object = store->objects[--store->count];
}

/* --- put --- */

static enum step put_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct fake_put *put = (struct fake_put *)sink;

    if (begin(put->store, FAKE_WRITE, put->key, err) < 0)
        return STEP_ERROR;
    text_add_bytes(&put->text, in->data + in->pos, in->len - in->pos);
    in->pos = in->len;
    return STEP_OK;
}

static enum step put_commit(struct sink *sink, struct err *err)
{
    struct fake_put *put = (struct fake_put *)sink;
    const struct fake_object *old;

    if (begin(put->store, FAKE_COMMIT, put->key, err) < 0)
        return STEP_ERROR;
    old = fake_store_find(put->store, put->key);
    if (old != NULL &&
        (old->len != put->text.len || memcmp(old->data, text_str(&put->text), old->len) != 0)) {
        err_set(err, ERR_EXISTS, "%s exists with other content", put->key);
        return STEP_ERROR;
    }
    drop(put->store, find(put->store, put->key, put->upload));
    if (old == NULL)
        fake_store_add(put->store, put->key, NULL, text_str(&put->text), put->text.len,
                       put->store->now_ms);
    put->committed = true;
    return STEP_END;
}

static void put_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void put_close(struct sink *sink)
{
    struct fake_put *put = (struct fake_put *)sink;

    if (!put->committed && !put->store->uploads_stay)
        drop(put->store, find(put->store, put->key, put->upload));
    text_fini(&put->text);
    free(put->key);
    free(put);
}

static const struct sink_ops put_ops = {
    .name = "fake store",
    .write = put_write,
    .commit = put_commit,
    .arm = put_arm,
    .close = put_close,
};

static int store_put(struct store *store, const char *key, struct sink **sink, struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;
    struct fake_put *put;

    if (begin(fake, FAKE_PUT, key, err) < 0)
        return -1;
    put = mem_calloc(1, sizeof *put);
    put->sink.ops = &put_ops;
    put->store = fake;
    put->key = mem_strdup(key);
    snprintf(put->upload, sizeof put->upload, "upload-%u", fake->ops[FAKE_PUT].calls % 1000000);
    fake_store_add(fake, key, put->upload, "", 0, fake->now_ms);
    *sink = &put->sink;
    return 0;
}

/* --- get --- */

static enum step get_read(struct source *source, struct span_out *out, struct err *err)
{
    struct fake_get *get = (struct fake_get *)source;
    size_t room = out->cap - out->len;
    size_t n = get->len - get->pos < room ? get->len - get->pos : room;

    if (begin(get->store, FAKE_READ, get->key, err) < 0)
        return STEP_ERROR;
    memcpy(out->data + out->len, get->data + get->pos, n);
    out->len += n;
    get->pos += n;
    return get->pos == get->len ? STEP_END : STEP_OK;
}

static void get_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    (void)source;
    (void)loop;
    waker.wake(waker.arg);
}

static void get_close(struct source *source)
{
    struct fake_get *get = (struct fake_get *)source;

    free(get->key);
    free(get->data);
    free(get);
}

static const struct source_ops get_ops = {
    .name = "fake store",
    .read = get_read,
    .arm = get_arm,
    .close = get_close,
};

static int missing(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "%s is not there", key);
}

static int store_get(struct store *store, const char *key, struct source **source, struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;
    const struct fake_object *object;
    struct fake_get *get;

    if (begin(fake, FAKE_GET, key, err) < 0)
        return -1;
    object = fake_store_find(fake, key);
    if (object == NULL)
        return missing(key, err);
    get = mem_calloc(1, sizeof *get);
    get->source.ops = &get_ops;
    get->store = fake;
    get->key = mem_strdup(key);
    get->data = (uint8_t *)mem_strndup((const char *)object->data, object->len);
    get->len = object->len;
    *source = &get->source;
    return 0;
}

/* --- the small calls --- */

static int store_stat(struct store *store, const char *key, struct store_entry *entry,
                      struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;
    const struct fake_object *object;

    if (begin(fake, FAKE_STAT, key, err) < 0)
        return -1;
    object = fake_store_find(fake, key);
    if (object == NULL)
        return missing(key, err);
    entry->bytes = object->len;
    entry->modified_ms = object->modified_ms;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct fake_object *)a)->key, ((const struct fake_object *)b)->key);
}

static int each_of(struct fake_store *fake, const char *prefix, bool uploads, store_each_fn *each,
                   void *arg, struct err *err)
{
    if (fake->count > 0)
        qsort(fake->objects, fake->count, sizeof *fake->objects, by_key);
    for (size_t i = 0; i < fake->count; i++) {
        const struct fake_object *object = &fake->objects[i];
        const struct store_entry entry = {.key = object->key,
                                          .bytes = object->len,
                                          .modified_ms = object->modified_ms,
                                          .upload = object->upload};

        if ((object->upload != NULL) == uploads && text_starts_with(object->key, prefix) &&
            each(arg, &entry, err) < 0)
            return -1;
    }
    return 0;
}

static int store_list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                      struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;

    if (begin(fake, FAKE_LIST, prefix, err) < 0)
        return -1;
    return each_of(fake, prefix, false, each, arg, err);
}

static int store_list_uploads(struct store *store, const char *prefix, store_each_fn *each,
                              void *arg, struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;

    if (begin(fake, FAKE_LIST_UPLOADS, prefix, err) < 0)
        return -1;
    return each_of(fake, prefix, true, each, arg, err);
}

static int store_abort_upload(struct store *store, const char *key, const char *upload,
                              struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;

    if (begin(fake, FAKE_ABORT_UPLOAD, key, err) < 0)
        return -1;
    drop(fake, find(fake, key, upload));
    return 0;
}

static int store_remove(struct store *store, const char *key, struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;

    if (begin(fake, FAKE_REMOVE, key, err) < 0)
        return -1;
    drop(fake, find(fake, key, NULL));
    return 0;
}

static int store_clock(struct store *store, int64_t *wall_ms, struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;

    if (begin(fake, FAKE_CLOCK, "", err) < 0)
        return -1;
    *wall_ms = fake->now_ms;
    return 0;
}

static void store_close_(struct store *store)
{
    struct fake_store *fake = (struct fake_store *)store;

    for (size_t i = 0; i < fake->count; i++)
        free_object(&fake->objects[i]);
    free(fake->objects);
    text_fini(&fake->journal);
    fake->objects = NULL;
    fake->count = 0;
}

const struct store_ops fake_store_ops = {
    .name = "fake",
    .put = store_put,
    .get = store_get,
    .stat = store_stat,
    .list = store_list,
    .list_uploads = store_list_uploads,
    .abort_upload = store_abort_upload,
    .remove = store_remove,
    .clock = store_clock,
    .close = store_close_,
};

char *fake_store_show(struct fake_store *store)
{
    struct text text = TEXT_INIT;

    if (store->count > 0)
        qsort(store->objects, store->count, sizeof *store->objects, by_key);
    for (size_t i = 0; i < store->count; i++)
        text_add(&text, "%s%s%s\n", store->objects[i].key,
                 store->objects[i].upload == NULL ? "" : " ",
                 store->objects[i].upload == NULL ? "" : store->objects[i].upload);
    return text_take(&text);
}
