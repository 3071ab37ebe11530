// SPDX-License-Identifier: Apache-2.0
// Facts as JSON and back, and what is refused of a manifest.
#include "kafka_facts.h"

#include "mem.h"
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* By topic, partition, group: as lifeboat writes it, so in the order of names. */
static const char whole[] =
    "{'cluster': {'id': '5L6g3nShT-eMCtK--X86sw',"
    " 'brokers': [{'id': 1, 'host': 'kafka-0', 'port': 9092}, {'id': 3, 'host': '::1', 'port': "
    "1}]},"
    " 'topics': {'market-data': {'replication_factor': 1, 'config': null,"
    "  'partitions': [{'log_start': 1, 'last_stable': 2, 'high_watermark': 3}]},"
    " 'orders': {'id': 'Ygo5uGZ9QPqzSxGNDzMSFg', 'replication_factor': 3,"
    "  'config': {'cleanup.policy': 'compact', 'retention.ms': '-1'},"
    "  'partitions': [{'log_start': 0, 'last_stable': 12, 'high_watermark': 14},"
    "   {'log_start': 5, 'last_stable': 5, 'high_watermark': 5}]}},"
    " 'groups': {'billing': {'state': 'Empty', 'simple': false,"
    "  'offsets': {'market-data': {'0': 0}, 'orders': {'0': 12, '1': 5}},"
    "  'metadata': {'orders': {'1': 'text'}}},"
    " 'zz': {'state': 'Stable', 'simple': true, 'offsets': {}, 'metadata': {}}},"
    " 'acls': [{'resource': 'TOPIC', 'name': 'orders', 'pattern': 'PREFIXED',"
    "  'principal': 'User:billing', 'host': '*', 'operation': 'READ', 'permission': 'ALLOW'}],"
    " 'authorizer': 'present', 'warnings': ['one', 'two']}";

/* ' for ", so that the tables can be read. */
static json_t *parse(const char *text)
{
    char *copy = mem_strdup(text);
    json_error_t error;
    json_t *json;

    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json = json_loads(copy, 0, &error);
    if (json == NULL)
        fail_msg("%s at %s", error.text, copy + error.position);
    free(copy);
    return json;
}

static void test_there_and_back(void **state)
{
    json_t *json = parse(whole);
    json_t *written = json_object();
    struct kafka_facts facts;
    struct err err = ERR_INIT;
    const struct kafka_group *group;
    (void)state;

    if (kafka_facts_read(json, &facts, &err) < 0)
        fail_msg("%s", err.text);
    kafka_facts_write(&facts, written);
    assert_true(json_equal(json, written));
    assert_int_equal(kafka_cluster_partitions(&facts.cluster), 3);
    assert_int_equal(kafka_cluster_node(&facts.cluster, 3)->port, 1);
    assert_null(kafka_cluster_node(&facts.cluster, 2));
    assert_null(kafka_cluster_leader(&facts.cluster, &facts.cluster.topics[0], 0));
    assert_true(kafka_cluster_topic(&facts.cluster, "orders") == &facts.cluster.topics[1]);
    assert_null(kafka_cluster_topic(&facts.cluster, "order"));
    assert_false(facts.cluster.topics[0].config_known);
    assert_string_equal(facts.cluster.topics[1].configs[1].value, "-1");
    group = kafka_facts_group(&facts, "billing");
    assert_int_equal(group->offset_count, 3);
    assert_int_equal(group->offsets[2].topic, 1);
    assert_int_equal(group->offsets[2].partition, 1);
    assert_int_equal(group->offsets[2].offset, 5);
    assert_string_equal(group->offsets[2].metadata, "text");
    assert_null(group->offsets[0].metadata);
    assert_null(kafka_facts_group(&facts, "nobody"));
    assert_int_equal(facts.acls[0].operation, RD_KAFKA_ACL_OPERATION_READ);
    kafka_facts_fini(&facts);
    json_decref(written);
    json_decref(json);
}

/* Not known is not none: each keeps its own form. */
static void test_unknown(void **state)
{
    static const char *const rows[] = {
        "{'cluster': {'id': 'c', 'brokers': []}, 'topics': {}, 'groups': null, 'acls': null,"
        " 'authorizer': 'unknown', 'warnings': []}",
        "{'cluster': {'id': 'c', 'brokers': []}, 'topics': {}, 'groups': {}, 'acls': null,"
        " 'authorizer': 'none', 'warnings': []}",
        "{'cluster': {'id': 'c', 'brokers': []}, 'topics': {}, 'groups': {}, 'acls': [],"
        " 'authorizer': 'present', 'warnings': []}",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *json = parse(rows[i]);
        json_t *written = json_object();
        struct kafka_facts facts;
        struct err err = ERR_INIT;

        if (kafka_facts_read(json, &facts, &err) < 0)
            fail_msg("%s", err.text);
        kafka_facts_write(&facts, written);
        assert_true(json_equal(json, written));
        kafka_facts_fini(&facts);
        json_decref(written);
        json_decref(json);
    }
}

