// SPDX-License-Identifier: Apache-2.0
// An object as a sink. What fits into one part goes as one PUT, what does not as a multipart upload
// of fixed parts: three in memory, one filling and two in flight; a fourth waits as AGAIN. Each
// part's SHA-256 is computed while it fills, once, and serves as the signed digest of the request,
// as the checksum that the store verifies and keeps, and when an object is read back. A full part
// is sealed when more bytes come or at the end, so that one exactly full part is still a single
// PUT.
#include "put.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_MS   1000
#define SETTLE_MS  500 /* of CLOSE_MS */
#define ABORTS_MAX 5

void s3_put_move(struct s3_put *put, enum put_state state)
{
    static const char *const names[] = {
        [PUT_FILLING] = "filling",     [PUT_CREATING] = "creating", [PUT_SENDING] = "sending",
        [PUT_FINISHING] = "finishing", [PUT_CHECKING] = "checking", [PUT_STORED] = "stored"};
    static const unsigned moves[] = {[PUT_FILLING] = 1U << PUT_CREATING | 1U << PUT_FINISHING,
                                     [PUT_CREATING] = 1U << PUT_SENDING,
                                     [PUT_SENDING] = 1U << PUT_FINISHING,
                                     [PUT_FINISHING] = 1U << PUT_CHECKING | 1U << PUT_STORED,
                                     [PUT_CHECKING] = 1U << PUT_STORED,
                                     [PUT_STORED] = 0};

    assert(moves[put->state] & 1U << state);
    log_debug("s3 put", LOG_TEXT("key", put->key), LOG_TEXT("state", names[state]));
    put->state = state;
}

void s3_put_wake(struct s3_put *put)
{
    if (!put->armed)
        return;
    put->armed = false;
    put->waker.wake(put->waker.arg);
}

void s3_put_fail(struct s3_put *put, const struct err *err)
{
    if (put->err.kind == ERR_NONE)
        put->err = *err;
    s3_put_wake(put);
}

void s3_put_note_settled(struct s3_put *put)
{
    put->is_settled = put->state != PUT_CREATING || put->call == NULL;
    for (size_t i = 0; i < S3_PARTS_IN_MEMORY; i++)
        put->is_settled = put->is_settled && put->parts[i].call == NULL;
}

/* --- parts --- */

static struct part_record *add_record(struct s3_put *put)
{
    /* Doubled whenever the count is a power of two. */
    if ((put->record_count & (put->record_count - 1)) == 0)
        put->records =
            mem_realloc(put->records, (put->record_count == 0 ? 1 : 2 * put->record_count) *
                                          sizeof *put->records);
    struct part_record *record = &put->records[put->record_count++];

    *record = (struct part_record){.etag = ""};
    return record;
}

/* What is filling is full or the last: its digest is final, and it may go. */
static void seal(struct s3_put *put)
{
    struct part *part = put->filling;
    struct part_record *record = add_record(put);

    assert(part != NULL);
    EVP_DigestFinal_ex(put->digest, record->sha256, NULL);
    part->number = put->record_count;
    part->state = PART_READY;
    put->filling = NULL;
}

/* 1: a part is filling; 0: all are busy; -1. */
static int begin_part(struct s3_put *put, struct err *err)
{
    struct part *part = put->parts;

    if (put->record_count == S3_PARTS_MAX)
        return err_set(err, ERR_REFUSED,
                       "%s: an object has at most %d parts of %zu MiB; cut the stream into smaller "
                       "pieces",
                       put->key, S3_PARTS_MAX, S3_PART_BYTES >> 20);
    while (part < put->parts + S3_PARTS_IN_MEMORY && part->state != PART_EMPTY)
        part++;
    if (part == put->parts + S3_PARTS_IN_MEMORY)
        return 0;
    if (part->chunk == NULL)
        part->chunk = pool_take(put->store->parts);
    if (part->chunk == NULL)
        return err_set(err, ERR_INTERNAL, "%s: another object is being written to this store",
                       put->key);
    part->state = PART_FILLING;
    part->bytes = 0;
    put->filling = part;
    EVP_DigestInit_ex(put->digest, EVP_sha256(), NULL);
    return 1;
}

static void fill(struct s3_put *put, struct span_in *in)
{
    struct part *part = put->filling;
    size_t len = in->len - in->pos;

    if (len > S3_PART_BYTES - part->bytes)
        len = S3_PART_BYTES - part->bytes;
    memcpy(part->chunk + part->bytes, in->data + in->pos, len);
    EVP_DigestUpdate(put->digest, in->data + in->pos, len);
    part->bytes += len;
    put->bytes += len;
    in->pos += len;
}

static void seal_and_send(struct s3_put *put)
{
    seal(put);
    if (put->state == PUT_FILLING)
        s3_put_create(put);
    else
        s3_put_go_on(put);
}

/* --- the sink --- */

