// SPDX-License-Identifier: Apache-2.0
// Cron fields as sets of bits. A field is a list of *, N, N-M, each range optionally with /STEP;
// months and weekdays also by their English names. Day 7 is Sunday too.
//
// The next slot is sought day by day, whole months at once where the month is not meant; within a
// day hour by hour, then minute by minute. All days that have slots have the same ones.
#include "schedule.h"

#include "text.h"

#include <string.h>
#include <time.h>

#define LEAST_INTERVAL_MS 60000
#define MINUTE_MS         60000
#define DAY_MINUTES       1440
#define HORIZON_DAYS      (30 * 366)
#define INTERVAL_DAYS     400

struct field {
    const char *name;
    unsigned least, most;
    const char *const *names; /* of the values from least on; NULL at the end */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field fields[FIELDS] = {
    [MINUTE] = {.name = "minute", .least = 0, .most = 59},
    [HOUR] = {.name = "hour", .least = 0, .most = 23},
    [DAY] = {.name = "day of the month", .least = 1, .most = 31},
    [MONTH] = {.name = "month", .least = 1, .most = 12, .names = month_names},
    [WEEKDAY] = {.name = "day of the week", .least = 0, .most = 7, .names = day_names},
};

/* Moves *at over a number or name; false when there is none. */
static bool take_value(const char **at, const struct field *field, unsigned *value)
{
    const char *from = *at;
    unsigned number = 0;

    for (unsigned i = 0; field->names != NULL && field->names[i] != NULL; i++) {
        if (strncasecmp(from, field->names[i], 3) == 0) {
            *value = field->least + i;
            *at = from + 3;
            return true;
        }
    }
    for (; *from >= '0' && *from <= '9' && number < 1000; from++)
        number = number * 10 + (unsigned)(*from - '0');
    if (from == *at)
        return false;
    *value = number;
    *at = from;
    return true;
}

/* One item of a field's list; adds what it means to *set. */
static bool take_item(const char **at, const struct field *field, uint64_t *set)
{
    unsigned from = field->least;
    unsigned to = field->most;
    unsigned step = 1;
    bool single = false;

    if (**at == '*') {
        ++*at;
    } else {
        if (!take_value(at, field, &from))
            return false;
        to = from;
        single = **at != '-';
        if (!single) {
            ++*at;
            if (!take_value(at, field, &to))
                return false;
        }
    }
    if (**at == '/' && !single) {
        ++*at;
        if (**at < '0' || **at > '9' || !take_value(at, field, &step) || step == 0)
            return false;
    }
    if (from < field->least || to > field->most || from > to || step > field->most)
        return false;
    for (unsigned value = from; value <= to; value += step)
        *set |= UINT64_C(1) << value;
    return true;
}

static int take_field(const char *text, const struct field *field, uint64_t *set, struct err *err)
{
    const char *at = text;
    bool good = take_item(&at, field, set);

    while (good && *at == ',') {
        at++;
        good = take_item(&at, field, set);
    }
    if (good && *at == '\0')
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "is not a schedule: the %s must be of %u to %u: *, N, N-M, a list of those, or a "
        "range with a step as in */2",
        field->name, field->least, field->most);
}

