// SPDX-License-Identifier: Apache-2.0
// The difference between old and new changes only at gaps, so a run is a pair and a count.
#include "offset_map.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* The first that is asked for at or beyond an offset. */
static size_t place_of(const struct kafka_offset_map *map, int64_t old_offset)
{
    size_t from = 0;
    size_t to = map->asked_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (map->asked[middle].old_offset < old_offset)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void kafka_offset_map_ask(struct kafka_offset_map *map, int64_t old_offset)
{
    size_t at = place_of(map, old_offset);

    if (at < map->asked_count && map->asked[at].old_offset == old_offset)
        return;
    map->asked = mem_realloc(map->asked, (map->asked_count + 1) * sizeof *map->asked);
    memmove(map->asked + at + 1, map->asked + at, (map->asked_count - at) * sizeof *map->asked);
    map->asked[at] = (struct kafka_asked_offset){.old_offset = old_offset, .new_offset = -1};
    map->asked_count++;
}

static void keep_last(struct kafka_offset_map *map)
{
    if (map->last.count == 0)
        return;
    if (map->run_count == KAFKA_MAX_RUNS) {
        map->cut = true;
        return;
    }
    map->runs = mem_realloc(map->runs, (map->run_count + 1) * sizeof *map->runs);
    map->runs[map->run_count++] = map->last;
}

void kafka_offset_map_add(struct kafka_offset_map *map, int64_t old_offset, int64_t new_offset)
{
    struct kafka_run *last = &map->last;

    while (map->answered < map->asked_count && map->asked[map->answered].old_offset <= old_offset)
        map->asked[map->answered++].new_offset = new_offset;
    if (last->count > 0 && old_offset == last->old_offset + last->count &&
        new_offset == last->new_offset + last->count) {
        last->count++;
        return;
    }
    keep_last(map);
    *last = (struct kafka_run){.old_offset = old_offset, .new_offset = new_offset, .count = 1};
}

int64_t kafka_offset_map_find(const struct kafka_offset_map *map, int64_t old_offset, int64_t end)
{
    size_t at = place_of(map, old_offset);

    return at < map->answered ? map->asked[at].new_offset : end;
}

json_t *kafka_offset_map_json(struct kafka_offset_map *map)
{
    json_t *list = json_array();

    keep_last(map);
    map->last.count = 0;
    for (size_t i = 0; i < map->run_count; i++)
        json_array_append_new(list, json_pack("[I, I, I]", map->runs[i].old_offset,
                                              map->runs[i].new_offset, map->runs[i].count));
    return list;
}

void kafka_offset_map_fini(struct kafka_offset_map *map)
{
    free(map->runs);
    free(map->asked);
    *map = (struct kafka_offset_map){.runs = NULL};
}
