// SPDX-License-Identifier: Apache-2.0
// What may go and what stays, as a table of pictures: one letter per backup, oldest first.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "retention.h"

#include <string.h>

enum { HOUR_MS = 3600000, MAX_ROW = 16 };

#define NOW_MS INT64_C(1800000000000)

/* hours: age of each, oldest first (less than 0: later than now). marks: 'v' verified, 'a' adopted,
 * '.' neither. kept: 'K' or '-' each. sizes: NULL for all the same. */
struct row {
    const char *name;
    struct retention_options rule;
    size_t count;
    int64_t hours[MAX_ROW];
    uint64_t sizes[MAX_ROW];
    const char *marks;
    const char *kept;
    size_t held; /* index + 1 of the backup that shrank, 0 for no hold */
    uint64_t usual_bytes;
};

#define LAST(n)                                                                                    \
    {                                                                                              \
        .keep_last = (n)                                                                           \
    }
#define WITHIN(h)                                                                                  \
    {                                                                                              \
        .keep_within_ms = (h)*HOUR_MS                                                              \
    }

static const struct row rows[] = {
    {.name = "none", .rule = LAST(1), .count = 0, .kept = ""},
    {.name = "one, whatever the rule", .rule = LAST(1), .count = 1, .hours = {999}, .kept = "K"},
    {.name = "keep_last", .rule = LAST(2), .count = 4, .hours = {4, 3, 2, 1}, .kept = "--KK"},
    {.name = "keep_last of more than there are",
     .rule = LAST(9),
     .count = 3,
     .hours = {3, 2, 1},
     .kept = "KKK"},
    {.name = "keep_within, the edge included",
     .rule = WITHIN(2),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .kept = "--KK"},
    {.name = "keep_within with all too old keeps the newest",
     .rule = WITHIN(1),
     .count = 3,
     .hours = {40, 30, 20},
     .kept = "--K"},
    {.name = "either rule keeps: last is wider",
     .rule = {.keep_last = 3, .keep_within_ms = HOUR_MS},
     .count = 4,
     .hours = {4, 3, 2, 1},
     .kept = "-KKK"},
    {.name = "either rule keeps: within is wider",
     .rule = {.keep_last = 1, .keep_within_ms = 3 * HOUR_MS},
     .count = 4,
     .hours = {4, 3, 2, 1},
     .kept = "-KKK"},
    {.name = "forever",
     .rule = {.forever = true},
     .count = 3,
     .hours = {99, 98, 97},
     .kept = "KKK"},
    {.name = "forever beats a short rule",
     .rule = {.forever = true, .keep_last = 1},
     .count = 3,
     .hours = {99, 98, 97},
     .kept = "KKK"},
    {.name = "no rule keeps all", .count = 3, .hours = {99, 98, 97}, .kept = "KKK"},
    {.name = "the newest verified one stays",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .marks = "vv..",
     .kept = "-K-K"},
    {.name = "newest and newest verified are the same",
     .rule = LAST(1),
     .count = 3,
     .hours = {3, 2, 1},
     .marks = "v.v",
     .kept = "--K"},
    {.name = "equal times: position decides",
     .rule = LAST(2),
     .count = 4,
     .hours = {1, 1, 1, 1},
     .kept = "--KK"},
    {.name = "clock went back: all later than now",
     .rule = LAST(1),
     .count = 3,
     .hours = {-1, -2, -3},
     .kept = "KKK"},
    {.name = "one dated far ahead stays and counts for nothing",
     .rule = LAST(1),
     .count = 4,
     .hours = {3, 2, 1, -9999},
     .kept = "--KK"},
    {.name = "one dated far ahead is not the newest verified",
     .rule = LAST(1),
     .count = 4,
     .hours = {3, 2, 1, -9999},
     .marks = "v..v",
     .kept = "K-KK"},
    {.name = "now itself is not later", .rule = LAST(1), .count = 2, .hours = {1, 0}, .kept = "-K"},
    {.name = "half is not less than half",
     .rule = LAST(1),
     .count = 3,
     .hours = {3, 2, 1},
     .sizes = {100, 100, 50},
     .kept = "--K"},
    {.name = "less than half holds everything",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .sizes = {100, 100, 100, 49},
     .kept = "KKKK",
     .held = 4,
     .usual_bytes = 100},
    {.name = "small ones after it do not make it usual",
     .rule = LAST(1),
     .count = 5,
     .hours = {5, 4, 3, 2, 1},
     .sizes = {100, 100, 10, 11, 12},
     .kept = "KKKKK",
     .held = 3,
     .usual_bytes = 100},
    {.name = "empty holds",
     .rule = LAST(1),
     .count = 2,
     .hours = {2, 1},
     .sizes = {1, 0},
     .kept = "KK",
     .held = 2,
     .usual_bytes = 1},
    {.name = "the size comes back",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .sizes = {100, 10, 10, 60},
     .kept = "---K"},
    {.name = "adopted: the small size is the usual one",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .sizes = {100, 10, 11, 12},
     .marks = ".a..",
     .kept = "---K"},
    {.name = "adopted, then it shrinks again",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .sizes = {100, 10, 11, 2},
     .marks = ".a..",
     .kept = "KKKK",
     .held = 4,
     .usual_bytes = 11},
    {.name = "adopting a later one of the small ones is enough",
     .rule = LAST(1),
     .count = 4,
     .hours = {4, 3, 2, 1},
     .sizes = {100, 10, 11, 12},
     .marks = "..a.",
     .kept = "---K"},
    {.name = "sizes near the end of the numbers",
     .rule = LAST(1),
     .count = 2,
     .hours = {2, 1},
     .sizes = {UINT64_MAX, UINT64_MAX / 2},
     .kept = "KK",
     .held = 2,
     .usual_bytes = UINT64_MAX},
    {.name = "growth is fine",
     .rule = LAST(1),
     .count = 3,
     .hours = {3, 2, 1},
     .sizes = {0, 1, UINT64_MAX},
     .kept = "--K"},
    {.name = "one dated far ahead does not end a hold",
     .rule = LAST(1),
     .count = 4,
     .hours = {3, 2, 1, -9999},
     .sizes = {100, 100, 10, 100},
     .kept = "KKKK",
     .held = 3,
     .usual_bytes = 100},
    {.name = "one a moment ahead, shrunk, holds already",
     .rule = LAST(1),
     .count = 3,
     .hours = {2, 1, -1},
     .sizes = {100, 100, 10},
     .kept = "KKK",
     .held = 3,
     .usual_bytes = 100},
};

