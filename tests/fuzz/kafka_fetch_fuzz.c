// SPDX-License-Identifier: Apache-2.0
// Any bytes as a broker's answer to Fetch: all that is taken out of it lies within it.
#include "batch.h"
#include "fetch.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct kafka_fetch asked = {
    .topic = "t", .partition = 0, .offset = 0, .max_bytes = 1 << 20, .max_wait_ms = 100};

static void walk(const struct kafka_fetched *fetched)
{
    const uint8_t *at = fetched->records;
    size_t left = fetched->records_bytes;

    while (left > 0) {
        struct kafka_batch batch;
        struct err err = ERR_INIT;
        size_t need = 0;
        enum kafka_batch_found found = kafka_batch_head(at, left, 1 << 20, &batch, &need, &err);

        if (found == KAFKA_BATCH_CUT && need <= left)
            abort();
        if ((found == KAFKA_BATCH_BAD || found == KAFKA_BATCH_REFUSED) != (err.kind != ERR_NONE))
            abort();
        if (found != KAFKA_BATCH_WHOLE)
            return;
        if (batch.bytes > left || batch.last_offset < batch.base_offset)
            abort();
        kafka_batch_read(at, left, 1 << 20, &batch, NULL, &err);
        at += batch.bytes;
        left -= batch.bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *exact = mem_calloc(len == 0 ? 1 : len, 1);
    struct kafka_fetched fetched;
    struct err err = ERR_INIT;

    if (len > 0)
        memcpy(exact, data, len);
    if (kafka_fetched_read(exact, len, &asked, &fetched, &err) == 0) {
        if (fetched.error != 0)
            kafka_fetch_failed(fetched.error, &asked, &err);
        for (size_t i = 0; i < fetched.aborted_count; i++) {
            int64_t producer_id, first_offset;

            kafka_fetched_aborted(&fetched, i, &producer_id, &first_offset);
        }
        walk(&fetched);
    }
    free(exact);
    return 0;
}
