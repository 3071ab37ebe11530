// SPDX-License-Identifier: Apache-2.0
// Fetch, version 11: one partition, read_committed, outside of sessions. The question, the answer
// taken apart, and what its errors mean.
#pragma once

#include "err.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many bytes at most are in an answer besides the records, with any list of transactions. */
#define KAFKA_FETCH_SLACK_BYTES ((size_t)1 << 20)

struct kafka_fetch {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int32_t max_bytes;   /* a first batch that is larger is sent all the same */
    int32_t max_wait_ms; /* for the first byte */
};

/* The request's body. */
void kafka_fetch_put(struct text *body, const struct kafka_fetch *fetch);

struct kafka_fetched {
    int32_t throttle_ms; /* ask again no sooner */
    int16_t error;       /* 0: none; see kafka_fetch_failed */
    bool empty;          /* the partition is not in the answer: the broker throttles */
    int64_t high_watermark, stable_offset, log_start;
    size_t aborted_count;
    const uint8_t *aborted; /* lent; see kafka_fetched_aborted */
    const uint8_t *records; /* lent; batches, the last of them perhaps cut */
    size_t records_bytes;
};

/* Takes an answer apart. ERR_SOURCE: no answer to this question. */
int kafka_fetched_read(const uint8_t *data, size_t len, const struct kafka_fetch *fetch,
                       struct kafka_fetched *fetched, struct err *err);
/* Aborted transaction i: of a producer, from an offset on up to its marker. */
void kafka_fetched_aborted(const struct kafka_fetched *fetched, size_t i, int64_t *producer_id,
                           int64_t *first_offset);

enum kafka_fetch_error {
    KAFKA_FETCH_FATAL,      /* nothing helps now */
    KAFKA_FETCH_AGAIN,      /* the same broker, a little later */
    KAFKA_FETCH_LOOK_AGAIN, /* the leader is another one, or will be: ask for it */
};

/* What an error code other than 0 means: sets err, and says what can be done. */
enum kafka_fetch_error kafka_fetch_failed(int16_t code, const struct kafka_fetch *fetch,
                                          struct err *err);
