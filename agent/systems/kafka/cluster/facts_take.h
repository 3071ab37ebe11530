// SPDX-License-Identifier: Apache-2.0
// Asking a cluster for the facts beside its topics and offsets. What this user may not ask for is a
// warning in the facts and stays unknown there; everything else that fails is an error.
#pragma once

#include "kafka_facts.h"

/* What is set for each of the topics; no value that the brokers call sensitive. */
int kafka_configs_take(struct kafka_handle *handle, struct kafka_facts *facts, struct err *err);

/* The consumer groups that have offsets in the topics. An offset above a partition's stable one,
 * the end of what a backup covers, is kept as that: the offsets must have been taken. A broker
 * that has just died is waited for until the others have noticed. */
int kafka_groups_take(const struct kafka_options *options, int64_t deadline_mono_us,
                      struct kafka_facts *facts, struct err *err);

/* The topics' ids (brokers before Kafka 3.1 are not asked), and the ACLs that apply to one of them,
 * and those of groups: over a connection of its own to one of the brokers. */
int kafka_asked_take(const struct kafka_options *options, int64_t deadline_mono_us,
                     struct kafka_facts *facts, struct err *err);
/* The topics' ids alone. */
int kafka_ids_take(const struct kafka_options *options, int64_t deadline_mono_us,
                   struct kafka_facts *facts, struct err *err);
/* The answers to that, for tests: Metadata version 12 and DescribeAcls version 1. ERR_SOURCE: none
 * to these questions. */
int kafka_topic_ids_read(const void *data, size_t len, struct kafka_facts *facts, struct err *err);
int kafka_acls_read(const void *data, size_t len, struct kafka_facts *facts, struct err *err);

/* What a broker tells of its version, "3.9", "4.0 or later", "" when it is not to be had (a right
 * of its own). */
int kafka_version_take(struct kafka_handle *handle, const struct kafka_cluster *cluster,
                       char *version, size_t cap, struct err *err);
