// SPDX-License-Identifier: Apache-2.0
// A snapshot of the chosen topics:
//
//   open      where each partition begins and is stable, all at one moment; what else is to be
//             known: configuration, groups, ACLs; where each is to be read from
//   next      partition by partition, segment by segment, up to just there
//   finish    what was read, into the manifest
//
// Records that come after the moment are left to the next backup, and so is what an open
// transaction holds back: how much that is, is said.
#include "kafka_snapshot.h"

#include "account.h"
#include "clock.h"
#include "facts_take.h"
#include "goes_on.h"
#include "kafka_facts.h"
#include "leaders.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "offsets.h"
#include "text.h"
#include "wire/partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_BYTES ((size_t)4 << 20)

struct snapshot {
    const struct component_options *component;
    const struct kafka_options *options;
    struct kafka_offsets *offsets;
    struct kafka_facts facts;
    struct kafka_fetcher *fetcher;
    struct kafka_leading leading;
    struct kafka_leaders leaders;
    struct kafka_account **accounts; /* by topic and partition */
    int64_t **from;                  /* the same */
    int64_t moment_ms;
    char *lineage;
    char version[32];
    char parent[BACKUP_ID_CAP];
    char *full_because; /* NULL with a parent */

    size_t topic, partition; /* that is read */
    struct kafka_partition *reader;
    char *name;        /* of the segment */
    struct err failed; /* of an observer, which cannot fail by itself */
};

/* --- open --- */

static int take_facts(struct snapshot *snapshot, int64_t deadline_mono_us, struct err *err)
{
    struct kafka_handle *handle = kafka_offsets_handle(snapshot->offsets);
    struct kafka_facts *facts = &snapshot->facts;

    if (kafka_cluster_take(handle, &snapshot->options->topics, &facts->cluster, err) < 0 ||
        kafka_offsets_take(snapshot->offsets, &facts->cluster, &snapshot->moment_ms, err) < 0 ||
        kafka_groups_take(snapshot->options, deadline_mono_us, facts, err) < 0 ||
        kafka_configs_take(handle, facts, err) < 0 ||
        kafka_asked_take(snapshot->options, deadline_mono_us, facts, err) < 0)
        return -1;
    snapshot->lineage = kafka_lineage_of(facts->cluster.id);
    return kafka_version_take(handle, &facts->cluster, snapshot->version, sizeof snapshot->version,
                              err);
}

static void make_accounts(struct snapshot *snapshot)
{
    const struct kafka_cluster *cluster = &snapshot->facts.cluster;

    snapshot->accounts = mem_calloc(cluster->topic_count + 1, sizeof *snapshot->accounts);
    snapshot->from = mem_calloc(cluster->topic_count + 1, sizeof *snapshot->from);
    for (size_t i = 0; i < cluster->topic_count; i++) {
        size_t count = cluster->topics[i].partition_count;

        snapshot->accounts[i] = mem_calloc(count + 1, sizeof **snapshot->accounts);
        snapshot->from[i] = mem_calloc(count + 1, sizeof **snapshot->from);
    }
}

static int plan(struct snapshot *snapshot, const struct snapshot_request *request, struct err *err)
{
    char *why = NULL;

    make_accounts(snapshot);
    if (kafka_goes_on(&snapshot->facts.cluster, request->parent, snapshot->from, &why, err) < 0)
        return -1;
    if (request->parent != NULL && why == NULL) {
        snprintf(snapshot->parent, sizeof snapshot->parent, "%s", request->parent->id);
        return 0;
    }
    snapshot->full_because =
        why != NULL ? why : mem_strdup(request->full_because == NULL ? "" : request->full_because);
    log_info("a full backup", LOG_TEXT("component", snapshot->component->name),
             LOG_TEXT("because", snapshot->full_because));
    return 0;
}

