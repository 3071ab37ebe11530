// SPDX-License-Identifier: Apache-2.0
// One request for the metadata of all topics, whatever is chosen: it creates none by asking, and
// fills librdkafka's cache, without which its other calls repeat themselves. What the brokers say
// is copied only where it is well-formed.
#include "cluster.h"

#include "mem.h"
#include "text.h"
#include "topics.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE_BYTES 8

static rd_kafka_resp_err_t ask_metadata(rd_kafka_t *rk, int timeout_ms, void *arg)
{
    return rd_kafka_metadata(rk, 1, NULL, arg, timeout_ms);
}

static int get_metadata(struct kafka_handle *handle, const struct rd_kafka_metadata **metadata,
                        struct err *err)
{
    const struct rd_kafka_metadata *got = NULL;

    if (kafka_handle_call(handle, "metadata", ask_metadata, &got, err) < 0)
        return -1;
    if (got->broker_cnt > 0 && got->broker_cnt <= KAFKA_MAX_NODES && got->topic_cnt >= 0) {
        *metadata = got;
        return 0;
    }
    rd_kafka_metadata_destroy(got);
    return err_set(err, ERR_CORRUPT, "metadata: the brokers name none of themselves, or too many");
}

static int get_id(struct kafka_handle *handle, char **id, struct err *err)
{
    /* It comes with the metadata, which are here. */
    char *said = rd_kafka_clusterid(kafka_handle_rk(handle), 0);

    if (said == NULL || said[0] == '\0') {
        rd_kafka_mem_free(kafka_handle_rk(handle), said);
        return err_set(err, ERR_SOURCE, "metadata: the brokers tell no id of their cluster");
    }
    *id = mem_strndup(said, strnlen(said, 256));
    text_fix_utf8(*id);
    rd_kafka_mem_free(kafka_handle_rk(handle), said);
    return 0;
}

char *kafka_lineage_of(const char *cluster_id)
{
    uint8_t sha256[32];
    char *lineage = mem_calloc(2 * LINEAGE_BYTES + 1, 1);

    EVP_Digest(cluster_id, strlen(cluster_id), sha256, NULL, EVP_sha256(), NULL);
    text_hex(sha256, LINEAGE_BYTES, lineage);
    return lineage;
}

int kafka_cluster_lineage(struct kafka_handle *handle, char **lineage, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    char *id = NULL;

    if (get_metadata(handle, &metadata, err) < 0)
        return -1;
    rd_kafka_metadata_destroy(metadata);
    if (get_id(handle, &id, err) < 0)
        return -1;
    *lineage = kafka_lineage_of(id);
    free(id);
    return 0;
}

/* --- brokers --- */

static void free_nodes(struct kafka_cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count; i++)
        free(cluster->nodes[i].host);
    free(cluster->nodes);
    cluster->nodes = NULL;
    cluster->node_count = 0;
}

static int compare_nodes(const void *a, const void *b)
{
    int32_t left = ((const struct kafka_node *)a)->id;
    int32_t right = ((const struct kafka_node *)b)->id;

    return (left > right) - (left < right);
}

static void copy_nodes(struct kafka_cluster *cluster, const struct rd_kafka_metadata *metadata)
{
    free_nodes(cluster);
    cluster->nodes = mem_calloc((size_t)metadata->broker_cnt, sizeof *cluster->nodes);
    for (int i = 0; i < metadata->broker_cnt; i++) {
        const struct rd_kafka_metadata_broker *from = &metadata->brokers[i];
        struct kafka_node *to = &cluster->nodes[cluster->node_count];

        if (from->id < 0 || from->port < 1 || from->port > UINT16_MAX)
            continue;
        *to = (struct kafka_node){.id = from->id, .port = (uint16_t)from->port};
        to->host = mem_strndup(from->host, strnlen(from->host, 255));
        text_fix_utf8(to->host);
        cluster->node_count++;
    }
    qsort(cluster->nodes, cluster->node_count, sizeof *cluster->nodes, compare_nodes);
}

/* --- topics --- */

