// SPDX-License-Identifier: Apache-2.0
// Where the leaders of a cluster's partitions are, for readers of partitions.
#pragma once

#include "cluster.h"
#include "wire/fetcher.h"

struct kafka_leading { /* both lent */
    struct kafka_handle *handle;
    struct kafka_cluster *cluster;
};

/* As find of struct kafka_leaders; arg: a struct kafka_leading. */
int kafka_leading_find(void *arg, const char *topic, int32_t partition, bool anew,
                       struct kafka_address *address, struct err *err);