/* An open transaction holds back all that came after it, of any producer. */
static void tell_what_is_held_back(const struct snapshot *snapshot)
{
    const struct kafka_cluster *cluster = &snapshot->facts.cluster;

    for (size_t i = 0; i < cluster->topic_count; i++) {
        for (size_t j = 0; j < cluster->topics[i].partition_count; j++) {
            const struct kafka_topic_partition *partition = &cluster->topics[i].partitions[j];

            if (partition->high > partition->stable)
                log_warn("an open transaction holds records back; the next backup has them",
                         LOG_TEXT("topic", cluster->topics[i].name),
                         LOG_NUMBER("partition", (int64_t)j),
                         LOG_NUMBER("offsets", partition->high - partition->stable));
        }
    }
}

int kafka_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop, void **opened,
                        struct err *err)
{
    struct snapshot *snapshot = mem_calloc(1, sizeof *snapshot);

    (void)loop;
    snapshot->component = request->component;
    snapshot->options = &request->component->kafka;
    if (kafka_offsets_open(snapshot->options, request->deadline_mono_us, &snapshot->offsets, err) <
            0 ||
        take_facts(snapshot, request->deadline_mono_us, err) < 0 ||
        plan(snapshot, request, err) < 0) {
        kafka_snapshot_close(snapshot);
        return -1;
    }
    tell_what_is_held_back(snapshot);
    snapshot->leading = (struct kafka_leading){.handle = kafka_offsets_handle(snapshot->offsets),
                                               .cluster = &snapshot->facts.cluster};
    snapshot->leaders =
        (struct kafka_leaders){.find = kafka_leading_find, .arg = &snapshot->leading};
    snapshot->fetcher = kafka_fetcher_new(snapshot->options, &snapshot->leaders, FETCH_BYTES,
                                          request->deadline_mono_us);
    *opened = snapshot;
    return 0;
}

int kafka_snapshot_describe(void *opened, struct manifest *manifest, struct err *err)
{
    const struct snapshot *snapshot = opened;

    (void)err;
    free(manifest->system);
    free(manifest->system_version);
    free(manifest->lineage);
    manifest->system = mem_strdup("kafka");
    manifest->system_version = mem_strdup(snapshot->version);
    manifest->lineage = mem_strdup(snapshot->lineage);
    manifest->recovery_point_ms = snapshot->moment_ms;
    memcpy(manifest->parent, snapshot->parent, sizeof manifest->parent);
    return 0;
}

/* --- next --- */

char *kafka_segment_name(const char *topic, size_t partition, int64_t base_offset)
{
    return text_format("%s/%zu/%020lld.log", topic, partition, (long long)base_offset);
}

static struct kafka_account *account_of(struct snapshot *snapshot)
{
    return &snapshot->accounts[snapshot->topic][snapshot->partition];
}

static void on_batch(void *arg, const struct kafka_batch *batch)
{
    kafka_account_batch(account_of(arg), batch);
}

static void on_aborted(void *arg, int64_t producer_id, int64_t first_offset)
{
    struct snapshot *snapshot = arg;

    if (snapshot->failed.kind == ERR_NONE)
        kafka_account_aborted(account_of(snapshot), producer_id, first_offset, &snapshot->failed);
}

static void open_reader(struct snapshot *snapshot)
{
    const struct kafka_topic *topic = &snapshot->facts.cluster.topics[snapshot->topic];
    const struct kafka_range range = {
        .topic = topic->name,
        .partition = (int32_t)snapshot->partition,
        .from = snapshot->from[snapshot->topic][snapshot->partition],
        .end = topic->partitions[snapshot->partition].stable,
    };
    const struct kafka_observer observer = {
        .batch = on_batch, .aborted = on_aborted, .arg = snapshot};

    kafka_account_init(account_of(snapshot), range.from, range.end);
    snapshot->reader = kafka_partition_open(snapshot->fetcher, &range, &observer);
}

static void close_reader(struct snapshot *snapshot)
{
    kafka_partition_close(snapshot->reader);
    snapshot->reader = NULL;
    kafka_account_end(account_of(snapshot));
    snapshot->partition++;
}

