// SPDX-License-Identifier: Apache-2.0
// Text: a growable string, and strict reading and writing of numbers, sizes and durations. Strict
// means: the whole string must be of the form, nothing overflows, nothing is guessed.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data; /* always terminated once anything was added; NULL before */
    size_t len, cap;
};

#define TEXT_INIT                                                                                  \
    {                                                                                              \
        .data = NULL, .len = 0, .cap = 0                                                           \
    }

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_v(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void text_add_bytes(struct text *text, const void *data, size_t len);
void text_add_char(struct text *text, char c);
/* Room for so many more bytes: data[len..len + more] may be written, and len raised by hand. */
void text_reserve(struct text *text, size_t more);
void text_clear(struct text *text);
void text_fini(struct text *text);
/* The string, never NULL; lent until the next change. */
const char *text_str(const struct text *text);
/* Hands the string over; free() it. The text is empty afterwards. */
char *text_take(struct text *text);

/* A new string; free() it. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Puts '?' for every byte that is no part of valid UTF-8, in place: for what others wrote, before
 * it goes into JSON. */
void text_fix_utf8(char *string);

bool text_starts_with(const char *string, const char *prefix);
bool text_ends_with(const char *string, const char *suffix);

/* 0, or -1 with *value untouched. Decimal digits only. */
int text_parse_u64(const char *string, uint64_t *value);
/* "65536", "8MiB", "20GiB", "5GB": B KiB MiB GiB TiB, and kB MB GB TB as powers of 1000. */
int text_parse_size(const char *string, uint64_t *bytes);
/* "90s", "15m", "24h", "30d", "500ms"; a bare number is refused, its unit would be a guess. */
int text_parse_duration(const char *string, int64_t *ms);

/* "1.5 GiB", "312 B"; buffer of at least 24 bytes; returns it. */
const char *text_show_bytes(uint64_t bytes, char *buffer, size_t cap);
/* "0.8 s", "3 min 12 s", "4 h 05 min", "2 d 3 h"; the same. */
const char *text_show_duration(int64_t ms, char *buffer, size_t cap);

/* How many single edits lead from a to b; for "did you mean". Strings over 64 bytes count as far.
 */
size_t text_distance(const char *a, const char *b);

/* Lower-case hexadecimal of len bytes; out has room for 2 * len + 1. */
void text_hex(const uint8_t *bytes, size_t len, char *out);
