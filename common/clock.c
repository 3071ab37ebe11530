// SPDX-License-Identifier: Apache-2.0
// The two clocks, and the two ways to write a moment (RFC 3339 in UTC, and its compact form).
#include "clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

static int64_t real_mono_us(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000;
}

static const struct clock_ops real = {.wall_ms = real_wall_ms, .mono_us = real_mono_us};
static const struct clock_ops *ops = &real;

void clock_replace(const struct clock_ops *replacement)
{
    ops = replacement == NULL ? &real : replacement;
}

int64_t clock_wall_ms(void)
{
    return ops->wall_ms();
}

int64_t clock_mono_us(void)
{
    return ops->mono_us();
}

/* Rounds down, also before 1970: the milliseconds left over are never negative. */
static struct tm broken_down(int64_t wall_ms, int *millis)
{
    struct tm tm = {0};
    time_t seconds;

    *millis = (int)(wall_ms % 1000);
    if (*millis < 0)
        *millis += 1000;
    seconds = (time_t)((wall_ms - *millis) / 1000);
    gmtime_r(&seconds, &tm);
    return tm;
}

/* Four digits at least, which %Y does not promise. */
static size_t format_year(const struct tm *tm, char *buffer)
{
    return (size_t)snprintf(buffer, CLOCK_TEXT_CAP, "%04d", tm->tm_year + 1900);
}

const char *clock_format(int64_t wall_ms, char *buffer)
{
    int millis;
    struct tm tm = broken_down(wall_ms, &millis);
    size_t len = format_year(&tm, buffer);

    len += strftime(buffer + len, CLOCK_TEXT_CAP - len, "-%m-%dT%H:%M:%S", &tm);
    snprintf(buffer + len, CLOCK_TEXT_CAP - len, ".%03dZ", millis);
    return buffer;
}

const char *clock_format_compact(int64_t wall_ms, char *buffer)
{
    int millis;
    struct tm tm = broken_down(wall_ms, &millis);
    size_t len = format_year(&tm, buffer);

    strftime(buffer + len, CLOCK_TEXT_CAP - len, "%m%dT%H%M%SZ", &tm);
    return buffer;
}

/* Reads exactly count digits; returns where they end, or NULL. */
static const char *take_digits(const char *at, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, at++) {
        if (*at < '0' || *at > '9')
            return NULL;
        *value = *value * 10 + (*at - '0');
    }
    return at;
}

static const char *take_char(const char *at, char c)
{
    return at != NULL && *at == c ? at + 1 : NULL;
}

static const char *take_number_after(const char *at, char before, int count, int *value)
{
    if (at != NULL && before != '\0')
        at = take_char(at, before);
    return at == NULL ? NULL : take_digits(at, count, value);
}

static int to_wall_ms(struct tm *tm, int millis, int64_t *wall_ms)
{
    struct tm normal = *tm;
    time_t seconds = timegm(&normal);

    if (normal.tm_mon != tm->tm_mon || normal.tm_mday != tm->tm_mday || tm->tm_hour > 23 ||
        tm->tm_min > 59 || tm->tm_sec > 59)
        return -1;
    *wall_ms = (int64_t)seconds * 1000 + millis;
    return 0;
}

int clock_parse(const char *string, int64_t *wall_ms)
{
    bool compact = strlen(string) == 16 && string[8] == 'T';
    char dash = compact ? '\0' : '-';
    char colon = compact ? '\0' : ':';
    struct tm tm = {0};
    int millis = 0;
    const char *at = take_digits(string, 4, &tm.tm_year);

    at = take_number_after(at, dash, 2, &tm.tm_mon);
    at = take_number_after(at, dash, 2, &tm.tm_mday);
    at = take_number_after(at, 'T', 2, &tm.tm_hour);
    at = take_number_after(at, colon, 2, &tm.tm_min);
    if (at != NULL && (compact || *at == ':')) {
        at = take_number_after(at, colon, 2, &tm.tm_sec);
        if (at != NULL && *at == '.')
            at = take_number_after(at, '.', 3, &millis);
    }
    at = take_char(at, 'Z');
    if (at == NULL || *at != '\0')
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return to_wall_ms(&tm, millis, wall_ms);
}