static unsigned month_days(int year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool has(uint64_t set, unsigned value)
{
    return (set >> value & 1) != 0;
}

/* With a weekday named, cron asks for either: then there is always a next time. */
static bool ever(const struct schedule *schedule)
{
    static const int leap_year = 2000;

    for (unsigned month = 1; month <= 12; month++)
        if (has(schedule->months, month) &&
            (schedule->days & ((UINT64_C(1) << (month_days(leap_year, month) + 1)) - 1)) != 0)
            return true;
    return !schedule->any_weekday;
}

static int read_cron(const char *text, struct schedule *schedule, struct err *err)
{
    static const char blank[] = " \t";
    uint64_t *const sets[FIELDS] = {
        [MINUTE] = &schedule->minutes, [HOUR] = &schedule->hours,       [DAY] = &schedule->days,
        [MONTH] = &schedule->months,   [WEEKDAY] = &schedule->weekdays,
    };
    bool any[FIELDS] = {false};
    size_t count = 0;

    for (const char *at = text + strspn(text, blank); *at != '\0'; count++) {
        char field[128];
        size_t len = strcspn(at, blank);

        if (len >= sizeof field)
            return err_set(err, ERR_CONFIG, "is not a schedule: a field is too long");
        memcpy(field, at, len);
        field[len] = '\0';
        if (count < FIELDS) {
            if (take_field(field, &fields[count], sets[count], err) < 0)
                return -1;
            any[count] = *field == '*';
        }
        at += len;
        at += strspn(at, blank);
    }
    if (count != FIELDS)
        return err_set(err, ERR_CONFIG,
                       "is not a schedule: it has %zu of 5 fields; write minute, hour, day, month "
                       "and weekday as in \"0 3 * * 0\", or \"@every 15m\"",
                       count);
    schedule->any_day = any[DAY];
    schedule->any_weekday = any[WEEKDAY];
    if (has(schedule->weekdays, 7))
        schedule->weekdays = (schedule->weekdays | 1) & 0x7f;
    if (!ever(schedule))
        return err_set(err, ERR_CONFIG, "never comes: no month named has such a day");
    return 0;
}

static int read_schedule(const char *text, struct schedule *schedule, struct err *err)
{
    static const char every[] = "@every ";

    *schedule = (struct schedule){.every_ms = 0};
    if (*text != '@')
        return read_cron(text, schedule, err);
    if (!text_starts_with(text, every) ||
        text_parse_duration(text + strlen(every), &schedule->every_ms) < 0)
        return err_set(err, ERR_CONFIG,
                       "is not a schedule; write \"@every 15m\", or five fields as in "
                       "\"0 3 * * 0\"");
    if (schedule->every_ms < LEAST_INTERVAL_MS)
        return err_set(err, ERR_CONFIG, "is too often; use 1m or more");
    return 0;
}

int schedule_check(const char *schedule, struct err *err)
{
    struct schedule read;

    return read_schedule(schedule, &read, err);
}

int schedule_parse(const char *text, struct schedule *schedule)
{
    struct schedule read;
    struct err err = ERR_INIT;

    if (read_schedule(text, &read, &err) < 0)
        return -1;
    *schedule = read;
    return 0;
}

/* --- when --- */

static int64_t divide_down(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static bool is_day(const struct schedule *schedule, unsigned month_day, unsigned weekday)
{
    bool day = has(schedule->days, month_day);
    bool named = has(schedule->weekdays, weekday);

    return schedule->any_day || schedule->any_weekday ? day && named : day || named;
}

/* The first day from *day (since 1970) on that has slots; false when none comes before the last. */
static bool find_day(const struct schedule *schedule, int64_t *day, int64_t last)
{
    time_t seconds = (time_t)(*day * DAY_MINUTES * 60);
    struct tm tm = {0};
    unsigned month_day, month, days;
    int64_t at = *day;
    int year;

    gmtime_r(&seconds, &tm);
    month_day = (unsigned)tm.tm_mday;
    month = (unsigned)tm.tm_mon + 1;
    year = tm.tm_year + 1900;
    for (; at <= last; month_day = 1) {
        days = month_days(year, month);
        for (; has(schedule->months, month) && month_day <= days; month_day++, at++) {
            if (is_day(schedule, month_day, (unsigned)(((at + 4) % 7 + 7) % 7))) {
                *day = at;
                return at <= last;
            }
        }
        at += days + 1 - month_day;
        year += month == 12;
        month = month % 12 + 1;
    }
    return false;
}

/* The first slot of a day from this minute of it on; -1 when there is none. */
static int find_minute(const struct schedule *schedule, int from)
{
    unsigned minute = (unsigned)from % 60;

    for (unsigned hour = (unsigned)from / 60; hour < 24; hour++, minute = 0) {
        if (!has(schedule->hours, hour))
            continue;
        for (; minute < 60; minute++)
            if (has(schedule->minutes, minute))
                return (int)(hour * 60 + minute);
    }
    return -1;
}

int64_t schedule_next(const struct schedule *schedule, int64_t after_ms)
{
    int64_t first = divide_down(after_ms, MINUTE_MS) + 1;
    int64_t day = divide_down(first, DAY_MINUTES);
    int64_t last = day + HORIZON_DAYS;
    int from = (int)(first - day * DAY_MINUTES);

    if (schedule->every_ms > 0)
        return after_ms > INT64_MAX - schedule->every_ms ? -1 : after_ms + schedule->every_ms;
    if (last > INT64_MAX / MINUTE_MS / DAY_MINUTES - 1)
        return -1;
    for (int64_t began = day; find_day(schedule, &day, last); day++) {
        int minute = find_minute(schedule, day == began ? from : 0);

        if (minute >= 0)
            return (day * DAY_MINUTES + minute) * MINUTE_MS;
    }
    return -1;
}

/* The longest time between two slots of one day, and the first and the last. */
static int longest_in_day(const struct schedule *schedule, int *first, int *last)
{
    int longest = 0;

    *first = *last = find_minute(schedule, 0);
    for (int at = *first; at >= 0; at = find_minute(schedule, at + 1)) {
        if (at - *last > longest)
            longest = at - *last;
        *last = at;
    }
    return longest;
}

int64_t schedule_interval_ms(const struct schedule *schedule, int64_t from_ms)
{
    int64_t next_ms = schedule_next(schedule, from_ms);
    int64_t longest, day, horizon;
    int first, last;

    if (schedule->every_ms > 0)
        return schedule->every_ms;
    if (next_ms == -1)
        return 0;
    longest = longest_in_day(schedule, &first, &last);
    day = divide_down(next_ms, (int64_t)DAY_MINUTES * MINUTE_MS);
    horizon = day + HORIZON_DAYS;
    for (int i = 1; i < INTERVAL_DAYS; i++) {
        int64_t next_day = day + 1;
        int64_t between;

        if (!find_day(schedule, &next_day, horizon))
            break;
        between = (next_day - day) * DAY_MINUTES + first - last;
        if (between > longest)
            longest = between;
        day = next_day;
    }
    return longest * MINUTE_MS;
}
