// SPDX-License-Identifier: Apache-2.0
// Facts out of a manifest. Whatever stands there is checked before it is believed; the sizes of the
// JSON bound what is taken of memory.
#include "kafka_facts.h"

#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ID 64

static int wrong(struct err *err, const char *place, const char *should)
{
    return err_set(err, ERR_CORRUPT, "facts: %.600s is %s", place, should);
}

/* A text of at most so many bytes and not empty; a copy. */
static int read_text(const json_t *object, const char *key, size_t max_bytes, char **text,
                     struct err *err)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (value == NULL || value[0] == '\0' || strlen(value) > max_bytes)
        return wrong(err, key, "no text");
    *text = mem_strdup(value);
    return 0;
}

static int read_number(const json_t *object, const char *key, int64_t least, int64_t most,
                       int64_t *number, struct err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most)
        return wrong(err, key, "no such number");
    *number = json_integer_value(value);
    return 0;
}

/* --- cluster --- */

static int read_nodes(const json_t *list, struct kafka_cluster *cluster, struct err *err)
{
    size_t count = json_array_size(list);
    int64_t id, port;

    if (!json_is_array(list) || count > KAFKA_MAX_NODES)
        return wrong(err, "brokers", "no such list");
    cluster->nodes = mem_calloc(count + 1, sizeof *cluster->nodes);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        struct kafka_node *node = &cluster->nodes[i];

        if (read_number(item, "id", i == 0 ? 0 : cluster->nodes[i - 1].id + INT64_C(1), INT32_MAX,
                        &id, err) < 0 ||
            read_number(item, "port", 1, UINT16_MAX, &port, err) < 0 ||
            read_text(item, "host", 255, &node->host, err) < 0)
            return err_wrap(err, "broker %zu", i);
        node->id = (int32_t)id;
        node->port = (uint16_t)port;
        cluster->node_count++;
    }
    return 0;
}

static int read_configs(const json_t *object, struct kafka_topic *topic, struct err *err)
{
    const char *name;
    json_t *value;

    topic->config_known = !json_is_null(object);
    if (!topic->config_known)
        return 0;
    if (!json_is_object(object) || json_object_size(object) > KAFKA_MAX_CONFIGS)
        return wrong(err, "config", "no such object");
    topic->configs = mem_calloc(json_object_size(object) + 1, sizeof *topic->configs);
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        struct kafka_config *config = &topic->configs[topic->config_count];

        if (name[0] == '\0' || strlen(name) > KAFKA_MAX_NAME || !json_is_string(value) ||
            json_string_length(value) > KAFKA_MAX_VALUE)
            return wrong(err, "config", "no object of texts");
        config->name = mem_strdup(name);
        config->value = mem_strdup(json_string_value(value));
        topic->config_count++;
    }
    return 0;
}

static int read_partitions(const json_t *list, size_t room, struct kafka_topic *topic,
                           struct err *err)
{
    size_t count = json_array_size(list);

    if (!json_is_array(list) || count == 0 || count > room)
        return wrong(err, "partitions", "no such list");
    topic->partitions = mem_calloc(count, sizeof *topic->partitions);
    topic->partition_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        struct kafka_topic_partition *partition = &topic->partitions[i];

        partition->leader = -1;
        if (read_number(item, "log_start", 0, INT64_MAX, &partition->start, err) < 0 ||
            read_number(item, "last_stable", partition->start, INT64_MAX, &partition->stable, err) <
                0 ||
            read_number(item, "high_watermark", partition->stable, INT64_MAX, &partition->high,
                        err) < 0)
            return err_wrap(err, "partition %zu", i);
    }
    return 0;
}

static int read_topic(const char *name, const json_t *object, size_t room,
                      struct kafka_topic *topic, struct err *err)
{
    int64_t factor;

    if (!kafka_topic_is_name(name))
        return wrong(err, name, "no name of a topic");
    topic->name = mem_strdup(name);
    if (json_object_get(object, "id") != NULL &&
        read_text(object, "id", MAX_ID, &topic->id, err) < 0)
        return -1;
    if (read_number(object, "replication_factor", 1, KAFKA_MAX_REPLICAS, &factor, err) < 0)
        return -1;
    topic->replication_factor = (size_t)factor;
    if (read_configs(json_object_get(object, "config"), topic, err) < 0)
        return -1;
    return read_partitions(json_object_get(object, "partitions"), room, topic, err);
}

