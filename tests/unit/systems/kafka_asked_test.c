// SPDX-License-Identifier: Apache-2.0
// Answers of brokers as bytes: topic ids and ACLs, and answers that are none.
#include "cursor.h"
#include "facts_take.h"

#include "mem.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

static struct kafka_facts of_topics(void)
{
    struct kafka_facts facts = {.cluster = {.topic_count = 2}};

    facts.cluster.topics = mem_calloc(2, sizeof *facts.cluster.topics);
    facts.cluster.topics[0].name = mem_strdup("market-data");
    facts.cluster.topics[1].name = mem_strdup("orders");
    return facts;
}

/* --- topic ids --- */

static void put_compact(struct text *into, const char *string)
{
    kafka_put_i8(into, (int8_t)(strlen(string) + 1));
    text_add_bytes(into, string, strlen(string));
}

static void put_topic(struct text *into, int16_t error, const char *name, const char *id)
{
    kafka_put_i16(into, error);
    put_compact(into, name);
    text_add_bytes(into, id, 16);
    kafka_put_i8(into, 0); /* internal */
    kafka_put_i8(into, 2); /* one partition */
    kafka_put_i16(into, 0);
    for (int i = 0; i < 3; i++)
        kafka_put_i32(into, 0);
    kafka_put_i8(into, 2); /* one replica */
    kafka_put_i32(into, 1);
    kafka_put_i8(into, 1); /* none */
    kafka_put_i8(into, 0); /* null */
    kafka_put_i8(into, 0);
    kafka_put_i32(into, INT32_MIN);
    kafka_put_i8(into, 1); /* a tagged field of a later version */
    kafka_put_i8(into, 9);
    kafka_put_i8(into, 1);
    kafka_put_i8(into, 'x');
}

static struct text ids_answer(void)
{
    struct text answer = TEXT_INIT;

    kafka_put_i8(&answer, 0);
    kafka_put_i32(&answer, 0);
    kafka_put_i8(&answer, 2);
    kafka_put_i32(&answer, 1);
    put_compact(&answer, "kafka-0");
    kafka_put_i32(&answer, 9092);
    kafka_put_i8(&answer, 0); /* no rack */
    kafka_put_i8(&answer, 0);
    put_compact(&answer, "cluster");
    kafka_put_i32(&answer, 1);
    kafka_put_i8(&answer, 4);
    put_topic(&answer, 0, "orders",
              "\xff\xff\xff\xff\xfe\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01");
    put_topic(&answer, 0, "market-data", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    put_topic(&answer, 0, "other", "0123456789abcdef");
    kafka_put_i8(&answer, 0);
    return answer;
}

static void test_topic_ids(void **state)
{
    struct kafka_facts facts = of_topics();
    struct text answer = ids_answer();
    struct err err = ERR_INIT;
    (void)state;

    if (kafka_topic_ids_read(answer.data, answer.len, &facts, &err) < 0)
        fail_msg("%s", err.text);
    assert_null(facts.cluster.topics[0].id);
    assert_string_equal(facts.cluster.topics[1].id, "______4AAAAAAAAAAAAAAQ");
    text_fini(&answer);
    kafka_facts_fini(&facts);
}

/* --- ACLs --- */

static void put_nothing(struct text *into, int16_t code)
{
    kafka_put_i32(into, 0);
    kafka_put_i16(into, code);
    kafka_put_i16(into, -1);
}

static void put_resource(struct text *into, int8_t kind, const char *name, int8_t pattern,
                         int8_t operation)
{
    kafka_put_i8(into, kind);
    kafka_put_string(into, name);
    kafka_put_i8(into, pattern);
    kafka_put_i32(into, 1);
    kafka_put_string(into, "User:a");
    kafka_put_string(into, "*");
    kafka_put_i8(into, operation);
    kafka_put_i8(into, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW);
}

static struct text acls_answer(void)
{
    static const int8_t literal = RD_KAFKA_RESOURCE_PATTERN_LITERAL;
    static const int8_t prefixed = RD_KAFKA_RESOURCE_PATTERN_PREFIXED;
    struct text answer = TEXT_INIT;

    put_nothing(&answer, 0);
    kafka_put_i32(&answer, 10);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "orders", literal, 3);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "order", literal, 3);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "ord", prefixed, 4);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "other", prefixed, 4);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "*", literal, 8);
    put_resource(&answer, RD_KAFKA_RESOURCE_GROUP, "any", literal, 3);
    put_resource(&answer, RD_KAFKA_RESOURCE_BROKER, "kafka-cluster", literal, 3);
    put_resource(&answer, 5, "a transactional id", literal, 3);
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "orders", literal, 15); /* of a later version */
    put_resource(&answer, RD_KAFKA_RESOURCE_TOPIC, "orders", 9, 3);
    return answer;
}

