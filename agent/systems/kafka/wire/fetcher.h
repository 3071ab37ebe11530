// SPDX-License-Identifier: Apache-2.0
// What the readers of many partitions share, one after the other: connections to brokers, and the
// one buffer for answers.
#pragma once

#include "broker.h"

#include <stdbool.h>

/* A first batch that is larger than what was asked for is sent whole all the same: the buffer then
 * grows, and stays so large. A batch above this is refused. */
#define KAFKA_BATCH_MAX_BYTES ((size_t)32 << 20)

struct kafka_address {
    char host[256], port[6];
};

struct kafka_leaders {
    /* Where the partition's leader is. anew: what was known before did not hold. May wait, for as
     * long as the option timeout allows. A kind of error that may be retried: there is none now. */
    int (*find)(void *arg, const char *topic, int32_t partition, bool anew,
                struct kafka_address *address, struct err *err);
    void *arg;
};

struct kafka_fetcher;

/* options and what leaders points to are lent. max_bytes: for one answer; as much is reserved
 * now. */
struct kafka_fetcher *kafka_fetcher_new(const struct kafka_options *options,
                                        const struct kafka_leaders *leaders, size_t max_bytes,
                                        int64_t deadline_mono_us);
/* No reader may be open. NULL is allowed. */
void kafka_fetcher_free(struct kafka_fetcher *fetcher);

const struct kafka_options *kafka_fetcher_options(const struct kafka_fetcher *fetcher);
int64_t kafka_fetcher_deadline(const struct kafka_fetcher *fetcher);
size_t kafka_fetcher_max_bytes(const struct kafka_fetcher *fetcher);
struct kafka_buffer *kafka_fetcher_buffer(struct kafka_fetcher *fetcher);

/* A connection to the partition's leader, kept or new; waits for that. Lent until it is dropped or
 * another is asked for. */
int kafka_fetcher_find(struct kafka_fetcher *fetcher, const char *topic, int32_t partition,
                       bool anew, struct kafka_broker **broker, struct err *err);
/* Closes one that failed, or on which an answer is outstanding that nobody wants. */
void kafka_fetcher_drop(struct kafka_fetcher *fetcher, struct kafka_broker *broker);
