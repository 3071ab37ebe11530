// SPDX-License-Identifier: Apache-2.0
// What of the ancestry goes into which topic. The tip names the topics. A partition's data are the
// ranges of the ancestors that have it without a break up to the tip, each beginning where the one
// before ends; those before a break are of a topic that was deleted meanwhile.
#include "kafka_restoring.h"

#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC_MAX 249

static int compare_targets(const void *a, const void *b)
{
    return strcmp(((const struct kafka_target *)a)->name, ((const struct kafka_target *)b)->name);
}

struct kafka_target *kafka_target_of(const struct kafka_restoring *restoring, const char *name)
{
    const struct kafka_cluster *cluster = &restoring->facts.cluster;
    const struct kafka_topic *topic = kafka_cluster_topic(cluster, name);

    return topic == NULL ? NULL : restoring->of_topic[topic - cluster->topics];
}

/* --- names --- */

/* prefix-topic, which may be too long for a name: then the number tells them apart. */
static char *scratch_name(const char *prefix, const char *topic, size_t number)
{
    char *name = text_format("%s-%s", prefix, topic);
    size_t room;
    char *shorter;

    if (strlen(name) <= TOPIC_MAX)
        return name;
    room = TOPIC_MAX - strlen(prefix) - 2 - 6;
    shorter = text_format("%s-%.*s-%zu", prefix, (int)room, topic, number);
    free(name);
    return shorter;
}

/* what: "drill". */
static char *scratch_prefix(const char *what, const struct component_options *component)
{
    uint8_t random[4];
    char shown[2 * sizeof random + 1];

    if (RAND_bytes(random, sizeof random) != 1)
        abort();
    text_hex(random, sizeof random, shown);
    return text_format("lifeboat-%s-%.100s-%s", what, component->name, shown);
}

static int check_pattern(const char *pattern, size_t count, struct err *err)
{
    const char *star = strchr(pattern, '*');

    if (star != NULL && strchr(star + 1, '*') != NULL)
        return err_set(err, ERR_USAGE, "--to-topic %s: one * at most stands for the name", pattern);
    if (star == NULL && count > 1)
        return err_set(err, ERR_USAGE,
                       "--to-topic %s: %zu topics are restored; a * in it stands for the name of "
                       "each, or choose one with --topic",
                       pattern, count);
    return 0;
}

static char *renamed(const char *pattern, const char *topic)
{
    size_t before = strcspn(pattern, "*");

    if (pattern[before] == '\0')
        return mem_strdup(pattern);
    return text_format("%.*s%s%s", (int)before, pattern, topic, pattern + before + 1);
}

static int name_target(const struct kafka_restoring *restoring, struct kafka_target *target,
                       const char *prefix, struct err *err)
{
    const char *pattern = restoring->request.to_topic;
    size_t number = (size_t)(target - restoring->targets);

    if (restoring->request.scratch)
        target->name = scratch_name(prefix, target->from->name, number);
    else
        target->name =
            pattern == NULL ? mem_strdup(target->from->name) : renamed(pattern, target->from->name);
    if (restoring->request.replace)
        target->other = scratch_name(prefix, target->from->name, number);
    if (kafka_topic_is_name(target->name))
        return 0;
    return err_set(err, ERR_USAGE, "%.600s cannot be the name of a topic", target->name);
}

/* --- ranges --- */

static int merge_aborted(struct kafka_target_partition *partition,
                         const struct kafka_transactions *more, struct err *err)
{
    for (size_t i = 0; i < more->count; i++)
        if (kafka_transactions_add(&partition->transactions, more->aborted[i].producer_id,
                                   more->aborted[i].first_offset, err) < 0)
            return -1;
    return 0;
}

/* The range of one ancestor; the tip's ends where its facts say. */
static int add_range(struct kafka_target *target, size_t number, size_t ancestor,
                     const json_t *said, bool begins, struct err *err)
{
    struct kafka_target_partition *partition = &target->partitions[number];
    struct kafka_account account;
    int rc = 0;

    if (kafka_account_read(said, &account, err) < 0)
        return -1;
    if (begins) {
        partition->first = ancestor;
    } else if (account.from != partition->end) {
        rc = err_set(err, ERR_CORRUPT, "begins at offset %lld, its parent ends at %lld",
                     (long long)account.from, (long long)partition->end);
    }
    if (rc == 0)
        rc = merge_aborted(partition, &account.transactions, err);
    if (rc == 0) {
        partition->end = account.end;
        partition->segments += account.segment_count;
        target->records += account.records;
    }
    kafka_account_fini(&account);
    return rc;
}

static const json_t *topic_in(const struct manifest *manifest, const char *name)
{
    return json_object_get(json_object_get(manifest->facts, "topics"), name);
}

static bool same_topic(const json_t *one, const json_t *other)
{
    const char *a = json_string_value(json_object_get(one, "id"));
    const char *b = json_string_value(json_object_get(other, "id"));

    return a == NULL || b == NULL || strcmp(a, b) == 0;
}

/* The first of the ancestors that has this very topic without a break up to the tip. */
static size_t first_of(const struct restore_request *request, const char *name)
{
    size_t first = request->ancestry_count - 1;
    const json_t *tip = topic_in(request->manifest, name);

    while (first > 0) {
        const json_t *before = topic_in(request->ancestry[first - 1], name);

        if (before == NULL || !same_topic(before, tip))
            break;
        first--;
    }
    return first;
}

