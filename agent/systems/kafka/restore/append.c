// SPDX-License-Identifier: Apache-2.0
// Records behind those that are there. They cannot be taken back, for Kafka removes from the
// beginning of a partition only: so where they begin is noted, and the same backup goes on there.
#include "kafka_restoring.h"

#include "log.h"
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

/* Where it began, an array of offsets; NULL: its topic is another one now. */
static const json_t *starts_of(const json_t *begun, const struct kafka_topic *topic)
{
    const char *id = json_string_value(json_object_get(begun, "id"));
    const json_t *starts = json_object_get(begun, "starts");

    if (json_array_size(starts) != topic->partition_count ||
        (id != NULL && topic->id != NULL && strcmp(id, topic->id) != 0))
        return NULL;
    for (size_t p = 0; p < topic->partition_count; p++)
        if (!json_is_integer(json_array_get(starts, p)) ||
            json_integer_value(json_array_get(starts, p)) < 0 ||
            json_integer_value(json_array_get(starts, p)) > topic->partitions[p].high)
            return NULL;
    return starts;
}

int kafka_append_check(const struct kafka_restoring *restoring, const struct kafka_topic *topic,
                       struct err *err)
{
    const json_t *begun = kafka_note_find(restoring->note.appended, topic->name);
    const char *backup = json_string_value(json_object_get(begun, "backup"));
    json_int_t until_ms = json_integer_value(json_object_get(begun, "until_ms"));

    if (begun == NULL ||
        (backup != NULL && strcmp(backup, restoring->request.manifest->id) == 0 &&
         until_ms == restoring->request.until_ms && starts_of(begun, topic) != NULL))
        return 0;
    return err_set(
        err, ERR_EXISTS,
        "topic %s: backup %s was begun to be appended to it, and only that one can go on "
        "there, with the same --until; to give it up, remove %s",
        topic->name, backup == NULL ? "" : backup, restoring->note.path);
}

void kafka_append_begin(struct kafka_restoring *restoring, struct kafka_target *target,
                        const struct kafka_topic *topic)
{
    const json_t *begun = kafka_note_find(restoring->note.appended, target->name);
    json_t *starts = json_array();

    for (size_t p = 0; p < topic->partition_count; p++) {
        struct kafka_target_partition *partition = &target->partitions[p];
        int64_t high = topic->partitions[p].high;

        partition->start =
            begun == NULL ? high
                          : json_integer_value(json_array_get(json_object_get(begun, "starts"), p));
        partition->already = (uint64_t)(high - partition->start);
        json_array_append_new(starts, json_integer(partition->start));
    }
    kafka_note_drop(restoring->note.appended, target->name);
    json_array_append_new(restoring->note.appended,
                          json_pack("{s:s, s:s?, s:s, s:I, s:o}", "topic", target->name, "id",
                                    topic->id, "backup", restoring->request.manifest->id,
                                    "until_ms", (json_int_t)restoring->request.until_ms, "starts",
                                    starts));
}

void kafka_append_forget(struct kafka_restoring *restoring)
{
    for (size_t i = 0; i < restoring->target_count; i++)
        kafka_note_drop(restoring->note.appended, restoring->targets[i].name);
}

void kafka_append_give_up(struct kafka_restoring *restoring)
{
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        const json_t *begun = kafka_note_find(restoring->note.appended, target->name);
        char *starts;

        if (begun == NULL)
            continue;
        starts = json_dumps(json_object_get(begun, "starts"), JSON_COMPACT);
        log_warn("what was appended stays, but is no longer just that: somebody else wrote, or "
                 "the brokers removed some",
                 LOG_TEXT("topic", target->name), LOG_TEXT("from_offsets", starts));
        free(starts);
    }
    kafka_append_forget(restoring);
}
