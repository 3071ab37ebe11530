// SPDX-License-Identifier: Apache-2.0
// An object as a source: one GET that fills a ring, which read() empties. A full ring pauses the
// transfer, so a slow reader costs no memory. When the connection breaks, request.c tries again and
// prepare() asks for the rest only, of the very same object (Range and If-Match); so a stream of
// days needs no single connection to last. END is only said at the length of the first answer.
#include "internal.h"

#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES ((size_t)1024 * 1024)

struct s3_get {
    struct source source;
    struct s3_store *store;
    char *key;
    struct s3_call *call; /* NULL: over */
    uint8_t *ring;
    size_t head, used; /* of the ring */
    uint64_t received; /* put into the ring */
    uint64_t total;    /* valid with is_known */
    bool is_known;     /* the first answer's headers came */
    bool is_checked;   /* this attempt's headers came */
    bool paused;
    char etag[96];
    struct err err; /* ERR_NONE: none */
    struct waker waker;
    bool armed;
};

static void wake(struct s3_get *get)
{
    if (!get->armed)
        return;
    get->armed = false;
    get->waker.wake(get->waker.arg);
}

/* --- what comes --- */

static int check_first(struct s3_get *get, const struct http_answer *answer)
{
    if (answer->status != 200 || answer->content_bytes < 0)
        return err_set(&get->err, ERR_STORE, "GetObject %s: HTTP %d without a length", get->key,
                       answer->status);
    get->total = (uint64_t)answer->content_bytes;
    memcpy(get->etag, answer->etag, sizeof get->etag);
    get->is_known = true;
    return 0;
}

static int check_rest(struct s3_get *get, const struct http_answer *answer)
{
    char wanted[96];

    snprintf(wanted, sizeof wanted, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, get->received,
             get->total - 1, get->total);
    if (answer->status == 206 && strcmp(answer->content_range, wanted) == 0)
        return 0;
    return err_set(&get->err, ERR_STORE,
                   "GetObject %s: asked for %s, the store answered HTTP %d with \"%s\"", get->key,
                   wanted, answer->status, answer->content_range);
}

static int check_headers(struct s3_get *get, const struct http_answer *answer)
{
    if (get->is_checked)
        return 0;
    get->is_checked = true;
    return get->received > 0 ? check_rest(get, answer) : check_first(get, answer);
}

static void put_into_ring(struct s3_get *get, const uint8_t *data, size_t len)
{
    size_t tail = (get->head + get->used) % RING_BYTES;
    size_t first = len < RING_BYTES - tail ? len : RING_BYTES - tail;

    memcpy(get->ring + tail, data, first);
    memcpy(get->ring, data + first, len - first);
    get->used += len;
    get->received += len;
}

static bool on_data(void *arg, const struct http_answer *answer, const uint8_t *data, size_t len)
{
    struct s3_get *get = arg;

    if (get->err.kind != ERR_NONE || check_headers(get, answer) < 0) {
        wake(get);
        return false; /* for good: close() is next */
    }
    if (len > RING_BYTES - get->used) {
        get->paused = true;
        return false;
    }
    put_into_ring(get, data, len);
    wake(get);
    return true;
}

static void on_done(void *arg, struct s3_answer *answer)
{
    struct s3_get *get = arg;

    get->call = NULL;
    if (answer->status == 412)
        err_set(&get->err, ERR_CORRUPT, "GetObject %s: it changed while it was read", get->key);
    else if (answer->err.kind != ERR_NONE)
        get->err = answer->err;
    else if (get->err.kind == ERR_NONE && check_headers(get, answer->http) == 0 &&
             get->received != get->total)
        err_set(&get->err, ERR_STORE, "GetObject %s: %" PRIu64 " bytes came of %" PRIu64, get->key,
                get->received, get->total);
    wake(get);
}

static void prepare(void *arg, struct s3_headers *headers)
{
    struct s3_get *get = arg;

    get->is_checked = false;
    get->paused = false;
    if (get->received == 0)
        return;
    s3_headers_add(headers, text_format("Range: bytes=%" PRIu64 "-", get->received));
    if (get->etag[0] != '\0')
        s3_headers_add(headers, text_format("If-Match: %s", get->etag));
}

/* --- the source --- */

static void take_from_ring(struct s3_get *get, struct span_out *out)
{
    while (get->used > 0 && out->len < out->cap) {
        size_t len = out->cap - out->len;

        if (len > get->used)
            len = get->used;
        if (len > RING_BYTES - get->head)
            len = RING_BYTES - get->head;
        memcpy(out->data + out->len, get->ring + get->head, len);
        out->len += len;
        get->head = (get->head + len) % RING_BYTES;
        get->used -= len;
    }
}

static enum step get_read(struct source *source, struct span_out *out, struct err *err)
{
    struct s3_get *get = (struct s3_get *)source;
    size_t before = out->len;

    take_from_ring(get, out);
    if (get->paused && get->used <= RING_BYTES / 2) {
        get->paused = false;
        s3_call_resume(get->call);
    }
    if (out->len == before && get->err.kind != ERR_NONE) {
        *err = get->err;
        return STEP_ERROR;
    }
    if (get->call == NULL && get->used == 0 && get->err.kind == ERR_NONE)
        return STEP_END;
    return out->len > before ? STEP_OK : STEP_AGAIN;
}

static void get_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct s3_get *get = (struct s3_get *)source;

    (void)loop;
    get->waker = waker;
    get->armed = true;
    if (get->used > 0 || get->call == NULL || get->err.kind != ERR_NONE)
        wake(get);
}

static void get_close(struct source *source)
{
    struct s3_get *get = (struct s3_get *)source;

    s3_call_cancel(get->call);
    free(get->ring);
    free(get->key);
    free(get);
}

static const struct source_ops get_ops = {
    .name = "s3", .read = get_read, .arm = get_arm, .close = get_close};

int s3_get(struct store *store, const char *key, struct source **source, struct err *err)
{
    struct s3_get *get = mem_calloc(1, sizeof *get);

    (void)err;
    get->source.ops = &get_ops;
    get->store = (struct s3_store *)store;
    get->key = mem_strdup(key);
    get->ring = mem_calloc(1, RING_BYTES);
    get->call = s3_call_start(get->store, &(struct s3_ask){
                                              .operation = "GetObject",
                                              .right = "s3:GetObject",
                                              .method = HTTP_GET,
                                              .key = key,
                                              .on_data = on_data,
                                              .prepare = prepare,
                                              .done = on_done,
                                              .arg = get,
                                          });
    *source = &get->source;
    return 0;
}