static void check_row(const struct row *row)
{
    struct retention_backup backups[MAX_ROW];
    struct retention_hold hold = {.held = true, .id = "stale"};
    static const char *const ids[MAX_ROW] = {"b0", "b1", "b2", "b3", "b4", "b5"};
    char kept[MAX_ROW + 1] = "";
    size_t shrunk = 0;

    for (size_t i = 0; i < row->count; i++) {
        char mark = row->marks == NULL ? '.' : row->marks[i];

        backups[i] =
            (struct retention_backup){.id = ids[i],
                                      .recovery_point_ms = NOW_MS - row->hours[i] * HOUR_MS,
                                      .plain_bytes = row->sizes[i],
                                      .verified = mark == 'v',
                                      .adopted = mark == 'a',
                                      .keep = i % 2 == 0};
    }
    retention_apply(&row->rule, NOW_MS, backups, row->count, &hold);
    for (size_t i = 0; i < row->count; i++) {
        kept[i] = backups[i].keep ? 'K' : '-';
        assert_non_null(backups[i].reason);
        if (hold.id == ids[i]) {
            shrunk = i + 1;
            assert_true(hold.bytes == row->sizes[i]);
        }
    }
    if (strcmp(kept, row->kept) != 0)
        fail_msg("%s: kept %s, not %s", row->name, kept, row->kept);
    if (hold.held != (row->held != 0) || shrunk != row->held)
        fail_msg("%s: held %d by %zu", row->name, hold.held, shrunk);
    assert_true(hold.usual_bytes == row->usual_bytes);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

static void test_reasons(void **state)
{
    const struct retention_options rule = {.keep_last = 2, .keep_within_ms = 3 * HOUR_MS};
    static const char *const reasons[] = {"no rule keeps it", "newest verified", "keep_within",
                                          "keep_last",        "newest",          "later than now"};
    static const int64_t hours[] = {9, 8, 3, 2, 1, -1};
    struct retention_backup backups[6] = {{.id = NULL}};
    struct retention_hold hold;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        backups[i] = (struct retention_backup){
            .id = "b", .recovery_point_ms = NOW_MS - hours[i] * HOUR_MS, .verified = i <= 1};
    retention_apply(&rule, NOW_MS, backups, 6, &hold);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(backups[i].reason, reasons[i]);

    backups[5].plain_bytes = backups[4].plain_bytes = 1;
    backups[0].plain_bytes = 100;
    retention_apply(&rule, NOW_MS, backups, 6, &hold);
    assert_string_equal(backups[0].reason, "hold");
}

static void test_extreme_times(void **state)
{
    const struct retention_options rule = {.keep_within_ms = INT64_MAX};
    struct retention_backup backups[] = {{.id = "a", .recovery_point_ms = 0},
                                         {.id = "b", .recovery_point_ms = INT64_MAX}};
    struct retention_hold hold;

    (void)state;
    retention_apply(&rule, INT64_MAX, backups, 2, &hold);
    assert_true(backups[0].keep && backups[1].keep);
    retention_apply(&rule, 0, backups, 2, &hold);
    assert_true(backups[0].keep && backups[1].keep);
}

/* Whatever the rule, the sizes and the clock: the newest and the newest verified one stay, under a
 * hold everything does, and applying the rule again to what stayed removes nothing more. */
static void test_promises_hold_for_many(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (size_t turn = 0; turn < 20000; turn++) {
        struct retention_backup backups[8] = {{.id = NULL}};
        struct retention_backup left[8];
        struct retention_hold hold;
        size_t count = turn % 9;
        size_t left_count = 0;
        size_t verified = SIZE_MAX;
        struct retention_options rule = {.keep_last = turn % 3,
                                         .keep_within_ms = (int64_t)(turn % 5) * HOUR_MS};

        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525 + 1013904223;
            backups[i] = (struct retention_backup){
                .id = "b",
                .recovery_point_ms = NOW_MS - (int64_t)(count - i) * HOUR_MS / 2,
                .plain_bytes = seed >> 16 & 7,
                .verified = (seed >> 24 & 3) == 0,
                .adopted = (seed >> 28 & 3) == 0,
            };
            if (backups[i].verified)
                verified = i;
        }
        retention_apply(&rule, NOW_MS, backups, count, &hold);
        for (size_t i = 0; i < count; i++) {
            if (i == count - 1 || i == verified || hold.held)
                assert_true(backups[i].keep);
            if (backups[i].keep)
                left[left_count++] = backups[i];
        }
        if (rule.keep_last == 0 && rule.keep_within_ms == 0)
            assert_int_equal(left_count, count);
        retention_apply(&rule, NOW_MS, left, left_count, &hold);
        for (size_t i = 0; i < left_count; i++)
            assert_true(left[i].keep);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_extreme_times),
        cmocka_unit_test(test_promises_hold_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
