// SPDX-License-Identifier: Apache-2.0
// DescribeConfigs, many topics a request. Of some 35 settings of a topic those are kept that were
// set for it; the rest is the cluster's.
#include "facts_take.h"

#include "admin.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 100 /* an answer has some 5 KiB for each */

/* Destroy *event. */
static int describe(struct kafka_handle *handle, rd_kafka_ConfigResource_t **resources,
                    size_t count, rd_kafka_event_t **event, struct err *err)
{
    struct kafka_admin admin;
    int rc;

    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, &admin);
    rd_kafka_DescribeConfigs(kafka_handle_rk(handle), resources, count, admin.options, admin.queue);
    rc = kafka_admin_await(handle, "describe configurations", &admin, err);
    if (rc == 0) {
        *event = admin.event;
        admin.event = NULL;
    }
    kafka_admin_end(&admin);
    return rc;
}

static int compare_configs(const void *a, const void *b)
{
    return strcmp(((const struct kafka_config *)a)->name, ((const struct kafka_config *)b)->name);
}

static bool is_kept(const rd_kafka_ConfigEntry_t *entry)
{
    return rd_kafka_ConfigEntry_source(entry) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
           !rd_kafka_ConfigEntry_is_sensitive(entry) && rd_kafka_ConfigEntry_value(entry) != NULL;
}

static int copy_configs(struct kafka_topic *topic, const rd_kafka_ConfigResource_t *resource,
                        struct err *err)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

    topic->configs = mem_calloc(KAFKA_MAX_CONFIGS, sizeof *topic->configs);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        struct kafka_config *config = &topic->configs[topic->config_count];

        if (!is_kept(entries[i]))
            continue;
        if (topic->config_count == KAFKA_MAX_CONFIGS || strlen(value) > KAFKA_MAX_VALUE)
            return err_set(err, ERR_CORRUPT, "topic %s: a configuration of such a size is none",
                           topic->name);
        config->name = mem_strdup(rd_kafka_ConfigEntry_name(entries[i]));
        config->value = mem_strdup(value);
        text_fix_utf8(config->name);
        text_fix_utf8(config->value);
        topic->config_count++;
    }
    topic->configs =
        mem_realloc(topic->configs, (topic->config_count + 1) * sizeof *topic->configs);
    qsort(topic->configs, topic->config_count, sizeof *topic->configs, compare_configs);
    topic->config_known = true;
    return 0;
}

struct denied {
    size_t count;
    char *first, *said;
};

static int copy_resource(struct kafka_handle *handle, struct kafka_cluster *cluster,
                         const rd_kafka_ConfigResource_t *resource, struct denied *denied,
                         struct err *err)
{
    const char *name = rd_kafka_ConfigResource_name(resource);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
    struct kafka_topic *topic = kafka_cluster_topic(cluster, name);

    if (topic == NULL || topic->config_known)
        return err_set(err, ERR_CORRUPT,
                       "describe configurations: an answer that was not asked for");
    if (kafka_kind_of(code) == ERR_DENIED) {
        if (denied->count++ == 0) {
            denied->first = mem_strdup(name);
            denied->said = mem_strdup(rd_kafka_err2str(code));
        }
        return 0;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_fail(handle, "describe configurations", code,
                   rd_kafka_ConfigResource_error_string(resource), err);
        return err_wrap(err, "topic %s", name);
    }
    return copy_configs(topic, resource, err);
}

static int take_batch(struct kafka_handle *handle, struct kafka_cluster *cluster, size_t from,
                      size_t count, struct denied *denied, struct err *err)
{
    rd_kafka_ConfigResource_t *resources[BATCH];
    const rd_kafka_ConfigResource_t **answers;
    rd_kafka_event_t *event = NULL;
    size_t answered = 0;
    int rc;

    for (size_t i = 0; i < count; i++)
        resources[i] =
            rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, cluster->topics[from + i].name);
    rc = describe(handle, resources, count, &event, err);
    rd_kafka_ConfigResource_destroy_array(resources, count);
    if (rc < 0)
        return -1;
    answers = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &answered);
    for (size_t i = 0; i < answered && rc == 0; i++)
        rc = copy_resource(handle, cluster, answers[i], denied, err);
    rd_kafka_event_destroy(event);
    return rc;
}

int kafka_configs_take(struct kafka_handle *handle, struct kafka_facts *facts, struct err *err)
{
    size_t count = facts->cluster.topic_count;
    struct denied denied = {.count = 0};
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i += BATCH)
        rc = take_batch(handle, &facts->cluster, i, count - i < BATCH ? count - i : BATCH, &denied,
                        err);
    if (rc == 0 && denied.count > 0)
        kafka_facts_warn(facts,
                         "the configuration of %zu topics (%s is the first) is not known: %s; the "
                         "right DescribeConfigs on them gives it",
                         denied.count, denied.first, denied.said);
    free(denied.first);
    free(denied.said);
    return rc;
}

/* --- version --- */

/* Since 4.0 the setting is gone; before, its default is the broker's own version, "3.9-IV0". */
static void find_version(const rd_kafka_ConfigResource_t *resource, char *version, size_t cap)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

    if (count > 0)
        snprintf(version, cap, "4.0 or later");
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (value != NULL &&
            strcmp(rd_kafka_ConfigEntry_name(entries[i]), "inter.broker.protocol.version") == 0)
            snprintf(version, cap, "%.*s", (int)strspn(value, "0123456789."), value);
    }
}

int kafka_version_take(struct kafka_handle *handle, const struct kafka_cluster *cluster,
                       char *version, size_t cap, struct err *err)
{
    rd_kafka_ConfigResource_t *resource;
    const rd_kafka_ConfigResource_t **answers;
    rd_kafka_event_t *event = NULL;
    size_t answered = 0;
    char id[16];
    int rc;

    version[0] = '\0';
    if (cluster->node_count == 0)
        return 0;
    snprintf(id, sizeof id, "%d", (int)cluster->nodes[0].id);
    resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, id);
    rc = describe(handle, &resource, 1, &event, err);
    rd_kafka_ConfigResource_destroy(resource);
    if (rc < 0)
        return -1;
    answers = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &answered);
    if (answered == 1 && rd_kafka_ConfigResource_error(answers[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
        find_version(answers[0], version, cap);
    rd_kafka_event_destroy(event);
    return 0;
}
