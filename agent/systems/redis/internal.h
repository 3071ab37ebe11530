// SPDX-License-Identifier: Apache-2.0
// The parts of the Redis system; see system.h for what each call promises.
#pragma once

#include "system.h"

#define REDIS_OBJECT "dump.rdb"

int redis_prove(const struct component_options *component, const struct manifest *manifest,
                const char *object, json_t *findings, struct sink **sink, struct err *err);
