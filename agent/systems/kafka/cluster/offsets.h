// SPDX-License-Identifier: Apache-2.0
// Where the partitions of a cluster begin and end now.
#pragma once

#include "cluster.h"

/* Two handles, because librdkafka asks with its isolation.level for the one end or the other. */
struct kafka_offsets;

/* Connects nothing yet. */
int kafka_offsets_open(const struct kafka_options *options, int64_t deadline_mono_us,
                       struct kafka_offsets **offsets, struct err *err);
/* NULL is allowed. */
void kafka_offsets_close(struct kafka_offsets *offsets);
/* The one that asks as read_committed; it serves for everything else too. Lent. */
struct kafka_handle *kafka_offsets_handle(struct kafka_offsets *offsets);

/* Sets start, stable and high of all partitions, start <= stable <= high, asked in this order, one
 * request per broker for a thousand partitions. *moment_ms (wall clock): what was committed before
 * is below stable. A partition without a leader is waited for, as long as the option timeout says;
 * then ERR_UNREACHABLE names it. */
int kafka_offsets_take(struct kafka_offsets *offsets, struct kafka_cluster *cluster,
                       int64_t *moment_ms, struct err *err);
