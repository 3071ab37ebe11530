// SPDX-License-Identifier: Apache-2.0
// kafka-facts CONFIG COMPONENT: what a backup would say of the cluster, as JSON; how long each part
// took stands under "took_ms". For tests that compare it with what Kafka's own tools did.
#include "clock.h"
#include "facts_take.h"
#include "offsets.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_US INT64_C(120000000)

static int64_t lap(json_t *took, const char *what, int64_t since_us)
{
    int64_t now_us = clock_mono_us();

    json_object_set_new(took, what, json_integer((now_us - since_us) / 1000));
    return now_us;
}

static int take(const struct kafka_options *options, struct kafka_facts *facts, json_t *json,
                struct err *err)
{
    struct kafka_offsets *offsets = NULL;
    struct kafka_handle *handle;
    json_t *took = json_object();
    int64_t at_us = clock_mono_us();
    int64_t moment_ms = 0;
    int rc = -1;

    if (kafka_offsets_open(options, at_us + DEADLINE_US, &offsets, err) < 0)
        goto out;
    handle = kafka_offsets_handle(offsets);
    if (kafka_cluster_take(handle, &options->topics, &facts->cluster, err) < 0)
        goto out;
    at_us = lap(took, "cluster", at_us);
    if (kafka_offsets_take(offsets, &facts->cluster, &moment_ms, err) < 0)
        goto out;
    at_us = lap(took, "offsets", at_us);
    if (kafka_configs_take(handle, facts, err) < 0)
        goto out;
    at_us = lap(took, "configs", at_us);
    if (kafka_groups_take(options, clock_mono_us() + DEADLINE_US, facts, err) < 0)
        goto out;
    at_us = lap(took, "groups", at_us);
    if (kafka_asked_take(options, clock_mono_us() + DEADLINE_US, facts, err) < 0)
        goto out;
    lap(took, "asked", at_us);
    kafka_facts_write(facts, json);
    json_object_set(json, "took_ms", took);
    json_object_set_new(json, "moment_ms", json_integer(moment_ms));
    rc = 0;
out:
    json_decref(took);
    kafka_offsets_close(offsets);
    return rc;
}

int main(int argc, char **argv)
{
    struct agent_options *options = NULL;
    const struct component_options *component = NULL;
    struct kafka_facts facts = {.groups = NULL};
    json_t *json = json_object();
    struct err err = ERR_INIT;
    int status = EXIT_FAILURE;

    if (argc != 3)
        fprintf(stderr, "usage: kafka-facts CONFIG COMPONENT\n");
    else if (agent_options_load(argv[1], &options, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    else if ((component = agent_options_component(options, argv[2])) == NULL)
        fprintf(stderr, "no component is called %s\n", argv[2]);
    else if (take(&component->kafka, &facts, json, &err) < 0)
        fprintf(stderr, "%s: %s\n", err_kind_name(err.kind), err.text);
    else
        status = json_dumpf(json, stdout, JSON_INDENT(1)) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    json_decref(json);
    kafka_facts_fini(&facts);
    agent_options_free(options);
    return status;
}
