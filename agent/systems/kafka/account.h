// SPDX-License-Identifier: Apache-2.0
// What was read of a partition, batch by batch, and how a manifest says it. In "facts", beside what
// kafka_facts.h has of a partition:
//
//   {"from": 0, "end": 12,               the covered range; what is in it and was not kept is gone
//    "bytes": 940, "batches": 3,
//    "records": 9,                       of the producers, those of aborted transactions included
//    "control_batches": 1,               markers of transactions
//    "aborted_batches": 1,
//    "missing_offsets": 2,               in the range, but of no record: compacted away, or skipped
//    "first_offset": 0, "last_offset": 11,         null without a batch; so with the next
//    "first_timestamp": 1764000000000, "max_timestamp": 1764000003000,
//    "batches_sha256": "...",            over base offset and checksum of each batch, in order
//    "aborted": [[4711, 5], ...],        producer and first offset: read_committed leaves these out
//    "segments": [{"base": 0, "end": 12, "bytes": 940, "batches": 3, "records": 9}, ...]}
//
// An aborted transaction whose marker lies above the end stands in "aborted" alone: the segments
// do not say that it was aborted.
#pragma once

#include "transactions.h"

#include <jansson.h>

#define KAFKA_MAX_SEGMENTS 10000

struct kafka_segment {
    int64_t base_offset, end_offset; /* end: one after its last */
    uint64_t bytes, batches, records;
};

struct kafka_digest; /* over batches */

struct kafka_account {
    int64_t from, end;
    uint64_t bytes, batches, records, control_batches, aborted_batches, missing_offsets;
    int64_t first_offset, last_offset; /* -1 without a batch */
    int64_t first_timestamp_ms, max_timestamp_ms;
    char sha256[65];
    struct kafka_transactions transactions; /* those that were aborted */
    struct kafka_segment *segments;
    size_t segment_count;

    struct kafka_digest *digest; /* NULL before the first batch and after the end */
    int64_t next_offset;
};

void kafka_account_init(struct kafka_account *account, int64_t from, int64_t end);
/* Is right for a zeroed one, and for one that was read. */
void kafka_account_fini(struct kafka_account *account);

/* In the order in which they are read: a segment begins, an aborted transaction is heard of before
 * the first batch that it may hold, a batch, and the end. ERR_SOURCE: more than the bounds. */
int kafka_account_segment(struct kafka_account *account, int64_t base_offset, struct err *err);
int kafka_account_aborted(struct kafka_account *account, int64_t producer_id, int64_t first_offset,
                          struct err *err);
void kafka_account_batch(struct kafka_account *account, const struct kafka_batch *batch);
void kafka_account_end(struct kafka_account *account);

/* Adds the fields above to a partition's object. */
void kafka_account_write(const struct kafka_account *account, json_t *partition);
/* The way back; a manifest is hostile: ERR_CORRUPT names the field. */
int kafka_account_read(const json_t *partition, struct kafka_account *account, struct err *err);

/* A digest over batches, for who compares: base offset and checksum of each. */
struct kafka_digest *kafka_digest_new(void);
void kafka_digest_batch(struct kafka_digest *digest, const struct kafka_batch *batch);
/* Frees it. */
void kafka_digest_end(struct kafka_digest *digest, char sha256[65]);
