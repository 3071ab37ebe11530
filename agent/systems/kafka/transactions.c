// SPDX-License-Identifier: Apache-2.0
// As a consumer follows them.
#include "transactions.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

void kafka_transactions_fini(struct kafka_transactions *transactions)
{
    free(transactions->aborted);
    free(transactions->open);
    *transactions = (struct kafka_transactions){.count = 0};
}

static int compare(const struct kafka_aborted *one, const struct kafka_aborted *other)
{
    if (one->first_offset != other->first_offset)
        return one->first_offset < other->first_offset ? -1 : 1;
    return (one->producer_id > other->producer_id) - (one->producer_id < other->producer_id);
}

static void begin(struct kafka_transactions *transactions, int64_t producer_id)
{
    transactions->open = mem_realloc(transactions->open,
                                     (transactions->open_count + 1) * sizeof *transactions->open);
    transactions->open[transactions->open_count++] = producer_id;
    transactions->begun++;
}

static void end(struct kafka_transactions *transactions, int64_t producer_id)
{
    size_t kept = 0;

    for (size_t i = 0; i < transactions->open_count; i++)
        if (transactions->open[i] != producer_id)
            transactions->open[kept++] = transactions->open[i];
    transactions->open_count = kept;
}

int kafka_transactions_add(struct kafka_transactions *transactions, int64_t producer_id,
                           int64_t first_offset, struct err *err)
{
    const struct kafka_aborted one = {.producer_id = producer_id, .first_offset = first_offset};
    size_t at = transactions->count;

    while (at > 0 && compare(&transactions->aborted[at - 1], &one) > 0)
        at--;
    if (at > 0 && compare(&transactions->aborted[at - 1], &one) == 0)
        return 0;
    if (transactions->count == KAFKA_MAX_ABORTED)
        return err_set(err, ERR_SOURCE, "has more than %d aborted transactions", KAFKA_MAX_ABORTED);
    transactions->aborted = mem_realloc(transactions->aborted,
                                        (transactions->count + 1) * sizeof *transactions->aborted);
    memmove(transactions->aborted + at + 1, transactions->aborted + at,
            (transactions->count - at) * sizeof *transactions->aborted);
    transactions->aborted[at] = one;
    transactions->count++;
    if (at < transactions->begun)
        begin(transactions, producer_id);
    return 0;
}

bool kafka_transactions_aborted(struct kafka_transactions *transactions,
                                const struct kafka_batch *batch)
{
    while (transactions->begun < transactions->count &&
           transactions->aborted[transactions->begun].first_offset <= batch->last_offset)
        begin(transactions, transactions->aborted[transactions->begun].producer_id);
    if (batch->control) {
        end(transactions, batch->producer_id);
        return false;
    }
    for (size_t i = 0; batch->transactional && i < transactions->open_count; i++)
        if (transactions->open[i] == batch->producer_id)
            return true;
    return false;
}
