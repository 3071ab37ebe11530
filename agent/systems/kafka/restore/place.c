// SPDX-License-Identifier: Apache-2.0
// The topics in the cluster. While they are filled they stand under settings that let every record
// in as it is and remove none: their configuration comes last (configure.c), or retention would eat
// what is old before it is compared.
#include "kafka_restoring.h"

#include "clock.h"
#include "facts_take.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MS 100
#define ID_ATTEMPTS 20
#define ANY_TIME_MS "9223372036854775807"

static struct kafka_handle *handle_of(const struct kafka_restoring *restoring)
{
    return kafka_offsets_handle(restoring->offsets);
}

int kafka_place_find(struct kafka_restoring *restoring, struct err *err)
{
    const char **names = mem_calloc(restoring->target_count + 1, sizeof *names);
    struct kafka_cluster found = {.id = NULL};
    int rc;

    for (size_t i = 0; i < restoring->target_count; i++)
        names[i] = restoring->targets[i].name;
    rc = kafka_cluster_find(handle_of(restoring), names, restoring->target_count, &found, err);
    free(names);
    if (rc < 0)
        return -1;
    kafka_facts_fini(&restoring->there);
    restoring->there.cluster = found;
    return 0;
}

/* --- before anything is done --- */

static int check_partitions(const struct kafka_target *target, const struct kafka_topic *topic,
                            const char *remedy, struct err *err)
{
    if (topic->partition_count == target->from->partition_count)
        return 0;
    return err_set(err, ERR_EXISTS, "topic %s exists with %zu partitions, the backup has %zu: %s",
                   topic->name, topic->partition_count, target->from->partition_count, remedy);
}

static int check_empty(const struct kafka_target *target, const struct kafka_topic *topic,
                       struct err *err)
{
    static const char remedy[] = "restore beside it with --to-topic, or --replace it";

    if (check_partitions(target, topic, remedy, err) < 0)
        return -1;
    for (size_t p = 0; p < topic->partition_count; p++)
        if (topic->partitions[p].start < topic->partitions[p].high)
            return err_set(err, ERR_EXISTS,
                           "topic %s exists and is not empty (partition %zu has offsets %lld to "
                           "%lld): %s, or --append to it",
                           topic->name, p, (long long)topic->partitions[p].start,
                           (long long)topic->partitions[p].high - 1, remedy);
    return 0;
}

static int check_one(struct kafka_restoring *restoring, struct kafka_target *target,
                     const struct kafka_topic *topic, struct err *err)
{
    target->held = 0;
    for (size_t p = 0; p < topic->partition_count; p++)
        target->held += (uint64_t)(topic->partitions[p].high - topic->partitions[p].start);
    if (restoring->request.replace && target->from->config_known)
        return 0;
    if (restoring->request.replace)
        return err_set(
            err, ERR_REFUSED,
            "topic %s: the backup does not have its configuration, which --replace would "
            "lose; restore beside it with --to-topic",
            topic->name);
    target->append = restoring->request.append;
    if (target->append &&
        (check_partitions(target, topic, "restore beside it with --to-topic", err) < 0 ||
         kafka_append_check(restoring, topic, err) < 0))
        return -1;
    if (!target->append && check_empty(target, topic, err) < 0)
        return -1;
    if (!topic->config_known)
        return err_set(err, ERR_DENIED,
                       "topic %s exists, and its configuration cannot be read, so it could not be "
                       "put back: the right DescribeConfigs on it is missing",
                       topic->name);
    return 0;
}

int kafka_place_ask(struct kafka_restoring *restoring, struct err *err)
{
    int64_t moment_ms;

    return kafka_offsets_take(restoring->offsets, &restoring->there.cluster, &moment_ms, err);
}

static int check_note(const struct kafka_restoring *restoring, struct err *err)
{
    const struct kafka_note *note = &restoring->note;

    if (note->cluster == NULL || strcmp(note->cluster, restoring->there.cluster.id) == 0)
        return 0;
    return err_set(
        err, ERR_REFUSED,
        "an earlier restore into cluster %s is not ended, this is cluster %s; to give it "
        "up, remove %s",
        note->cluster, restoring->there.cluster.id, note->path);
}

int kafka_place_check(struct kafka_restoring *restoring, struct err *err)
{
    if (kafka_place_find(restoring, err) < 0 || check_note(restoring, err) < 0)
        return -1;
    if (restoring->there.cluster.topic_count > 0 &&
        (kafka_configs_take(handle_of(restoring), &restoring->there, err) < 0 ||
         kafka_ids_take(restoring->options, restoring->request.deadline_mono_us, &restoring->there,
                        err) < 0 ||
         kafka_place_ask(restoring, err) < 0))
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);

        target->there = topic != NULL;
        if (topic != NULL && check_one(restoring, target, topic, err) < 0)
            return -1;
    }
    return 0;
}

/* --- making --- */

/* older: of brokers before Kafka 3.6, which know one bound of times instead of two. */
static json_t *safe_settings(bool older)
{
    json_t *settings =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "message.timestamp.type", "CreateTime",
                  "retention.ms", "-1", "retention.bytes", "-1", "cleanup.policy", "delete",
                  "compression.type", "producer", "max.message.bytes", "67108864");

    if (older) {
        json_object_set_new(settings, "message.timestamp.difference.max.ms",
                            json_string(ANY_TIME_MS));
    } else {
        json_object_set_new(settings, "message.timestamp.before.max.ms", json_string(ANY_TIME_MS));
        json_object_set_new(settings, "message.timestamp.after.max.ms", json_string(ANY_TIME_MS));
    }
    return settings;
}