static int add_ranges(const struct kafka_restoring *restoring, struct kafka_target *target,
                      struct err *err)
{
    const struct restore_request *request = &restoring->request;
    const char *name = target->from->name;
    size_t had = 0;

    for (size_t i = first_of(request, name); i < request->ancestry_count; i++) {
        const json_t *list = json_object_get(topic_in(request->ancestry[i], name), "partitions");
        size_t count = json_array_size(list);

        if (count < had || count > target->from->partition_count)
            return err_set(err, ERR_CORRUPT, "backup %s: topic %s has %zu partitions",
                           request->ancestry[i]->id, name, count);
        for (size_t p = 0; p < count; p++)
            if (add_range(target, p, i, json_array_get(list, p), p >= had, err) < 0)
                return err_wrap(err, "backup %s: topic %s, partition %zu", request->ancestry[i]->id,
                                name, p);
        had = count;
    }
    for (size_t p = 0; p < target->from->partition_count; p++)
        if (target->partitions[p].end != target->from->partitions[p].stable)
            return err_set(err, ERR_CORRUPT,
                           "topic %s, partition %zu: the backup ends at offset %lld, not where the "
                           "partition did, at %lld",
                           name, p, (long long)target->partitions[p].end,
                           (long long)target->from->partitions[p].stable);
    return 0;
}

/* --- all --- */

static int choose_topics(struct kafka_restoring *restoring, struct err *err)
{
    const struct kafka_cluster *cluster = &restoring->facts.cluster;
    const char *only = restoring->request.topic;

    if (only != NULL && kafka_cluster_topic(cluster, only) == NULL)
        return err_set(err, ERR_NOT_FOUND, "backup %s holds no topic %.300s",
                       restoring->request.manifest->id, only);
    restoring->targets = mem_calloc(cluster->topic_count + 1, sizeof *restoring->targets);
    for (size_t i = 0; i < cluster->topic_count; i++) {
        const struct kafka_topic *topic = &cluster->topics[i];
        struct kafka_target *target = &restoring->targets[restoring->target_count];

        if (only != NULL && strcmp(topic->name, only) != 0)
            continue;
        target->from = topic;
        target->partitions = mem_calloc(topic->partition_count, sizeof *target->partitions);
        for (size_t p = 0; p < topic->partition_count; p++)
            target->partitions[p].last_offset = -1;
        restoring->target_count++;
    }
    return 0;
}

static void index_targets(struct kafka_restoring *restoring)
{
    qsort(restoring->targets, restoring->target_count, sizeof *restoring->targets, compare_targets);
    for (size_t i = 0; i < restoring->target_count; i++)
        restoring->of_topic[restoring->targets[i].from - restoring->facts.cluster.topics] =
            &restoring->targets[i];
}

void kafka_targets_turn(struct kafka_restoring *restoring)
{
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        char *name = target->name;

        target->name = target->other;
        target->other = name;
    }
    index_targets(restoring);
}

static int name_targets(struct kafka_restoring *restoring, struct err *err)
{
    const char *pattern = restoring->request.to_topic;
    char *prefix = scratch_prefix(restoring->request.replace ? "replace" : "drill",
                                  restoring->request.component);
    int rc = pattern == NULL ? 0 : check_pattern(pattern, restoring->target_count, err);

    for (size_t i = 0; i < restoring->target_count && rc == 0; i++)
        rc = name_target(restoring, &restoring->targets[i], prefix, err);
    free(prefix);
    if (rc < 0)
        return -1;
    restoring->of_topic =
        mem_calloc(restoring->facts.cluster.topic_count + 1, sizeof *restoring->of_topic);
    index_targets(restoring);
    return 0;
}

/* What the groups need of the maps is known before. */
static void ask_maps(struct kafka_restoring *restoring)
{
    for (size_t g = 0; g < restoring->facts.group_count; g++) {
        const struct kafka_group *group = &restoring->facts.groups[g];

        for (size_t i = 0; i < group->offset_count; i++) {
            const struct kafka_group_offset *offset = &group->offsets[i];
            struct kafka_target *target = restoring->of_topic[offset->topic];

            if (target != NULL)
                kafka_offset_map_ask(&target->partitions[offset->partition].map, offset->offset);
        }
    }
}

int kafka_targets_make(struct kafka_restoring *restoring, struct err *err)
{
    const struct manifest *tip = restoring->request.manifest;

    if (kafka_facts_read(tip->facts, &restoring->facts, err) < 0)
        return err_wrap(err, "backup %s", tip->id);
    if (choose_topics(restoring, err) < 0 || name_targets(restoring, err) < 0)
        return -1;
    for (size_t i = 0; i < restoring->target_count; i++)
        if (add_ranges(restoring, &restoring->targets[i], err) < 0)
            return -1;
    ask_maps(restoring);
    return 0;
}

static void free_partition(struct kafka_target_partition *partition)
{
    char ignored[65];

    kafka_transactions_fini(&partition->transactions);
    if (partition->digest != NULL)
        kafka_record_digest_end(partition->digest, ignored);
    kafka_offset_map_fini(&partition->map);
}

void kafka_targets_free(struct kafka_restoring *restoring)
{
    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];

        for (size_t p = 0; p < target->from->partition_count; p++)
            free_partition(&target->partitions[p]);
        free(target->partitions);
        free(target->name);
        free(target->other);
    }
    free(restoring->targets);
    free(restoring->of_topic);
    restoring->targets = NULL;
    restoring->of_topic = NULL;
    restoring->target_count = 0;
}