static int read_topics(const json_t *object, struct kafka_cluster *cluster, struct err *err)
{
    size_t room = KAFKA_MAX_PARTITIONS;
    const char *name;
    json_t *value;

    if (!json_is_object(object) || json_object_size(object) > KAFKA_MAX_PARTITIONS)
        return wrong(err, "topics", "no such object");
    cluster->topics = mem_calloc(json_object_size(object) + 1, sizeof *cluster->topics);
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        struct kafka_topic *topic = &cluster->topics[cluster->topic_count++];

        if (read_topic(name, value, room, topic, err) < 0)
            return err_wrap(err, "topic %.300s", name);
        room -= topic->partition_count;
    }
    kafka_cluster_sort(cluster);
    return 0;
}

/* --- groups --- */

/* The number that a key is, written as lifeboat does. */
static bool is_partition(const char *key, size_t count, size_t *partition)
{
    uint64_t number;

    if (text_parse_u64(key, &number) < 0 || number >= count || (key[0] == '0' && key[1] != '\0'))
        return false;
    *partition = (size_t)number;
    return true;
}

static int read_offset(const json_t *value, const struct kafka_topic *topic, size_t partition,
                       struct kafka_group_offset *offset, struct err *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > topic->partitions[partition].stable)
        return wrong(err, topic->name, "no such offset");
    offset->partition = partition;
    offset->offset = json_integer_value(value);
    return 0;
}

static int read_topic_offsets(const json_t *object, const json_t *metadata,
                              const struct kafka_topic *topic, size_t index, size_t *room,
                              struct kafka_group *group, struct err *err)
{
    size_t count = json_object_size(object);
    const char *key;
    json_t *value;

    if (!json_is_object(object) || count > *room)
        return wrong(err, topic->name, "no object of so many offsets");
    *room -= count;
    group->offsets =
        mem_realloc(group->offsets, (group->offset_count + count + 1) * sizeof *group->offsets);
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        const json_t *said = json_object_get(metadata, key);
        struct kafka_group_offset offset = {.topic = index};
        size_t partition;

        if (!is_partition(key, topic->partition_count, &partition))
            return wrong(err, key, "no partition of the topic");
        if (read_offset(value, topic, partition, &offset, err) < 0)
            return -1;
        if (said != NULL && (!json_is_string(said) || json_string_length(said) > KAFKA_MAX_VALUE))
            return wrong(err, "metadata", "no text");
        if (said != NULL)
            offset.metadata = mem_strdup(json_string_value(said));
        group->offsets[group->offset_count++] = offset;
    }
    return 0;
}

static int read_group(const char *name, const json_t *object, const struct kafka_cluster *cluster,
                      size_t *room, struct kafka_group *group, struct err *err)
{
    const json_t *offsets = json_object_get(object, "offsets");
    const json_t *metadata = json_object_get(object, "metadata");
    const json_t *simple = json_object_get(object, "simple");
    const char *topic_name;
    json_t *value;

    if (name[0] == '\0' || strlen(name) > KAFKA_MAX_NAME || !json_is_object(offsets) ||
        !json_is_boolean(simple))
        return wrong(err, "it", "no such object");
    group->name = mem_strdup(name);
    group->simple = json_is_true(simple);
    if (read_text(object, "state", MAX_ID, &group->state, err) < 0)
        return -1;
    json_object_foreach ((json_t *)(uintptr_t)offsets, topic_name, value) {
        const struct kafka_topic *topic = kafka_cluster_topic(cluster, topic_name);

        if (topic == NULL)
            return wrong(err, topic_name, "none of the topics");
        if (read_topic_offsets(value, json_object_get(metadata, topic_name), topic,
                               (size_t)(topic - cluster->topics), room, group, err) < 0)
            return -1;
    }
    kafka_group_sort(group);
    return 0;
}

static int read_groups(const json_t *object, struct kafka_facts *facts, struct err *err)
{
    size_t room = KAFKA_MAX_GROUP_OFFSETS;
    const char *name;
    json_t *value;

    facts->groups_known = !json_is_null(object);
    if (!facts->groups_known)
        return 0;
    if (!json_is_object(object) || json_object_size(object) > KAFKA_MAX_GROUPS)
        return wrong(err, "groups", "no such object");
    facts->groups = mem_calloc(json_object_size(object) + 1, sizeof *facts->groups);
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        struct kafka_group *group = &facts->groups[facts->group_count++];

        if (read_group(name, value, &facts->cluster, &room, group, err) < 0)
            return err_wrap(err, "group %.300s", name);
    }
    kafka_facts_sort(facts);
    return 0;
}

/* --- ACLs --- */

/* Of the names of an enum, from least on to most, the one that stands there; -1: none. */
static int read_name(const json_t *object, const char *key, int least, int most,
                     const char *(*name_of)(int value))
{
    const char *said = json_string_value(json_object_get(object, key));

    for (int value = least; said != NULL && value <= most; value++)
        if (strcmp(name_of(value), said) == 0)
            return value;
    return -1;
}

