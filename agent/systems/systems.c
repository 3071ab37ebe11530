// SPDX-License-Identifier: Apache-2.0
// The list of systems. An array that can be read; nothing registers itself.
#include "system.h"

#include "kafka.h"
#include "postgres.h"
#include "redis.h"

static const struct system_ops *const systems[] = {
    [SYSTEM_POSTGRES] = &postgres_system,
    [SYSTEM_REDIS] = &redis_system,
    [SYSTEM_KAFKA] = &kafka_system,
};

const struct system_ops *system_get(int system)
{
    return systems[system];
}
