// SPDX-License-Identifier: Apache-2.0
// The groups of all brokers in one request, then the offsets of each, some at once: librdkafka
// 2.0.2 asks for one group a call. Of what it once knew it forgets no broker, and waits for a dead
// one: so each attempt has a handle of its own, and not all of the time.
#include "facts_take.h"

#include "admin.h"
#include "cancel.h"
#include "clock.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE        16
#define ATTEMPTS_MS    200 /* between two */
#define ATTEMPT_MAX_MS 10000

struct gathering {
    struct kafka_handle *handle;
    struct kafka_facts *facts;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    size_t asked, answered; /* of facts->groups, in any order */
    size_t offsets;
    size_t denied;
    size_t strange; /* offsets with a metadata that is too long */
};

/* --- the list --- */

/* A name that is no text, or that long, could not be kept as it is, and stands for no group that a
 * consumer made. */
static bool is_text(const char *name)
{
    char *copy = mem_strdup(name);
    bool same;

    text_fix_utf8(copy);
    same = copy[0] != '\0' && strlen(name) <= KAFKA_MAX_NAME && strcmp(copy, name) == 0;
    free(copy);
    return same;
}

static void add_group(struct kafka_facts *facts, const rd_kafka_ConsumerGroupListing_t *listing)
{
    const char *name = rd_kafka_ConsumerGroupListing_group_id(listing);

    if (is_text(name))
        facts->groups[facts->group_count++] = (struct kafka_group){
            .name = mem_strdup(name),
            .state = mem_strdup(
                rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(listing))),
            .simple = rd_kafka_ConsumerGroupListing_is_simple_consumer_group(listing) != 0,
        };
}

/* *known: false, with a warning, when this user may not list them. */
static int copy_list(struct kafka_handle *handle,
                     const rd_kafka_ListConsumerGroups_result_t *result, struct kafka_facts *facts,
                     bool *known, struct err *err)
{
    size_t count = 0, failed = 0;
    const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &failed);
    const rd_kafka_ConsumerGroupListing_t **listings =
        rd_kafka_ListConsumerGroups_result_valid(result, &count);

    *known = false;
    if (failed > 0 && kafka_kind_of(rd_kafka_error_code(errors[0])) != ERR_DENIED)
        return kafka_fail(handle, "list groups", rd_kafka_error_code(errors[0]),
                          rd_kafka_error_string(errors[0]), err);
    if (failed > 0) {
        kafka_facts_warn(facts, "the consumer groups are not known: %s",
                         rd_kafka_error_string(errors[0]));
        return 0;
    }
    if (count > KAFKA_MAX_GROUPS) {
        kafka_facts_warn(facts, "the consumer groups are not kept: %zu are more than %d", count,
                         KAFKA_MAX_GROUPS);
        return 0;
    }
    facts->groups = mem_calloc(count + 1, sizeof *facts->groups);
    for (size_t i = 0; i < count; i++)
        add_group(facts, listings[i]);
    kafka_facts_sort(facts);
    *known = true;
    return 0;
}

static int list_groups(struct kafka_handle *handle, struct kafka_facts *facts, bool *known,
                       struct err *err)
{
    struct kafka_admin admin;
    int rc;

    kafka_admin_begin(handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, &admin);
    rd_kafka_ListConsumerGroups(kafka_handle_rk(handle), admin.options, admin.queue);
    rc = kafka_admin_await(handle, "list groups", &admin, err);
    if (rc == 0)
        rc = copy_list(handle, rd_kafka_event_ListConsumerGroups_result(admin.event), facts, known,
                       err);
    kafka_admin_end(&admin);
    return rc;
}

/* --- their offsets --- */

static char *copy_metadata(struct gathering *gathering, const rd_kafka_topic_partition_t *said)
{
    char *copy;

    if (said->metadata == NULL || said->metadata_size == 0)
        return NULL;
    if (said->metadata_size > KAFKA_MAX_VALUE) {
        gathering->strange++;
        return NULL;
    }
    copy = mem_strndup(said->metadata, strnlen(said->metadata, said->metadata_size));
    text_fix_utf8(copy);
    if (copy[0] == '\0') {
        free(copy);
        copy = NULL;
    }
    return copy;
}