static void test_acls(void **state)
{
    static const char *const names[] = {"orders", "ord", "*", "any"};
    struct kafka_facts facts = of_topics();
    struct text answer = acls_answer();
    struct err err = ERR_INIT;
    (void)state;

    if (kafka_acls_read(answer.data, answer.len, &facts, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(facts.authorizer, KAFKA_AUTHORIZER_PRESENT);
    assert_int_equal(facts.acl_count, 4);
    for (size_t i = 0; i < facts.acl_count; i++)
        assert_string_equal(facts.acls[i].name, names[i]);
    assert_int_equal(facts.acls[1].operation, RD_KAFKA_ACL_OPERATION_WRITE);
    assert_int_equal(facts.acls[1].pattern, RD_KAFKA_RESOURCE_PATTERN_PREFIXED);
    assert_string_equal(facts.acls[3].principal, "User:a");
    assert_int_equal(facts.warning_count, 1); /* of the two that have no words here */
    assert_int_equal(strncmp(facts.warnings[0], "2 ACLs", 6), 0);
    text_fini(&answer);
    kafka_facts_fini(&facts);
}

/* A principal that a manifest cannot hold as it is, must not become another one. */
static void test_acls_of_strange_names(void **state)
{
    static const char longest[KAFKA_MAX_NAME + 1] = {0};
    static const struct {
        const char *principal;
        size_t len;
        size_t kept;
    } rows[] = {{"User:a", 6, 1}, {"User:a\0b", 8, 0},       {"User:\xff", 6, 0},
                {"", 0, 0},       {NULL, KAFKA_MAX_NAME, 1}, {NULL, KAFKA_MAX_NAME + 1, 0}};
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kafka_facts facts = of_topics();
        struct text answer = TEXT_INIT;
        struct err err = ERR_INIT;

        put_nothing(&answer, 0);
        kafka_put_i32(&answer, 1);
        kafka_put_i8(&answer, RD_KAFKA_RESOURCE_TOPIC);
        kafka_put_string(&answer, "orders");
        kafka_put_i8(&answer, RD_KAFKA_RESOURCE_PATTERN_LITERAL);
        kafka_put_i32(&answer, 1);
        kafka_put_i16(&answer, (int16_t)rows[i].len);
        text_add_bytes(&answer, rows[i].principal == NULL ? longest : rows[i].principal,
                       rows[i].len);
        if (rows[i].principal == NULL)
            memset(answer.data + answer.len - rows[i].len, 'a', rows[i].len);
        kafka_put_string(&answer, "*");
        kafka_put_i8(&answer, RD_KAFKA_ACL_OPERATION_READ);
        kafka_put_i8(&answer, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW);
        assert_int_equal(kafka_acls_read(answer.data, answer.len, &facts, &err), 0);
        assert_int_equal(facts.acl_count, rows[i].kept);
        assert_int_equal(facts.warning_count, 1 - rows[i].kept);
        text_fini(&answer);
        kafka_facts_fini(&facts);
    }
}

static void test_no_acls(void **state)
{
    static const struct {
        int16_t code;
        int rc;
        enum kafka_authorizer authorizer;
        size_t warnings;
    } rows[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, 0, KAFKA_AUTHORIZER_PRESENT, 0},
        {RD_KAFKA_RESP_ERR_SECURITY_DISABLED, 0, KAFKA_AUTHORIZER_NONE, 0},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, 0, KAFKA_AUTHORIZER_UNKNOWN, 1},
        {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, -1, KAFKA_AUTHORIZER_UNKNOWN, 0},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kafka_facts facts = of_topics();
        struct text answer = TEXT_INIT;
        struct err err = ERR_INIT;

        put_nothing(&answer, rows[i].code);
        kafka_put_i32(&answer, 0);
        assert_int_equal(kafka_acls_read(answer.data, answer.len, &facts, &err), rows[i].rc);
        assert_int_equal(facts.authorizer, rows[i].authorizer);
        assert_int_equal(facts.warning_count, rows[i].warnings);
        text_fini(&answer);
        kafka_facts_fini(&facts);
    }
}

/* Every shorter answer is none, and leaves nothing behind. */
static void test_cut(void **state)
{
    struct text ids = ids_answer();
    struct text acls = acls_answer();
    (void)state;

    for (size_t len = 0; len < ids.len; len++) {
        struct kafka_facts facts = of_topics();
        struct err err = ERR_INIT;

        assert_int_equal(kafka_topic_ids_read(ids.data, len, &facts, &err), -1);
        assert_int_equal(err.kind, ERR_SOURCE);
        kafka_facts_fini(&facts);
    }
    for (size_t len = 0; len < acls.len; len++) {
        struct kafka_facts facts = of_topics();
        struct err err = ERR_INIT;

        assert_int_equal(kafka_acls_read(acls.data, len, &facts, &err), -1);
        assert_int_equal(err.kind, ERR_SOURCE);
        kafka_facts_fini(&facts);
    }
    text_fini(&ids);
    text_fini(&acls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_ids),
        cmocka_unit_test(test_acls),
        cmocka_unit_test(test_acls_of_strange_names),
        cmocka_unit_test(test_no_acls),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
