// SPDX-License-Identifier: Apache-2.0
// Asking for a partition's batches, one answer after the other. As soon as an answer was looked
// over, the next one is asked for, so that it travels while this one is being given away: into the
// buffers of the socket, so that one buffer here is enough.
//
// An answer without batches is no proof that there are none up to the end: a broker answers so too
// when it throttles, or has not yet worked out where its log ends. Several in a row by a broker
// whose last stable offset has reached the end are (the tail was compacted away: Kafka looks
// through all later segments before it says nothing).
#include "partition_impl.h"

#include "backoff.h"
#include "clock.h"
#include "mem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAIT_MS    100
#define FIRST_PAUSE_MS 100
#define MOST_PAUSE_MS  5000
#define MAX_DAMAGED    3
#define MAX_NOTHING    3
#define PATIENCE       3 /* times the timeout */

static struct kafka_fetch question(const struct kafka_partition *partition)
{
    return (struct kafka_fetch){.topic = partition->topic,
                                .partition = partition->partition,
                                .offset = partition->next,
                                .max_bytes = partition->ask_bytes,
                                .max_wait_ms = MAX_WAIT_MS};
}

static enum step wrap(const struct kafka_partition *partition, struct err *err)
{
    err_wrap(err, "%s, partition %d", partition->topic, (int)partition->partition);
    return STEP_ERROR;
}

/* --- when something goes wrong --- */

static void forget_broker(struct kafka_partition *partition)
{
    /* With an answer outstanding the connection is of no use to anybody. */
    if (partition->asked)
        kafka_fetcher_drop(partition->fetcher, partition->broker);
    partition->broker = NULL;
    partition->asked = false;
    partition->anew = true;
}

/* OK: the failure in err is forgiven, and asked again after a while. */
static enum step try_again(struct kafka_partition *partition, struct err *err)
{
    int64_t now_us = clock_mono_us();
    int64_t patience_us = kafka_fetcher_options(partition->fetcher)->timeout_ms * 1000 * PATIENCE;

    if (partition->failed++ == 0)
        partition->failing_since_us = now_us;
    if (now_us - partition->failing_since_us >= patience_us)
        return STEP_ERROR;
    partition->pause_until_us =
        now_us + backoff_ms(partition->failed, FIRST_PAUSE_MS, MOST_PAUSE_MS) * 1000;
    err_clear(err);
    return STEP_OK;
}

static enum step lost(struct kafka_partition *partition, struct err *err)
{
    forget_broker(partition);
    return err_kind_may_retry(err->kind) ? try_again(partition, err) : STEP_ERROR;
}

static enum step refused(struct kafka_partition *partition, int16_t code, struct err *err)
{
    struct kafka_fetch asked = question(partition);

    switch (kafka_fetch_failed(code, &asked, err)) {
    case KAFKA_FETCH_LOOK_AGAIN:
        forget_broker(partition);
        return try_again(partition, err);
    case KAFKA_FETCH_AGAIN:
        return try_again(partition, err);
    case KAFKA_FETCH_FATAL:
        break;
    }
    return STEP_ERROR;
}

/* --- what an answer holds --- */

/* No batch that begins below the end is left. */
static void complete(struct kafka_partition *partition)
{
    if (partition->next < partition->end)
        partition->next = partition->end;
    partition->complete = true;
}

static enum step nothing(struct kafka_partition *partition, const struct kafka_fetched *fetched,
                         struct err *err)
{
    if (fetched->throttle_ms > 0)
        return STEP_OK; /* nothing is said about the partition */
    if (fetched->empty) {
        err_set(err, ERR_SOURCE, "the broker answers Fetch without the partition");
        wrap(partition, err);
        return try_again(partition, err);
    }
    if (fetched->stable_offset >= partition->end) {
        if (++partition->nothing >= MAX_NOTHING)
            complete(partition);
        else
            partition->pause_until_us = clock_mono_us() + MAX_WAIT_MS * 1000;
        return STEP_OK;
    }
    partition->nothing = 0;
    err_set(err, ERR_CONFLICT,
            "%s, partition %d: the log ends at offset %lld now, before %lld, where it ended when "
            "the backup began (an unclean election of a leader, or the topic was made anew)",
            partition->topic, (int)partition->partition, (long long)fetched->stable_offset,
            (long long)partition->end);
    return try_again(partition, err);
}

