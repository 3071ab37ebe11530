// SPDX-License-Identifier: Apache-2.0
// A segment as its bytes come: batch by batch, and of each batch the records that a reader of what
// is committed would see, within the range that the backup covers. One batch is held.
#include "kafka_restoring.h"

#include "kafka_snapshot.h"
#include "manifest.h"
#include "mem.h"
#include "wire/fetcher.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

struct segment_sink {
    struct sink sink;
    struct kafka_restoring *restoring;
    struct kafka_target *target;
    size_t number;                  /* of the partition */
    bool copy;                      /* of what a restore wrote: all of it */
    struct kafka_segment_said said; /* unless copy */
    struct kafka_segment found;
    struct kafka_records *records;
    uint8_t *held; /* a batch, or its beginning */
    size_t len, cap;
    bool whole; /* it is one, and its records are being sent */
    struct kafka_record record;
    bool pending; /* record waits for room */
};

static struct kafka_target_partition *partition_of(const struct segment_sink *sink)
{
    return &sink->target->partitions[sink->number];
}

/* --- what is left out --- */

/* 1: it is to be sent. */
static int choose(const struct segment_sink *sink, const struct kafka_record *record,
                  struct err *err)
{
    struct kafka_target_partition *partition = partition_of(sink);
    int64_t until_ms = sink->restoring->request.until_ms;

    if (sink->copy)
        return 1;
    if (record->offset < sink->said.from || record->offset >= sink->said.end || partition->stopped)
        return 0;
    if (record->offset <= partition->last_offset)
        return err_set(err, ERR_CORRUPT, "the record at offset %lld comes after that at %lld",
                       (long long)record->offset, (long long)partition->last_offset);
    partition->last_offset = record->offset;
    if (until_ms != 0 && record->timestamp > until_ms) {
        partition->stopped = true;
        return 0;
    }
    return 1;
}

/* --- sending --- */

/* END: all records of the batch. */
static enum step send_records(struct segment_sink *sink, struct err *err)
{
    for (;;) {
        enum step step;
        int chosen;

        if (!sink->pending) {
            step = kafka_records_next(sink->records, &sink->record, err);
            if (step != STEP_OK)
                return step;
            chosen = choose(sink, &sink->record, err);
            if (chosen < 0)
                return STEP_ERROR;
            sink->pending = chosen == 1;
        }
        if (!sink->pending)
            continue;
        step = kafka_writer_send(sink->restoring->writer, sink->target, sink->number, &sink->record,
                                 err);
        if (step != STEP_OK)
            return step;
        sink->pending = false;
    }
}

static enum step begin_batch(struct segment_sink *sink, size_t *need, struct err *err)
{
    struct kafka_batch batch;

    switch (kafka_batch_read(sink->held, sink->len, KAFKA_BATCH_MAX_BYTES, &batch, need, err)) {
    case KAFKA_BATCH_CUT:
        return STEP_AGAIN;
    case KAFKA_BATCH_BAD:
    case KAFKA_BATCH_REFUSED:
        return STEP_ERROR;
    case KAFKA_BATCH_WHOLE:
        break;
    }
    if (sink->found.batches > 0 && batch.base_offset < sink->found.end_offset) {
        err_set(err, ERR_CORRUPT, "the batch begins at offset %lld, after one that ends at %lld",
                (long long)batch.base_offset, (long long)sink->found.end_offset - 1);
        return STEP_ERROR;
    }
    kafka_segment_count(&sink->found, &batch);
    sink->whole =
        !kafka_transactions_aborted(&partition_of(sink)->transactions, &batch) && !batch.control;
    if (sink->whole)
        kafka_records_begin(sink->records, &batch);
    else
        sink->len = 0;
    return STEP_OK;
}

static void hold(struct segment_sink *sink, struct span_in *in, size_t need)
{
    size_t more = need - sink->len;

    if (more > in->len - in->pos)
        more = in->len - in->pos;
    if (sink->len + more > sink->cap) {
        sink->cap = sink->len + more;
        sink->held = mem_realloc(sink->held, sink->cap);
    }
    memcpy(sink->held + sink->len, in->data + in->pos, more);
    sink->len += more;
    in->pos += more;
}

