// SPDX-License-Identifier: Apache-2.0
// Cron fields as sets of bits. A field is a list of *, N, N-M, each range optionally with /STEP;
// months and weekdays also by their English names. Day 7 is Sunday too.
#include "schedule.h"

#include "text.h"

#include <stdint.h>
#include <string.h>

#define LEAST_INTERVAL_MS 60000

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

/* With a weekday named, cron asks for either: then there is always a next time. */
static bool ever(const uint64_t *sets, bool any_weekday)
{
    static const unsigned days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (unsigned month = 1; month <= 12; month++)
        if ((sets[MONTH] >> month & 1) != 0 &&
            (sets[DAY] & ((UINT64_C(1) << (days[month - 1] + 1)) - 1)) != 0)
            return true;
    return !any_weekday;
}

static int check_cron(const char *schedule, struct err *err)
{
    static const char blank[] = " \t";
    uint64_t sets[FIELDS] = {0};
    bool any_weekday = false;
    size_t count = 0;

    for (const char *at = schedule + strspn(schedule, blank); *at != '\0'; count++) {
        char field[128];
        size_t len = strcspn(at, blank);

        if (len >= sizeof field)
            return err_set(err, ERR_CONFIG, "is not a schedule: a field is too long");
        memcpy(field, at, len);
        field[len] = '\0';
        if (count < FIELDS && take_field(field, &fields[count], &sets[count], err) < 0)
            return -1;
        any_weekday = *field == '*';
        at += len;
        at += strspn(at, blank);
    }
    if (count != FIELDS)
        return err_set(err, ERR_CONFIG,
                       "is not a schedule: it has %zu of 5 fields; write minute, hour, day, month "
                       "and weekday as in \"0 3 * * 0\", or \"@every 15m\"",
                       count);
    if (!ever(sets, any_weekday))
        return err_set(err, ERR_CONFIG, "never comes: no month named has such a day");
    return 0;
}

int schedule_check(const char *schedule, struct err *err)
{
    static const char every[] = "@every ";
    int64_t interval_ms;

    if (*schedule != '@')
        return check_cron(schedule, err);
    if (!text_starts_with(schedule, every) ||
        text_parse_duration(schedule + strlen(every), &interval_ms) < 0)
        return err_set(err, ERR_CONFIG,
                       "is not a schedule; write \"@every 15m\", or five fields as in "
                       "\"0 3 * * 0\"");
    if (interval_ms < LEAST_INTERVAL_MS)
        return err_set(err, ERR_CONFIG, "is too often; use 1m or more");
    return 0;
}
