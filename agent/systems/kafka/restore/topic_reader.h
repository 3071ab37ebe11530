// SPDX-License-Identifier: Apache-2.0
// Reads partitions of topics that a restore wrote, into sinks, through the pump.
#pragma once

#include "cluster.h"
#include "stream.h"

struct kafka_restoring;
struct kafka_topic_reader;

/* cluster: where the topics' leaders are; lent, as is restoring. */
struct kafka_topic_reader *kafka_topic_reader_open(struct kafka_restoring *restoring,
                                                   struct kafka_cluster *cluster);
/* NULL is allowed. */
void kafka_topic_reader_close(struct kafka_topic_reader *reader);

/* A sink for the next bytes of the partition; it is closed by the reader. */
typedef struct sink *kafka_reader_sink_fn(void *arg);
/* The offsets from (inclusive) to end (exclusive), as verbatim batches. Waits until all is read. */
int kafka_topic_reader_read(struct kafka_topic_reader *reader, const char *topic, size_t partition,
                            int64_t from, int64_t end, kafka_reader_sink_fn *make, void *arg,
                            struct err *err);
