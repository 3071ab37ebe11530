// SPDX-License-Identifier: Apache-2.0
// A cluster as its brokers describe it: its id, the brokers, and the topics that are chosen, with
// where each partition stands. The same structs hold what a manifest says of one (kafka_facts.h).
#pragma once

#include "handle.h"

/* A manifest of more would be too large to be read. */
#define KAFKA_MAX_PARTITIONS 20000
#define KAFKA_MAX_NODES      4096
#define KAFKA_MAX_REPLICAS   128

struct kafka_node {
    int32_t id;
    char *host;
    uint16_t port;
};

struct kafka_topic_partition { /* its number is its index */
    int32_t leader;            /* id of a broker; -1: none now */
    int32_t *replicas;         /* ids of brokers, the preferred leader first */
    size_t replica_count;
    /* Offsets; -1 before kafka_offsets_take. */
    int64_t start;  /* of the oldest record kept */
    int64_t stable; /* the end for a reader of what is committed: no open transaction below */
    int64_t high;   /* the end of what is replicated; more than stable while one is open */
};

struct kafka_config {
    char *name, *value;
};

struct kafka_topic {
    char *name;
    char *id; /* NULL: not known */
    struct kafka_topic_partition *partitions;
    size_t partition_count;
    size_t replication_factor; /* the largest of its partitions' */
    bool config_known;
    struct kafka_config *configs; /* what was set for this topic, by name */
    size_t config_count;
};

struct kafka_cluster {
    char *id;
    struct kafka_node *nodes;
    size_t node_count;
    struct kafka_topic *topics; /* by name */
    size_t topic_count;
};

/* Asks for all of it; topics: the option. ERR_NOT_FOUND: a topic or pattern that finds nothing;
 * ERR_REFUSED: too many partitions. kafka_cluster_fini frees what it holds. */
int kafka_cluster_take(struct kafka_handle *handle, const struct option_list *topics,
                       struct kafka_cluster *cluster, struct err *err);
/* The same of those of the names (sorted, each once) that are there. */
int kafka_cluster_find(struct kafka_handle *handle, const char *const *names, size_t count,
                       struct kafka_cluster *cluster, struct err *err);
/* Is right for a zeroed one too. */
void kafka_cluster_fini(struct kafka_cluster *cluster);

/* Asks again where the brokers and the partitions' leaders are, after a leader moved; what else
 * is known stays. A partition that is no longer there has no leader; one that is new is not
 * added. */
int kafka_cluster_refresh(struct kafka_handle *handle, struct kafka_cluster *cluster,
                          struct err *err);

/* What stands for the cluster in the keys of a store: a short hash of its id, which whoever made it
 * chose. Free it. */
char *kafka_lineage_of(const char *cluster_id);
/* The same, asked of the cluster. */
int kafka_cluster_lineage(struct kafka_handle *handle, char **lineage, struct err *err);

/* Lent; NULL when there is none: no such broker, no leader now, no such topic. */
const struct kafka_node *kafka_cluster_node(const struct kafka_cluster *cluster, int32_t id);
const struct kafka_node *kafka_cluster_leader(const struct kafka_cluster *cluster,
                                              const struct kafka_topic *topic, size_t partition);
struct kafka_topic *kafka_cluster_topic(const struct kafka_cluster *cluster, const char *name);
size_t kafka_cluster_partitions(const struct kafka_cluster *cluster);
/* Puts the topics into their order, for who fills a cluster. */
void kafka_cluster_sort(struct kafka_cluster *cluster);
