// SPDX-License-Identifier: Apache-2.0
// Time. Wall time names things and decides what is old; monotonic time measures. Both come through
// one replaceable pair of functions, so that a test can live through a day in a moment.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct clock_ops {
    int64_t (*wall_ms)(void); /* since 1970-01-01T00:00:00Z */
    int64_t (*mono_us)(void); /* since some moment; never goes back */
};

/* NULL puts the real clock back. Lent. */
void clock_replace(const struct clock_ops *ops);

int64_t clock_wall_ms(void);
int64_t clock_mono_us(void);

#define CLOCK_TEXT_CAP 32

/* "2026-11-23T07:15:00.123Z"; returns buffer, of at least CLOCK_TEXT_CAP bytes. */
const char *clock_format(int64_t wall_ms, char *buffer);
/* "20261123T071500Z", the same. */
const char *clock_format_compact(int64_t wall_ms, char *buffer);
/* Reads "2026-11-23T07:15[:00[.123]]Z" and "20261123T071500Z", in UTC only. 0, or -1. */
int clock_parse(const char *string, int64_t *wall_ms);
