// SPDX-License-Identifier: Apache-2.0
// Kafka as a system: the table of what can be done.
#include "kafka.h"

#include "clock.h"
#include "cluster.h"
#include "kafka_restoring.h"
#include "kafka_snapshot.h"

#define ASK_TIME_US INT64_C(30000000)

static int ask_lineage(const struct component_options *component, char **lineage, struct err *err)
{
    struct kafka_handle *handle = NULL;
    int rc = -1;

    if (kafka_handle_open(&component->kafka, RD_KAFKA_CONSUMER, NULL, clock_mono_us() + ASK_TIME_US,
                          &handle, err) == 0)
        rc = kafka_cluster_lineage(handle, lineage, err);
    kafka_handle_close(handle);
    return rc;
}

const struct system_ops kafka_system = {
    .name = "kafka",
    .check = kafka_check,
    .incremental = true,
    .snapshot_open = kafka_snapshot_open,
    .snapshot_describe = kafka_snapshot_describe,
    .snapshot_next = kafka_snapshot_next,
    .snapshot_finish = kafka_snapshot_finish,
    .snapshot_close = kafka_snapshot_close,
    .clean = kafka_clean,
    .lineage = ask_lineage,
    .prove = kafka_prove,
    .picks_topics = true,
    .restore_open = kafka_restore_open,
    .restore_stake = kafka_restore_stake,
    .restore_begin = kafka_restore_begin,
    .restore_sink = kafka_restore_sink,
    .restore_finish = kafka_restore_finish,
    .restore_close = kafka_restore_close,
};
