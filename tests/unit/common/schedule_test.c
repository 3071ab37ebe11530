// SPDX-License-Identifier: Apache-2.0
// Which schedules are of the form, and what is said of the others.
#include "schedule.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void test_good_schedules(void **state)
{
    static const char *const good[] = {
        "* * * * *",
        "*/15 * * * *",
        "0 */6 * * *",
        "0 3 * * 0",
        "0 4 1 * *",
        "0,30 0-23 * * *",
        "5-55/10 2 1-15 1-12 1-5",
        " 0  4\t1 * * ",
        "0 0 * jan-mar *",
        "0 0 * * SUN,Wed",
        "0 0 29 2 *",
        "0 0 31 2 mon",
        "0 0 30,31 2,4 *",
        "0 0 * * 7",
        "@every 1m",
        "@every 60s",
        "@every 15m",
        "@every 1d",
    };
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++)
        if (schedule_check(good[i], &err) < 0)
            fail_msg("%s: %s", good[i], err.text);
}

#define FIELD_HELP ": *, N, N-M, a list of those, or a range with a step as in */2"

static void test_wrong_schedules(void **state)
{
    static const struct {
        const char *schedule, *expected;
    } rows[] = {
        {"",
         "is not a schedule: it has 0 of 5 fields; write minute, hour, day, month and weekday as "
         "in \"0 3 * * 0\", or \"@every 15m\""},
        {"* * * *", "is not a schedule: it has 4 of 5 fields; write minute, hour, day, month and "
                    "weekday as in \"0 3 * * 0\", or \"@every 15m\""},
        {"0 * * * * *",
         "is not a schedule: it has 6 of 5 fields; write minute, hour, day, month and "
         "weekday as in \"0 3 * * 0\", or \"@every 15m\""},
        {"60 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"-1 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"5/15 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"*/0 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"*/60 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"*/ * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"1, * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {",1 * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"** * * * *", "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"99999999999999999999 * * * *",
         "is not a schedule: the minute must be of 0 to 59" FIELD_HELP},
        {"0 24 * * *", "is not a schedule: the hour must be of 0 to 23" FIELD_HELP},
        {"0 5-3 * * *", "is not a schedule: the hour must be of 0 to 23" FIELD_HELP},
        {"0 0 0 * *", "is not a schedule: the day of the month must be of 1 to 31" FIELD_HELP},
        {"0 0 1 13 *", "is not a schedule: the month must be of 1 to 12" FIELD_HELP},
        {"0 0 1 janu *", "is not a schedule: the month must be of 1 to 12" FIELD_HELP},
        {"0 0 1 * 8", "is not a schedule: the day of the week must be of 0 to 7" FIELD_HELP},
        {"0 0 1 * */mon", "is not a schedule: the day of the week must be of 0 to 7" FIELD_HELP},
        {"0 0 31 2,4 *", "never comes: no month named has such a day"},
        {"0 0 30 feb *", "never comes: no month named has such a day"},
        {"@daily", "is not a schedule; write \"@every 15m\", or five fields as in \"0 3 * * 0\""},
        {"@every", "is not a schedule; write \"@every 15m\", or five fields as in \"0 3 * * 0\""},
        {"@every 15",
         "is not a schedule; write \"@every 15m\", or five fields as in \"0 3 * * 0\""},
        {"@every 59s", "is too often; use 1m or more"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = ERR_INIT;

        assert_int_equal(schedule_check(rows[i].schedule, &err), -1);
        assert_string_equal(err.text, rows[i].expected);
        assert_int_equal(err.kind, ERR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_schedules),
        cmocka_unit_test(test_wrong_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
