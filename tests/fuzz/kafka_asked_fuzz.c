// SPDX-License-Identifier: Apache-2.0
// Any bytes as a broker's answer about ACLs (first byte odd) or topic ids: refused, or facts that
// can be written and read again.
#include "facts_take.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kafka_facts facts = {.groups_known = true};
    struct kafka_facts again = {.groups = NULL};
    struct kafka_topic *topic;
    struct err err = ERR_INIT;
    json_t *json = json_object();
    int rc;

    if (len == 0) {
        json_decref(json);
        return 0;
    }
    facts.cluster.id = mem_strdup("c");
    topic = facts.cluster.topics = mem_calloc(1, sizeof *topic);
    facts.cluster.topic_count = 1;
    *topic = (struct kafka_topic){
        .name = mem_strdup("orders"), .replication_factor = 1, .partition_count = 1};
    topic->partitions = mem_calloc(1, sizeof *topic->partitions);
    rc = (data[0] % 2 == 1 ? kafka_acls_read : kafka_topic_ids_read)(data + 1, len - 1, &facts,
                                                                     &err);
    assert((rc == 0) == (err.kind == ERR_NONE));
    kafka_facts_write(&facts, json);
    if (rc == 0 && kafka_facts_read(json, &again, &err) < 0)
        abort();
    json_decref(json);
    kafka_facts_fini(&facts);
    kafka_facts_fini(&again);
    return 0;
}