static enum step put_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct s3_put *put = (struct s3_put *)sink;
    size_t before = in->pos;

    while (put->err.kind == ERR_NONE && in->pos < in->len) {
        if (put->filling != NULL && put->filling->bytes == S3_PART_BYTES)
            seal_and_send(put);
        if (put->filling == NULL) {
            int rc = begin_part(put, &put->err);

            if (rc <= 0)
                break;
        }
        fill(put, in);
    }
    if (put->err.kind != ERR_NONE) {
        *err = put->err;
        return STEP_ERROR;
    }
    return in->pos > before ? STEP_OK : STEP_AGAIN;
}

static void end(struct s3_put *put)
{
    put->ended = true;
    if (put->state == PUT_FILLING) {
        if (put->filling == NULL && begin_part(put, &put->err) < 0)
            return;
        seal(put);
        s3_put_single(put);
        return;
    }
    if (put->filling != NULL)
        seal(put);
    s3_put_go_on(put);
}

static enum step put_commit(struct sink *sink, struct err *err)
{
    struct s3_put *put = (struct s3_put *)sink;

    if (!put->ended && put->err.kind == ERR_NONE)
        end(put);
    if (put->err.kind != ERR_NONE) {
        *err = put->err;
        return STEP_ERROR;
    }
    if (put->state == PUT_CHECKING)
        return s3_put_check(put, err);
    return put->state == PUT_STORED ? STEP_END : STEP_AGAIN;
}

static void put_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct s3_put *put = (struct s3_put *)sink;

    if (put->state == PUT_CHECKING && put->there != NULL && put->there_waits) {
        put->there->ops->arm(put->there, loop, waker);
        return;
    }
    put->waker = waker;
    put->armed = true;
    if (put->state == PUT_CHECKING || put->state == PUT_STORED || put->err.kind != ERR_NONE)
        s3_put_wake(put);
}

/* A part that was broken off may still arrive while the upload is being aborted, and then stays: so
 * it is aborted until the store says that it is gone. 0: it is; 1: not surely; -1. */
static int abort_once(struct s3_put *put, int64_t left_ms, struct err *err)
{
    struct s3_ask ask = {.operation = "AbortMultipartUpload",
                         .right = "s3:AbortMultipartUpload",
                         .method = HTTP_DELETE,
                         .key = put->key,
                         .query = {{"uploadId", put->upload}}};
    struct s3_result result;
    int rc = s3_run_briefly(put->store, &ask, left_ms, &result, err);

    if (rc == 0)
        rc = 1;
    else if (strcmp(result.answer.error.code, "NoSuchUpload") == 0)
        rc = 0;
    s3_result_fini(&result);
    return rc;
}

/* A request that has its answer leaves nothing behind: parts in flight are waited for a moment, and
 * the id of an upload, without which it cannot be aborted. What is left is broken off; true then.
 */
static bool settle(struct s3_put *put)
{
    struct err ignored = ERR_INIT;
    bool broke_off = false;

    s3_put_note_settled(put);
    if (!put->is_settled)
        http_run(put->store->http, &put->is_settled, SETTLE_MS, true, &ignored);
    for (size_t i = 0; i < S3_PARTS_IN_MEMORY; i++) {
        broke_off = broke_off || put->parts[i].call != NULL;
        s3_call_cancel(put->parts[i].call);
    }
    s3_call_cancel(put->call);
    return broke_off;
}

static void take_back(struct s3_put *put)
{
    int64_t until_us = clock_mono_us() + CLOSE_MS * 1000;
    bool broke_off = settle(put);
    struct err err = ERR_INIT;
    int rc = put->upload == NULL ? 0 : 1;

    for (int i = 0; i < ABORTS_MAX && rc == 1; i++) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;

        rc = left_ms > 0 ? abort_once(put, left_ms, &err)
                         : err_set(&err, ERR_TIMEOUT, "no time is left");
        if (rc == 1 && !broke_off)
            rc = 0;
    }
    if (rc < 0)
        log_warn("an upload could not be aborted; prune will", LOG_TEXT("key", put->key),
                 LOG_TEXT("reason", err.text));
}

static void put_close(struct sink *sink)
{
    struct s3_put *put = (struct s3_put *)sink;

    put->armed = false;
    if (put->err.kind == ERR_NONE)
        err_set(&put->err, ERR_CANCELLED, "closed"); /* so that nothing new is sent */
    source_close(put->there);
    take_back(put);
    for (size_t i = 0; i < S3_PARTS_IN_MEMORY; i++)
        pool_give(put->store->parts, put->parts[i].chunk);
    EVP_MD_CTX_free(put->digest);
    text_fini(&put->list);
    free(put->records);
    free(put->upload);
    free(put->key);
    free(put);
}

static const struct sink_ops put_ops = {
    .name = "s3", .write = put_write, .commit = put_commit, .arm = put_arm, .close = put_close};

int s3_put(struct store *store, const char *key, struct sink **sink, struct err *err)
{
    struct s3_put *put = mem_calloc(1, sizeof *put);

    (void)err;
    put->sink.ops = &put_ops;
    put->store = (struct s3_store *)store;
    put->key = mem_strdup(key);
    put->digest = EVP_MD_CTX_new();
    put->state = PUT_FILLING;
    for (size_t i = 0; i < S3_PARTS_IN_MEMORY; i++)
        put->parts[i].put = put;
    *sink = &put->sink;
    return 0;
}
