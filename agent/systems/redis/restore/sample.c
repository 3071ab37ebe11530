// SPDX-License-Identifier: Apache-2.0
// Which keys: those whose hash falls into a fraction that is chosen by their number, so that the
// same file gives the same sample. Keys past their time are left out: the server hides them.
#include "sample.h"

#include "clock.h"
#include "mem.h"
#include "rdb.h"
#include "text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WANTED_KEYS  500
#define MAX_KEYS     2000
#define MAX_NAME     512
#define EXPIRES_SOON INT64_C(60000)

struct sampled {
    uint64_t database;
    enum rdb_type type;
    int64_t expire_ms;
    char *name;
    size_t name_len;
};

struct sample {
    struct rdb *rdb;
    uint64_t stride;
    struct sampled *keys;
    size_t count;
};

static uint64_t hash(const uint8_t *name, size_t len)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        value = (value ^ name[i]) * UINT64_C(0x100000001b3);
    return value ^ (value >> 32);
}

static void on_key(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                   size_t name_len, int64_t expire_ms)
{
    struct sample *sample = arg;

    if (name_len > MAX_NAME || sample->count == MAX_KEYS ||
        hash(name, name_len) % sample->stride != 0)
        return;
    sample->keys[sample->count++] = (struct sampled){
        .database = database,
        .type = type,
        .expire_ms = expire_ms,
        .name = mem_strndup((const char *)name, name_len),
        .name_len = name_len,
    };
}

struct sample *sample_new(uint64_t keys)
{
    struct sample *sample = mem_calloc(1, sizeof *sample);

    sample->stride = keys / WANTED_KEYS + 1;
    sample->keys = mem_calloc(MAX_KEYS, sizeof *sample->keys);
    sample->rdb = rdb_new();
    rdb_on_key(sample->rdb, on_key, sample);
    return sample;
}

void sample_free(struct sample *sample)
{
    if (sample == NULL)
        return;
    for (size_t i = 0; i < sample->count; i++)
        free(sample->keys[i].name);
    free(sample->keys);
    rdb_free(sample->rdb);
    free(sample);
}

/* --- the sink --- */

struct sample_sink {
    struct sink sink;
    struct sample *sample; /* lent */
    struct sink *next;
};

static enum step sample_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct sample_sink *to = (struct sample_sink *)sink;
    size_t before = in->pos;
    enum step step = to->next->ops->write(to->next, in, err);

    if (step == STEP_OK && rdb_feed(to->sample->rdb, in->data + before, in->pos - before, err) < 0)
        return STEP_ERROR;
    return step;
}

static enum step sample_commit(struct sink *sink, struct err *err)
{
    struct sample_sink *to = (struct sample_sink *)sink;
    enum step step = to->next->ops->commit(to->next, err);

    if (step == STEP_END && rdb_finish(to->sample->rdb, err) < 0)
        return STEP_ERROR;
    return step;
}

static void sample_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct sample_sink *to = (struct sample_sink *)sink;

    to->next->ops->arm(to->next, loop, waker);
}

static void sample_close(struct sink *sink)
{
    struct sample_sink *to = (struct sample_sink *)sink;

    sink_close(to->next);
    free(to);
}

static const struct sink_ops sample_ops = {
    .name = "server",
    .write = sample_write,
    .commit = sample_commit,
    .arm = sample_arm,
    .close = sample_close,
};

struct sink *sample_sink_new(struct sample *sample, struct sink *next)
{
    struct sample_sink *to = mem_calloc(1, sizeof *to);

    to->sink.ops = &sample_ops;
    to->sample = sample;
    to->next = next;
    return &to->sink;
}

/* --- the comparison --- */

static int ask_key(struct redis_conn *conn, const struct sampled *key, const char *command,
                   const char *second, redisReply **reply, struct err *err)
{
    const char *argv[] = {command, second == NULL ? key->name : second, key->name};
    const size_t lens[] = {strlen(command), second == NULL ? key->name_len : strlen(second),
                           key->name_len};

    if (redis_conn_ask(conn, second == NULL ? 2 : 3, argv, lens, reply, err) < 0)
        return -1;
    return redis_reply_check(*reply, command, err);
}