/* Whether a partition is left. */
static bool find_partition(struct snapshot *snapshot)
{
    const struct kafka_cluster *cluster = &snapshot->facts.cluster;

    while (snapshot->topic < cluster->topic_count) {
        if (snapshot->partition < cluster->topics[snapshot->topic].partition_count)
            return true;
        snapshot->topic++;
        snapshot->partition = 0;
    }
    return false;
}

static int describe_segment(struct snapshot *snapshot, const struct kafka_batch *first,
                            struct snapshot_object *object, struct err *err)
{
    const char *topic = snapshot->facts.cluster.topics[snapshot->topic].name;

    if (kafka_account_segment(account_of(snapshot), first->base_offset, err) < 0)
        return err_wrap(err, "%s, partition %zu", topic, snapshot->partition);
    free(snapshot->name);
    snapshot->name = kafka_segment_name(topic, snapshot->partition, first->base_offset);
    *object = (struct snapshot_object){.name = snapshot->name,
                                       .format = "Kafka log segment",
                                       .compressed = first->codec != KAFKA_NONE};
    return 0;
}

enum step kafka_snapshot_next(void *opened, struct snapshot_object *object, struct source **source,
                              struct err *err)
{
    struct snapshot *snapshot = opened;

    while (find_partition(snapshot)) {
        struct kafka_batch first;
        enum step step;

        if (snapshot->failed.kind != ERR_NONE) {
            *err = snapshot->failed;
            return STEP_ERROR;
        }
        if (snapshot->reader == NULL)
            open_reader(snapshot);
        step = kafka_partition_segment(snapshot->reader, snapshot->options->segment_bytes, &first,
                                       source, err);
        if (step == STEP_ERROR)
            return STEP_ERROR;
        if (step == STEP_OK && describe_segment(snapshot, &first, object, err) == 0)
            return STEP_OK;
        if (step == STEP_OK) {
            (*source)->ops->close(*source);
            return STEP_ERROR;
        }
        close_reader(snapshot);
    }
    return STEP_END;
}

/* --- finish --- */

int kafka_snapshot_finish(void *opened, struct manifest *manifest, struct err *err)
{
    struct snapshot *snapshot = opened;
    const struct kafka_cluster *cluster = &snapshot->facts.cluster;
    const json_t *topics;

    if (snapshot->failed.kind != ERR_NONE) {
        *err = snapshot->failed;
        return -1;
    }
    kafka_facts_write(&snapshot->facts, manifest->facts);
    json_object_set_new(manifest->facts, "full_because",
                        snapshot->full_because == NULL ? json_null()
                                                       : json_string(snapshot->full_because));
    topics = json_object_get(manifest->facts, "topics");
    for (size_t i = 0; i < cluster->topic_count; i++) {
        const json_t *partitions =
            json_object_get(json_object_get(topics, cluster->topics[i].name), "partitions");

        for (size_t j = 0; j < cluster->topics[i].partition_count; j++)
            kafka_account_write(&snapshot->accounts[i][j], json_array_get(partitions, j));
    }
    return 0;
}

static void free_accounts(struct snapshot *snapshot)
{
    const struct kafka_cluster *cluster = &snapshot->facts.cluster;

    for (size_t i = 0; snapshot->accounts != NULL && i < cluster->topic_count; i++) {
        for (size_t j = 0; j < cluster->topics[i].partition_count; j++)
            kafka_account_fini(&snapshot->accounts[i][j]);
        free(snapshot->accounts[i]);
        free(snapshot->from[i]);
    }
    free(snapshot->accounts);
    free(snapshot->from);
}

void kafka_snapshot_close(void *opened)
{
    struct snapshot *snapshot = opened;

    if (snapshot == NULL)
        return;
    kafka_partition_close(snapshot->reader);
    kafka_fetcher_free(snapshot->fetcher);
    kafka_offsets_close(snapshot->offsets);
    free_accounts(snapshot);
    kafka_facts_fini(&snapshot->facts);
    free(snapshot->full_because);
    free(snapshot->lineage);
    free(snapshot->name);
    free(snapshot);
}
