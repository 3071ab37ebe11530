// SPDX-License-Identifier: Apache-2.0
// May this user read the topics? Only trying tells: librdkafka 2.0.2 cannot ask for rights.
#pragma once

#include "cluster.h"

struct text;

/* Fetches at the end of the first partition of each topic, at most KAFKA_READING_MAX of them.
 * refused: the names of those that are refused, "a, b"; "" when there are none. *tried: of how many
 * it is known. */
#define KAFKA_READING_MAX 64
int kafka_reading_try(const struct kafka_options *options, const struct kafka_cluster *cluster,
                      int64_t deadline_mono_us, struct text *refused, size_t *tried,
                      struct err *err);
