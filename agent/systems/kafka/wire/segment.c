// SPDX-License-Identifier: Apache-2.0
// One segment of a partition as a source: what is in hand is given away batch by batch, and more is
// got in hand when that is gone.
#include "partition_impl.h"

#include "cancel.h"
#include "clock.h"
#include "mem.h"
#include "wakeup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct segment {
    struct source source;
    struct kafka_partition *partition;
    uint64_t max_bytes, given_bytes;
    int64_t base_offset;
    int64_t until_us; /* after AGAIN */
    struct wakeup wakeup;
};

/* --- giving --- */

/* The batch that is next in hand. It was looked at before. */
static struct kafka_batch in_hand(const struct kafka_partition *partition)
{
    struct kafka_batch batch = {.data = NULL};
    struct err err = ERR_INIT;

    if (kafka_batch_head(partition->at, partition->left, KAFKA_BATCH_MAX_BYTES, &batch, NULL,
                         &err) != KAFKA_BATCH_WHOLE)
        abort();
    return batch;
}

static bool fits(const struct segment *segment, const struct kafka_batch *batch)
{
    if (segment->given_bytes == 0)
        return true;
    return segment->given_bytes < segment->max_bytes &&
           segment->given_bytes + batch->bytes <= INT32_MAX &&
           batch->last_offset - segment->base_offset <= INT32_MAX;
}

static void give(struct segment *segment, struct span_out *out)
{
    struct kafka_partition *partition = segment->partition;
    size_t len = out->cap - out->len;

    if (len > partition->batch_left)
        len = partition->batch_left;
    memcpy(out->data + out->len, partition->at, len);
    out->len += len;
    segment->given_bytes += len;
    partition->at += len;
    partition->left -= len;
    partition->batch_left -= len;
}

static enum step segment_read(struct source *source, struct span_out *out, struct err *err)
{
    struct segment *segment = (struct segment *)source;
    struct kafka_partition *partition = segment->partition;
    size_t before = out->len;

    while (out->len < out->cap) {
        if (partition->batch_left > 0) {
            give(segment, out);
        } else if (partition->left > 0) {
            struct kafka_batch batch = in_hand(partition);

            if (!fits(segment, &batch))
                return STEP_END;
            partition->observer.batch(partition->observer.arg, &batch);
            partition->batch_left = batch.bytes;
            partition->covered = batch.last_offset + 1;
        } else if (partition->complete) {
            if (partition->covered < partition->next)
                partition->covered = partition->next;
            return STEP_END;
        } else {
            enum step step = out->len > before
                                 ? STEP_AGAIN
                                 : kafka_partition_advance(partition, &segment->until_us, err);

            if (step != STEP_OK)
                return out->len > before ? STEP_OK : step;
        }
    }
    return STEP_OK;
}

/* --- waiting --- */

static void segment_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct segment *segment = (struct segment *)source;
    const struct kafka_partition *partition = segment->partition;
    int64_t left_us = segment->until_us - clock_mono_us();

    wakeup_arm(
        &segment->wakeup, loop, waker, partition->asked ? kafka_broker_fd(partition->broker) : -1,
        partition->asked ? kafka_broker_events(partition->broker) : 0, left_us > 0 ? left_us : 0);
}

static void segment_close(struct source *source)
{
    struct segment *segment = (struct segment *)source;

    wakeup_disarm(&segment->wakeup);
    free(segment);
}

static const struct source_ops segment_ops = {
    .name = "the partition's leader",
    .read = segment_read,
    .arm = segment_arm,
    .close = segment_close,
};

/* --- opening --- */

static int wait_until(const struct kafka_partition *partition, int64_t until_us, struct err *err)
{
    int64_t deadline_us = kafka_fetcher_deadline(partition->fetcher);
    int fd = partition->asked ? kafka_broker_fd(partition->broker) : -1;
    short events = partition->asked ? kafka_broker_events(partition->broker) : 0;
    bool ready;

    return cancel_poll(fd, events, until_us < deadline_us ? until_us : deadline_us, &ready, err);
}

enum step kafka_partition_segment(struct kafka_partition *partition, uint64_t max_bytes,
                                  struct kafka_batch *first, struct source **source,
                                  struct err *err)
{
    struct segment *segment;

    assert(partition->batch_left == 0);
    while (partition->left == 0 && !partition->complete) {
        int64_t until_us = 0;
        enum step step = kafka_partition_advance(partition, &until_us, err);

        if (step == STEP_ERROR || (step == STEP_AGAIN && wait_until(partition, until_us, err) < 0))
            return STEP_ERROR;
    }
    if (partition->left == 0) {
        if (partition->covered < partition->next)
            partition->covered = partition->next;
        return STEP_END;
    }
    segment = mem_calloc(1, sizeof *segment);
    segment->source.ops = &segment_ops;
    segment->partition = partition;
    segment->max_bytes = max_bytes;
    *first = in_hand(partition);
    first->data = NULL;
    segment->base_offset = first->base_offset;
    *source = &segment->source;
    return STEP_OK;
}
