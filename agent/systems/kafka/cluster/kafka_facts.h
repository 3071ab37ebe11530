// SPDX-License-Identifier: Apache-2.0
// What a manifest says of a Kafka backup, under "facts", beside what the snapshot adds to each
// partition (its records, digest, and so on):
//
//   "cluster": {"id": "5L6g3nShT-eMCtK--X86sw",
//               "brokers": [{"id": 1, "host": "kafka-0.kafka", "port": 9092}, ...]},
//   "topics": {
//     "orders": {
//       "id": "Ygo5uGZ9QPqzSxGNDzMSFg",          absent when it is not known
//       "replication_factor": 3,
//       "config": {"retention.ms": "-1"},         what was set for this topic; null: not known
//       "partitions": [                           by number, none left out
//         {"log_start": 0, "last_stable": 12, "high_watermark": 14}, ...]}},
//   "groups": {                                   those that this user may describe (brokers leave
//                                                 out others in silence); null: not known
//     "billing": {
//       "state": "Empty", "simple": false,        simple: it only keeps offsets, without members
//       "offsets": {"orders": {"0": 12}},         by partition; at most last_stable
//       "metadata": {"orders": {"0": "text"}}}},  where a consumer left any
//   "acls": [                                     of these topics and of groups; null: not known,
//                                                 or there is no authorizer
//     {"resource": "TOPIC", "name": "orders", "pattern": "LITERAL", "principal": "User:billing",
//      "host": "*", "operation": "READ", "permission": "ALLOW"}, ...],
//   "authorizer": "none",                         or "present", or "unknown"
//   "warnings": ["what is missing above, and why", ...]
//
// The manifest of a store is hostile: what is read here is bounded and checked.
#pragma once

#include "cluster.h"

#include <jansson.h>

#define KAFKA_MAX_CONFIGS       256 /* of one topic */
#define KAFKA_MAX_VALUE         ((size_t)32 << 10)
#define KAFKA_MAX_NAME          ((size_t)4096) /* of a group, and each text of an ACL */
#define KAFKA_MAX_GROUPS        10000
#define KAFKA_MAX_GROUP_OFFSETS 100000 /* of all groups */
#define KAFKA_MAX_ACLS          10000
#define KAFKA_MAX_WARNINGS      100

struct kafka_group_offset {
    size_t topic; /* index into the cluster's topics */
    size_t partition;
    int64_t offset;
    char *metadata; /* NULL: none */
};

struct kafka_group {
    char *name;
    char *state; /* "Stable", "Empty", ...; "Unknown" where the broker does not tell */
    bool simple;
    struct kafka_group_offset *offsets; /* by topic and partition */
    size_t offset_count;
};

struct kafka_acl {
    rd_kafka_ResourceType_t resource; /* TOPIC or GROUP */
    char *name;
    rd_kafka_ResourcePatternType_t pattern; /* LITERAL or PREFIXED */
    char *principal, *host;
    rd_kafka_AclOperation_t operation;
    rd_kafka_AclPermissionType_t permission; /* DENY or ALLOW */
};

enum kafka_authorizer { KAFKA_AUTHORIZER_UNKNOWN, KAFKA_AUTHORIZER_NONE, KAFKA_AUTHORIZER_PRESENT };

struct kafka_facts {
    struct kafka_cluster cluster;
    bool groups_known;
    struct kafka_group *groups; /* by name */
    size_t group_count;
    enum kafka_authorizer authorizer;
    struct kafka_acl *acls;
    size_t acl_count;
    char **warnings;
    size_t warning_count;
};

/* Is right for a zeroed one too. */
void kafka_facts_fini(struct kafka_facts *facts);
void kafka_group_fini(struct kafka_group *group);
/* Lent; NULL: there is none of that name. */
struct kafka_group *kafka_facts_group(const struct kafka_facts *facts, const char *name);
/* Put the groups, and the offsets of one, into their order, for who fills them. */
void kafka_facts_sort(struct kafka_facts *facts);
void kafka_group_sort(struct kafka_group *group);
/* Adds a warning, unless there are too many. */
void kafka_facts_warn(struct kafka_facts *facts, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds them to json, an object. */
void kafka_facts_write(const struct kafka_facts *facts, json_t *json);
/* The way back. ERR_CORRUPT names the place that is wrong. What is not of the form above is
 * ignored. Leaders and replicas are not kept: they are those of another time. */
int kafka_facts_read(const json_t *json, struct kafka_facts *facts, struct err *err);
