// SPDX-License-Identifier: Apache-2.0
// The head of a record batch, message format v2, as it lies in a log segment and in an answer to
// Fetch. (Java's DefaultRecordBatch.)
//
//    0  base offset      i64     27  base timestamp    i64
//    8  length           i32     35  max timestamp     i64
//   12  leader epoch     i32     43  producer id       i64
//   16  magic            i8      51  producer epoch    i16
//   17  CRC-32C          u32     53  base sequence     i32
//   21  attributes       i16     57  records           i32
//   23  last offset      i32     61  the records, compressed together
//
// The length counts from 12, the checksum from 21. What stands before the checksum is therefore not
// covered by it.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_BATCH_HEAD_BYTES ((size_t)61)

enum kafka_codec_kind { KAFKA_NONE, KAFKA_GZIP, KAFKA_SNAPPY, KAFKA_LZ4, KAFKA_ZSTD };

struct kafka_batch {
    const uint8_t *data; /* lent */
    size_t bytes;        /* of all */
    int64_t base_offset, last_offset;
    int32_t leader_epoch;
    enum kafka_codec_kind codec;
    bool log_append_time; /* max_timestamp is every record's */
    bool transactional, control;
    bool delete_horizon; /* the cleaner's: base_timestamp is no record's time, but deltas count */
    int64_t base_timestamp, max_timestamp;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count; /* 0 where compaction left the head alone */
};

enum kafka_batch_found {
    KAFKA_BATCH_WHOLE,
    KAFKA_BATCH_CUT,     /* the rest is not there; *need says how many bytes all are, as far as
                          * that can be told: at least one more than there are */
    KAFKA_BATCH_BAD,     /* no batch, or damaged: ERR_CORRUPT */
    KAFKA_BATCH_REFUSED, /* sound as far as it goes, but of another format: ERR_SOURCE */
};

/* Looks at the batch at the start of len bytes, and checks its checksum. *err is set for BAD and
 * REFUSED. Nothing longer than most bytes is a batch. need may be NULL. */
enum kafka_batch_found kafka_batch_read(const uint8_t *data, size_t len, size_t most,
                                        struct kafka_batch *batch, size_t *need, struct err *err);
/* The same without the checksum, for bytes that were looked at before. */
enum kafka_batch_found kafka_batch_head(const uint8_t *data, size_t len, size_t most,
                                        struct kafka_batch *batch, size_t *need, struct err *err);
