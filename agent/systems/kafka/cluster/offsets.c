// SPDX-License-Identifier: Apache-2.0
// librdkafka 2.0.2 has no ListOffsets of its own, but rd_kafka_offsets_for_times sends the field
// offset as the timestamp of that request, with -1 and -2 for the end and the beginning, one
// request per leader. It must know all leaders beforehand (cluster.c): else it repeats a partition
// in one request, which brokers refuse. Of an error it tells the code, but not the partition.
#include "offsets.h"

#include "clock.h"
#include "mem.h"

#include <stdlib.h>

#define BATCH       1000 /* partitions a call; it looks each answer up in a list */
#define ATTEMPTS_MS 200  /* between two */

struct kafka_offsets {
    struct kafka_handle *committed, *uncommitted;
    int64_t timeout_ms;
};

int kafka_offsets_open(const struct kafka_options *options, int64_t deadline_mono_us,
                       struct kafka_offsets **offsets, struct err *err)
{
    static const struct kafka_setting committed[] = {{"isolation.level", "read_committed"},
                                                     {NULL, NULL}};
    static const struct kafka_setting uncommitted[] = {{"isolation.level", "read_uncommitted"},
                                                       {NULL, NULL}};
    struct kafka_offsets *opened = mem_calloc(1, sizeof *opened);

    opened->timeout_ms = options->timeout_ms;
    if (kafka_handle_open(options, RD_KAFKA_CONSUMER, committed, deadline_mono_us,
                          &opened->committed, err) < 0 ||
        kafka_handle_open(options, RD_KAFKA_CONSUMER, uncommitted, deadline_mono_us,
                          &opened->uncommitted, err) < 0) {
        kafka_offsets_close(opened);
        return -1;
    }
    *offsets = opened;
    return 0;
}

void kafka_offsets_close(struct kafka_offsets *offsets)
{
    if (offsets == NULL)
        return;
    kafka_handle_close(offsets->committed);
    kafka_handle_close(offsets->uncommitted);
    free(offsets);
}

struct kafka_handle *kafka_offsets_handle(struct kafka_offsets *offsets)
{
    return offsets->committed;
}

/* --- one question --- */

/* One of the three, of so many partitions from a place in the cluster on. */
struct question {
    struct kafka_handle *handle;
    struct kafka_cluster *cluster;
    const char *what;
    int64_t asked; /* RD_KAFKA_OFFSET_BEGINNING or _END */
    void (*set)(struct kafka_topic_partition *partition, int64_t offset);
};

struct place {
    size_t topic, partition;
};

static void set_start(struct kafka_topic_partition *partition, int64_t offset)
{
    partition->start = offset;
}

static void set_stable(struct kafka_topic_partition *partition, int64_t offset)
{
    partition->stable = offset;
}

static void set_high(struct kafka_topic_partition *partition, int64_t offset)
{
    partition->high = offset;
}

static bool at_end(const struct kafka_cluster *cluster, const struct place *place)
{
    return place->topic == cluster->topic_count;
}

static void step_on(const struct kafka_cluster *cluster, struct place *place)
{
    if (++place->partition < cluster->topics[place->topic].partition_count)
        return;
    place->topic++;
    place->partition = 0;
}

/* The partitions of a batch, from *place on, which is moved. NULL at the end. */
static rd_kafka_topic_partition_list_t *make_list(const struct question *question,
                                                  struct place *place)
{
    rd_kafka_topic_partition_list_t *list;

    if (at_end(question->cluster, place))
        return NULL;
    list = rd_kafka_topic_partition_list_new(BATCH);
    for (; list->cnt < BATCH && !at_end(question->cluster, place);
         step_on(question->cluster, place))
        rd_kafka_topic_partition_list_add(list, question->cluster->topics[place->topic].name,
                                          (int32_t)place->partition)
            ->offset = question->asked;
    return list;
}

struct asking {
    const rd_kafka_topic_partition_list_t *wanted;
    rd_kafka_topic_partition_list_t *list; /* a copy, with the answers */
    bool again;
};

/* A call that ran out of time may have changed the list, and may have waited for a leader that is
 * dead: librdkafka takes what it was told of leaders for true until it is told anew. Of a leader
 * that came up while it waited it asks for the same partition twice. */
static rd_kafka_resp_err_t ask_offsets(rd_kafka_t *rk, int timeout_ms, void *arg)
{
    struct asking *asking = arg;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code;

    if (asking->again) {
        code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return code;
        rd_kafka_metadata_destroy(metadata);
    }
    asking->again = true;
    rd_kafka_topic_partition_list_destroy(asking->list);
    asking->list = rd_kafka_topic_partition_list_copy(asking->wanted);
    code = rd_kafka_offsets_for_times(rk, asking->list, timeout_ms);
    return code == RD_KAFKA_RESP_ERR_INVALID_REQUEST ? RD_KAFKA_RESP_ERR__TIMED_OUT : code;
}

