// SPDX-License-Identifier: Apache-2.0
// Lines as Prometheus reads them.
#include "metric.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <math.h>
#include <string.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void test_a_family_and_its_samples(void **state)
{
    static const struct metric_label labels[] = {{"component", "orders-db"},
                                                 {"system", "postgres"}};
    struct text out = TEXT_INIT;
    (void)state;

    metric_family(&out, "lifeboat_x", "gauge", "What it is.");
    metric_sample(&out, "lifeboat_x", labels, 2, 1);
    metric_sample(&out, "lifeboat_x", labels, 1, 0.5);
    metric_sample(&out, "lifeboat_x", NULL, 0, 0);
    metric_single(&out, "lifeboat_y_total", "counter", "How many.", 7);
    assert_string_equal(text_str(&out),
                        "# HELP lifeboat_x What it is.\n"
                        "# TYPE lifeboat_x gauge\n"
                        "lifeboat_x{component=\"orders-db\",system=\"postgres\"} 1\n"
                        "lifeboat_x{component=\"orders-db\"} 0.5\n"
                        "lifeboat_x 0\n"
                        "# HELP lifeboat_y_total How many.\n"
                        "# TYPE lifeboat_y_total counter\n"
                        "lifeboat_y_total 7\n");
    text_fini(&out);
}

static void test_texts_are_escaped_and_clean(void **state)
{
    static const struct {
        const char *value, *expected;
    } rows[] = {
        {"", "m{l=\"\"} 1\n"},
        {"a\\b", "m{l=\"a\\\\b\"} 1\n"},
        {"a\"b", "m{l=\"a\\\"b\"} 1\n"},
        {"a\nb", "m{l=\"a\\nb\"} 1\n"},
        {"\\\"\n", "m{l=\"\\\\\\\"\\n\"} 1\n"},
        {"{a=1,b=2}", "m{l=\"{a=1,b=2}\"} 1\n"},
        {"caf\xc3\xa9", "m{l=\"caf\xc3\xa9\"} 1\n"},
        {"caf\xe9", "m{l=\"caf?\"} 1\n"},
    };
    struct text out = TEXT_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct metric_label label = {.name = "l", .value = rows[i].value};

        metric_sample(&out, "m", &label, 1, 1);
        assert_string_equal(text_str(&out), rows[i].expected);
        text_clear(&out);
    }
    metric_family(&out, "m", "gauge", "a \\ \"b\"\nc \xff");
    assert_string_equal(text_str(&out), "# HELP m a \\\\ \"b\"\\nc ?\n# TYPE m gauge\n");
    text_fini(&out);
}

static void test_values(void **state)
{
    const struct {
        double value;
        const char *expected;
    } rows[] = {
        {0, "m 0\n"},
        {-0.0, "m 0\n"},
        {1, "m 1\n"},
        {-42, "m -42\n"},
        {1795500000.123, "m 1795500000.123\n"},
        {1e15, "m 1000000000000000\n"},
        {9007199254740991.0, "m 9007199254740991\n"},
        {9007199254740992.0, "m 9007199254740992\n"},
        {1e18, "m 1e+18\n"},
        {-1e300, "m -1e+300\n"},
        {0.1, "m 0.1\n"},
        {1.0 / 3, "m 0.333333333333333\n"},
        {1e-9, "m 1e-09\n"},
        {(double)NAN, "m NaN\n"},
        {(double)INFINITY, "m +Inf\n"},
        {-(double)INFINITY, "m -Inf\n"},
    };
    struct text out = TEXT_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        metric_sample(&out, "m", NULL, 0, rows[i].value);
        assert_string_equal(text_str(&out), rows[i].expected);
        text_clear(&out);
    }
    text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_and_its_samples),
        cmocka_unit_test(test_texts_are_escaped_and_clean),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
