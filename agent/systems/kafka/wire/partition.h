// SPDX-License-Identifier: Apache-2.0
// One partition from one offset up to another, as log segments: the batches as the broker stores
// them, each once, in order, none left out, none whose checksum is wrong.
//
// The first batch is the one that contains the first offset, or the next one where compaction left
// a gap; the last is the last one that begins below the end. A segment is closed at the first
// boundary of a batch beyond so many bytes, and before it would reach 2 GiB, or offsets that a
// broker's index could not name.
//
// A connection that is lost, a leader that moves, a broker that throttles, an answer that is
// damaged: the reader goes on at the next offset, for as long as three times the option timeout
// without a new batch. Waiting for bytes never blocks; finding a leader and connecting to it does,
// within a segment's read() too, bounded by the option timeout for each step and stopped by
// cancel.h.
#pragma once

#include "batch.h"
#include "fetcher.h"
#include "stream.h"

struct kafka_observer {
    /* Each batch, before its first byte is given; lent. */
    void (*batch)(void *arg, const struct kafka_batch *batch);
    /* An aborted transaction that begins below the end and reaches into what is read: of a
     * producer, from an offset on. Those that reach over several answers come several times. May be
     * NULL. */
    void (*aborted)(void *arg, int64_t producer_id, int64_t first_offset);
    void *arg;
};

struct kafka_range {
    const char *topic; /* copied */
    int32_t partition;
    int64_t from, end; /* from <= end <= the last stable offset when it was taken */
};

struct kafka_partition;

/* Asks for nothing yet. One at a time for a fetcher, which is lent. observer is copied. */
struct kafka_partition *kafka_partition_open(struct kafka_fetcher *fetcher,
                                             const struct kafka_range *range,
                                             const struct kafka_observer *observer);
/* Not while a segment is open. NULL is allowed. */
void kafka_partition_close(struct kafka_partition *partition);

/* OK: *source is the next segment, and *first its first batch (without its bytes); close it before
 * the next.
 * END: there is none. Waits until it is known which. One that was closed before its END is of no
 * more use, and so is the partition.
 *
 * Here, and from the source: ERR_CONFLICT when the log no longer holds what was to be read
 * (retention, DeleteRecords, an unclean election); ERR_DENIED; ERR_NOT_FOUND; ERR_CORRUPT when a
 * batch stays damaged; ERR_SOURCE when it is too large, or of a format before Kafka 0.11;
 * ERR_UNREACHABLE when no leader is found for too long; ERR_TIMEOUT at the deadline. */
enum step kafka_partition_segment(struct kafka_partition *partition, uint64_t max_bytes,
                                  struct kafka_batch *first, struct source **source,
                                  struct err *err);

/* The first offset that is not covered by what was given; the end, or beyond it, after END. */
int64_t kafka_partition_covered(const struct kafka_partition *partition);
/* As the last answer had it; -1 before. */
int64_t kafka_partition_log_start(const struct kafka_partition *partition);
