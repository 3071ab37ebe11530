// SPDX-License-Identifier: Apache-2.0
// A snapshot of Kafka, and the proof of its segments.
#pragma once

#include "account.h"
#include "system.h"

/* "orders/0/00000000000000000000.log", which is Kafka's own name for it, below its topic and
 * partition. free() it. */
char *kafka_segment_name(const char *topic, size_t partition, int64_t base_offset);
/* The way back; false for any other name. topic of KAFKA_TOPIC_CAP bytes. */
bool kafka_segment_parse(const char *name, char *topic, size_t *partition, int64_t *base_offset);

#define KAFKA_TOPIC_CAP 250

/* A segment, as its manifest says it. */
struct kafka_segment_said {
    char topic[KAFKA_TOPIC_CAP];
    size_t partition;
    int64_t from, end; /* what the backup covers of the partition */
    struct kafka_segment segment;
};

/* ERR_CORRUPT: an object that its manifest does not account for. */
int kafka_segment_find(const struct manifest *manifest, const char *object,
                       struct kafka_segment_said *said, struct err *err);
/* What was found of a segment is what was said; ERR_CORRUPT. */
int kafka_segment_match(const struct kafka_segment *found, const struct kafka_segment *said,
                        struct err *err);
/* Counts a batch. Zeroed before the first. */
void kafka_segment_count(struct kafka_segment *found, const struct kafka_batch *batch);

/* As system.h says. */
int kafka_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop,
                        void **snapshot, struct err *err);
int kafka_snapshot_describe(void *snapshot, struct manifest *manifest, struct err *err);
enum step kafka_snapshot_next(void *snapshot, struct snapshot_object *object,
                              struct source **source, struct err *err);
int kafka_snapshot_finish(void *snapshot, struct manifest *manifest, struct err *err);
void kafka_snapshot_close(void *snapshot);
int kafka_prove(const struct component_options *component, const struct manifest *manifest,
                const char *object, json_t *findings, struct sink **sink, struct err *err);
