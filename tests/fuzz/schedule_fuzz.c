// SPDX-License-Identifier: Apache-2.0
// A line as a schedule, and the bytes after it as the moment to look from: refused by check and
// parse alike, or the next slot lies after the moment and is one that the fields mean.
#include "mem.h"
#include "schedule.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_slot(const struct schedule *schedule, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    bool day, weekday;

    if (ms % 60000 != 0 || gmtime_r(&seconds, &tm) == NULL)
        return false;
    day = schedule->days >> tm.tm_mday & 1;
    weekday = schedule->weekdays >> tm.tm_wday & 1;
    return (schedule->minutes >> tm.tm_min & 1) && (schedule->hours >> tm.tm_hour & 1) &&
           (schedule->months >> (tm.tm_mon + 1) & 1) &&
           (schedule->any_day || schedule->any_weekday ? day && weekday : day || weekday);
}

static void check_next(const struct schedule *schedule, int64_t after_ms)
{
    int64_t interval_ms = schedule_interval_ms(schedule, after_ms);
    int64_t first_ms = schedule_next(schedule, after_ms);
    int64_t second_ms;

    if (interval_ms < 0)
        abort();
    if (first_ms == -1)
        return;
    second_ms = schedule_next(schedule, first_ms);
    if (first_ms <= after_ms || (schedule->every_ms == 0 && !is_slot(schedule, first_ms)))
        abort();
    if (second_ms != -1 && (second_ms <= first_ms || second_ms - first_ms > interval_ms))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = len == 0 ? NULL : memchr(data, '\n', len);
    size_t text_bytes = end == NULL ? len : (size_t)(end - data);
    size_t left = end == NULL ? 0 : len - text_bytes - 1;
    char *text = mem_strndup(text_bytes == 0 ? "" : (const char *)data, text_bytes);
    struct schedule schedule;
    struct err err = ERR_INIT;
    int64_t after_ms = 0;
    int rc = schedule_parse(text, &schedule);

    if (left > 0)
        memcpy(&after_ms, end + 1, left < sizeof after_ms ? left : sizeof after_ms);
    if (schedule_check(text, &err) != rc || (rc < 0) != (err.kind == ERR_CONFIG))
        abort();
    if (rc == 0)
        check_next(&schedule, after_ms);
    free(text);
    return 0;
}