static void free_topic(struct kafka_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        free(topic->partitions[i].replicas);
    for (size_t i = 0; i < topic->config_count; i++) {
        free(topic->configs[i].name);
        free(topic->configs[i].value);
    }
    free(topic->partitions);
    free(topic->configs);
    free(topic->name);
    free(topic->id);
}

static int copy_partitions(struct kafka_topic *topic, const struct rd_kafka_metadata_topic *from,
                           struct err *err)
{
    size_t count = (size_t)from->partition_cnt;

    topic->partitions = mem_calloc(count, sizeof *topic->partitions);
    topic->partition_count = count;
    for (size_t i = 0; i < count; i++)
        topic->partitions[i] =
            (struct kafka_topic_partition){.leader = -1, .start = -1, .stable = -1, .high = -1};
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_partition *said = &from->partitions[i];
        struct kafka_topic_partition *partition;

        if (said->id < 0 || (size_t)said->id >= count || said->replica_cnt < 1 ||
            said->replica_cnt > KAFKA_MAX_REPLICAS || topic->partitions[said->id].replicas != NULL)
            return err_set(err, ERR_CORRUPT, "metadata: the partitions of topic %s make no sense",
                           topic->name);
        partition = &topic->partitions[said->id];
        partition->leader = said->leader;
        partition->replica_count = (size_t)said->replica_cnt;
        partition->replicas = mem_calloc(partition->replica_count, sizeof *partition->replicas);
        memcpy(partition->replicas, said->replicas,
               partition->replica_count * sizeof *partition->replicas);
        if (partition->replica_count > topic->replication_factor)
            topic->replication_factor = partition->replica_count;
    }
    return 0;
}

static int copy_topic(struct kafka_cluster *cluster, const struct rd_kafka_metadata_topic *from,
                      struct err *err)
{
    struct kafka_topic *topic = &cluster->topics[cluster->topic_count++];

    topic->name = mem_strdup(from->topic);
    if (from->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(err, kafka_kind_of(from->err), "topic %s: %s", topic->name,
                       rd_kafka_err2str(from->err));
    if (from->partition_cnt < 1)
        return err_set(err, ERR_UNREACHABLE, "topic %s: it has no partitions yet", topic->name);
    if (kafka_cluster_partitions(cluster) + (size_t)from->partition_cnt > KAFKA_MAX_PARTITIONS)
        return err_set(err, ERR_REFUSED,
                       "topics: more than %d partitions are chosen; make several components of "
                       "them",
                       KAFKA_MAX_PARTITIONS);
    return copy_partitions(topic, from, err);
}

static int compare_topics(const void *a, const void *b)
{
    return strcmp(((const struct kafka_topic *)a)->name, ((const struct kafka_topic *)b)->name);
}

void kafka_cluster_sort(struct kafka_cluster *cluster)
{
    qsort(cluster->topics, cluster->topic_count, sizeof *cluster->topics, compare_topics);
}

/* Sorts them, and refuses one that was named twice. */
static int sort_topics(struct kafka_cluster *cluster, struct err *err)
{
    kafka_cluster_sort(cluster);
    for (size_t i = 1; i < cluster->topic_count; i++)
        if (strcmp(cluster->topics[i - 1].name, cluster->topics[i].name) == 0)
            return err_set(err, ERR_CORRUPT, "metadata: topic %s is named twice",
                           cluster->topics[i].name);
    return 0;
}

/* Either an option's words, or names as they are. */
struct choice {
    const struct option_list *wanted; /* NULL: names */
    const char *const *names;         /* sorted */
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int choose(const struct choice *choice, const char *const *names, size_t count, bool *chosen,
                  struct err *err)
{
    if (choice->wanted != NULL)
        return kafka_topics_choose(choice->wanted, names, count, chosen, err);
    for (size_t i = 0; i < count && choice->count > 0; i++)
        chosen[i] =
            bsearch(&names[i], choice->names, choice->count, sizeof *names, compare_names) != NULL;
    return 0;
}

/* A name that no topic may have is as if it were not there. */
static int copy_topics(struct kafka_cluster *cluster, const struct choice *choice,
                       const struct rd_kafka_metadata *metadata, struct err *err)
{
    size_t most = (size_t)metadata->topic_cnt + 1;
    const struct rd_kafka_metadata_topic **there = mem_calloc(most, sizeof *there);
    const char **names = mem_calloc(most, sizeof *names);
    bool *chosen = mem_calloc(most, sizeof *chosen);
    size_t count = 0;
    int rc;

    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (!kafka_topic_is_name(metadata->topics[i].topic))
            continue;
        there[count] = &metadata->topics[i];
        names[count++] = metadata->topics[i].topic;
    }
    cluster->topics = mem_calloc(most, sizeof *cluster->topics);
    rc = choose(choice, names, count, chosen, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (chosen[i])
            rc = copy_topic(cluster, there[i], err);
    if (rc == 0)
        rc = sort_topics(cluster, err);
    free(there);
    free(names);
    free(chosen);
    return rc;
}

static int take(struct kafka_handle *handle, const struct choice *choice,
                struct kafka_cluster *cluster, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    struct kafka_cluster taken = {.id = NULL};
    int rc = -1;

    if (get_metadata(handle, &metadata, err) < 0)
        return -1;
    if (get_id(handle, &taken.id, err) == 0) {
        copy_nodes(&taken, metadata);
        rc = copy_topics(&taken, choice, metadata, err);
    }
    rd_kafka_metadata_destroy(metadata);
    if (rc == 0)
        *cluster = taken;
    else
        kafka_cluster_fini(&taken);
    return rc;
}

int kafka_cluster_take(struct kafka_handle *handle, const struct option_list *topics,
                       struct kafka_cluster *cluster, struct err *err)
{
    const struct choice choice = {.wanted = topics};

