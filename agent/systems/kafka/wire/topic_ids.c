// SPDX-License-Identifier: Apache-2.0
// A flexible version: sizes are unsigned varints of one more than the size, and every structure,
// the two headers too, ends in tagged fields, of which none is known here.
#include "topic_ids.h"

#include "broker.h"
#include "cursor.h"
#include "mem.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define METADATA         3
#define METADATA_VERSION 12
#define UUID_BYTES       16
#define FIRST_BYTES      ((size_t)64 << 10)
#define MOST_BYTES       ((size_t)16 << 20)

static void put_compact(struct text *body, const char *string)
{
    kafka_put_uvarint(body, (uint32_t)strlen(string) + 1);
    text_add_bytes(body, string, strlen(string));
}

static void put_tags(struct text *body)
{
    kafka_put_uvarint(body, 0);
}

static void put_question(struct text *body, const char *const *names, size_t count)
{
    static const uint8_t no_id[UUID_BYTES];

    put_tags(body); /* the header's */
    kafka_put_uvarint(body, (uint32_t)count + 1);
    for (size_t i = 0; i < count; i++) {
        text_add_bytes(body, no_id, sizeof no_id);
        put_compact(body, names[i]);
        put_tags(body);
    }
    kafka_put_i8(body, 0); /* make no topic */
    kafka_put_i8(body, 0); /* tell no rights */
    put_tags(body);
}

/* NULL and 0 for null too. */
static const uint8_t *compact(struct kafka_cursor *from, size_t *len)
{
    uint32_t size = kafka_uvarint(from);

    *len = size == 0 ? 0 : size - 1;
    return kafka_take(from, *len);
}

static size_t compact_count(struct kafka_cursor *from, size_t item_bytes)
{
    uint32_t count = kafka_uvarint(from);

    if (count > 0 && count - 1 > kafka_left(from) / item_bytes)
        from->bad = true;
    return count == 0 || from->bad ? 0 : count - 1;
}

static void skip_tags(struct kafka_cursor *from)
{
    for (size_t count = kafka_uvarint(from); count > 0 && !from->bad; count--) {
        kafka_uvarint(from);
        kafka_take(from, kafka_uvarint(from));
    }
}

static void skip_numbers(struct kafka_cursor *from)
{
    kafka_take(from, compact_count(from, 4) * 4);
}

static void skip_brokers(struct kafka_cursor *from)
{
    size_t len;

    for (size_t count = compact_count(from, 11); count > 0 && !from->bad; count--) {
        kafka_i32(from);
        compact(from, &len);
        kafka_i32(from);
        compact(from, &len);
        skip_tags(from);
    }
}

static void skip_partitions(struct kafka_cursor *from)
{
    for (size_t count = compact_count(from, 18); count > 0 && !from->bad; count--) {
        kafka_take(from, 2 + 4 + 4 + 4);
        skip_numbers(from);
        skip_numbers(from);
        skip_numbers(from);
        skip_tags(from);
    }
}

/* Base64 for URLs without padding, as Java's Uuid.toString(). */
static char *uuid_text(const uint8_t *uuid)
{
    unsigned char coded[32];
    int len = EVP_EncodeBlock(coded, uuid, UUID_BYTES);

    while (len > 0 && coded[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        coded[i] = coded[i] == '+' ? '-' : coded[i] == '/' ? '_' : coded[i];
    return mem_strndup((const char *)coded, (size_t)len);
}

static void keep_id(const uint8_t *name, size_t len, const uint8_t *uuid, const char *const *names,
                    size_t count, char **ids)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) != len || memcmp(names[i], name, len) != 0)
            continue;
        free(ids[i]);
        ids[i] = uuid_text(uuid);
    }
}

int kafka_topic_ids_read(const uint8_t *data, size_t len, const char *const *names, size_t count,
                         char **ids, struct err *err)
{
    struct kafka_cursor from = kafka_cursor(data, len);
    size_t cluster_len;

    skip_tags(&from);
    kafka_i32(&from); /* how long to throttle: nothing more is asked */
    skip_brokers(&from);
    compact(&from, &cluster_len);
    kafka_i32(&from);
    for (size_t topics = compact_count(&from, 26); topics > 0 && !from.bad; topics--) {
        int16_t error = kafka_i16(&from);
        size_t name_len;
        const uint8_t *name = compact(&from, &name_len);
        const uint8_t *uuid = kafka_take(&from, UUID_BYTES);

        if (error == 0 && name != NULL && uuid != NULL)
            keep_id(name, name_len, uuid, names, count, ids);
        kafka_i8(&from);
        skip_partitions(&from);
        kafka_i32(&from);
        skip_tags(&from);
    }
    skip_tags(&from);
    return from.bad ? err_set(err, ERR_SOURCE, "the broker's answer to Metadata is none") : 0;
}

int kafka_topic_ids(const struct kafka_options *options, const char *host, const char *port,
                    int64_t deadline_mono_us, const char *const *names, size_t count, char **ids,
                    struct err *err)
{
    struct kafka_broker *broker = NULL;
    struct text body = TEXT_INIT;
    struct kafka_buffer answer;
    int rc;

    kafka_buffer_init(&answer, FIRST_BYTES, MOST_BYTES);
    put_question(&body, names, count);
    rc = kafka_broker_open(options, host, port, deadline_mono_us, &broker, err);
    if (rc == 0)
        rc = kafka_broker_call(broker, METADATA, METADATA_VERSION, &body, &answer, err);
    if (rc == 0)
        rc = kafka_topic_ids_read(answer.data, answer.len, names, count, ids, err);
    kafka_broker_close(broker);
    kafka_buffer_fini(&answer);
    text_fini(&body);
    return rc;
}
