// SPDX-License-Identifier: Apache-2.0
// The head of a request by RFC 9112, and strictly: what could be read in two ways is refused. Of
// the fields only Host matters, and that there is one. A body is not looked at: after the answer
// the connection ends.
#include "httpd.h"
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TARGET_MAX_BYTES 1024

/* A part of the head; not terminated. */
struct span {
    const char *at;
    size_t len;
};

static bool span_is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static bool is_token(struct span span)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < span.len; i++) {
        char c = span.at[i];
        char lower = (char)(c | 0x20);

        if ((c < '0' || c > '9') && (lower < 'a' || lower > 'z') &&
            memchr(marks, c, sizeof marks - 1) == NULL)
            return false;
    }
    return span.len > 0;
}

/* Takes what stands before the first c, and c, from *rest. */
static bool take_until(struct span *rest, char c, struct span *taken)
{
    const char *found = memchr(rest->at, c, rest->len);

    if (found == NULL)
        return false;
    *taken = (struct span){.at = rest->at, .len = (size_t)(found - rest->at)};
    rest->at += taken->len + 1;
    rest->len -= taken->len + 1;
    return true;
}

/* A line up to its CRLF; no other control character than a tab may be in it. */
static bool take_line(struct span *rest, struct span *line)
{
    if (!take_until(rest, '\n', line) || line->len == 0 || line->at[line->len - 1] != '\r')
        return false;
    line->len--;
    for (size_t i = 0; i < line->len; i++) {
        unsigned char c = (unsigned char)line->at[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* All fields up to the empty line, which must be the end. */
static bool are_fields(struct span rest, bool needs_host)
{
    size_t hosts = 0;

    while (rest.len > 0) {
        struct span line, name;

        if (!take_line(&rest, &line))
            return false;
        if (line.len == 0)
            return rest.len == 0 && hosts <= 1 && (hosts == 1 || !needs_host);
        if (!take_until(&line, ':', &name) || !is_token(name))
            return false;
        hosts += name.len == 4 && strncasecmp(name.at, "host", 4) == 0;
    }
    return false;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = memchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c, 16);

    return found == NULL ? -1 : (int)(found - digits);
}

/* NULL when it is none: not of visible ASCII, or %XX that is wrong or hides a control character. */
static char *decode(struct span target)
{
    char *path = mem_calloc(target.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < target.len && target.at[i] != '?'; i++) {
        unsigned char c = (unsigned char)target.at[i];

        if (c <= 0x20 || c >= 0x7f || c == '#')
            goto wrong;
        if (c == '%') {
            int high = i + 2 < target.len ? hex_digit(target.at[i + 1]) : -1;
            int low = i + 2 < target.len ? hex_digit(target.at[i + 2]) : -1;

            if (high < 0 || low < 0)
                goto wrong;
            c = (unsigned char)(high << 4 | low);
            i += 2;
            if (c < 0x20 || c == 0x7f)
                goto wrong;
        }
        path[len++] = (char)c;
    }
    text_fix_utf8(path);
    return path;
wrong:
    free(path);
    return NULL;
}

/* "/path", or with scheme and host as a proxy is asked, which servers must take too. */
static char *target_path(struct span target)
{
    static const char scheme[] = "http://";
    size_t scheme_len = sizeof scheme - 1;

    if (target.len > scheme_len && strncasecmp(target.at, scheme, scheme_len) == 0) {
        size_t from = scheme_len;

        while (from < target.len && target.at[from] != '/' && target.at[from] != '?')
            from++;
        if (from == scheme_len)
            return NULL;
        if (from == target.len || target.at[from] == '?')
            return mem_strdup("/");
        target.at += from;
        target.len -= from;
    }
    return target.len > 0 && target.at[0] == '/' ? decode(target) : NULL;
}

static bool is_version(struct span version)
{
    return version.len == 8 && memcmp(version.at, "HTTP/", 5) == 0 && version.at[5] >= '0' &&
           version.at[5] <= '9' && version.at[6] == '.' && version.at[7] >= '0' &&
           version.at[7] <= '9';
}

int httpd_parse(const char *head, size_t len, bool *head_only, char **path)
{
    struct span rest = {.at = head, .len = len};
    struct span line, method, target;
    char *found;

    if (len > HTTPD_HEAD_MAX_BYTES)
        return 431;
    if (!take_line(&rest, &line) || !take_until(&line, ' ', &method) || !is_token(method) ||
        !take_until(&line, ' ', &target) || !is_version(line))
        return 400;
    if (line.at[5] != '1')
        return 505;
    if (!are_fields(rest, line.at[7] != '0'))
        return 400;
    if (!span_is(method, "GET") && !span_is(method, "HEAD"))
        return 405;
    if (target.len > TARGET_MAX_BYTES)
        return 414;
    found = target_path(target);
    if (found == NULL)
        return 400;
    *head_only = span_is(method, "HEAD");
    *path = found;
    return 0;
}
