// SPDX-License-Identifier: Apache-2.0
// The topics in the cluster. While they are filled they stand under settings that let every record
// in as it is and remove none: the configuration of the backup comes last, or retention would eat
// what is old before it is compared.
#include "kafka_restoring.h"

#include "clock.h"
#include "facts_take.h"
#include "log.h"
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

static int find_targets(struct kafka_restoring *restoring, struct err *err)
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

static int check_empty(const struct kafka_target *target, const struct kafka_topic *topic,
                       struct err *err)
{
    if (topic->partition_count != target->from->partition_count)
        return err_set(err, ERR_EXISTS,
                       "topic %s exists with %zu partitions, the backup has %zu: restore beside it "
                       "with --to-topic, or delete the topic first",
                       topic->name, topic->partition_count, target->from->partition_count);
    for (size_t p = 0; p < topic->partition_count; p++)
        if (topic->partitions[p].start < topic->partitions[p].high)
            return err_set(err, ERR_EXISTS,
                           "topic %s exists and is not empty (partition %zu has offsets %lld to "
                           "%lld): restore beside it with --to-topic, or delete the topic first",
                           topic->name, p, (long long)topic->partitions[p].start,
                           (long long)topic->partitions[p].high - 1);
    return 0;
}

int kafka_place_ask(struct kafka_restoring *restoring, struct err *err)
{
    int64_t moment_ms;

    return kafka_offsets_take(restoring->offsets, &restoring->there.cluster, &moment_ms, err);
}

int kafka_place_check(struct kafka_restoring *restoring, struct err *err)
{
    if (find_targets(restoring, err) < 0)
        return -1;
    if (restoring->there.cluster.topic_count == 0)
        return 0;
    if (kafka_configs_take(handle_of(restoring), &restoring->there, err) < 0 ||
        kafka_ids_take(restoring->options, restoring->request.deadline_mono_us, &restoring->there,
                       err) < 0 ||
        kafka_place_ask(restoring, err) < 0)
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);

        target->there = topic != NULL;
        if (topic == NULL)
            continue;
        if (check_empty(target, topic, err) < 0)
            return -1;
        if (!topic->config_known)
            return err_set(err, ERR_DENIED,
                           "topic %s exists, and its configuration cannot be read, so it could not "
                           "be put back: the right DescribeConfigs on it is missing",
                           topic->name);
    }
    return 0;
}

/* --- making --- */

static json_t *settings_of(const struct kafka_topic *topic)
{
    json_t *settings = json_object();

    for (size_t i = 0; i < topic->config_count; i++)
        json_object_set_new(settings, topic->configs[i].name, json_string(topic->configs[i].value));
    return settings;
}

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

    note->cluster = mem_strdup(restoring->there.cluster.id);
    note->topics = mem_calloc(restoring->target_count + 1, sizeof *note->topics);
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);
        struct kafka_noted *noted = &note->topics[note->count++];

        noted->name = mem_strdup(target->name);
        noted->there = target->there;
        if (target->there && topic != NULL) {
            noted->id = topic->id == NULL ? NULL : mem_strdup(topic->id);
            noted->config = settings_of(topic);
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

/* Somebody else was quicker: it is not ours to take back. */
static void forget_noted(struct kafka_note *note, const char *name)
{
    for (size_t i = 0; i < note->count; i++)
        if (strcmp(note->topics[i].name, name) == 0) {
            free(note->topics[i].name);
            free(note->topics[i].id);
            json_decref(note->topics[i].config);
            note->topics[i] = note->topics[--note->count];
            return;
        }
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
        if (rc < 0 && code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            forget_noted(&restoring->note, target->name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* UNREACHABLE: not yet. */
static int look(struct kafka_restoring *restoring, struct err *err)
{
    const struct kafka_cluster *cluster = &restoring->there.cluster;

    if (find_targets(restoring, err) < 0)
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
    return kafka_note_write(restoring, err);
}

static int note_starts(struct kafka_restoring *restoring, struct err *err)
{
    if (kafka_place_ask(restoring, err) < 0)
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        const struct kafka_topic *topic =
            kafka_cluster_topic(&restoring->there.cluster, target->name);

        if (check_empty(target, topic, err) < 0)
            return -1;
        for (size_t p = 0; p < topic->partition_count; p++)
            target->partitions[p].start = topic->partitions[p].high;
    }
    /* What is in them from here on is ours to remove. */
    for (size_t i = 0; i < restoring->note.count; i++)
        restoring->note.topics[i].filling = true;
    return kafka_note_write(restoring, err);
}

int kafka_place_make(struct kafka_restoring *restoring, struct err *err)
{
    /* The question may have waited for long. */
    if (kafka_place_check(restoring, err) < 0)
        return -1;
    fill_note(restoring);
    if (kafka_note_write(restoring, err) < 0 || make_all(restoring, err) < 0 ||
        await_leaders(restoring, err) < 0 || note_ids(restoring, err) < 0)
        return -1;
    return note_starts(restoring, err);
}

/* --- the configuration of the backup --- */

static void warn(struct kafka_restoring *restoring, char *text)
{
    log_warn("restored, but", LOG_TEXT("what", text));
    json_array_append_new(restoring->warnings, json_string(text));
    free(text);
}

/* Leaves out what these brokers do not take, by asking for each alone. */
static int leave_out_refused(struct kafka_restoring *restoring, const struct kafka_target *target,
                             json_t *settings, struct err *err)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(settings, next, name, value)
    {
        json_t *alone = json_pack("{s:O}", name, value);
        struct err why = ERR_INIT;
        rd_kafka_resp_err_t code;
        int rc =
            kafka_admin_configure(handle_of(restoring), target->name, alone, true, &code, &why);

        json_decref(alone);
        if (rc == 0)
            continue;
        if (code != RD_KAFKA_RESP_ERR_INVALID_CONFIG) {
            *err = why;
            return -1;
        }
        warn(restoring,
             text_format("%s=%s is not set: %s", name, json_string_value(value), why.text));
        json_object_del(settings, name);
    }
    return 0;
}

/* These name brokers of the cluster that was backed up. */
static void leave_out_brokers(json_t *settings)
{
    json_object_del(settings, "leader.replication.throttled.replicas");
    json_object_del(settings, "follower.replication.throttled.replicas");
}

int kafka_place_configure(struct kafka_restoring *restoring, struct err *err)
{
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];
        rd_kafka_resp_err_t code;
        json_t *settings;
        int rc;

        if (!target->from->config_known) {
            warn(restoring,
                 text_format("topic %s: the backup does not have its configuration; it keeps the "
                             "settings of the restore, without retention",
                             target->name));
            continue;
        }
        settings = settings_of(target->from);
        leave_out_brokers(settings);
        rc = kafka_admin_configure(handle_of(restoring), target->name, settings, false, &code, err);
        if (rc < 0 && code == RD_KAFKA_RESP_ERR_INVALID_CONFIG) {
            err_clear(err);
            rc = leave_out_refused(restoring, target, settings, err);
            if (rc == 0)
                rc = kafka_admin_configure(handle_of(restoring), target->name, settings, false,
                                           &code, err);
        }
        json_decref(settings);
        if (rc < 0)
            return -1;
    }
    return 0;
}
