// SPDX-License-Identifier: Apache-2.0
// Which schedules are of the form, what is said of the others, and when they come.
#include "schedule.h"

#include "clock.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>
#include <time.h>

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

static struct schedule parsed(const char *text)
{
    struct schedule schedule;

    if (schedule_parse(text, &schedule) < 0)
        fail_msg("%s is refused", text);
    return schedule;
}

static void test_fields_become_sets(void **state)
{
    struct schedule schedule = parsed("0,30 */6 1-31/10 jan,12 5-7");
    struct schedule untouched = {.every_ms = 7};
    (void)state;

    assert_true(schedule.every_ms == 0);
    assert_true(schedule.minutes == (UINT64_C(1) | UINT64_C(1) << 30));
    assert_true(schedule.hours == (1 | 1 << 6 | 1 << 12 | 1 << 18));
    assert_true(schedule.days == (1 << 1 | 1 << 11 | 1 << 21 | UINT64_C(1) << 31));
    assert_true(schedule.months == (1 << 1 | 1 << 12));
    assert_true(schedule.weekdays == (1 << 0 | 1 << 5 | 1 << 6));
    assert_false(schedule.any_day);
    assert_false(schedule.any_weekday);
    schedule = parsed("* * */2 * *");
    assert_true(schedule.any_day);
    assert_true(schedule.any_weekday);
    assert_true(schedule.weekdays == 0x7f);
    assert_true(schedule.minutes == (UINT64_C(1) << 60) - 1);
    assert_true(parsed("@every 90s").every_ms == 90000);
    assert_int_equal(schedule_parse("0 24 * * *", &untouched), -1);
    assert_int_equal(schedule_parse("@daily", &untouched), -1);
    assert_true(untouched.every_ms == 7);
}

static int64_t at(const char *moment)
{
    int64_t wall_ms;

    assert_int_equal(clock_parse(moment, &wall_ms), 0);
    return wall_ms;
}

