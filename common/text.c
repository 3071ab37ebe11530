// SPDX-License-Identifier: Apache-2.0
// Growable strings, and strict conversions.
#include "text.h"

#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_reserve(struct text *text, size_t more)
{
    size_t need = text->len + more + 1;

    if (need <= text->cap)
        return;
    text->cap = need < 64 ? 64 : need + need / 2;
    text->data = mem_realloc(text->data, text->cap);
}

void text_add_bytes(struct text *text, const void *data, size_t len)
{
    text_reserve(text, len);
    if (len > 0)
        memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void text_add_char(struct text *text, char c)
{
    text_add_bytes(text, &c, 1);
}

void text_add_v(struct text *text, const char *format, va_list args)
{
    va_list again;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        return;
    text_reserve(text, (size_t)len);
    vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
    text->len += (size_t)len;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_add_v(text, format, args);
    va_end(args);
}

void text_clear(struct text *text)
{
    text->len = 0;
    if (text->data != NULL)
        text->data[0] = '\0';
}

void text_fini(struct text *text)
{
    free(text->data);
    *text = (struct text)TEXT_INIT;
}

const char *text_str(const struct text *text)
{
    return text->data == NULL ? "" : text->data;
}

char *text_take(struct text *text)
{
    char *data = text->data == NULL ? mem_strdup("") : text->data;

    *text = (struct text)TEXT_INIT;
    return data;
}

char *text_format(const char *format, ...)
{
    struct text text = TEXT_INIT;
    va_list args;

    va_start(args, format);
    text_add_v(&text, format, args);
    va_end(args);
    return text_take(&text);
}

/* Length of the character at at by RFC 3629 (no surrogates, no overlong forms), or 0. */
static size_t utf8_len(const unsigned char *at)
{
    static const struct {
        unsigned char lead_from, lead_to, next_from, next_to;
        size_t len;
    } forms[] = {
        {0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] < forms[i].lead_from || at[0] > forms[i].lead_to)
            continue;
        if (forms[i].len > 1 && (at[1] < forms[i].next_from || at[1] > forms[i].next_to))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if (at[j] < 0x80 || at[j] > 0xbf)
                return 0;
        return forms[i].len;
    }
    return 0;
}

void text_fix_utf8(char *string)
{
    for (unsigned char *at = (unsigned char *)string; *at != '\0';) {
        size_t len = utf8_len(at);

        if (len == 0)
            *at = '?';
        at += len == 0 ? 1 : len;
    }
}

bool text_starts_with(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *string, const char *suffix)
{
    size_t len = strlen(string);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(string + len - suffix_len, suffix) == 0;
}

/* Reads leading digits; returns where they ended, or NULL for none or an overflow. */
static const char *digits(const char *string, uint64_t *value)
{
    uint64_t sum = 0;
    const char *at = string;

    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (sum > (UINT64_MAX - digit) / 10)
            return NULL;
        sum = sum * 10 + digit;
    }
    if (at == string)
        return NULL;
    *value = sum;
    return at;
}

int text_parse_u64(const char *string, uint64_t *value)
{
    uint64_t number;
    const char *end = digits(string, &number);

    if (end == NULL || *end != '\0')
        return -1;
    *value = number;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int parse_unit(const char *string, const struct unit *units, uint64_t *value)
{
    uint64_t number;
    const char *end = digits(string, &number);

    if (end == NULL)
        return -1;
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcmp(end, unit->name) != 0)
            continue;
        if (number > (uint64_t)INT64_MAX / unit->factor)
            return -1;
        *value = number * unit->factor;
        return 0;
    }
    return -1;
}

int text_parse_size(const char *string, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", UINT64_C(1000000000000)},
        {NULL, 0},
    };

    return parse_unit(string, units, bytes);
}

int text_parse_duration(const char *string, int64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
    };
    uint64_t value;

    if (parse_unit(string, units, &value) < 0)
        return -1;
    *ms = (int64_t)value;
    return 0;
}

const char *text_show_bytes(uint64_t bytes, char *buffer, size_t cap)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = (double)bytes / 1024;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(buffer, cap, "%" PRIu64 " B", bytes);
        return buffer;
    }
    for (; amount >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
        amount /= 1024;
    snprintf(buffer, cap, amount < 10 ? "%.1f %s" : "%.0f %s", amount, units[i]);
    return buffer;
}

const char *text_show_duration(int64_t ms, char *buffer, size_t cap)
{
    int64_t s = ms / 1000 + (ms % 1000 >= 500); /* 59.96 s are a minute */

    if (ms < 59950)
        snprintf(buffer, cap, "%.1f s", (double)ms / 1000);
    else if (s < 3600)
        snprintf(buffer, cap, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buffer, cap, "%" PRId64 " h %02" PRId64 " min", s / 3600, s / 60 % 60);
    else
        snprintf(buffer, cap, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
    return buffer;
}

size_t text_distance(const char *a, const char *b)
{
    size_t row[65];
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);

    if (len_a > 64 || len_b > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= len_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= len_a; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return row[len_b];
}

void text_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}
