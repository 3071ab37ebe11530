// SPDX-License-Identifier: Apache-2.0
// The proof: what a reader finds in the new topics is what was written, record for record.
#include "kafka_restoring.h"

#include "batches.h"
#include "mem.h"
#include "topic_reader.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

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

/* A partition that is being read. */
struct readback {
    struct kafka_topic_reader *reader;
    struct kafka_records *records;
    struct kafka_record_digest *digest; /* NULL before the first record */
    uint64_t count;
};

static struct sink *make_sink(void *arg)
{
    struct readback *readback = arg;
    struct reading_sink *sink = mem_calloc(1, sizeof *sink);

    sink->sink.ops = &reading_sink_ops;
    sink->batches = kafka_batches_new(on_batch, sink);
    sink->records = readback->records;
    sink->digest = &readback->digest;
    sink->count = &readback->count;
    return &sink->sink;
}

static int compare(struct kafka_target_partition *partition, struct kafka_record_digest *digest,
                   uint64_t count, struct err *err)
{
    char is[65], was[65];

    kafka_record_digest_end(digest, is);
    memcpy(was, partition->sha256, sizeof was);
    kafka_record_digest_end(partition->digest, partition->sha256);
    partition->digest = NULL;
    if (count != partition->sent)
        return err_set(err, ERR_MISMATCH, "%llu records were written, %llu are there",
                       (unsigned long long)partition->sent, (unsigned long long)count);
    if (strcmp(is, partition->sha256) != 0)
        return err_set(err, ERR_MISMATCH,
                       "the records that are there are not those that were "
                       "written: their digests differ");
    if (was[0] != '\0' && strcmp(was, is) != 0)
        return err_set(err, ERR_MISMATCH, "the copy differs from what was copied");
    return 0;
}

static int read_partition(struct readback *readback, const struct kafka_target *target,
                          size_t number, const struct kafka_topic_partition *there, struct err *err)
{
    struct kafka_target_partition *partition = &target->partitions[number];
    char ignored[65];

    if (there->start > partition->start || there->stable != there->high ||
        there->high != partition->start + (int64_t)partition->sent)
        return err_set(err, ERR_MISMATCH,
                       "it has offsets %lld to %lld, where %llu records were written from %lld on",
                       (long long)there->start, (long long)there->high,
                       (unsigned long long)partition->sent, (long long)partition->start);
    readback->digest = NULL;
    readback->count = 0;
    if (kafka_topic_reader_read(readback->reader, target->name, number, partition->start,
                                there->stable, make_sink, readback, err) == 0)
        return compare(partition, readback->digest, readback->count, err);
    if (readback->digest != NULL)
        kafka_record_digest_end(readback->digest, ignored);
    return -1;
}

static int read_all(struct readback *readback, struct kafka_restoring *restoring, struct err *err)
{
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
    struct readback readback = {.reader = NULL};
    int rc;

    if (kafka_place_ask(restoring, err) < 0)
        return -1;
    readback.reader = kafka_topic_reader_open(restoring, &restoring->there.cluster);
    readback.records = kafka_records_new();
    rc = read_all(&readback, restoring, err);
    kafka_records_free(readback.records);
    kafka_topic_reader_close(readback.reader);
    return rc;
}
