// SPDX-License-Identifier: Apache-2.0
// When things happen: five cron fields in UTC, or "@every 15m". UTC has no daylight saving, so
// every day has each minute once.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* 0, or ERR_CONFIG with the second half of a sentence ("has 4 fields; ..."), as an option's check
 * wants it. A schedule that no calendar ever meets (31 February) is refused too. */
int schedule_check(const char *schedule, struct err *err);

/* A schedule that schedule_check took, taken apart. */
struct schedule {
    int64_t every_ms;                                /* "@every"; 0: cron */
    uint64_t minutes, hours, days, months, weekdays; /* cron: bit N is set when N is meant */
    bool any_day, any_weekday; /* the field begins with '*': a day must then be in both */
};

/* -1, and *schedule is untouched, when schedule_check would refuse it. */
int schedule_parse(const char *text, struct schedule *schedule);

/* The first slot after after_ms (milliseconds since 1970). "@every": after_ms and one interval.
 * cron: at second 0 of a minute; days and weekdays as in cron(8): when neither begins with '*',
 * either of them is enough. -1 when none comes within 30 years, or within the numbers. */
int64_t schedule_next(const struct schedule *schedule, int64_t after_ms);

/* The longest time between two slots in a row, of those that follow from_ms (on the next 400 days
 * that have any): a backup older than this was missed. 0 when there are no two within 30 years. */
int64_t schedule_interval_ms(const struct schedule *schedule, int64_t from_ms);