/* Takes a batch that was found whole. END: it lies beyond the end. */
static enum step take(struct kafka_partition *partition, const struct kafka_batch *batch,
                      struct err *err)
{
    if (batch->base_offset >= partition->end) {
        complete(partition);
        return STEP_END;
    }
    if (batch->base_offset < partition->next && partition->begun) {
        err_set(err, ERR_CONFLICT,
                "the batch at offset %lld overlaps what was read before: the log was cut and "
                "written anew (an unclean election of a leader?)",
                (long long)batch->base_offset);
        return wrap(partition, err);
    }
    if (partition->left == 0)
        partition->at = batch->data;
    partition->left += batch->bytes;
    partition->next = batch->last_offset + 1;
    partition->begun = true;
    if (partition->next >= partition->end)
        complete(partition);
    return STEP_OK;
}

/* The first batch of an answer is not whole. */
static enum step unusable(struct kafka_partition *partition, enum kafka_batch_found found,
                          size_t need, struct err *err)
{
    if (found == KAFKA_BATCH_CUT) {
        if (need > KAFKA_BATCH_MAX_BYTES)
            need = KAFKA_BATCH_MAX_BYTES;
        partition->ask_bytes = (int32_t)need;
        err_set(err, ERR_SOURCE, "the broker sends no whole batch");
        wrap(partition, err);
        return try_again(partition, err);
    }
    wrap(partition, err);
    if (found == KAFKA_BATCH_REFUSED || ++partition->damaged >= MAX_DAMAGED)
        return STEP_ERROR;
    return try_again(partition, err);
}

static enum step look_over(struct kafka_partition *partition, const struct kafka_fetched *fetched,
                           struct err *err)
{
    const uint8_t *at = fetched->records;
    size_t left = fetched->records_bytes;
    enum step step = STEP_OK;

    while (left > 0 && step == STEP_OK && !partition->complete) {
        struct kafka_batch batch;
        size_t need = 0;
        struct err why = ERR_INIT;
        enum kafka_batch_found found =
            kafka_batch_read(at, left, KAFKA_BATCH_MAX_BYTES, &batch, &need, &why);

        if (found != KAFKA_BATCH_WHOLE && partition->left > 0)
            return STEP_OK; /* what comes before it is good; it is asked for again */
        if (found != KAFKA_BATCH_WHOLE) {
            *err = why;
            return unusable(partition, found, need, err);
        }
        at += batch.bytes;
        left -= batch.bytes;
        if (batch.last_offset >= partition->next || partition->left > 0)
            step = take(partition, &batch, err);
    }
    if (step == STEP_ERROR || partition->left > 0 || partition->complete)
        return step == STEP_ERROR ? STEP_ERROR : STEP_OK;
    err_set(err, ERR_SOURCE, "the broker sends what lies before offset %lld, and not that",
            (long long)partition->next);
    wrap(partition, err);
    return try_again(partition, err);
}

static void tell_aborted(const struct kafka_partition *partition,
                         const struct kafka_fetched *fetched)
{
    if (partition->observer.aborted == NULL)
        return;
    for (size_t i = 0; i < fetched->aborted_count; i++) {
        int64_t producer_id, first_offset;

        kafka_fetched_aborted(fetched, i, &producer_id, &first_offset);
        if (first_offset < partition->end)
            partition->observer.aborted(partition->observer.arg, producer_id, first_offset);
    }
}

static void ask(struct kafka_partition *partition)
{
    struct kafka_fetch fetch = question(partition);
    struct text body = TEXT_INIT;

    kafka_fetch_put(&body, &fetch);
    kafka_broker_ask(partition->broker, KAFKA_FETCH, KAFKA_FETCH_VERSION, &body,
                     kafka_fetcher_buffer(partition->fetcher));
    text_fini(&body);
    partition->asked = true;
    partition->answer_until_us = 0;
    partition->answer_seen = 0;
}

static enum step answered(struct kafka_partition *partition, struct err *err)
{
    const struct kafka_buffer *buffer = kafka_fetcher_buffer(partition->fetcher);
    struct kafka_fetch asked = question(partition);
    struct kafka_fetched fetched;
    enum step step;