/* OK: what was held is sent. */
static enum step drain(struct segment_sink *sink, struct err *err)
{
    enum step step = sink->whole ? send_records(sink, err) : STEP_END;

    if (step != STEP_END)
        return step;
    if (sink->whole)
        sink->len = 0;
    sink->whole = false;
    return STEP_OK;
}

static enum step segment_write(struct sink *base, struct span_in *in, struct err *err)
{
    struct segment_sink *sink = (struct segment_sink *)base;
    size_t began = in->pos;

    for (;;) {
        size_t need = KAFKA_BATCH_HEAD_BYTES;
        enum step step = drain(sink, err);

        if (step == STEP_AGAIN && in->pos > began)
            return STEP_OK;
        if (step != STEP_OK)
            return step;
        step = begin_batch(sink, &need, err);
        if (step == STEP_ERROR)
            return STEP_ERROR;
        if (step == STEP_AGAIN && in->pos == in->len)
            return STEP_OK;
        if (step == STEP_AGAIN)
            hold(sink, in, need);
    }
}

static enum step segment_commit(struct sink *base, struct err *err)
{
    struct segment_sink *sink = (struct segment_sink *)base;
    enum step step = drain(sink, err);

    if (step != STEP_OK)
        return step;
    if (sink->len > 0) {
        err_set(err, ERR_CORRUPT, "the segment ends in the middle of a batch");
        return STEP_ERROR;
    }
    if (sink->copy)
        return STEP_END;
    if (kafka_segment_match(&sink->found, &sink->said.segment, err) < 0)
        return STEP_ERROR;
    partition_of(sink)->segments_seen++;
    return STEP_END;
}

static void segment_arm(struct sink *base, struct ev_loop *loop, struct waker waker)
{
    struct segment_sink *sink = (struct segment_sink *)base;

    kafka_writer_arm(sink->restoring->writer, loop, waker);
}

static void segment_close(struct sink *base)
{
    struct segment_sink *sink = (struct segment_sink *)base;

    kafka_writer_disarm(sink->restoring->writer);
    kafka_records_free(sink->records);
    free(sink->held);
    free(sink);
}

static const struct sink_ops segment_sink_ops = {
    .name = "records of a log segment",
    .write = segment_write,
    .commit = segment_commit,
    .arm = segment_arm,
    .close = segment_close,
};

/* --- which --- */

static struct segment_sink *make_sink(struct kafka_restoring *restoring,
                                      struct kafka_target *target, size_t partition)
{
    struct segment_sink *sink = mem_calloc(1, sizeof *sink);

    sink->sink.ops = &segment_sink_ops;
    sink->restoring = restoring;
    sink->target = target;
    sink->number = partition;
    sink->records = kafka_records_new();
    return sink;
}

static size_t number_of(const struct restore_request *request, const struct manifest *manifest)
{
    size_t number = 0;

    while (request->ancestry[number] != manifest)
        number++;
    return number;
}

int kafka_segment_sink(struct kafka_restoring *restoring, const struct manifest *manifest,
                       const char *object, struct sink **made, struct err *err)
{
    struct kafka_segment_said said;
    struct kafka_target *target;
    struct segment_sink *sink;

    if (kafka_segment_find(manifest, object, &said, err) < 0)
        return -1;
    target = kafka_target_of(restoring, said.topic);
    if (target == NULL || said.partition >= target->from->partition_count ||
        number_of(&restoring->request, manifest) < target->partitions[said.partition].first)
        return 0;
    if (target->partitions[said.partition].stopped) {
        target->partitions[said.partition].segments_seen++;
        return 0;
    }
    sink = make_sink(restoring, target, said.partition);
    sink->said = said;
    *made = &sink->sink;
    return 0;
}

struct sink *kafka_copy_sink(struct kafka_restoring *restoring, struct kafka_target *target,
                             size_t partition)
{
    struct segment_sink *sink = make_sink(restoring, target, partition);

    sink->copy = true;
    return &sink->sink;
}
