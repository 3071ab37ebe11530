// SPDX-License-Identifier: Apache-2.0
// The records of a batch, one after the other, for restore and verify.
//
// What is held is one record and a little more, whatever the batch decompresses to.
#pragma once

#include "batch.h"
#include "cursor.h"
#include "step.h"

/* A record above this is refused. */
#define KAFKA_RECORD_MAX_BYTES ((size_t)32 << 20)

/* NULL is null, which is not the same as empty. All is lent until the next record. */
struct kafka_header {
    const uint8_t *name; /* never NULL; may come several times in a record */
    size_t name_len;
    const uint8_t *value;
    size_t value_len;
};

struct kafka_record {
    int64_t offset;
    int64_t timestamp; /* the broker's, where it set it (LogAppendTime) */
    const uint8_t *key;
    size_t key_len;
    const uint8_t *value;
    size_t value_len;
    size_t header_count;
    struct kafka_cursor headers; /* see kafka_record_header */
};

struct kafka_records;

/* Keeps its memory from one batch to the next. */
struct kafka_records *kafka_records_new(void);
/* NULL is allowed. */
void kafka_records_free(struct kafka_records *records);
/* batch is lent until the next begin; its checksum was checked. */
void kafka_records_begin(struct kafka_records *records, const struct kafka_batch *batch);
/* OK: *record. END: that were all, and nothing follows. ERROR: ERR_CORRUPT, or ERR_SOURCE for one
 * that is too large. Every header has been looked at. */
enum step kafka_records_next(struct kafka_records *records, struct kafka_record *record,
                             struct err *err);

/* The next of record's headers; false when there is none left. */
bool kafka_record_header(struct kafka_record *record, struct kafka_header *header);

enum kafka_control { KAFKA_ABORT, KAFKA_COMMIT, KAFKA_OTHER_CONTROL };
/* Of a record in a batch that is a control batch. */
enum kafka_control kafka_record_control(const struct kafka_record *record);
