// SPDX-License-Identifier: Apache-2.0
// Which topics are chosen: whole names, no internal ones but by name, and nothing found is said.
#include "topics.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const names[] = {"orders", "orders.dlq", "__consumer_offsets", "market-data",
                                    "_schemas"};

/* A letter for each name: x where it is chosen. */
static void expect(char *first, char *second, const char *expected)
{
    char *items[] = {first, second};
    const struct option_list wanted = {.items = items, .count = second == NULL ? 1 : 2};
    bool chosen[COUNT(names)];
    char found[COUNT(names) + 1] = "";
    struct err err = ERR_INIT;

    if (kafka_topics_choose(&wanted, names, COUNT(names), chosen, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < COUNT(names); i++)
        found[i] = chosen[i] ? 'x' : '-';
    assert_string_equal(found, expected);
}

static void test_choice(void **state)
{
    (void)state;

    expect("orders", NULL, "x----");
    expect("orders", "market-data", "x--x-");
    expect("re:.*", NULL, "xx-xx");
    expect("re:orders", NULL, "x----");
    expect("orders", "re:orders.*", "xx---");
    expect("re:^orders$", NULL, "x----");
    expect("re:o|orders|ord", NULL, "x----"); /* the longest of the leftmost, not the first */
    expect("re:(o|m).*", NULL, "xx-x-");
    expect("re:orders\\..*", NULL, "-x---");
    expect("re:o(r)de\\1s", NULL, "x----"); /* a group of one's own keeps its number */
    expect("re:.*", "__consumer_offsets", "xxxxx");
    expect("__consumer_offsets", NULL, "--x--");
}

static void test_nothing_found(void **state)
{
    static const struct {
        const char *wanted;
        enum err_kind kind;
        const char *expected;
    } rows[] = {
        {"order", ERR_NOT_FOUND,
         "topic order: there is none of that name, or this user may not describe it"},
        {"re:order", ERR_NOT_FOUND,
         "topics: re:order matches no topic that this user may describe (internal ones only by "
         "name)"},
        {"re:__.*", ERR_NOT_FOUND,
         "topics: re:__.* matches no topic that this user may describe (internal ones only by "
         "name)"},
        {"re:(", ERR_CONFIG, "topics: re:( is no extended regular expression"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *items[] = {(char *)(uintptr_t) "orders", (char *)(uintptr_t)rows[i].wanted};
        const struct option_list wanted = {.items = items, .count = 2};
        bool chosen[COUNT(names)];
        struct err err = ERR_INIT;

        assert_int_equal(kafka_topics_choose(&wanted, names, COUNT(names), chosen, &err), -1);
        assert_string_equal(err.text, rows[i].expected);
        assert_int_equal(err.kind, rows[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_nothing_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
