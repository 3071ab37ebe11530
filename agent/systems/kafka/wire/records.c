// SPDX-License-Identifier: Apache-2.0
// A record (Java's DefaultRecord), all numbers but the attributes varying in length:
//
//   length | attributes i8 | timestamp delta | offset delta | key length, key | value length, value
//   | count of headers | each: name length, name | value length, value
//
// A length of -1 stands for null. What is not compressed is read where it lies; the rest through a
// window, which grows to the largest record.
#include "records.h"

#include "codec.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES     ((size_t)64 << 10)
#define LENGTH_MAX_BYTES 5

struct kafka_records {
    struct kafka_codec *codec;
    struct kafka_batch batch;
    int32_t left;       /* records */
    int32_t last_delta; /* of offsets; -1 before the first */
    bool plain;
    uint8_t *window;
    size_t cap;
    const uint8_t *at; /* in the window, or in the batch when that is plain */
    size_t len;        /* from at */
    bool drained;      /* nothing follows what is in the window */
};

struct kafka_records *kafka_records_new(void)
{
    struct kafka_records *records = mem_calloc(1, sizeof *records);

    records->codec = kafka_codec_new();
    return records;
}

void kafka_records_free(struct kafka_records *records)
{
    if (records == NULL)
        return;
    kafka_codec_free(records->codec);
    free(records->window);
    free(records);
}

void kafka_records_begin(struct kafka_records *records, const struct kafka_batch *batch)
{
    const uint8_t *data = batch->data + KAFKA_BATCH_HEAD_BYTES;
    size_t len = batch->bytes - KAFKA_BATCH_HEAD_BYTES;

    records->batch = *batch;
    records->left = batch->record_count;
    records->last_delta = -1;
    records->plain = batch->codec == KAFKA_NONE;
    records->at = records->plain ? data : records->window;
    records->len = records->plain ? len : 0;
    /* Where compaction took all the records, the codec stands and no stream follows. */
    records->drained = records->plain || (batch->record_count == 0 && len == 0);
    if (!records->drained)
        kafka_codec_begin(records->codec, batch->codec, data, len);
}

static enum step bad(const struct kafka_records *records, const char *what, struct err *err)
{
    err_set(err, ERR_CORRUPT, "the batch at offset %lld: %s", (long long)records->batch.base_offset,
            what);
    return STEP_ERROR;
}

/* --- the window --- */

static void make_room(struct kafka_records *records, size_t need)
{
    size_t cap = (need + WINDOW_BYTES - 1) / WINDOW_BYTES * WINDOW_BYTES;

    if (records->window != NULL && records->len > 0)
        memmove(records->window, records->at, records->len);
    if (cap < records->cap)
        cap = records->cap;
    if (cap != records->cap)
        records->window = mem_realloc(records->window, cap);
    records->cap = cap;
    records->at = records->window;
}

/* Until need bytes are at hand, or all that there are. */
static enum step fill(struct kafka_records *records, size_t need, struct err *err)
{
    if (records->len >= need || records->drained)
        return STEP_OK;
    if (records->window == NULL || records->cap - (size_t)(records->at - records->window) < need)
        make_room(records, need);
    while (records->len < need) {
        uint8_t *end = records->window + (records->at - records->window) + records->len;
        size_t got = 0;
        enum step step = kafka_codec_read(
            records->codec, end, (size_t)(records->window + records->cap - end), &got, err);

        if (step == STEP_ERROR)
            err_wrap(err, "the batch at offset %lld", (long long)records->batch.base_offset);
        if (step != STEP_OK) {
            records->drained = true;
            return step == STEP_END ? STEP_OK : STEP_ERROR;
        }
        records->len += got;
    }
    return STEP_OK;
}

/* --- a record --- */

static const uint8_t *sized(struct kafka_cursor *from, size_t *len)
{
    int32_t size = kafka_varint(from);

    *len = 0;
    if (size < -1)
        from->bad = true;
    if (size < 0 || from->bad)
        return NULL;
    *len = (size_t)size;
    return kafka_take(from, *len);
}

static bool read_header(struct kafka_cursor *from, struct kafka_header *header)
{
    header->name = sized(from, &header->name_len);
    header->value = sized(from, &header->value_len);
    return !from->bad && header->name != NULL;
}

