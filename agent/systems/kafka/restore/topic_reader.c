// SPDX-License-Identifier: Apache-2.0
#include "topic_reader.h"

#include "kafka_restoring.h"
#include "leaders.h"
#include "mem.h"
#include "pump.h"
#include "wire/partition.h"

#include <stdlib.h>

#define FETCH_BYTES ((size_t)1 << 20)
#define SEGMENT     ((uint64_t)1 << 30)

struct kafka_topic_reader {
    struct kafka_restoring *restoring;
    struct kafka_leading leading;
    struct kafka_leaders leaders;
    struct kafka_fetcher *fetcher;
};

struct kafka_topic_reader *kafka_topic_reader_open(struct kafka_restoring *restoring,
                                                   struct kafka_cluster *cluster)
{
    struct kafka_topic_reader *reader = mem_calloc(1, sizeof *reader);

    reader->restoring = restoring;
    reader->leading.handle = kafka_offsets_handle(restoring->offsets);
    reader->leading.cluster = cluster;
    reader->leaders.find = kafka_leading_find;
    reader->leaders.arg = &reader->leading;
    reader->fetcher = kafka_fetcher_new(restoring->options, &reader->leaders, FETCH_BYTES,
                                        restoring->request.deadline_mono_us);
    return reader;
}

void kafka_topic_reader_close(struct kafka_topic_reader *reader)
{
    if (reader == NULL)
        return;
    kafka_fetcher_free(reader->fetcher);
    free(reader);
}

/* For the observer, which must be there. */
static void ignore(void *arg, const struct kafka_batch *batch)
{
    (void)arg;
    (void)batch;
}

static int read_segments(const struct kafka_topic_reader *reader, struct kafka_partition *partition,
                         kafka_reader_sink_fn *make, void *arg, struct err *err)
{
    const struct pump_limits limits = {.deadline_mono_us =
                                           reader->restoring->request.deadline_mono_us};
    struct kafka_batch first;
    struct source *source = NULL;
    enum step step;

    while ((step = kafka_partition_segment(partition, SEGMENT, &first, &source, err)) == STEP_OK)
        if (pump_move(source, NULL, 0, make(arg), reader->restoring->loop, &limits, NULL, NULL,
                      err) < 0)
            return -1;
    return step == STEP_END ? 0 : -1;
}

int kafka_topic_reader_read(struct kafka_topic_reader *reader, const char *topic, size_t partition,
                            int64_t from, int64_t end, kafka_reader_sink_fn *make, void *arg,
                            struct err *err)
{
    static const struct kafka_observer observer = {.batch = ignore};
    const struct kafka_range range = {
        .topic = topic, .partition = (int32_t)partition, .from = from, .end = end};
    struct kafka_partition *opened = kafka_partition_open(reader->fetcher, &range, &observer);
    int rc = read_segments(reader, opened, make, arg, err);

    kafka_partition_close(opened);
    return rc;
}