/* whole with the first from replaced by to. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(whole, from);
    struct text text = TEXT_INIT;

    if (at == NULL)
        fail_msg("not in the example: %s", from);
    text_add_bytes(&text, whole, (size_t)(at - whole));
    text_add(&text, "%s%s", to, at + strlen(from));
    return text_take(&text);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *from, *to, *expected;
    } rows[] = {
        {"'5L6g3nShT-eMCtK--X86sw'", "7", "facts: id is no text"},
        {"'id': 3,", "'id': 1,", "broker 1: facts: id is no such number"},
        {"'port': 9092", "'port': 65536", "broker 0: facts: port is no such number"},
        {"'brokers': [", "'brokers': {}, 'x': [", "facts: brokers is no such list"},
        {"'market-data': {'repl", "'market/data': {'repl",
         "topic market/data: facts: market/data is no name of a topic"},
        {"'orders': {'id'", "'..': {'id'", "topic ..: facts: .. is no name of a topic"},
        {"'replication_factor': 3", "'replication_factor': 0",
         "topic orders: facts: replication_factor is no such number"},
        {"'config': null", "'x': null", "topic market-data: facts: config is no such object"},
        {"'-1'", "-1", "topic orders: facts: config is no object of texts"},
        {"'partitions': [{'log_start': 1", "'partitions': [], 'x': [{'log_start': 1",
         "topic market-data: facts: partitions is no such list"},
        {"'log_start': 0", "'log_start': -1",
         "topic orders: partition 0: facts: log_start is no such number"},
        {"'last_stable': 12", "'last_stable': 15",
         "topic orders: partition 0: facts: high_watermark is no such number"},
        {"'log_start': 5", "'log_start': 6",
         "topic orders: partition 1: facts: last_stable is no such number"},
        {"'high_watermark': 14", "'high_watermark': 1e3",
         "topic orders: partition 0: facts: high_watermark is no such number"},
        {"'0': 12", "'0': 13", "group billing: facts: orders is no such offset"},
        {"'0': 12", "'00': 12", "group billing: facts: 00 is no partition of the topic"},
        {"'0': 12", "'2': 0", "group billing: facts: 2 is no partition of the topic"},
        {"'orders': {'0': 12", "'other': {'0': 12",
         "group billing: facts: other is none of the topics"},
        {"'text'", "7", "group billing: facts: metadata is no text"},
        {"'state': 'Empty'", "'state': ''", "group billing: facts: state is no text"},
        {"'groups': {", "'groups': [], 'x': {", "facts: groups is no such object"},
        {"'READ'", "'read'", "ACL 0: facts: it is of words that are not known"},
        {"'READ'", "'ANY'", "ACL 0: facts: it is of words that are not known"},
        {"'PREFIXED'", "'MATCH'", "ACL 0: facts: it is of words that are not known"},
        {"'User:billing'", "''", "ACL 0: facts: principal is no text"},
        {"'present'", "'none'", "facts: acls is not null, without an authorizer"},
        {"'present'", "'perhaps'", "facts: authorizer is none, present or unknown"},
        {"'two'", "2", "facts: warnings is no list of texts"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = changed(rows[i].from, rows[i].to);
        json_t *json = parse(text);
        struct kafka_facts facts = {.groups = NULL};
        struct err err = ERR_INIT;

        if (kafka_facts_read(json, &facts, &err) == 0)
            fail_msg("not refused: %s", rows[i].to);
        assert_string_equal(err.text, rows[i].expected);
        assert_int_equal(err.kind, ERR_CORRUPT);
        assert_null(facts.cluster.id);
        json_decref(json);
        free(text);
    }
}

static void test_bounds(void **state)
{
    json_t *json = parse(whole);
    json_t *list =
        json_object_get(json_object_get(json_object_get(json, "topics"), "orders"), "partitions");
    struct kafka_facts facts = {.groups = NULL};
    struct err err = ERR_INIT;
    (void)state;

    while (json_array_size(list) < KAFKA_MAX_PARTITIONS - 1)
        json_array_append(list, json_array_get(list, 0));
    assert_int_equal(kafka_facts_read(json, &facts, &err), 0);
    kafka_facts_fini(&facts);
    json_array_append(list, json_array_get(list, 0));
    assert_int_equal(kafka_facts_read(json, &facts, &err), -1);
    assert_string_equal(err.text, "topic orders: facts: partitions is no such list");
    json_decref(json);
    for (int i = 0; i < 2 * KAFKA_MAX_WARNINGS; i++)
        kafka_facts_warn(&facts, "%d", i);
    assert_int_equal(facts.warning_count, KAFKA_MAX_WARNINGS);
    kafka_facts_fini(&facts);
}

static void test_lineage(void **state)
{
    char *one = kafka_lineage_of("5L6g3nShT-eMCtK--X86sw");
    char *other = kafka_lineage_of("5L6g3nShT-eMCtK--X86sx");
    (void)state;

    assert_string_equal(one, "fc57b40be5110c19");
    assert_string_not_equal(one, other);
    free(one);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_lineage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
