// SPDX-License-Identifier: Apache-2.0
// One look into what is known of the cluster, after asking again where that did not hold.
#include "leaders.h"

#include <stdio.h>

int kafka_leading_find(void *arg, const char *name, int32_t partition, bool anew,
                       struct kafka_address *address, struct err *err)
{
    struct kafka_leading *leading = arg;
    struct kafka_cluster *cluster = leading->cluster;
    const struct kafka_topic *topic = kafka_cluster_topic(cluster, name);
    const struct kafka_node *node = NULL;

    if (anew && kafka_cluster_refresh(leading->handle, cluster, err) < 0)
        return -1;
    if (topic != NULL)
        node = kafka_cluster_leader(cluster, topic, (size_t)partition);
    if (node == NULL)
        return err_set(err, ERR_UNREACHABLE, "%s, partition %d, has no leader now", name,
                       (int)partition);
    snprintf(address->host, sizeof address->host, "%s", node->host);
    snprintf(address->port, sizeof address->port, "%u", (unsigned)node->port);
    return 0;
}
