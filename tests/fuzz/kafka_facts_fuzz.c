// SPDX-License-Identifier: Apache-2.0
// Any JSON as the facts of a Kafka manifest: refused with a reason, or read; and what was read
// writes to JSON that reads and writes the same.
#include "kafka_facts.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static json_t *write_again(const struct kafka_facts *facts)
{
    json_t *json = json_object();

    kafka_facts_write(facts, json);
    return json;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = ERR_INIT;
    struct kafka_facts facts = {.groups = NULL};
    struct kafka_facts again = {.groups = NULL};
    json_t *json = json_loadb((const char *)data, len, JSON_DECODE_ANY, NULL);
    json_t *first, *second;

    if (json == NULL)
        return 0;
    if (kafka_facts_read(json, &facts, &err) < 0) {
        assert(err.kind == ERR_CORRUPT && err.text[0] != '\0');
        assert(facts.cluster.id == NULL);
        json_decref(json);
        return 0;
    }
    first = write_again(&facts);
    if (kafka_facts_read(first, &again, &err) < 0)
        abort();
    second = write_again(&again);
    assert(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    json_decref(json);
    kafka_facts_fini(&facts);
    kafka_facts_fini(&again);
    return 0;
}
