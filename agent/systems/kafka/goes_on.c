// SPDX-License-Identifier: Apache-2.0
// A topic that was deleted is no reason to begin anew: the others go on, and it is in this backup
// no more. One that was made anew under its name is, and one whose records were removed before
// they were backed up.
#include "goes_on.h"

#include "account.h"
#include "kafka_facts.h"
#include "manifest.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static void from_the_start(const struct kafka_cluster *cluster, int64_t *const *from)
{
    for (size_t i = 0; i < cluster->topic_count; i++)
        for (size_t j = 0; j < cluster->topics[i].partition_count; j++)
            from[i][j] = cluster->topics[i].partitions[j].start;
}

static char *broken(const struct kafka_topic *topic, size_t number, int64_t ended)
{
    const struct kafka_topic_partition *now = &topic->partitions[number];

    if (ended > now->stable)
        return text_format("%s, partition %zu, ends at %lld, before %lld, where the last backup "
                           "ended: it was made anew, or lost records",
                           topic->name, number, (long long)now->stable, (long long)ended);
    if (ended < now->start)
        return text_format("%s, partition %zu, begins at %lld, beyond %lld, where the last backup "
                           "ended: records were removed before they were backed up",
                           topic->name, number, (long long)now->start, (long long)ended);
    return NULL;
}

static int go_on_partition(const struct kafka_topic *topic, size_t number, const json_t *then,
                           int64_t *from, char **why, struct err *err)
{
    struct kafka_account account;

    if (kafka_account_read(then, &account, err) < 0)
        return err_wrap(err, "%s, partition %zu", topic->name, number);
    *why = broken(topic, number, account.end);
    *from = account.end;
    kafka_account_fini(&account);
    return 0;
}

static int go_on_topic(const struct kafka_topic *topic, const json_t *then, int64_t *from,
                       char **why, struct err *err)
{
    const char *id = json_string_value(json_object_get(then, "id"));
    const json_t *partitions = json_object_get(then, "partitions");
    size_t count = json_array_size(partitions);

    if (id != NULL && topic->id != NULL && strcmp(id, topic->id) != 0) {
        *why = text_format("%s was made anew", topic->name);
        return 0;
    }
    if (count > topic->partition_count) {
        *why = text_format("%s has fewer partitions: it was made anew", topic->name);
        return 0;
    }
    for (size_t i = 0; *why == NULL && i < count; i++)
        if (go_on_partition(topic, i, json_array_get(partitions, i), &from[i], why, err) < 0)
            return -1;
    return 0;
}

int kafka_goes_on(const struct kafka_cluster *cluster, const struct manifest *parent,
                  int64_t *const *from, char **why, struct err *err)
{
    const json_t *topics = NULL;

    *why = NULL;
    from_the_start(cluster, from);
    if (parent == NULL)
        return 0;
    topics = json_object_get(parent->facts, "topics");
    for (size_t i = 0; *why == NULL && i < cluster->topic_count; i++) {
        const json_t *then = json_object_get(topics, cluster->topics[i].name);

        if (then != NULL && go_on_topic(&cluster->topics[i], then, from[i], why, err) < 0)
            return err_wrap(err, "backup %s", parent->id);
    }
    if (*why != NULL)
        from_the_start(cluster, from);
    return 0;
}
