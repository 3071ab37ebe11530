// SPDX-License-Identifier: Apache-2.0
// Redis and Valkey as a system: the table of what can be done.
#include "redis.h"

#include "mem.h"
#include "redis_prove.h"
#include "redis_restoring.h"
#include "redis_snapshot.h"

/* A server's run id and replication id change with restarts and failovers: nothing that it says
 * lasts, so the component's name stands for it. */
static int name_lineage(const struct component_options *component, char **lineage, struct err *err)
{
    (void)err;
    *lineage = mem_strdup(component->name);
    return 0;
}

const struct system_ops redis_system = {
    .name = "redis",
    .check = redis_check,
    .snapshot_open = redis_snapshot_open,
    .snapshot_describe = redis_snapshot_describe,
    .snapshot_next = redis_snapshot_next,
    .snapshot_finish = redis_snapshot_finish,
    .snapshot_close = redis_snapshot_close,
    .clean = redis_clean,
    .lineage = name_lineage,
    .prove = redis_prove,
    .replaces_in_place = true,
    .restore_occupied = redis_file_occupied,
    .restore_open = redis_restore_open,
    .restore_stake = redis_restore_stake,
    .restore_begin = redis_restore_begin,
    .restore_sink = redis_restore_sink,
    .restore_finish = redis_restore_finish,
    .restore_close = redis_restore_close,
};
