// SPDX-License-Identifier: Apache-2.0
// Consumer groups go on at the record that comes next in the new topics. One that has members now
// decides for itself where it stands: it is named, and left.
#include "kafka_restoring.h"

#include "admin.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MS 200

static const char what[] = "offsets of a group";

static int64_t end_of(const struct kafka_target_partition *partition)
{
    return partition->start + (int64_t)partition->sent;
}

/* NULL: it has no offsets in what is restored. */
static rd_kafka_topic_partition_list_t *make_list(const struct kafka_restoring *restoring,
                                                  const struct kafka_group *group)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (size_t i = 0; i < group->offset_count; i++) {
        const struct kafka_group_offset *offset = &group->offsets[i];
        const struct kafka_target *target = restoring->of_topic[offset->topic];
        const struct kafka_target_partition *partition;
        rd_kafka_topic_partition_t *to;

        if (target == NULL || target->append)
            continue;
        partition = &target->partitions[offset->partition];
        to = rd_kafka_topic_partition_list_add(list, target->name, (int32_t)offset->partition);
        to->offset = kafka_offset_map_find(&partition->map, offset->offset, end_of(partition));
        if (offset->metadata != NULL) {
            to->metadata = mem_strdup(offset->metadata);
            to->metadata_size = strlen(offset->metadata);
        }
    }
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

static rd_kafka_resp_err_t code_of(const rd_kafka_group_result_t *result)
{
    const rd_kafka_error_t *failed = rd_kafka_group_result_error(result);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(result);

    if (failed != NULL)
        return rd_kafka_error_code(failed);
    for (int i = 0; list != NULL && i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return list->elems[i].err;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int set_once(struct kafka_handle *handle, const char *group,
                    const rd_kafka_topic_partition_list_t *list, rd_kafka_resp_err_t *code,
                    struct err *err)
{
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    struct kafka_admin admin;
    size_t count = 0;
    int rc;

    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, &admin);
    rd_kafka_AlterConsumerGroupOffsets(kafka_handle_rk(handle), &request, 1, admin.options,
                                       admin.queue);
    rc = kafka_admin_wait(handle, what, &admin, err);
    if (rc == 0)
        *code = rd_kafka_event_error(admin.event);
    if (rc == 0 && *code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(admin.event), &count);

        *code = count == 1 ? code_of(results[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
    }
    kafka_admin_end(&admin);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    return rc;
}

static const char *reason(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
        return "it has members now; stop them and set its offsets, or let them go on where they "
               "are";
    default:
        return rd_kafka_err2str(code);
    }
}

/* A coordinator that is only coming up is waited for. */
static int set_group(struct kafka_restoring *restoring, const char *group,
                     const rd_kafka_topic_partition_list_t *list, json_t *findings, struct err *err)
{
    struct kafka_handle *handle = kafka_offsets_handle(restoring->offsets);
    int64_t until_us = clock_mono_us() + restoring->options->timeout_ms * 1000;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (;;) {
        if (set_once(handle, group, list, &code, err) < 0)
            return err_wrap(err, "group %s", group);
        if (kafka_kind_of(code) != ERR_UNREACHABLE || clock_mono_us() >= until_us)
            break;
        if (kafka_handle_pause(handle, ATTEMPTS_MS, err) < 0)
            return -1;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        json_array_append_new(json_object_get(findings, "groups"), json_string(group));
        return 0;
    }
    log_warn("the offsets of a group are not set", LOG_TEXT("group", group),
             LOG_TEXT("because", reason(code)));
    json_object_set_new(json_object_get(findings, "groups_left"), group, json_string(reason(code)));
    return 0;
}

int kafka_regroup(struct kafka_restoring *restoring, json_t *findings, struct err *err)
{
    json_t *left = json_object();

    json_object_set_new(findings, "groups", json_array());
    json_object_set_new(findings, "groups_left", left);
    for (size_t i = 0; i < restoring->facts.group_count; i++) {
        const struct kafka_group *group = &restoring->facts.groups[i];
        rd_kafka_topic_partition_list_t *list = make_list(restoring, group);
        int rc = 0;

        if (list == NULL)
            continue;
        rc = set_group(restoring, group->name, list, findings, err);
        rd_kafka_topic_partition_list_destroy(list);
        if (rc < 0)
            return -1;
    }
    if (json_object_size(left) > 0)
        kafka_restore_in_part(findings,
                              text_format("the offsets of %zu groups are not set, %s is the first",
                                          json_object_size(left),
                                          json_object_iter_key(json_object_iter(left))));
    return 0;
}