bool kafka_record_header(struct kafka_record *record, struct kafka_header *header)
{
    if (record->header_count == 0)
        return false;
    record->header_count--;
    return read_header(&record->headers, header);
}

static const char *read_headers(struct kafka_cursor *from, struct kafka_record *record)
{
    int32_t count = kafka_varint(from);

    record->headers = *from;
    record->header_count = 0;
    if (count < 0)
        return "a record has an impossible number of headers";
    for (int32_t i = 0; i < count; i++) {
        struct kafka_header header;

        if (!read_header(from, &header))
            return "a record's header is damaged";
    }
    record->header_count = (size_t)count;
    return NULL;
}

/* What is wrong with it, or NULL. */
static const char *read_record(struct kafka_records *records, struct kafka_cursor *from,
                               struct kafka_record *record)
{
    const struct kafka_batch *batch = &records->batch;
    int64_t time_delta;
    int32_t offset_delta;
    const char *wrong;

    kafka_i8(from); /* attributes: none are in use */
    time_delta = kafka_varlong(from);
    offset_delta = kafka_varint(from);
    record->key = sized(from, &record->key_len);
    record->value = sized(from, &record->value_len);
    wrong = read_headers(from, record);
    if (from->bad)
        return "a record does not fit its length";
    if (wrong != NULL)
        return wrong;
    if (kafka_left(from) != 0)
        return "a record does not fit its length";
    if (offset_delta <= records->last_delta ||
        offset_delta > batch->last_offset - batch->base_offset)
        return "a record has an impossible offset";
    records->last_delta = offset_delta;
    record->offset = batch->base_offset + offset_delta;
    if (batch->log_append_time)
        record->timestamp = batch->max_timestamp;
    else if (__builtin_add_overflow(batch->base_timestamp, time_delta, &record->timestamp))
        return "a record has an impossible time";
    return NULL;
}

static enum step finish(struct kafka_records *records, struct err *err)
{
    if (fill(records, 1, err) == STEP_ERROR)
        return STEP_ERROR;
    return records->len == 0 ? STEP_END
                             : bad(records, "it holds more than its number of records", err);
}

enum step kafka_records_next(struct kafka_records *records, struct kafka_record *record,
                             struct err *err)
{
    struct kafka_cursor from;
    int32_t size;
    size_t head;
    const char *wrong;

    if (records->left == 0)
        return finish(records, err);
    if (fill(records, LENGTH_MAX_BYTES, err) == STEP_ERROR)
        return STEP_ERROR;
    from = kafka_cursor(records->at, records->len);
    size = kafka_varint(&from);
    if (from.bad || size < 0)
        return bad(records, "a record has no length, or is not there", err);
    head = records->len - kafka_left(&from);
    if ((size_t)size > KAFKA_RECORD_MAX_BYTES) {
        err_set(err, ERR_SOURCE,
                "the batch at offset %lld: a record of %d bytes, where %zu are the most that is "
                "read",
                (long long)records->batch.base_offset, (int)size, KAFKA_RECORD_MAX_BYTES);
        return STEP_ERROR;
    }
    if (fill(records, head + (size_t)size, err) == STEP_ERROR)
        return STEP_ERROR;
    if (records->len < head + (size_t)size)
        return bad(records, "its last record is cut", err);
    from = kafka_cursor(records->at + head, (size_t)size);
    wrong = read_record(records, &from, record);
    if (wrong != NULL)
        return bad(records, wrong, err);
    records->at += head + (size_t)size;
    records->len -= head + (size_t)size;
    records->left--;
    return STEP_OK;
}

enum kafka_control kafka_record_control(const struct kafka_record *record)
{
    struct kafka_cursor from =
        kafka_cursor(record->key == NULL ? (const uint8_t *)"" : record->key, record->key_len);
    int16_t type;

    kafka_i16(&from); /* version */
    type = kafka_i16(&from);
    if (from.bad || type < KAFKA_ABORT || type > KAFKA_COMMIT)
        return KAFKA_OTHER_CONTROL;
    return (enum kafka_control)type;
}
