// SPDX-License-Identifier: Apache-2.0
// Which batches of a partition are of aborted transactions, by the rule of the protocol: those of
// the producer from the first offset of the transaction up to its next marker.
#pragma once

#include "wire/batch.h"

#define KAFKA_MAX_ABORTED 100000 /* of one partition */

struct kafka_aborted {
    int64_t producer_id, first_offset;
};

/* Zeroed: none is known. */
struct kafka_transactions {
    struct kafka_aborted *aborted; /* by first offset, then producer; each once */
    size_t count;
    size_t begun;  /* so many of them began at or before the last batch */
    int64_t *open; /* producers of those that have not ended */
    size_t open_count;
};

void kafka_transactions_fini(struct kafka_transactions *transactions);
/* In any order, and however often; also of one that began before the last batch. ERR_SOURCE: more
 * than the bound. */
int kafka_transactions_add(struct kafka_transactions *transactions, int64_t producer_id,
                           int64_t first_offset, struct err *err);
/* The next batch, in order: whether it is of an aborted transaction. A marker never is. */
bool kafka_transactions_aborted(struct kafka_transactions *transactions,
                                const struct kafka_batch *batch);