    return take(handle, &choice, cluster, err);
}

int kafka_cluster_find(struct kafka_handle *handle, const char *const *names, size_t count,
                       struct kafka_cluster *cluster, struct err *err)
{
    const struct choice choice = {.names = names, .count = count};

    return take(handle, &choice, cluster, err);
}

void kafka_cluster_fini(struct kafka_cluster *cluster)
{
    free_nodes(cluster);
    for (size_t i = 0; i < cluster->topic_count; i++)
        free_topic(&cluster->topics[i]);
    free(cluster->topics);
    free(cluster->id);
    *cluster = (struct kafka_cluster){.id = NULL};
}

/* --- where they are now --- */

int kafka_cluster_refresh(struct kafka_handle *handle, struct kafka_cluster *cluster,
                          struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;

    if (get_metadata(handle, &metadata, err) < 0)
        return -1;
    copy_nodes(cluster, metadata);
    for (size_t i = 0; i < cluster->topic_count; i++)
        for (size_t p = 0; p < cluster->topics[i].partition_count; p++)
            cluster->topics[i].partitions[p].leader = -1;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *from = &metadata->topics[i];
        struct kafka_topic *topic = kafka_cluster_topic(cluster, from->topic);

        for (int p = 0; topic != NULL && p < from->partition_cnt; p++) {
            int32_t number = from->partitions[p].id;

            if (number >= 0 && (size_t)number < topic->partition_count)
                topic->partitions[number].leader = from->partitions[p].leader;
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

const struct kafka_node *kafka_cluster_node(const struct kafka_cluster *cluster, int32_t id)
{
    const struct kafka_node wanted = {.id = id};

    if (cluster->node_count == 0)
        return NULL;
    return bsearch(&wanted, cluster->nodes, cluster->node_count, sizeof wanted, compare_nodes);
}

const struct kafka_node *kafka_cluster_leader(const struct kafka_cluster *cluster,
                                              const struct kafka_topic *topic, size_t partition)
{
    if (partition >= topic->partition_count)
        return NULL;
    return kafka_cluster_node(cluster, topic->partitions[partition].leader);
}

struct kafka_topic *kafka_cluster_topic(const struct kafka_cluster *cluster, const char *name)
{
    size_t from = 0;
    size_t to = cluster->topic_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, cluster->topics[middle].name);

        if (order == 0)
            return &cluster->topics[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

size_t kafka_cluster_partitions(const struct kafka_cluster *cluster)
{
    size_t count = 0;

    for (size_t i = 0; i < cluster->topic_count; i++)
        count += cluster->topics[i].partition_count;
    return count;
}
