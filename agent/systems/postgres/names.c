// SPDX-License-Identifier: Apache-2.0
// What has to be done to a name before it may stand somewhere.
#include "names.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

static char *quote(const char *text, char mark)
{
    struct text quoted = TEXT_INIT;

    text_add_char(&quoted, mark);
    for (; *text != '\0'; text++) {
        if (*text == mark)
            text_add_char(&quoted, mark);
        text_add_char(&quoted, *text);
    }
    text_add_char(&quoted, mark);
    return text_take(&quoted);
}

char *pg_quote_name(const char *name)
{
    return quote(name, '"');
}

char *pg_quote_text(const char *text)
{
    return quote(text, '\'');
}

/* The length of the UTF-8 character at s, 0 when it is none (RFC 3629). */
static size_t character(const unsigned char *s)
{
    uint32_t code;
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (len < 2 || s[0] > 0xf4)
        return len < 2 ? len : 0;
    code = s[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fU);
    }
    if ((len == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
        (len == 4 && (code < 0x10000 || code > 0x10ffff)))
        return 0;
    return len;
}

char *pg_clean_text(const char *text, const char *escape)
{
    struct text clean = TEXT_INIT;

    while (*text != '\0') {
        size_t len = character((const unsigned char *)text);

        if (len > 0) {
            text_add_bytes(&clean, text, len);
        } else {
            char hex[3];

            text_hex((const uint8_t *)text, 1, hex);
            text_add(&clean, "%s%s", escape, hex);
        }
        text += len == 0 ? 1 : len;
    }
    return text_take(&clean);
}

static void add_name(struct text *key, const char *name)
{
    bool plain = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
                 name[0] != '\0' && (name[0] < '0' || name[0] > '9');
    char *clean = pg_clean_text(name, "\\x");
    char *quoted = pg_quote_name(clean);

    text_add(key, "%s", plain ? clean : quoted);
    free(clean);
    free(quoted);
}

char *pg_table_key(const char *schema, const char *table)
{
    struct text key = TEXT_INIT;

    add_name(&key, schema);
    text_add_char(&key, '.');
    add_name(&key, table);
    return text_take(&key);
}

void pg_name_make(const char *name, const char *suffix, char *out)
{
    size_t suffix_len = strlen(suffix);
    size_t len = strlen(name);

    if (len + suffix_len >= PG_NAME_CAP)
        len = PG_NAME_CAP - 1 - suffix_len;
    while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
        len--;
    memcpy(out, name, len);
    memcpy(out + len, suffix, suffix_len + 1);
}
