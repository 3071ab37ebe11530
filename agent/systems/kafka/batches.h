// SPDX-License-Identifier: Apache-2.0
// The batches of a log segment whose bytes come in any portions. Bounded: one batch is held, of at
// most KAFKA_BATCH_MAX_BYTES.
#pragma once

#include "wire/batch.h"
#include "wire/fetcher.h"

struct kafka_batches;

/* Each batch whose checksum is right, in order; 0, or -1 with err. */
typedef int kafka_batch_fn(void *arg, const struct kafka_batch *batch, struct err *err);

struct kafka_batches *kafka_batches_new(kafka_batch_fn *each, void *arg);
/* NULL is allowed. */
void kafka_batches_free(struct kafka_batches *batches);
/* ERR_CORRUPT: a damaged batch, or one that does not come after the one before. */
int kafka_batches_feed(struct kafka_batches *batches, const uint8_t *data, size_t len,
                       struct err *err);
/* After the last byte: ERR_CORRUPT in the middle of a batch. */
int kafka_batches_end(const struct kafka_batches *batches, struct err *err);