/* The list answers the batch that begins at from, in its order. */
static int use_list(const struct question *question, const rd_kafka_topic_partition_list_t *list,
                    struct place from, struct err *err)
{
    for (int i = 0; i < list->cnt; i++, step_on(question->cluster, &from)) {
        const rd_kafka_topic_partition_t *answer = &list->elems[i];
        struct kafka_topic *topic = &question->cluster->topics[from.topic];

        if (answer->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return err_set(err, kafka_kind_of(answer->err), "%s of %s/%zu: %s", question->what,
                           topic->name, from.partition, rd_kafka_err2str(answer->err));
        if (answer->offset < 0)
            return err_set(err, ERR_UNREACHABLE, "%s of %s/%zu: the brokers do not answer for it",
                           question->what, topic->name, from.partition);
        question->set(&topic->partitions[from.partition], answer->offset);
    }
    return 0;
}

static int ask_all(const struct question *question, struct err *err)
{
    struct place place = {.topic = 0};
    int rc = 0;

    while (rc == 0) {
        struct place from = place;
        rd_kafka_topic_partition_list_t *wanted = make_list(question, &place);
        struct asking asking = {.wanted = wanted};

        if (wanted == NULL)
            break;
        asking.list = rd_kafka_topic_partition_list_copy(wanted);
        rc = kafka_handle_call(question->handle, question->what, ask_offsets, &asking, err);
        if (rc == 0)
            rc = use_list(question, asking.list, from, err);
        rd_kafka_topic_partition_list_destroy(asking.list);
        rd_kafka_topic_partition_list_destroy(wanted);
    }
    return rc;
}

/* --- all of them --- */

static int check_leaders(const struct kafka_cluster *cluster, struct err *err)
{
    for (size_t t = 0; t < cluster->topic_count; t++)
        for (size_t p = 0; p < cluster->topics[t].partition_count; p++)
            if (kafka_cluster_leader(cluster, &cluster->topics[t], p) == NULL)
                return err_set(err, ERR_UNREACHABLE, "partition %s/%zu has no leader now",
                               cluster->topics[t].name, p);
    return 0;
}

/* Each handle has a cache of its own. */
static int ask_patiently(struct kafka_offsets *offsets, const struct question *question,
                         struct err *err)
{
    int64_t until_us = clock_mono_us() + offsets->timeout_ms * 1000;

    for (;;) {
        if (kafka_cluster_refresh(question->handle, question->cluster, err) < 0)
            return -1;
        if (check_leaders(question->cluster, err) == 0 && ask_all(question, err) == 0)
            return 0;
        if (err->kind != ERR_UNREACHABLE || clock_mono_us() >= until_us)
            return -1;
        if (kafka_handle_pause(question->handle, ATTEMPTS_MS, err) < 0)
            return -1;
        err_clear(err);
    }
}

/* Between two questions the log may be cut, but it never shrinks; and while a leader moves, the new
 * one may know less for a moment. */
static int check_order(const struct kafka_cluster *cluster, struct err *err)
{
    for (size_t t = 0; t < cluster->topic_count; t++)
        for (size_t p = 0; p < cluster->topics[t].partition_count; p++) {
            const struct kafka_topic_partition *partition = &cluster->topics[t].partitions[p];

            if (partition->start > partition->stable || partition->stable > partition->high)
                return err_set(err, ERR_UNREACHABLE,
                               "offsets of %s/%zu: %lld to %lld, %lld make no sense; its leader "
                               "may have moved",
                               cluster->topics[t].name, p, (long long)partition->start,
                               (long long)partition->stable, (long long)partition->high);
        }
    return 0;
}

int kafka_offsets_take(struct kafka_offsets *offsets, struct kafka_cluster *cluster,
                       int64_t *moment_ms, struct err *err)
{
    const struct question questions[] = {
        {offsets->committed, cluster, "log start", RD_KAFKA_OFFSET_BEGINNING, set_start},
        {offsets->committed, cluster, "last stable offset", RD_KAFKA_OFFSET_END, set_stable},
        {offsets->uncommitted, cluster, "high watermark", RD_KAFKA_OFFSET_END, set_high},
    };
    int64_t asked_ms = 0;

    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        if (questions[i].set == set_stable)
            asked_ms = clock_wall_ms();
        if (ask_patiently(offsets, &questions[i], err) < 0)
            return -1;
    }
    if (check_order(cluster, err) < 0)
        return -1;
    *moment_ms = asked_ms;
    return 0;
}
