// SPDX-License-Identifier: Apache-2.0
// Facts in memory, and their JSON as it is written. Reading it is in facts_read.c.
#include "kafka_facts.h"

#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kafka_group_fini(struct kafka_group *group)
{
    for (size_t i = 0; i < group->offset_count; i++)
        free(group->offsets[i].metadata);
    free(group->offsets);
    free(group->name);
    free(group->state);
}

void kafka_facts_fini(struct kafka_facts *facts)
{
    kafka_cluster_fini(&facts->cluster);
    for (size_t i = 0; i < facts->group_count; i++)
        kafka_group_fini(&facts->groups[i]);
    free(facts->groups);
    for (size_t i = 0; i < facts->acl_count; i++) {
        free(facts->acls[i].name);
        free(facts->acls[i].principal);
        free(facts->acls[i].host);
    }
    free(facts->acls);
    for (size_t i = 0; i < facts->warning_count; i++)
        free(facts->warnings[i]);
    free(facts->warnings);
    *facts = (struct kafka_facts){.groups = NULL};
}

static int compare_groups(const void *a, const void *b)
{
    return strcmp(((const struct kafka_group *)a)->name, ((const struct kafka_group *)b)->name);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct kafka_group_offset *left = a;
    const struct kafka_group_offset *right = b;

    if (left->topic != right->topic)
        return left->topic < right->topic ? -1 : 1;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

struct kafka_group *kafka_facts_group(const struct kafka_facts *facts, const char *name)
{
    const struct kafka_group wanted = {.name = (char *)(uintptr_t)name};

    if (facts->group_count == 0)
        return NULL;
    return bsearch(&wanted, facts->groups, facts->group_count, sizeof wanted, compare_groups);
}

void kafka_facts_sort(struct kafka_facts *facts)
{
    if (facts->group_count > 0)
        qsort(facts->groups, facts->group_count, sizeof *facts->groups, compare_groups);
}

void kafka_group_sort(struct kafka_group *group)
{
    if (group->offset_count > 0)
        qsort(group->offsets, group->offset_count, sizeof *group->offsets, compare_offsets);
}

void kafka_facts_warn(struct kafka_facts *facts, const char *format, ...)
{
    struct text line = TEXT_INIT;
    va_list args;

    if (facts->warning_count == KAFKA_MAX_WARNINGS)
        return;
    va_start(args, format);
    text_add_v(&line, format, args);
    va_end(args);
    facts->warnings =
        mem_realloc(facts->warnings, (facts->warning_count + 1) * sizeof *facts->warnings);
    facts->warnings[facts->warning_count] = text_take(&line);
    text_fix_utf8(facts->warnings[facts->warning_count]);
    log_mask(facts->warnings[facts->warning_count]);
    facts->warning_count++;
}

static json_t *write_cluster(const struct kafka_cluster *cluster)
{
    json_t *brokers = json_array();

    for (size_t i = 0; i < cluster->node_count; i++)
        json_array_append_new(
            brokers, json_pack("{s:I, s:s, s:i}", "id", (json_int_t)cluster->nodes[i].id, "host",
                               cluster->nodes[i].host, "port", (int)cluster->nodes[i].port));
    return json_pack("{s:s, s:o}", "id", cluster->id, "brokers", brokers);
}

static json_t *write_topic(const struct kafka_topic *topic)
{
    json_t *partitions = json_array();
    json_t *config = topic->config_known ? json_object() : json_null();

    for (size_t i = 0; i < topic->config_count; i++)
        json_object_set_new(config, topic->configs[i].name, json_string(topic->configs[i].value));
    for (size_t i = 0; i < topic->partition_count; i++) {
        const struct kafka_topic_partition *partition = &topic->partitions[i];

        json_array_append_new(partitions, json_pack("{s:I, s:I, s:I}", "log_start",
                                                    (json_int_t)partition->start, "last_stable",
                                                    (json_int_t)partition->stable, "high_watermark",
                                                    (json_int_t)partition->high));
    }
    return json_pack("{s:s*, s:I, s:o, s:o}", "id", topic->id, "replication_factor",
                     (json_int_t)topic->replication_factor, "config", config, "partitions",
                     partitions);
}

/* value under object[topic][partition]. */
static void set_offset(json_t *object, const char *topic, size_t partition, json_t *value)
{
    json_t *of_topic = json_object_get(object, topic);
    char number[24];

    if (of_topic == NULL) {
        of_topic = json_object();
        json_object_set_new(object, topic, of_topic);
    }
    snprintf(number, sizeof number, "%zu", partition);
    json_object_set_new(of_topic, number, value);
}

static json_t *write_group(const struct kafka_cluster *cluster, const struct kafka_group *group)
{
    json_t *offsets = json_object();
    json_t *metadata = json_object();

    for (size_t i = 0; i < group->offset_count; i++) {
        const struct kafka_group_offset *at = &group->offsets[i];
        const char *topic = cluster->topics[at->topic].name;

        set_offset(offsets, topic, at->partition, json_integer((json_int_t)at->offset));
        if (at->metadata != NULL)
            set_offset(metadata, topic, at->partition, json_string(at->metadata));
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "state", group->state, "simple", (int)group->simple,
                     "offsets", offsets, "metadata", metadata);
}

static json_t *write_acl(const struct kafka_acl *acl)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "resource",
                     rd_kafka_ResourceType_name(acl->resource), "name", acl->name, "pattern",
                     rd_kafka_ResourcePatternType_name(acl->pattern), "principal", acl->principal,
                     "host", acl->host, "operation", rd_kafka_AclOperation_name(acl->operation),
                     "permission", rd_kafka_AclPermissionType_name(acl->permission));
}

void kafka_facts_write(const struct kafka_facts *facts, json_t *json)
{
    static const char *const authorizers[] = {[KAFKA_AUTHORIZER_UNKNOWN] = "unknown",
                                              [KAFKA_AUTHORIZER_NONE] = "none",
                                              [KAFKA_AUTHORIZER_PRESENT] = "present"};
    json_t *topics = json_object();
    json_t *groups = facts->groups_known ? json_object() : json_null();
    json_t *acls = facts->authorizer == KAFKA_AUTHORIZER_PRESENT ? json_array() : json_null();
    json_t *warnings = json_array();

    for (size_t i = 0; i < facts->cluster.topic_count; i++)
        json_object_set_new(topics, facts->cluster.topics[i].name,
                            write_topic(&facts->cluster.topics[i]));
    for (size_t i = 0; i < facts->group_count; i++)
        json_object_set_new(groups, facts->groups[i].name,
                            write_group(&facts->cluster, &facts->groups[i]));
    for (size_t i = 0; i < facts->acl_count; i++)
        json_array_append_new(acls, write_acl(&facts->acls[i]));
    for (size_t i = 0; i < facts->warning_count; i++)
        json_array_append_new(warnings, json_string(facts->warnings[i]));
    json_object_set_new(json, "cluster", write_cluster(&facts->cluster));
    json_object_set_new(json, "topics", topics);
    json_object_set_new(json, "groups", groups);
    json_object_set_new(json, "acls", acls);
    json_object_set_new(json, "authorizer", json_string(authorizers[facts->authorizer]));
    json_object_set_new(json, "warnings", warnings);
}
