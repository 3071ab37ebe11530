// SPDX-License-Identifier: Apache-2.0
// Writing and reading moments, and the replaceable clock.
#include "clock.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct {
    int64_t wall_ms;
    const char *text, *compact;
} moments[] = {
    {0, "1970-01-01T00:00:00.000Z", "19700101T000000Z"},
    {1795418100123, "2026-11-23T07:15:00.123Z", "20261123T071500Z"},
    {1709164799999, "2024-02-28T23:59:59.999Z", "20240228T235959Z"},
    {1709164800000, "2024-02-29T00:00:00.000Z", "20240229T000000Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z", "99991231T235959Z"},
    {-1, "1969-12-31T23:59:59.999Z", "19691231T235959Z"},
    {-62135596800000, "0001-01-01T00:00:00.000Z", "00010101T000000Z"},
};

static void test_moments_are_written_and_read_back(void **state)
{
    char buffer[CLOCK_TEXT_CAP];
    (void)state;

    for (size_t i = 0; i < COUNT(moments); i++) {
        int64_t wall_ms = 7;
        int64_t whole_ms = moments[i].wall_ms - (moments[i].wall_ms % 1000 + 1000) % 1000;

        assert_string_equal(clock_format(moments[i].wall_ms, buffer), moments[i].text);
        assert_int_equal(clock_parse(buffer, &wall_ms), 0);
        assert_true(wall_ms == moments[i].wall_ms);
        assert_string_equal(clock_format_compact(moments[i].wall_ms, buffer), moments[i].compact);
        assert_int_equal(clock_parse(buffer, &wall_ms), 0);
        assert_true(wall_ms == whole_ms);
    }
}

static void test_shorter_forms_are_read(void **state)
{
    int64_t wall_ms = 0;
    (void)state;

    assert_int_equal(clock_parse("2026-11-23T07:15Z", &wall_ms), 0);
    assert_true(wall_ms == 1795418100000);
    assert_int_equal(clock_parse("2026-11-23T07:15:00Z", &wall_ms), 0);
    assert_true(wall_ms == 1795418100000);
}

static void test_other_forms_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "Z",
        "2026",
        "2026-11-23",
        "2026-11-23T07:15",
        "2026-11-23T07:15:00",
        "2026-11-23T07:15:00+01:00",
        "2026-11-23T07:15:00.12Z",
        "2026-11-23T07:15:00.1234Z",
        "2026-11-23T07:15.123Z",
        "2026-11-23 07:15:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-02-00T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T07:60:00Z",
        "2026-11-23T07:15:60Z",
        "20261123T071500",
        "20261123T0715Z",
        "20261123T07150Z0",
        "20261123T071500Zx",
        "latest",
    };
    int64_t wall_ms = 7;
    (void)state;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(clock_parse(wrong[i], &wall_ms), -1);
        assert_true(wall_ms == 7);
    }
}

static void test_extreme_moments_stay_in_the_buffer(void **state)
{
    char buffer[CLOCK_TEXT_CAP];
    (void)state;

    clock_format(INT64_MAX, buffer);
    clock_format(INT64_MIN + 1000, buffer);
    clock_format_compact(INT64_MAX, buffer);
    clock_format_compact(INT64_MIN + 1000, buffer);
}

static int64_t noon(void)
{
    return 43200000;
}

static int64_t never(void)
{
    return 0;
}

static void test_the_clock_can_be_replaced(void **state)
{
    static const struct clock_ops still = {.wall_ms = noon, .mono_us = never};
    int64_t before;
    (void)state;

    clock_replace(&still);
    assert_true(clock_wall_ms() == 43200000);
    assert_true(clock_mono_us() == 0);
    clock_replace(NULL);
    before = clock_mono_us();
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
    assert_true(clock_mono_us() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_are_written_and_read_back),
        cmocka_unit_test(test_shorter_forms_are_read),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_extreme_moments_stay_in_the_buffer),
        cmocka_unit_test(test_the_clock_can_be_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
