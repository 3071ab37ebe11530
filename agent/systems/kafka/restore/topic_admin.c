// SPDX-License-Identifier: Apache-2.0
// Changes of topics, one topic a request: each answer then is of that topic alone.
#include "kafka_restoring.h"

#include "admin.h"

#include <stdlib.h>

/* The answer for the one topic. */
static int use_topic(struct kafka_handle *handle, const char *what,
                     const rd_kafka_topic_result_t *const *results, size_t count,
                     rd_kafka_resp_err_t *code, struct err *err)
{
    if (count != 1)
        return err_set(err, ERR_SOURCE, "%s: the broker does not answer for it", what);
    *code = rd_kafka_topic_result_error(results[0]);
    if (*code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return kafka_fail(handle, what, *code, rd_kafka_topic_result_error_string(results[0]), err);
}

static int add_settings(rd_kafka_NewTopic_t *topic, const json_t *settings, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)settings, name, value) {
        rd_kafka_resp_err_t code =
            rd_kafka_NewTopic_set_config(topic, name, json_string_value(value));

        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return err_set(err, ERR_SOURCE, "%s: %s", name, rd_kafka_err2str(code));
    }
    return 0;
}

int kafka_admin_create(struct kafka_handle *handle, const char *name, size_t partitions,
                       size_t replication, const json_t *settings, rd_kafka_resp_err_t *code,
                       struct err *err)
{
    static const char what[] = "create a topic";
    char said[256] = "";
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, (int)partitions, (int)replication, said, sizeof said);
    struct kafka_admin change;
    size_t count = 0;
    int rc;

    *code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (topic == NULL)
        return err_set(err, ERR_SOURCE, "%s: %s: %s", what, name, said);
    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS, &change);
    rc = add_settings(topic, settings, err);
    if (rc == 0) {
        rd_kafka_CreateTopics(kafka_handle_rk(handle), &topic, 1, change.options, change.queue);
        rc = kafka_admin_await(handle, what, &change, err);
    }
    if (rc == 0) {
        const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(change.event), &count);

        rc = use_topic(handle, what, results, count, code, err);
    }
    kafka_admin_end(&change);
    rd_kafka_NewTopic_destroy(topic);
    return rc < 0 ? err_wrap(err, "topic %s", name) : 0;
}

int kafka_admin_delete(struct kafka_handle *handle, const char *name, struct err *err)
{
    static const char what[] = "delete a topic";
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    struct kafka_admin change;
    size_t count = 0;
    int rc;

    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_DELETETOPICS, &change);
    rd_kafka_DeleteTopics(kafka_handle_rk(handle), &topic, 1, change.options, change.queue);
    rc = kafka_admin_await(handle, what, &change, err);
    if (rc == 0) {
        const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
            rd_kafka_event_DeleteTopics_result(change.event), &count);

        rc = use_topic(handle, what, results, count, &code, err);
    }
    kafka_admin_end(&change);
    rd_kafka_DeleteTopic_destroy(topic);
    return rc < 0 ? err_wrap(err, "topic %s", name) : 0;
}

static int use_resource(struct kafka_handle *handle, const char *what,
                        const struct kafka_admin *change, rd_kafka_resp_err_t *code,
                        struct err *err)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(change->event), &count);

    if (count != 1)
        return err_set(err, ERR_SOURCE, "%s: the broker does not answer for it", what);
    *code = rd_kafka_ConfigResource_error(results[0]);
    if (*code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return kafka_fail(handle, what, *code, rd_kafka_ConfigResource_error_string(results[0]), err);
}

int kafka_admin_configure(struct kafka_handle *handle, const char *name, const json_t *settings,
                          bool validate, rd_kafka_resp_err_t *code, struct err *err)
{
    static const char what[] = "configure a topic";
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    struct kafka_admin change;
    char said[256] = "";
    const char *key;
    json_t *value;
    int rc;

    *code = RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, &change);
    json_object_foreach ((json_t *)(uintptr_t)settings, key, value)
        rd_kafka_ConfigResource_set_config(resource, key, json_string_value(value));
    if (validate && rd_kafka_AdminOptions_set_validate_only(change.options, 1, said, sizeof said) !=
                        RD_KAFKA_RESP_ERR_NO_ERROR)
        abort(); /* there is no other value that it takes */
    rd_kafka_AlterConfigs(kafka_handle_rk(handle), &resource, 1, change.options, change.queue);
    rc = kafka_admin_await(handle, what, &change, err);
    if (rc == 0)
        rc = use_resource(handle, what, &change, code, err);
    kafka_admin_end(&change);
    rd_kafka_ConfigResource_destroy(resource);
    return rc < 0 ? err_wrap(err, "topic %s", name) : 0;
}

static int use_records(struct kafka_handle *handle, const char *what,
                       const struct kafka_admin *change, struct err *err)
{
    const rd_kafka_topic_partition_list_t *list =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(change->event));

    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_fail(handle, what, list->elems[i].err, NULL, err);
    return 0;
}

int kafka_admin_empty(struct kafka_handle *handle, const struct kafka_topic *topic, struct err *err)
{
    static const char what[] = "delete records";
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)topic->partition_count);
    rd_kafka_DeleteRecords_t *records;
    struct kafka_admin change;
    int rc;

    for (size_t p = 0; p < topic->partition_count; p++)
        rd_kafka_topic_partition_list_add(list, topic->name, (int32_t)p)->offset =
            RD_KAFKA_OFFSET_END;
    records = rd_kafka_DeleteRecords_new(list);
    rd_kafka_topic_partition_list_destroy(list);
    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_DELETERECORDS, &change);
    rd_kafka_DeleteRecords(kafka_handle_rk(handle), &records, 1, change.options, change.queue);
    rc = kafka_admin_await(handle, what, &change, err);
    if (rc == 0)
        rc = use_records(handle, what, &change, err);
    kafka_admin_end(&change);
    rd_kafka_DeleteRecords_destroy(records);
    return rc < 0 ? err_wrap(err, "topic %s", topic->name) : 0;
}