static void fill_note(struct kafka_restoring *restoring)
{
    struct kafka_note *note = &restoring->note;

    if (note->cluster == NULL)
        note->cluster = mem_strdup(restoring->there.cluster.id);
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);
        struct kafka_noted *noted = kafka_note_add(note, target->name);

        noted->there = target->there;
        noted->append = target->append;
        if (target->there && topic != NULL) {
            noted->id = topic->id == NULL ? NULL : mem_strdup(topic->id);
            noted->config = kafka_settings_of(topic);
        }
    }
}

static int make_one(struct kafka_restoring *restoring, const struct kafka_target *target,
                    bool older, rd_kafka_resp_err_t *code, struct err *err)
{
    size_t brokers = restoring->there.cluster.node_count;
    size_t replication = target->from->replication_factor;
    json_t *settings = safe_settings(older);
    int rc;

    if (target->there)
        rc = kafka_admin_configure(handle_of(restoring), target->name, settings, false, code, err);
    else
        rc = kafka_admin_create(handle_of(restoring), target->name, target->from->partition_count,
                                replication < brokers ? replication : brokers, settings, code, err);
    json_decref(settings);
    return rc;
}

static int make_all(struct kafka_restoring *restoring, struct err *err)
{
    bool older = false;

    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        rd_kafka_resp_err_t code;
        int rc = make_one(restoring, target, older, &code, err);

        if (rc < 0 && code == RD_KAFKA_RESP_ERR_INVALID_CONFIG && !older) {
            older = true;
            rc = make_one(restoring, target, older, &code, err);
        }
        /* Somebody else was quicker: it is not ours to take back. */
        if (rc < 0 && code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            kafka_note_forget(&restoring->note, target->name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* UNREACHABLE: not yet. */
static int look(struct kafka_restoring *restoring, struct err *err)
{
    const struct kafka_cluster *cluster = &restoring->there.cluster;

    if (kafka_place_find(restoring, err) < 0)
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic = kafka_cluster_topic(cluster, target->name);

        for (size_t p = 0; p < target->from->partition_count; p++)
            if (topic == NULL || kafka_cluster_leader(cluster, topic, p) == NULL)
                return err_set(err, ERR_UNREACHABLE, "topic %s, partition %zu, has no leader yet",
                               target->name, p);
    }
    return 0;
}

static int await_leaders(struct kafka_restoring *restoring, struct err *err)
{
    int64_t until_us = clock_mono_us() + restoring->options->timeout_ms * 1000;

    while (look(restoring, err) < 0) {
        if (err->kind != ERR_UNREACHABLE || clock_mono_us() >= until_us)
            return -1;
        if (kafka_handle_pause(handle_of(restoring), ATTEMPTS_MS, err) < 0)
            return -1;
        err_clear(err);
    }
    return 0;
}

static bool have_ids(const struct kafka_cluster *cluster)
{
    for (size_t i = 0; i < cluster->topic_count; i++)
        if (cluster->topics[i].id == NULL)
            return false;
    return true;
}

/* The broker that is asked may hear of them a little later than the one that was asked before.
 * Those before Kafka 3.1 tell none. */
static int note_ids(struct kafka_restoring *restoring, struct err *err)
{
    const struct kafka_cluster *cluster = &restoring->there.cluster;

    for (int attempt = 0; attempt < ID_ATTEMPTS && !have_ids(cluster); attempt++) {
        if (attempt > 0 && kafka_handle_pause(handle_of(restoring), ATTEMPTS_MS, err) < 0)
            return -1;
        if (kafka_ids_take(restoring->options, restoring->request.deadline_mono_us,
                           &restoring->there, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < restoring->note.count; i++) {
        struct kafka_noted *noted = &restoring->note.topics[i];
        const struct kafka_topic *topic = kafka_cluster_topic(cluster, noted->name);

        if (noted->id == NULL && topic != NULL && topic->id != NULL)
            noted->id = mem_strdup(topic->id);
    }
    return kafka_note_write(&restoring->note, err);
}

static int note_starts(struct kafka_restoring *restoring, struct err *err)
{
    if (kafka_place_ask(restoring, err) < 0)
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);

        if (target->append) {
            if (kafka_append_check(restoring, topic, err) < 0)
                return -1;
            kafka_append_begin(restoring, target, topic);
            continue;
        }
        if (check_empty(target, topic, err) < 0)
            return -1;
        for (size_t p = 0; p < topic->partition_count; p++)
            target->partitions[p].start = topic->partitions[p].high;
    }
    /* What is in them from here on is ours to remove. */
    for (size_t i = 0; i < restoring->note.count; i++)
        restoring->note.topics[i].filling = true;
    return kafka_note_write(&restoring->note, err);
}

/* The last step must not be the first to find that a right is missing. */
static int may_configure(struct kafka_restoring *restoring, struct err *err)
{
    json_t *none = json_object();
    int rc = 0;

    for (size_t i = 0; i < restoring->target_count && rc == 0; i++) {
        rd_kafka_resp_err_t code;

        if (!restoring->request.scratch && !restoring->targets[i].there)
            rc = kafka_admin_configure(handle_of(restoring), restoring->targets[i].name, none, true,
                                       &code, err);
    }
    json_decref(none);
    return rc;
}

int kafka_place_fill(struct kafka_restoring *restoring, struct err *err)
{
    if (make_all(restoring, err) < 0 || await_leaders(restoring, err) < 0 ||
        may_configure(restoring, err) < 0 || note_ids(restoring, err) < 0)
        return -1;
    return note_starts(restoring, err);
}

int kafka_place_make(struct kafka_restoring *restoring, struct err *err)
{
    /* The question may have waited for long. */
    if (kafka_place_check(restoring, err) < 0)
        return -1;
    fill_note(restoring);
    if (kafka_note_write(&restoring->note, err) < 0)
        return -1;
    return kafka_place_fill(restoring, err);
}
