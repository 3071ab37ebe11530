// SPDX-License-Identifier: Apache-2.0
// One head, one checksum.
#include "batch.h"

#include "cursor.h"

#include <isa-l/crc.h>

#define AFTER_LENGTH 12
#define MAGIC_AT     16
#define AFTER_CRC    21

#define MAGIC 2

#define CODEC_MASK      0x07
#define LOG_APPEND_TIME 0x08
#define TRANSACTIONAL   0x10
#define CONTROL         0x20
#define DELETE_HORIZON  0x40

/* ISA-L's is the bare register: it is inverted before and after by the caller. */
static uint32_t crc32c(const uint8_t *data, size_t len)
{
    return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, UINT32_MAX);
}

static enum kafka_batch_found bad(struct err *err, int64_t offset, const char *what)
{
    err_set(err, ERR_CORRUPT, "the batch at offset %lld %s", (long long)offset, what);
    return KAFKA_BATCH_BAD;
}

static enum kafka_batch_found refuse_magic(struct err *err, int64_t offset, int8_t magic)
{
    if (magic == 0 || magic == 1) {
        err_set(err, ERR_SOURCE,
                "the batch at offset %lld is in the message format before Kafka 0.11 (magic %d), "
                "which is not read: write the topic anew with a later client",
                (long long)offset, magic);
        return KAFKA_BATCH_REFUSED;
    }
    err_set(err, ERR_SOURCE, "the batch at offset %lld is in a message format not known (magic %d)",
            (long long)offset, magic);
    return KAFKA_BATCH_REFUSED;
}

static void read_fields(const uint8_t *data, struct kafka_batch *batch, int32_t *last_delta)
{
    struct kafka_cursor from = kafka_cursor(data, KAFKA_BATCH_HEAD_BYTES);
    int16_t attributes;

    batch->base_offset = kafka_i64(&from);
    kafka_i32(&from);
    batch->leader_epoch = kafka_i32(&from);
    kafka_i8(&from);
    kafka_i32(&from);
    attributes = kafka_i16(&from);
    batch->codec = (enum kafka_codec_kind)(attributes & CODEC_MASK);
    batch->log_append_time = (attributes & LOG_APPEND_TIME) != 0;
    batch->transactional = (attributes & TRANSACTIONAL) != 0;
    batch->control = (attributes & CONTROL) != 0;
    batch->delete_horizon = (attributes & DELETE_HORIZON) != 0;
    *last_delta = kafka_i32(&from);
    batch->base_timestamp = kafka_i64(&from);
    batch->max_timestamp = kafka_i64(&from);
    batch->producer_id = kafka_i64(&from);
    batch->producer_epoch = kafka_i16(&from);
    batch->base_sequence = kafka_i32(&from);
    batch->record_count = kafka_i32(&from);
}

/* What no broker writes, however sound its checksum. */
static const char *implausible(const struct kafka_batch *batch, int32_t last_delta)
{
    if (last_delta < 0 || batch->base_offset > INT64_MAX - 1 - last_delta)
        return "has an impossible last offset";
    if (batch->record_count < 0 || (int64_t)batch->record_count > (int64_t)last_delta + 1)
        return "has an impossible number of records";
    if (batch->codec > KAFKA_ZSTD)
        return "is compressed in a way not known";
    return NULL;
}

enum kafka_batch_found kafka_batch_head(const uint8_t *data, size_t len, size_t most,
                                        struct kafka_batch *batch, size_t *need, struct err *err)
{
    struct kafka_cursor from = kafka_cursor(data, len);
    int64_t offset = kafka_i64(&from);
    int32_t length = kafka_i32(&from);
    int32_t last_delta;
    size_t bytes;
    const char *what;

    if (need != NULL)
        *need = KAFKA_BATCH_HEAD_BYTES;
    if (from.bad)
        return KAFKA_BATCH_CUT;
    bytes = AFTER_LENGTH + (size_t)(uint32_t)length;
    if (offset < 0 || length <= MAGIC_AT - AFTER_LENGTH || bytes > most)
        return bad(err, offset, "has an impossible offset or length");
    if (need != NULL)
        *need = bytes;
    if (len > MAGIC_AT && data[MAGIC_AT] != MAGIC)
        return refuse_magic(err, offset, (int8_t)data[MAGIC_AT]);
    if (bytes < KAFKA_BATCH_HEAD_BYTES)
        return bad(err, offset, "has an impossible offset or length");
    if (len < bytes)
        return KAFKA_BATCH_CUT;
    *batch = (struct kafka_batch){.data = data, .bytes = bytes};
    read_fields(data, batch, &last_delta);
    what = implausible(batch, last_delta);
    if (what != NULL)
        return bad(err, offset, what);
    batch->last_offset = batch->base_offset + last_delta;
    return KAFKA_BATCH_WHOLE;
}

enum kafka_batch_found kafka_batch_read(const uint8_t *data, size_t len, size_t most,
                                        struct kafka_batch *batch, size_t *need, struct err *err)
{
    struct kafka_batch head;
    enum kafka_batch_found found = kafka_batch_head(data, len, most, &head, need, err);
    struct kafka_cursor from;

    if (found != KAFKA_BATCH_WHOLE)
        return found;
    from = kafka_cursor(data + AFTER_CRC - 4, 4);
    if ((uint32_t)kafka_i32(&from) != crc32c(data + AFTER_CRC, head.bytes - AFTER_CRC))
        return bad(err, head.base_offset, "is damaged: its checksum (CRC-32C) does not fit");
    *batch = head;
    return KAFKA_BATCH_WHOLE;
}
