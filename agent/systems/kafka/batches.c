// SPDX-License-Identifier: Apache-2.0
// A batch that lies whole in what is fed is looked at there; only one that is cut is copied
// together.
#include "batches.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct kafka_batches {
    kafka_batch_fn *each;
    void *arg;
    uint8_t *held; /* the beginning of a batch */
    size_t len, cap;
    int64_t next_offset;
    uint64_t position; /* of the batch that is next, in the segment */
};

struct kafka_batches *kafka_batches_new(kafka_batch_fn *each, void *arg)
{
    struct kafka_batches *batches = mem_calloc(1, sizeof *batches);

    batches->each = each;
    batches->arg = arg;
    return batches;
}

void kafka_batches_free(struct kafka_batches *batches)
{
    if (batches == NULL)
        return;
    free(batches->held);
    free(batches);
}

/* OK: *used of them were a batch. AGAIN: it is cut, and *need bytes long as far as is known. */
static enum step look(struct kafka_batches *batches, const uint8_t *data, size_t len, size_t *used,
                      size_t *need, struct err *err)
{
    struct kafka_batch batch;
    enum kafka_batch_found found =
        kafka_batch_read(data, len, KAFKA_BATCH_MAX_BYTES, &batch, need, err);

    if (found == KAFKA_BATCH_CUT)
        return STEP_AGAIN;
    if (found == KAFKA_BATCH_WHOLE && batch.base_offset < batches->next_offset) {
        err_set(err, ERR_CORRUPT, "the batch begins at offset %lld, after one that ends at %lld",
                (long long)batch.base_offset, (long long)batches->next_offset - 1);
        found = KAFKA_BATCH_BAD;
    }
    if (found != KAFKA_BATCH_WHOLE || batches->each(batches->arg, &batch, err) < 0) {
        err_wrap(err, "byte %llu", (unsigned long long)batches->position);
        return STEP_ERROR;
    }
    batches->next_offset = batch.last_offset + 1;
    batches->position += batch.bytes;
    *used = batch.bytes;
    return STEP_OK;
}

static void hold(struct kafka_batches *batches, const uint8_t *data, size_t len)
{
    if (batches->len + len > batches->cap) {
        batches->cap = batches->len + len;
        batches->held = mem_realloc(batches->held, batches->cap);
    }
    memcpy(batches->held + batches->len, data, len);
    batches->len += len;
}

/* Adds to what is held until that is a batch; *used of data are taken. */
static int complete(struct kafka_batches *batches, const uint8_t *data, size_t len, size_t *used,
                    struct err *err)
{
    *used = 0;
    for (;;) {
        size_t need = 0, whole;
        enum step step = look(batches, batches->held, batches->len, &whole, &need, err);
        size_t more = need - batches->len;

        if (step == STEP_ERROR)
            return -1;
        if (step == STEP_OK) {
            batches->len = 0;
            return 0;
        }
        if (more > len - *used)
            more = len - *used;
        if (more == 0)
            return 0;
        hold(batches, data + *used, more);
        *used += more;
    }
}

int kafka_batches_feed(struct kafka_batches *batches, const uint8_t *data, size_t len,
                       struct err *err)
{
    size_t at = 0;

    while (at < len) {
        size_t used = 0, need = 0;
        enum step step;

        if (batches->len > 0) {
            if (complete(batches, data + at, len - at, &used, err) < 0)
                return -1;
            at += used;
            continue;
        }
        step = look(batches, data + at, len - at, &used, &need, err);
        if (step == STEP_ERROR)
            return -1;
        if (step == STEP_AGAIN) {
            hold(batches, data + at, len - at);
            used = len - at;
        }
        at += used;
    }
    return 0;
}

int kafka_batches_end(const struct kafka_batches *batches, struct err *err)
{
    if (batches->len == 0)
        return 0;
    return err_set(err, ERR_CORRUPT, "byte %llu: the segment ends in the middle of a batch",
                   (unsigned long long)batches->position);
}
