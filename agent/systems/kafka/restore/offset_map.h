// SPDX-License-Identifier: Apache-2.0
// Which offset each record of a partition has now. All of it is told in runs, as long as these are
// few; what groups ask for is found exactly however many there are, for it is asked beforehand.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_MAX_RUNS 100 /* of one partition that are kept */

struct kafka_run {
    int64_t old_offset, new_offset, count;
};

struct kafka_asked_offset {
    int64_t old_offset;
    int64_t new_offset; /* of the first record at or beyond old_offset; -1: there is none yet */
};

struct kafka_offset_map {
    struct kafka_run *runs;
    size_t run_count;
    bool cut; /* there are more */
    struct kafka_run last;
    struct kafka_asked_offset *asked; /* by old offset, each once */
    size_t asked_count, answered;
};

/* Before the first record, in any order. */
void kafka_offset_map_ask(struct kafka_offset_map *map, int64_t old_offset);
/* The records in order. */
void kafka_offset_map_add(struct kafka_offset_map *map, int64_t old_offset, int64_t new_offset);
/* What old_offset, which was asked for, is now; end: when no record is there or beyond. */
int64_t kafka_offset_map_find(const struct kafka_offset_map *map, int64_t old_offset, int64_t end);
/* [[old, new, count], ...]; after the last record. */
json_t *kafka_offset_map_json(struct kafka_offset_map *map);
void kafka_offset_map_fini(struct kafka_offset_map *map);