static void add_offset(struct gathering *gathering, struct kafka_group *group,
                       const rd_kafka_topic_partition_t *said)
{
    struct kafka_cluster *cluster = &gathering->facts->cluster;
    const struct kafka_topic *topic = kafka_cluster_topic(cluster, said->topic);
    const struct kafka_topic_partition *partition;

    if (topic == NULL || said->partition < 0 || (size_t)said->partition >= topic->partition_count ||
        said->offset < 0)
        return;
    partition = &topic->partitions[said->partition];
    group->offsets[group->offset_count++] = (struct kafka_group_offset){
        .topic = (size_t)(topic - cluster->topics),
        .partition = (size_t)said->partition,
        .offset = said->offset < partition->stable ? said->offset : partition->stable,
        .metadata = copy_metadata(gathering, said),
    };
}

static int copy_offsets(struct gathering *gathering, struct kafka_group *group,
                        const rd_kafka_topic_partition_list_t *list, struct err *err)
{
    if (group->offsets != NULL)
        return err_set(err, ERR_CORRUPT, "group %s: two answers", group->name);
    group->offsets = mem_calloc((size_t)list->cnt + 1, sizeof *group->offsets);
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_resp_err_t code = list->elems[i].err;

        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && kafka_kind_of(code) != ERR_DENIED) {
            kafka_fail(gathering->handle, "offsets of a group", code, NULL, err);
            return err_wrap(err, "group %s", group->name);
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            add_offset(gathering, group, &list->elems[i]);
    }
    kafka_group_sort(group);
    group->offsets =
        mem_realloc(group->offsets, (group->offset_count + 1) * sizeof *group->offsets);
    gathering->offsets += group->offset_count;
    return 0;
}

static int use_answer(struct gathering *gathering, const rd_kafka_group_result_t *result,
                      struct err *err)
{
    const rd_kafka_error_t *failed = rd_kafka_group_result_error(result);
    struct kafka_group *group =
        kafka_facts_group(gathering->facts, rd_kafka_group_result_name(result));

    if (group == NULL)
        return err_set(err, ERR_CORRUPT, "offsets of a group: an answer that was not asked for");
    if (failed == NULL)
        return copy_offsets(gathering, group, rd_kafka_group_result_partitions(result), err);
    if (kafka_kind_of(rd_kafka_error_code(failed)) == ERR_DENIED) {
        if (gathering->denied++ == 0)
            kafka_facts_warn(gathering->facts, "the offsets of group %s are not known: %s",
                             group->name, rd_kafka_error_string(failed));
        return 0;
    }
    kafka_fail(gathering->handle, "offsets of a group", rd_kafka_error_code(failed),
               rd_kafka_error_string(failed), err);
    return err_wrap(err, "group %s", group->name);
}

