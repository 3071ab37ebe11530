// SPDX-License-Identifier: Apache-2.0
// Assertions: their grammar, and which answers satisfy them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assertion.h"

#include <string.h>

static redisReply integer(long long value)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = value};
}

static redisReply string(const char *text)
{
    return (redisReply){
        .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)text, .len = strlen(text)};
}

static bool holds(const char *line, redisReply reply)
{
    struct assertion assertion;
    struct err err = ERR_INIT;
    bool held;

    assert_int_equal(assertion_parse(line, &assertion, &err), 0);
    held = assertion_holds(&assertion, &reply);
    assertion_fini(&assertion);
    return held;
}

static void test_words_database_operator_and_value(void **state)
{
    struct assertion assertion;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(assertion_parse(" @3  HGET \"a \\\"b\\\\\" f>  >=\t-12 ", &assertion, &err),
                     0);
    assert_int_equal(assertion.count, 3);
    assert_int_equal(assertion.database, 3);
    assert_string_equal(assertion.words[0], "HGET");
    assert_string_equal(assertion.words[1], "a \"b\\");
    assert_string_equal(assertion.words[2], "f>");
    assert_int_equal(assertion.operator_, ASSERT_GE);
    assert_string_equal(assertion.value, "-12");
    assertion_fini(&assertion);
}

static void test_what_is_no_assertion(void **state)
{
    static const char *const lines[] = {"",
                                        "   ",
                                        "@3",
                                        "@x DBSIZE",
                                        "@1000001 DBSIZE",
                                        "GET \"a",
                                        "GET \"a\\",
                                        "GET \"a\"b",
                                        "DBSIZE >",
                                        "==",
                                        "DBSIZE > many",
                                        "DBSIZE < -",
                                        "a b c d e f g h i j k l m n o p q"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct assertion assertion;
        struct err err = ERR_INIT;

        assert_int_equal(assertion_parse(lines[i], &assertion, &err), -1);
        assert_int_equal(err.kind, ERR_CONFIG);
        assertion_fini(&assertion);
    }
}

static void test_answers(void **state)
{
    redisReply nil = {.type = REDIS_REPLY_NIL};
    redisReply array = {.type = REDIS_REPLY_ARRAY, .elements = 2};
    redisReply error = {.type = REDIS_REPLY_ERROR, .str = (char *)(uintptr_t) "ERR"};

    (void)state;
    assert_true(holds("DBSIZE", integer(1)));
    assert_false(holds("DBSIZE", integer(0)));
    assert_true(holds("DBSIZE > 0", integer(1)));
    assert_false(holds("DBSIZE > 1", integer(1)));
    assert_true(holds("DBSIZE >= 1", integer(1)));
    assert_true(holds("DBSIZE < 10", integer(9)));
    assert_false(holds("DBSIZE <= 8", integer(9)));
    assert_true(holds("GET a == x", string("x")));
    assert_false(holds("GET a == x", string("y")));
    assert_true(holds("GET a != x", string("y")));
    assert_true(holds("GET a > 9", string("10")));
    assert_false(holds("GET a > 9", string("ten")));
    assert_false(holds("GET a", string("")));
    assert_true(holds("GET a == \"\"", string("")));
    assert_true(holds("GET a == nil", nil));
    assert_false(holds("GET a", nil));
    assert_true(holds("LRANGE a 0 -1 == 2", array));
    assert_false(holds("NONSENSE", error));
    assert_false(holds("NONSENSE != x", error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_database_operator_and_value),
        cmocka_unit_test(test_what_is_no_assertion),
        cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