static void test_next_slots(void **state)
{
    static const struct {
        const char *schedule, *after, *expected;
    } rows[] = {
        {"* * * * *", "2026-11-24T12:00Z", "2026-11-24T12:01:00.000Z"},
        {"* * * * *", "2026-11-24T12:00:59.999Z", "2026-11-24T12:01:00.000Z"},
        {"*/15 * * * *", "2026-11-24T12:00Z", "2026-11-24T12:15:00.000Z"},
        {"*/15 * * * *", "2026-11-24T11:59:59.999Z", "2026-11-24T12:00:00.000Z"},
        {"*/15 * * * *", "2026-11-24T12:14:59Z", "2026-11-24T12:15:00.000Z"},
        {"*/15 * * * *", "2026-12-31T23:45Z", "2027-01-01T00:00:00.000Z"},
        {"59 23 31 12 *", "2026-12-31T23:59Z", "2027-12-31T23:59:00.000Z"},
        {"0 3 * * 0", "2026-11-24T12:00Z", "2026-11-29T03:00:00.000Z"},
        {"0 3 * * 7", "2026-11-24T12:00Z", "2026-11-29T03:00:00.000Z"},
        {"0 3 * * 0", "2026-11-29T03:00Z", "2026-12-06T03:00:00.000Z"},
        {"0 4 1 * *", "2026-11-24T12:00Z", "2026-12-01T04:00:00.000Z"},
        {"0 0 31 * *", "2026-11-24T12:00Z", "2026-12-31T00:00:00.000Z"},
        {"0 0 31 * *", "2027-01-31T00:00Z", "2027-03-31T00:00:00.000Z"},
        {"0 0 29 2 *", "2026-11-24T12:00Z", "2028-02-29T00:00:00.000Z"},
        {"0 0 29 2 *", "2096-02-29T00:00Z", "2104-02-29T00:00:00.000Z"},
        {"0 0 29 2 *", "1999-01-01T00:00Z", "2000-02-29T00:00:00.000Z"},
        {"0 0 1 3 *", "2100-02-28T00:00Z", "2100-03-01T00:00:00.000Z"},
        {"0 0 * feb sun", "2026-11-24T12:00Z", "2027-02-07T00:00:00.000Z"},
        {"0 0 * * mon-wed", "2026-11-24T12:00Z", "2026-11-25T00:00:00.000Z"},
        {"0 0 * * fri,TUE", "2026-11-24T12:00Z", "2026-11-27T00:00:00.000Z"},
        {"5-55/10 2,14 * * *", "2026-11-24T12:00Z", "2026-11-24T14:05:00.000Z"},
        {"5-55/10 2,14 * * *", "2026-11-24T14:55Z", "2026-11-25T02:05:00.000Z"},
        /* both restricted: either; one with a star: both */
        {"0 0 13 * fri", "2026-11-24T12:00Z", "2026-11-27T00:00:00.000Z"},
        {"0 0 25 * fri", "2026-11-24T12:00Z", "2026-11-25T00:00:00.000Z"},
        {"0 0 31 2 mon", "2026-11-24T12:00Z", "2027-02-01T00:00:00.000Z"},
        {"0 0 */13 * fri", "2026-11-24T12:00Z", "2026-11-27T00:00:00.000Z"},
        {"0 0 */30 * fri", "2026-11-24T12:00Z", "2027-01-01T00:00:00.000Z"},
        {"0 0 13 * */6", "2026-11-24T12:00Z", "2026-12-13T00:00:00.000Z"},
        {"@every 15m", "2026-11-24T12:07:01.500Z", "2026-11-24T12:22:01.500Z"},
        {"@every 1d", "1969-12-31T12:00Z", "1970-01-01T12:00:00.000Z"},
        /* before 1970, and far away */
        {"0 3 * * *", "1969-12-31T23:59:59.999Z", "1970-01-01T03:00:00.000Z"},
        {"*/15 * * * *", "1960-02-29T11:59:59.001Z", "1960-02-29T12:00:00.000Z"},
        {"0 0 * * thu", "1969-12-20T00:00Z", "1969-12-25T00:00:00.000Z"},
        {"0 0 29 2 *", "1896-03-01T00:00Z", "1904-02-29T00:00:00.000Z"},
        {"0 0 29 2 *", "9999-12-31T23:59Z", "10000-02-29T00:00:00.000Z"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct schedule schedule = parsed(rows[i].schedule);
        char text[CLOCK_TEXT_CAP];

        clock_format(schedule_next(&schedule, at(rows[i].after)), text);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("%s after %s: %s instead of %s", rows[i].schedule, rows[i].after, text,
                     rows[i].expected);
    }
}

static void test_the_ends_of_the_numbers(void **state)
{
    struct schedule every = parsed("@every 1m");
    struct schedule cron = parsed("* * * * *");
    struct schedule rare = parsed("0 0 29 2 */7"); /* a Sunday too: every 28 years, but for 2100 */
    int64_t next_ms;
    (void)state;

    assert_true(schedule_next(&every, INT64_MAX) == -1);
    assert_true(schedule_next(&every, INT64_MAX - 60000) == INT64_MAX);
    assert_true(schedule_next(&cron, INT64_MAX) == -1);
    next_ms = schedule_next(&cron, INT64_MIN);
    assert_true(next_ms > INT64_MIN && next_ms - INT64_MIN <= 60000);
    next_ms = schedule_next(&cron, INT64_MAX / 2);
    assert_true(next_ms > INT64_MAX / 2 && next_ms - INT64_MAX / 2 <= 60000);
    assert_true(schedule_next(&rare, at("2026-11-24T12:00Z")) == at("2032-02-29T00:00Z"));
    assert_true(schedule_next(&rare, at("2088-02-29T00:00Z")) == -1);
    assert_true(schedule_interval_ms(&rare, at("2087-01-01T00:00Z")) == 0);
}

static void test_intervals(void **state)
{
    static const struct {
        const char *schedule;
        int64_t minutes;
    } rows[] = {
        {"* * * * *", 1},
        {"*/15 * * * *", 15},
        {"0,10 * * * *", 50},
        {"0 */6 * * *", 360},
        {"0 1,5 * * *", 20 * 60},
        {"0 3 * * 0", 7 * 1440},
        {"0 9-17 * * 1-5", 64 * 60},       /* Friday 17:00 to Monday 9:00 */
        {"*/5 9-17 * * 1-5", 63 * 60 + 5}, /* from 17:55 */
        {"0 4 1 * *", 31 * 1440},
        {"0 0 31 * *", 61 * 1440},
        {"0 0 29 2 *", 1461 * 1440},
        {"0 0 1 1 *", 366 * 1440},
        {"@every 90s", -1},
        {"@every 1d", 1440},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct schedule schedule = parsed(rows[i].schedule);
        int64_t ms = schedule_interval_ms(&schedule, at("2026-11-24T12:00Z"));

        if (ms != (rows[i].minutes < 0 ? 90000 : rows[i].minutes * 60000))
            fail_msg("%s: %lld minutes", rows[i].schedule, (long long)ms / 60000);
    }
}

/* --- against one that looks at every minute --- */

static bool is_slot(const struct schedule *schedule, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    bool day, weekday;

    gmtime_r(&seconds, &tm);
    day = schedule->days >> tm.tm_mday & 1;
    weekday = schedule->weekdays >> tm.tm_wday & 1;
    return (schedule->minutes >> tm.tm_min & 1) && (schedule->hours >> tm.tm_hour & 1) &&
           (schedule->months >> (tm.tm_mon + 1) & 1) &&
           (schedule->any_day || schedule->any_weekday ? day && weekday : day || weekday);
}

static void test_next_agrees_with_looking_at_every_minute(void **state)
{
    static const char *const schedules[] = {
        "* * * * *",      "*/7 * * * *",     "3,58 */5 * * *", "0 3 * * 0",
        "0 9-17 * * 1-5", "30 12 28-31 * *", "15 0 1 * mon",   "0 23 */2 * sat,sun",
        "59 23 31 12 *",  "0 0 1 1,2,3 */3", "17 4,16 29 2 *", "0 0 30,31 2,4 thu",
    };
    static const char *const starts[] = {"2027-12-20T00:00Z", "2028-02-20T00:00Z",
                                         "1999-12-24T23:59Z", "2100-02-20T12:00Z"};
    const int64_t span_ms = INT64_C(4) * 7 * 86400000;
    (void)state;

    for (size_t i = 0; i < COUNT(schedules) * COUNT(starts); i++) {
        struct schedule schedule = parsed(schedules[i / COUNT(starts)]);
        int64_t from_ms = at(starts[i % COUNT(starts)]);
        int64_t next_ms = schedule_next(&schedule, from_ms);

        for (int64_t ms = from_ms + 60000; ms <= from_ms + span_ms; ms += 60000) {
            bool slot = is_slot(&schedule, ms);

            if (slot != (ms == next_ms))
                fail_msg("%s from %s: %lld ms", schedules[i / COUNT(starts)],
                         starts[i % COUNT(starts)], (long long)ms);
            if (slot)
                next_ms = schedule_next(&schedule, ms);
        }
        assert_true(next_ms > from_ms + span_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_schedules),
        cmocka_unit_test(test_wrong_schedules),
        cmocka_unit_test(test_fields_become_sets),
        cmocka_unit_test(test_next_slots),
        cmocka_unit_test(test_the_ends_of_the_numbers),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_next_agrees_with_looking_at_every_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
