// SPDX-License-Identifier: Apache-2.0
// Fields of INFO: found by their whole name, numbers read strictly.
#include "conn.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

static const char info[] = "# Persistence\r\nloading:0\r\nrdb_last_save_time:1795565851\r\n"
                           "current_fork_perc:0.00\r\nrdb_current_bgsave_time_sec:-1\r\n"
                           "slave0:ip=10.0.0.1,port=6379\r\nempty:\r\nhuge:99999999999999999999\r\n"
                           "least:-9223372036854775808\r\n\r\n# Last\nunix:7";

static void test_fields(void **state)
{
    char value[8];
    (void)state;

    assert_true(redis_info_field(info, "loading", value, sizeof value));
    assert_string_equal(value, "0");
    assert_true(redis_info_field(info, "slave0", value, sizeof value));
    assert_string_equal(value, "ip=10.0");
    assert_true(redis_info_field(info, "empty", value, sizeof value));
    assert_string_equal(value, "");
    assert_true(redis_info_field(info, "unix", value, sizeof value));
    assert_string_equal(value, "7");
    assert_false(redis_info_field(info, "load", value, sizeof value));
    assert_string_equal(value, "");
    assert_false(redis_info_field(info, "ing", value, sizeof value));
    assert_false(redis_info_field(info, "# Last", value, sizeof value));
    assert_false(redis_info_field("", "loading", value, sizeof value));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *field;
        int64_t expected;
    } rows[] = {
        {"loading", 0},
        {"rdb_last_save_time", 1795565851},
        {"rdb_current_bgsave_time_sec", -1},
        {"unix", 7},
        {"current_fork_perc", 42},
        {"empty", 42},
        {"huge", 42},
        {"least", 42},
        {"absent", 42},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(redis_info_number(info, rows[i].field, 42), rows[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
