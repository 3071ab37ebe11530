// SPDX-License-Identifier: Apache-2.0
// When a job is due: after its last start, however the clock behaves.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "scheduler.h"

#define MINUTE_MS INT64_C(60000)

static int64_t at(const char *when)
{
    int64_t ms = 0;

    assert_int_equal(clock_parse(when, &ms), 0);
    return ms;
}

static struct plan plan_of(const char *schedule, int64_t jitter_ms)
{
    struct plan plan = {.jitter_ms = jitter_ms, .seed = 7};

    assert_int_equal(schedule_parse(schedule, &plan.schedule), 0);
    return plan;
}

static struct plan_slot next_of(const char *schedule, const char *began, const char *last,
                                const char *now)
{
    struct plan plan = plan_of(schedule, 0);
    const struct plan_now when = {
        .now_ms = at(now), .began_ms = at(began), .last_started_ms = last == NULL ? 0 : at(last)};
    struct plan_slot slot = {.slot_ms = -1};

    assert_true(scheduler_next(&plan, &when, &slot));
    return slot;
}

static void assert_next(struct plan_slot slot, const char *start, bool missed)
{
    char shown[CLOCK_TEXT_CAP], wanted[CLOCK_TEXT_CAP];

    clock_format(slot.start_ms, shown);
    clock_format(at(start), wanted);
    assert_string_equal(shown, wanted);
    assert_int_equal(slot.missed, missed);
}

static void test_the_next_slot_after_the_last_start(void **state)
{
    (void)state;
    assert_next(
        next_of("*/15 * * * *", "2026-11-24T07:00Z", "2026-11-24T07:15Z", "2026-11-24T07:16Z"),
        "2026-11-24T07:30Z", false);
    assert_next(
        next_of("@every 15m", "2026-11-24T07:00Z", "2026-11-24T07:03Z", "2026-11-24T07:16Z"),
        "2026-11-24T07:18Z", false);
}

static void test_what_never_ran(void **state)
{
    (void)state;
    assert_next(next_of("*/15 * * * *", "2026-11-24T07:01Z", NULL, "2026-11-24T07:01Z"),
                "2026-11-24T07:15Z", false);
    assert_next(next_of("@every 15m", "2026-11-24T07:01Z", NULL, "2026-11-24T07:02Z"),
                "2026-11-24T07:01Z", false);
}

static void test_what_was_missed_is_caught_up_once(void **state)
{
    (void)state;
    /* The daemon was away for two days: one run now, and the next by the schedule. */
    assert_next(
        next_of("*/15 * * * *", "2026-11-24T07:01Z", "2026-11-22T07:00Z", "2026-11-24T07:01Z"),
        "2026-11-24T07:01Z", true);
    assert_next(
        next_of("*/15 * * * *", "2026-11-24T07:01Z", "2026-11-24T07:01Z", "2026-11-24T07:02Z"),
        "2026-11-24T07:15Z", false);
    /* It lived, and the machine slept. */
    assert_next(next_of("0 * * * *", "2026-11-24T07:01Z", "2026-11-24T08:00Z", "2026-11-24T23:30Z"),
                "2026-11-24T09:00Z", true);
    /* A start a few seconds late is none that was missed. */
    assert_next(
        next_of("0 * * * *", "2026-11-24T07:01Z", "2026-11-24T08:00Z", "2026-11-24T09:00:05Z"),
        "2026-11-24T09:00Z", false);
}

static void test_no_hour_is_lost_or_doubled_when_others_change_their_clocks(void **state)
{
    const char *const last_sunday = "2026-10-25T00:59Z"; /* 02:59 in Berlin, an hour before 02:59 */
    struct plan_slot slot = next_of("0 * * * *", "2026-10-24T00:00Z", last_sunday, last_sunday);

    (void)state;
    assert_next(slot, "2026-10-25T01:00Z", false);
    assert_next(next_of("0 * * * *", "2026-10-24T00:00Z", "2026-10-25T01:00Z", "2026-10-25T01:00Z"),
                "2026-10-25T02:00Z", false);
}

static void test_leap_days(void **state)
{
    (void)state;
    assert_next(
        next_of("0 4 29 2 *", "2026-11-24T07:00Z", "2024-02-29T04:00Z", "2026-11-24T07:00Z"),
        "2028-02-29T04:00Z", false);
    assert_next(next_of("0 0 * * *", "2028-02-28T01:00Z", "2028-02-28T00:00Z", "2028-02-28T01:00Z"),
                "2028-02-29T00:00Z", false);
}

static void test_jitter(void **state)
{
    struct plan plan = plan_of("*/15 * * * *", 45000);
    struct plan_now now = {.began_ms = at("2026-11-24T07:00Z"), .now_ms = at("2026-11-24T07:00Z")};
    struct plan_slot slot, again;
    int64_t least_ms = MINUTE_MS, most_ms = 0;

    (void)state;
    assert_int_equal(scheduler_jitter_ms(-1, 15 * MINUTE_MS), 45000);
    assert_int_equal(scheduler_jitter_ms(-1, 24 * 60 * MINUTE_MS), 60000);
    assert_int_equal(scheduler_jitter_ms(0, 15 * MINUTE_MS), 0);
    assert_int_equal(scheduler_jitter_ms(5 * MINUTE_MS, 15 * MINUTE_MS), 5 * MINUTE_MS);
    for (int i = 0; i < 200; i++) {
        int64_t late_ms;

        assert_true(scheduler_next(&plan, &now, &slot));
        assert_true(scheduler_next(&plan, &now, &again));
        assert_int_equal(slot.start_ms, again.start_ms);
        late_ms = slot.start_ms - slot.slot_ms;
        assert_true(late_ms >= 0 && late_ms < 45000);
        least_ms = late_ms < least_ms ? late_ms : least_ms;
        most_ms = late_ms > most_ms ? late_ms : most_ms;
        now.last_started_ms = now.now_ms = slot.start_ms;
    }
    assert_true(least_ms < 5000 && most_ms > 40000);
    assert_int_equal(slot.slot_ms, at("2026-11-24T07:00Z") + 200 * 15 * MINUTE_MS);
}

static void test_agents_that_come_back_together_catch_up_apart(void **state)
{
    struct plan plan = plan_of("0 * * * *", 60000);
    const struct plan_now now = {.began_ms = at("2026-11-24T07:30Z"),
                                 .now_ms = at("2026-11-24T07:30Z"),
                                 .last_started_ms = at("2026-11-24T02:00Z")};
    struct plan_slot first, second;

    (void)state;
    assert_true(scheduler_next(&plan, &now, &first));
    plan.seed = 8;
    assert_true(scheduler_next(&plan, &now, &second));
    assert_true(first.start_ms >= now.began_ms && first.start_ms < now.began_ms + 60000);
    assert_int_not_equal(first.start_ms, second.start_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_slot_after_the_last_start),
        cmocka_unit_test(test_what_never_ran),
        cmocka_unit_test(test_what_was_missed_is_caught_up_once),
        cmocka_unit_test(test_no_hour_is_lost_or_doubled_when_others_change_their_clocks),
        cmocka_unit_test(test_leap_days),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_agents_that_come_back_together_catch_up_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