static void ask_next(struct gathering *gathering)
{
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(
        gathering->facts->groups[gathering->asked++].name, NULL);

    rd_kafka_ListConsumerGroupOffsets(kafka_handle_rk(gathering->handle), &request, 1,
                                      gathering->options, gathering->queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

static int read_answer(struct gathering *gathering, struct err *err)
{
    const rd_kafka_group_result_t **results;
    rd_kafka_event_t *event = NULL;
    size_t count = 0;
    int rc;

    if (kafka_handle_wait(gathering->handle, "offsets of a group", gathering->queue, &event, err) <
        0)
        return -1;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rc = kafka_fail(gathering->handle, "offsets of a group", rd_kafka_event_error(event),
                        rd_kafka_event_error_string(event), err);
    } else {
        results = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
        rc = count == 1 ? use_answer(gathering, results[0], err)
                        : err_set(err, ERR_CORRUPT, "offsets of a group: no answer");
    }
    rd_kafka_event_destroy(event);
    gathering->answered++;
    return rc;
}

/* Only those that have offsets in the topics are kept. */
static void drop_others(struct kafka_facts *facts)
{
    size_t kept = 0;

    for (size_t i = 0; i < facts->group_count; i++) {
        if (facts->groups[i].offset_count > 0)
            facts->groups[kept++] = facts->groups[i];
        else
            kafka_group_fini(&facts->groups[i]);
    }
    facts->group_count = kept;
}

static void drop_all(struct kafka_facts *facts)
{
    for (size_t i = 0; i < facts->group_count; i++)
        kafka_group_fini(&facts->groups[i]);
    free(facts->groups);
    facts->groups = NULL;
    facts->group_count = 0;
    facts->groups_known = false;
}

static int gather(struct gathering *gathering, struct err *err)
{
    struct kafka_facts *facts = gathering->facts;

    while (gathering->answered < facts->group_count) {
        while (gathering->asked < facts->group_count &&
               gathering->asked - gathering->answered < AT_ONCE)
            ask_next(gathering);
        if (read_answer(gathering, err) < 0)
            return -1;
        if (gathering->offsets > KAFKA_MAX_GROUP_OFFSETS) {
            kafka_facts_warn(facts, "the consumer groups are not kept: more than %d offsets",
                             KAFKA_MAX_GROUP_OFFSETS);
            drop_all(facts);
            return 0;
        }
    }
    if (gathering->denied > 1)
        kafka_facts_warn(facts, "so are those of %zu more groups", gathering->denied - 1);
    if (gathering->strange > 0)
        kafka_facts_warn(facts, "the metadata of %zu group offsets are too long and not kept",
                         gathering->strange);
    drop_others(facts);
    facts->groups_known = true;
    return 0;
}

static int take_once(struct kafka_handle *handle, struct kafka_facts *facts, struct err *err)
{
    struct gathering gathering = {.handle = handle, .facts = facts};
    bool known = false;
    int rc;

    if (list_groups(handle, facts, &known, err) < 0)
        return -1;
    if (!known)
        return 0;
    gathering.queue = rd_kafka_queue_new(kafka_handle_rk(handle));
    gathering.options = kafka_handle_admin(handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rc = gather(&gathering, err);
    rd_kafka_AdminOptions_destroy(gathering.options);
    rd_kafka_queue_destroy(gathering.queue);
    return rc;
}

static int attempt(const struct kafka_options *options, int64_t deadline_mono_us,
                   struct kafka_facts *facts, struct err *err)
{
    struct kafka_options hasty = *options;
    struct kafka_handle *handle = NULL;
    int rc = -1;

    if (hasty.timeout_ms > ATTEMPT_MAX_MS)
        hasty.timeout_ms = ATTEMPT_MAX_MS;
    if (kafka_handle_open(&hasty, RD_KAFKA_CONSUMER, NULL, deadline_mono_us, &handle, err) == 0)
        rc = take_once(handle, facts, err);
    kafka_handle_close(handle);
    return rc;
}

/* -1 when there may be no further attempt: the error stays. */
static int may_repeat(int64_t until_us, int64_t deadline_mono_us, struct err *err)
{
    int64_t now_us = clock_mono_us();

    if (err->kind != ERR_UNREACHABLE || now_us >= until_us || now_us >= deadline_mono_us)
        return -1;
    return cancel_wait(ATTEMPTS_MS, err);
}

int kafka_groups_take(const struct kafka_options *options, int64_t deadline_mono_us,
                      struct kafka_facts *facts, struct err *err)
{
    int64_t until_us = clock_mono_us() + options->timeout_ms * 1000;
    size_t warned = facts->warning_count;

    while (attempt(options, deadline_mono_us, facts, err) < 0) {
        drop_all(facts);
        while (facts->warning_count > warned)
            free(facts->warnings[--facts->warning_count]);
        if (may_repeat(until_us, deadline_mono_us, err) < 0)
            return -1;
        err_clear(err);
    }
    return 0;
}
