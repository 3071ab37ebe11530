// SPDX-License-Identifier: Apache-2.0
// A topic is replaced once its new records stand, proven, in a scratch topic of the same cluster:
// then the old one is deleted and made anew, for Kafka can rename none, and the records are copied.
// From the deletion until the copy is proven the scratch topic is kept, whatever happens.
#include "kafka_restoring.h"

#include "clock.h"
#include "facts_take.h"
#include "mem.h"
#include "topic_reader.h"

#include <string.h>

#define ATTEMPTS_MS 100

static struct kafka_handle *handle_of(const struct kafka_restoring *restoring)
{
    return kafka_offsets_handle(restoring->offsets);
}

static const char *id_of(const struct kafka_cluster *cluster, const char *name)
{
    const struct kafka_topic *topic = kafka_cluster_topic(cluster, name);

    return topic == NULL ? NULL : topic->id;
}

/* --- the old ones go --- */

/* From here on the scratch topics are no longer taken back. */
static int keep(struct kafka_restoring *restoring, const struct kafka_cluster *scratch,
                struct err *err)
{
    struct kafka_note *note = &restoring->note;

    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];

        kafka_note_forget(note, target->other);
        json_array_append_new(
            note->kept, json_pack("{s:s, s:s?, s:s, s:s?}", "topic", target->name, "topic_id",
                                  id_of(&restoring->there.cluster, target->name), "scratch",
                                  target->other, "scratch_id", id_of(scratch, target->other)));
    }
    return kafka_note_write(note, err);
}

static int delete_old(struct kafka_restoring *restoring, struct err *err)
{
    int64_t until_us = clock_mono_us() + restoring->options->timeout_ms * 1000;

    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];

        if (kafka_cluster_topic(&restoring->there.cluster, target->name) != NULL &&
            kafka_admin_delete(handle_of(restoring), target->name, err) < 0)
            return -1;
        target->there = false;
    }
    for (;;) {
        if (kafka_place_find(restoring, err) < 0)
            return -1;
        if (restoring->there.cluster.topic_count == 0)
            return 0;
        if (clock_mono_us() >= until_us)
            return err_set(err, ERR_CONFLICT,
                           "topic %s was deleted and is there again: stop what writes to it",
                           restoring->there.cluster.topics[0].name);
        if (kafka_handle_pause(handle_of(restoring), ATTEMPTS_MS, err) < 0)
            return -1;
    }
}

/* --- the new ones --- */

static int make_new(struct kafka_restoring *restoring, struct err *err)
{
    for (size_t i = 0; i < restoring->target_count; i++)
        kafka_note_add(&restoring->note, restoring->targets[i].name);
    if (kafka_note_write(&restoring->note, err) < 0)
        return -1;
    return kafka_place_fill(restoring, err);
}

/* --- the copy --- */

struct copying {
    struct kafka_restoring *restoring;
    struct kafka_target *target;
    size_t partition;
};

static struct sink *make_sink(void *arg)
{
    struct copying *copying = arg;

    return kafka_copy_sink(copying->restoring, copying->target, copying->partition);
}

static int copy_partition(struct kafka_restoring *restoring, struct kafka_topic_reader *reader,
                          struct kafka_target *target, size_t number, struct err *err)
{
    struct kafka_target_partition *partition = &target->partitions[number];
    struct copying copying = {.restoring = restoring, .target = target, .partition = number};
    int64_t end = (int64_t)partition->sent; /* scratch topics begin at 0 */

    partition->sent = 0;
    partition->delivered = 0;
    if (kafka_topic_reader_read(reader, target->other, number, 0, end, make_sink, &copying, err) <
        0)
        return err_wrap(err, "topic %s, partition %zu", target->other, number);
    return 0;
}

static int copy_all(struct kafka_restoring *restoring, struct kafka_cluster *scratch,
                    struct err *err)
{
    struct kafka_topic_reader *reader = kafka_topic_reader_open(restoring, scratch);
    int rc = kafka_writer_open(restoring, err);

    for (size_t i = 0; i < restoring->target_count && rc == 0; i++)
        for (size_t p = 0; p < restoring->targets[i].from->partition_count && rc == 0; p++)
            rc = copy_partition(restoring, reader, &restoring->targets[i], p, err);
    if (rc == 0)
        rc = kafka_writer_flush(restoring->writer, err);
    kafka_writer_close(restoring);
    kafka_topic_reader_close(reader);
    return rc;
}

static int replace(struct kafka_restoring *restoring, struct kafka_facts *scratch, struct err *err)
{
    if (kafka_place_find(restoring, err) < 0 ||
        kafka_ids_take(restoring->options, restoring->request.deadline_mono_us, &restoring->there,
                       err) < 0 ||
        keep(restoring, &scratch->cluster, err) < 0)
        return -1;
    restoring->copying = true;
    if (delete_old(restoring, err) < 0 || make_new(restoring, err) < 0 ||
        copy_all(restoring, &scratch->cluster, err) < 0 || kafka_readback(restoring, err) < 0)
        return err_wrap(err, "the old topics are deleted or were going to be, and the new records "
                             "stand, compared, in lifeboat-replace-*; restore again");
    return 0;
}

int kafka_replace(struct kafka_restoring *restoring, struct err *err)
{
    struct kafka_facts scratch = restoring->there;
    int rc;

    restoring->there = (struct kafka_facts){.groups = NULL};
    kafka_targets_turn(restoring);
    rc = replace(restoring, &scratch, err);
    kafka_facts_fini(&scratch);
    return rc;
}

/* --- afterwards --- */

int kafka_replace_end(struct kafka_restoring *restoring, struct err *err)
{
    struct kafka_note *note = &restoring->note;

    for (size_t i = json_array_size(note->kept); i-- > 0;) {
        const json_t *kept = json_array_get(note->kept, i);
        const char *topic = json_string_value(json_object_get(kept, "topic"));
        const char *scratch = json_string_value(json_object_get(kept, "scratch"));
        struct kafka_facts there = {.groups = NULL};
        int rc;

        if (kafka_cluster_topic(&restoring->there.cluster, topic) == NULL)
            continue;
        rc = kafka_cluster_find(handle_of(restoring), &scratch, 1, &there.cluster, err);
        if (rc == 0 && there.cluster.topic_count > 0)
            rc = kafka_ids_take(restoring->options, restoring->request.deadline_mono_us, &there,
                                err);
        if (rc == 0)
            rc = kafka_kept_remove(handle_of(restoring), &there.cluster, kept, err);
        kafka_facts_fini(&there);
        if (rc < 0)
            return -1;
        json_array_remove(note->kept, i);
    }
    return 0;
}
