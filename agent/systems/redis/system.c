// SPDX-License-Identifier: Apache-2.0
// Redis and Valkey as a system: the table of what can be done.
#include "redis.h"

const struct system_ops redis_system = {
    .name = "redis",
};
