// SPDX-License-Identifier: Apache-2.0
// The inside of a reader, for partition.c (asking) and segment.c (giving).
#pragma once

#include "fetch.h"
#include "partition.h"

struct kafka_partition {
    struct kafka_fetcher *fetcher;
    struct kafka_observer observer;
    char *topic;
    int32_t partition;
    int64_t end;

    /* Asking. */
    struct kafka_broker *broker; /* lent; NULL: to be found */
    bool anew;                   /* find it anew */
    bool asked;                  /* an answer is outstanding */
    int64_t pause_until_us;      /* not asking before */
    int64_t answer_until_us;     /* 0: not waited for yet */
    size_t answer_seen;          /* bytes of it when it was waited for last */
    int32_t ask_bytes;
    unsigned failed;           /* since the last batch */
    int64_t failing_since_us;  /* valid with failed > 0 */
    unsigned damaged, nothing; /* answers in a row */
    int64_t log_start;

    /* What is in hand: batches that were looked at, in the fetcher's buffer. */
    const uint8_t *at;
    size_t left;
    int64_t next;  /* the first offset not in hand */
    bool begun;    /* a batch was taken */
    bool complete; /* what is in hand is the last */

    /* Giving. */
    size_t batch_left; /* bytes of the batch that at is in */
    int64_t covered;
};

/* Gets more in hand, when nothing is, and it is not complete. OK: call again. AGAIN: wait for the
 * broker's events, if it was asked, or until *until_us. */
enum step kafka_partition_advance(struct kafka_partition *partition, int64_t *until_us,
                                  struct err *err);
