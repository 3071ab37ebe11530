// SPDX-License-Identifier: Apache-2.0
// The proof of an RDB object, for verify and for restores into a file; see system.h.
#pragma once

#include "system.h"

#define REDIS_OBJECT "dump.rdb"

int redis_prove(const struct component_options *component, const struct manifest *manifest,
                const char *object, json_t *findings, struct sink **sink, struct err *err);
