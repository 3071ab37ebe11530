// SPDX-License-Identifier: Apache-2.0
// The proof: what a reader finds in the new topics is what was written, record for record.
#include "kafka_restoring.h"

#include "batches.h"
#include "leaders.h"
#include "mem.h"
#include "pump.h"
#include "wire/partition.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

#define FETCH_BYTES ((size_t)1 << 20)
#define SEGMENT     ((uint64_t)1 << 30)

struct reading_sink {
    struct sink sink;
    struct kafka_batches *batches;
    struct kafka_records *records;       /* lent */
    struct kafka_record_digest **digest; /* lent; made for the first */
    uint64_t *count;                     /* lent */
};

static int on_batch(void *arg, const struct kafka_batch *batch, struct err *err)
{
    struct reading_sink *sink = arg;
    struct kafka_record record;
    enum step step = STEP_OK;

    if (batch->control)
        return err_set(err, ERR_MISMATCH,
                       "offset %lld: a marker of a transaction, which the "
                       "restore did not write",
                       (long long)batch->base_offset);
    kafka_records_begin(sink->records, batch);
    while ((step = kafka_records_next(sink->records, &record, err)) == STEP_OK) {
        if (*sink->digest == NULL)
            *sink->digest = kafka_record_digest_new();
        kafka_record_digest_add(*sink->digest, &record, record.timestamp);
        (*sink->count)++;
    }
    return step == STEP_END ? 0 : -1;
}

static enum step readback_write(struct sink *base, struct span_in *in, struct err *err)
{
    struct reading_sink *sink = (struct reading_sink *)base;

    if (kafka_batches_feed(sink->batches, in->data + in->pos, in->len - in->pos, err) < 0)
        return STEP_ERROR;
    in->pos = in->len;
    return STEP_OK;
}

static enum step readback_commit(struct sink *base, struct err *err)
{
    struct reading_sink *sink = (struct reading_sink *)base;

    return kafka_batches_end(sink->batches, err) < 0 ? STEP_ERROR : STEP_END;
}

static void readback_arm(struct sink *base, struct ev_loop *loop, struct waker waker)
{
    (void)base;
    (void)loop;
    waker.wake(waker.arg);
}

static void readback_close(struct sink *base)
{
    struct reading_sink *sink = (struct reading_sink *)base;

    kafka_batches_free(sink->batches);
    free(sink);
}

static const struct sink_ops reading_sink_ops = {
    .name = "records read back",
    .write = readback_write,
    .commit = readback_commit,
    .arm = readback_arm,
    .close = readback_close,
};

struct readback {
    struct kafka_restoring *restoring;
    struct kafka_fetcher *fetcher;
    struct kafka_records *records;
};

/* For the observer, which must be there. */
static void ignore(void *arg, const struct kafka_batch *batch)
{
    (void)arg;
    (void)batch;
}

static int read_segments(const struct readback *readback, struct kafka_partition *partition,
                         struct kafka_record_digest **digest, uint64_t *count, struct err *err)
{
    const struct pump_limits limits = {.deadline_mono_us =
                                           readback->restoring->request.deadline_mono_us};
    struct kafka_batch first;
    struct source *source = NULL;
    enum step step;

    while ((step = kafka_partition_segment(partition, SEGMENT, &first, &source, err)) == STEP_OK) {
        struct reading_sink *sink = mem_calloc(1, sizeof *sink);

        sink->sink.ops = &reading_sink_ops;
        sink->batches = kafka_batches_new(on_batch, sink);
        sink->records = readback->records;
        sink->digest = digest;
        sink->count = count;
        if (pump_move(source, NULL, 0, &sink->sink, readback->restoring->loop, &limits, NULL, NULL,
                      err) < 0)
            return -1;
    }
    return step == STEP_END ? 0 : -1;
}

static int compare(struct kafka_target_partition *partition, struct kafka_record_digest *digest,
                   uint64_t count, struct err *err)
{
    char is[65];

    kafka_record_digest_end(digest, is);
    kafka_record_digest_end(partition->digest, partition->sha256);
    partition->digest = NULL;
    if (count != partition->sent)
        return err_set(err, ERR_MISMATCH, "%llu records were written, %llu are there",
                       (unsigned long long)partition->sent, (unsigned long long)count);
    if (strcmp(is, partition->sha256) != 0)
        return err_set(err, ERR_MISMATCH,
                       "the records that are there are not those that were "
                       "written: their digests differ");
    return 0;
}

static int read_partition(const struct readback *readback, const struct kafka_target *target,
                          size_t number, const struct kafka_topic_partition *there, struct err *err)
{
    static const struct kafka_observer observer = {.batch = ignore};
    struct kafka_target_partition *partition = &target->partitions[number];
    const struct kafka_range range = {.topic = target->name,
                                      .partition = (int32_t)number,
                                      .from = partition->start,
                                      .end = there->stable};
    struct kafka_record_digest *digest = NULL;
    struct kafka_partition *reader;
    uint64_t count = 0;
    char ignored[65];
    int rc;

    if (there->start > partition->start || there->stable != there->high ||
        there->high != partition->start + (int64_t)partition->sent)
        return err_set(err, ERR_MISMATCH,
                       "it has offsets %lld to %lld, where %llu records were written from %lld on",
                       (long long)there->start, (long long)there->high,
                       (unsigned long long)partition->sent, (long long)partition->start);
    reader = kafka_partition_open(readback->fetcher, &range, &observer);
    rc = read_segments(readback, reader, &digest, &count, err);
    kafka_partition_close(reader);
    if (rc < 0) {
        if (digest != NULL)
            kafka_record_digest_end(digest, ignored);
        return -1;
    }
    return compare(partition, digest, count, err);
}

static int read_all(const struct readback *readback, struct err *err)
{
    struct kafka_restoring *restoring = readback->restoring;

    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);

        for (size_t p = 0; p < target->from->partition_count; p++)
            if (read_partition(readback, target, p, &topic->partitions[p], err) < 0)
                return err_wrap(err, "topic %s, partition %zu", target->name, p);
    }
    return 0;
}

int kafka_readback(struct kafka_restoring *restoring, struct err *err)
{
    struct kafka_leading leading = {.handle = kafka_offsets_handle(restoring->offsets),
                                    .cluster = &restoring->there.cluster};
    const struct kafka_leaders leaders = {.find = kafka_leading_find, .arg = &leading};
    struct readback readback = {.restoring = restoring};
    int rc;

    if (kafka_place_ask(restoring, err) < 0)
        return -1;
    readback.fetcher = kafka_fetcher_new(restoring->options, &leaders, FETCH_BYTES,
                                         restoring->request.deadline_mono_us);
    readback.records = kafka_records_new();
    rc = read_all(&readback, err);
    kafka_records_free(readback.records);
    kafka_fetcher_free(readback.fetcher);
    return rc;
}