    if (kafka_fetched_read(buffer->data, buffer->len, &asked, &fetched, err) < 0)
        return wrap(partition, err);
    if (fetched.throttle_ms > 0)
        partition->pause_until_us = clock_mono_us() + (int64_t)fetched.throttle_ms * 1000;
    if (fetched.error != 0)
        return refused(partition, fetched.error, err);
    if (!fetched.empty)
        partition->log_start = fetched.log_start;
    if (fetched.records_bytes == 0)
        return nothing(partition, &fetched, err);
    step = look_over(partition, &fetched, err);
    if (step != STEP_OK || partition->left == 0)
        return step;
    tell_aborted(partition, &fetched);
    partition->failed = partition->damaged = partition->nothing = 0;
    partition->ask_bytes = (int32_t)kafka_fetcher_max_bytes(partition->fetcher);
    if (!partition->complete && fetched.throttle_ms == 0)
        ask(partition);
    return STEP_OK;
}

/* --- one step --- */

/* After AGAIN of the broker: until when it may stay so. Each byte that comes begins the timeout
 * anew. */
static enum step wait_for_answer(struct kafka_partition *partition, int64_t *until_us,
                                 struct err *err)
{
    int64_t timeout_ms = kafka_fetcher_options(partition->fetcher)->timeout_ms;
    size_t seen = kafka_fetcher_buffer(partition->fetcher)->len;
    int64_t now_us = clock_mono_us();

    if (partition->answer_until_us == 0 || seen != partition->answer_seen)
        partition->answer_until_us = now_us + (timeout_ms + MAX_WAIT_MS) * 1000;
    partition->answer_seen = seen;
    *until_us = partition->answer_until_us;
    if (now_us < partition->answer_until_us)
        return STEP_AGAIN;
    err_set(err, ERR_UNREACHABLE, "%s: no answer within %lld ms (timeout)",
            kafka_broker_place(partition->broker), (long long)timeout_ms);
    wrap(partition, err);
    return lost(partition, err);
}

enum step kafka_partition_advance(struct kafka_partition *partition, int64_t *until_us,
                                  struct err *err)
{
    int64_t now_us = clock_mono_us();
    enum step step;

    if (now_us >= kafka_fetcher_deadline(partition->fetcher)) {
        err_set(err, ERR_TIMEOUT, "the time given is over");
        return wrap(partition, err);
    }
    if (!partition->asked) {
        *until_us = partition->pause_until_us;
        if (now_us < partition->pause_until_us)
            return STEP_AGAIN;
        if (partition->broker == NULL &&
            kafka_fetcher_find(partition->fetcher, partition->topic, partition->partition,
                               partition->anew, &partition->broker, err) < 0) {
            wrap(partition, err);
            return lost(partition, err);
        }
        partition->anew = false;
        ask(partition);
    }
    step = kafka_broker_answer(partition->broker, err);
    if (step == STEP_AGAIN)
        return wait_for_answer(partition, until_us, err);
    if (step == STEP_ERROR) {
        wrap(partition, err);
        return lost(partition, err);
    }
    partition->asked = false;
    return answered(partition, err);
}

/* --- for owners --- */

struct kafka_partition *kafka_partition_open(struct kafka_fetcher *fetcher,
                                             const struct kafka_range *range,
                                             const struct kafka_observer *observer)
{
    struct kafka_partition *partition = mem_calloc(1, sizeof *partition);

    partition->fetcher = fetcher;
    partition->observer = *observer;
    partition->topic = mem_strdup(range->topic);
    partition->partition = range->partition;
    partition->end = range->end;
    partition->next = partition->covered = range->from;
    partition->complete = range->from >= range->end;
    partition->ask_bytes = (int32_t)kafka_fetcher_max_bytes(fetcher);
    partition->log_start = -1;
    return partition;
}

void kafka_partition_close(struct kafka_partition *partition)
{
    if (partition == NULL)
        return;
    forget_broker(partition);
    free(partition->topic);
    free(partition);
}

int64_t kafka_partition_covered(const struct kafka_partition *partition)
{
    return partition->covered;
}

int64_t kafka_partition_log_start(const struct kafka_partition *partition)
{
    return partition->log_start;
}