static int differs(const struct sampled *key, const char *what, struct err *err)
{
    char shown[64];

    snprintf(shown, sizeof shown, "%.60s", key->name);
    text_fix_utf8(shown);
    return err_set(err, ERR_MISMATCH,
                   "key \"%s\" of database %llu: its %s is not that of the backup", shown,
                   (unsigned long long)key->database, what);
}

static int check_type(struct redis_conn *conn, const struct sampled *key, struct err *err)
{
    redisReply *reply = NULL;
    int rc = ask_key(conn, key, "TYPE", NULL, &reply, err);

    /* A module's type has a name of its own. */
    if (rc == 0 &&
        (reply->str == NULL || strcmp(reply->str, "none") == 0 ||
         (key->type != RDB_MODULE && strcmp(reply->str, rdb_type_names[key->type]) != 0)))
        rc = differs(key, "type", err);
    freeReplyObject(reply);
    return rc;
}

static int check_expiry(struct redis_conn *conn, const struct sampled *key, struct err *err)
{
    redisReply *reply = NULL;
    int rc = ask_key(conn, key, "PTTL", NULL, &reply, err);

    if (rc == 0 && (key->expire_ms < 0) != (reply->integer == -1))
        rc = differs(key, "expiry", err);
    if (rc == 0 && key->expire_ms >= 0 &&
        llabs(reply->integer - (long long)(key->expire_ms - clock_wall_ms())) > 10000)
        rc = differs(key, "expiry", err);
    freeReplyObject(reply);
    return rc;
}

static int add_value(struct redis_conn *conn, const struct sampled *key, EVP_MD_CTX *digest,
                     struct err *err)
{
    redisReply *reply = NULL;
    int rc = ask_key(conn, key, "DEBUG", "DIGEST-VALUE", &reply, err);

    if (rc == 0 && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
                    reply->element[0]->str == NULL))
        rc = err_set(err, ERR_SOURCE, "DEBUG DIGEST-VALUE gave no digest");
    if (rc == 0) {
        EVP_DigestUpdate(digest, key->name, key->name_len);
        EVP_DigestUpdate(digest, &key->expire_ms, sizeof key->expire_ms);
        EVP_DigestUpdate(digest, reply->element[0]->str, reply->element[0]->len);
    }
    freeReplyObject(reply);
    return rc;
}

static int check_keys(const struct sample *sample, struct redis_conn *conn, EVP_MD_CTX *digest,
                      size_t *checked, struct err *err)
{
    int64_t soon_ms = clock_wall_ms() + EXPIRES_SOON;
    uint64_t database = 0;
    char number[24];

    for (size_t i = 0; i < sample->count; i++) {
        const struct sampled *key = &sample->keys[i];

        if (key->expire_ms >= 0 && key->expire_ms < soon_ms)
            continue;
        snprintf(number, sizeof number, "%llu", (unsigned long long)key->database);
        if (key->database != database &&
            redis_conn_call(conn, NULL, err, "SELECT", number, NULL) < 0)
            return -1;
        database = key->database;
        if (check_type(conn, key, err) < 0 || check_expiry(conn, key, err) < 0 ||
            add_value(conn, key, digest, err) < 0)
            return -1;
        ++*checked;
    }
    return redis_conn_call(conn, NULL, err, "SELECT", "0", NULL);
}

int sample_check(const struct sample *sample, struct redis_conn *conn, json_t *findings,
                 struct err *err)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned len = 0;
    size_t checked = 0;
    int rc;

    if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
    rc = check_keys(sample, conn, digest, &checked, err);
    if (rc == 0) {
        EVP_DigestFinal_ex(digest, sum, &len);
        text_hex(sum, len, hex);
        json_object_set_new(
            findings, "sample",
            json_pack("{s:I, s:s}", "keys", (json_int_t)checked, "values_sha256", hex));
    }
    EVP_MD_CTX_free(digest);
    return rc;
}