static const char *resource_name(int value)
{
    return rd_kafka_ResourceType_name((rd_kafka_ResourceType_t)value);
}

static const char *pattern_name(int value)
{
    return rd_kafka_ResourcePatternType_name((rd_kafka_ResourcePatternType_t)value);
}

static const char *operation_name(int value)
{
    return rd_kafka_AclOperation_name((rd_kafka_AclOperation_t)value);
}

static const char *permission_name(int value)
{
    return rd_kafka_AclPermissionType_name((rd_kafka_AclPermissionType_t)value);
}

static int read_acl(const json_t *object, struct kafka_acl *acl, struct err *err)
{
    int resource = read_name(object, "resource", RD_KAFKA_RESOURCE_TOPIC, RD_KAFKA_RESOURCE_GROUP,
                             resource_name);
    int pattern = read_name(object, "pattern", RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                            RD_KAFKA_RESOURCE_PATTERN_PREFIXED, pattern_name);
    int operation = read_name(object, "operation", RD_KAFKA_ACL_OPERATION_ALL,
                              RD_KAFKA_ACL_OPERATION__CNT - 1, operation_name);
    int permission = read_name(object, "permission", RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
                               RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, permission_name);

    if (resource < 0 || pattern < 0 || operation < 0 || permission < 0)
        return wrong(err, "it", "of words that are not known");
    acl->resource = (rd_kafka_ResourceType_t)resource;
    acl->pattern = (rd_kafka_ResourcePatternType_t)pattern;
    acl->operation = (rd_kafka_AclOperation_t)operation;
    acl->permission = (rd_kafka_AclPermissionType_t)permission;
    if (read_text(object, "name", KAFKA_MAX_NAME, &acl->name, err) < 0 ||
        read_text(object, "principal", KAFKA_MAX_NAME, &acl->principal, err) < 0)
        return -1;
    return read_text(object, "host", KAFKA_MAX_NAME, &acl->host, err);
}

static int read_acls(const json_t *json, struct kafka_facts *facts, struct err *err)
{
    const char *authorizer = json_string_value(json_object_get(json, "authorizer"));
    const json_t *list = json_object_get(json, "acls");
    size_t count = json_array_size(list);

    if (authorizer == NULL)
        return wrong(err, "authorizer", "no text");
    if (strcmp(authorizer, "present") == 0)
        facts->authorizer = KAFKA_AUTHORIZER_PRESENT;
    else if (strcmp(authorizer, "none") == 0)
        facts->authorizer = KAFKA_AUTHORIZER_NONE;
    else if (strcmp(authorizer, "unknown") != 0)
        return wrong(err, "authorizer", "none, present or unknown");
    if (facts->authorizer != KAFKA_AUTHORIZER_PRESENT)
        return json_is_null(list) ? 0 : wrong(err, "acls", "not null, without an authorizer");
    if (!json_is_array(list) || count > KAFKA_MAX_ACLS)
        return wrong(err, "acls", "no such list");
    facts->acls = mem_calloc(count + 1, sizeof *facts->acls);
    for (size_t i = 0; i < count; i++) {
        facts->acl_count++;
        if (read_acl(json_array_get(list, i), &facts->acls[i], err) < 0)
            return err_wrap(err, "ACL %zu", i);
    }
    return 0;
}

/* --- all --- */

static int read_warnings(const json_t *list, struct kafka_facts *facts, struct err *err)
{
    if (!json_is_array(list) || json_array_size(list) > KAFKA_MAX_WARNINGS)
        return wrong(err, "warnings", "no such list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *said = json_string_value(json_array_get(list, i));

        if (said == NULL || strlen(said) > KAFKA_MAX_VALUE)
            return wrong(err, "warnings", "no list of texts");
        kafka_facts_warn(facts, "%s", said);
    }
    return 0;
}

int kafka_facts_read(const json_t *json, struct kafka_facts *facts, struct err *err)
{
    const json_t *cluster = json_object_get(json, "cluster");
    struct kafka_facts read = {.groups = NULL};

    if (read_text(cluster, "id", MAX_ID, &read.cluster.id, err) < 0 ||
        read_nodes(json_object_get(cluster, "brokers"), &read.cluster, err) < 0 ||
        read_topics(json_object_get(json, "topics"), &read.cluster, err) < 0 ||
        read_groups(json_object_get(json, "groups"), &read, err) < 0 ||
        read_acls(json, &read, err) < 0 ||
        read_warnings(json_object_get(json, "warnings"), &read, err) < 0) {
        kafka_facts_fini(&read);
        return -1;
    }
    *facts = read;
    return 0;
}
