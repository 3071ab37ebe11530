// SPDX-License-Identifier: Apache-2.0
// Where a backup begins: at the start of each partition, or where its parent ended.
#pragma once

#include "cluster.h"

struct manifest;

/* Sets from[topic][partition] (as cluster has them) to where the parent's backup ended, and to the
 * start of a partition or topic that it does not have. *why: NULL; or, when a partition of the
 * parent's cannot be gone on from, the reason (free it), and from is the start everywhere.
 * parent: NULL for the start everywhere. ERR_CORRUPT: what the parent says cannot be understood. */
int kafka_goes_on(const struct kafka_cluster *cluster, const struct manifest *parent,
                  int64_t *const *from, char **why, struct err *err);
