// SPDX-License-Identifier: Apache-2.0
// The rows of a Postgres component, and what is secret in a connection string. libpq takes two
// forms (its documentation, "Connection Strings"): `key=value key='quoted value'` with backslashes,
// and postgresql://user:password@host/database?key=value with percent-encoding. They are read here
// without libpq, so that a configuration can be checked by a program that does not link it. Only
// passwords are hidden: errors that name host or user stay readable.
#include "postgres_options.h"

#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\n\r\f\v"

static bool is_secret(const char *key)
{
    return strcmp(key, "password") == 0 || strcmp(key, "sslpassword") == 0;
}

static void hide_both(const char *raw, size_t raw_len, const char *decoded)
{
    char *as_written = mem_strndup(raw, raw_len);

    log_hide(as_written);
    log_hide(decoded);
    free(as_written);
}

/* Reads a value as libpq does; returns what follows, or NULL when a quote is not closed. */
static const char *take_value(const char *at, struct text *value)
{
    bool quoted = *at == '\'';

    for (at += quoted; *at != '\0'; at++) {
        if (quoted ? *at == '\'' : strchr(BLANKS, *at) != NULL)
            return at + quoted;
        if (*at == '\\' && *++at == '\0')
            break;
        text_add_char(value, *at);
    }
    return quoted ? NULL : at;
}

/* One `key = value`; returns what follows, or NULL with err set. */
static const char *take_pair(const char *at, bool hide, struct err *err)
{
    size_t key_len = strcspn(at, "=" BLANKS);
    char *key = mem_strndup(at, key_len);
    struct text value = TEXT_INIT;
    const char *end = NULL;

    at += key_len;
    at += strspn(at, BLANKS);
    if (*at != '=' || key_len == 0) {
        err_set(err, ERR_CONFIG,
                "is not a connection string; write \"host=... user=... dbname=...\" or "
                "postgresql://USER@HOST/DATABASE");
        goto out;
    }
    at++;
    at += strspn(at, BLANKS);
    end = take_value(at, &value);
    if (hide && is_secret(key))
        hide_both(at, end == NULL ? strlen(at) : (size_t)(end - at), text_str(&value));
    if (end == NULL)
        err_set(err, ERR_CONFIG, "has a quote that is not closed; end it with '");
out:
    text_fini(&value);
    free(key);
    return end;
}

static int scan_pairs(const char *at, bool hide, struct err *err)
{
    at += strspn(at, BLANKS);
    while (*at != '\0') {
        at = take_pair(at, hide, err);
        if (at == NULL)
            return -1;
        at += strspn(at, BLANKS);
    }
    return 0;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* Decodes and hides; -1 when a % is not of an encoded byte. */
static int take_encoded(const char *raw, size_t len, bool hide, struct err *err)
{
    struct text decoded = TEXT_INIT;
    int rc = 0;

    for (size_t i = 0; i < len; i++) {
        int high = raw[i] == '%' && i + 2 < len ? hex_digit(raw[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_digit(raw[i + 2]);

        if (raw[i] != '%') {
            text_add_char(&decoded, raw[i]);
        } else if (low >= 0 && high + low > 0) {
            text_add_char(&decoded, (char)(high * 16 + low));
            i += 2;
        } else {
            rc = err_set(err, ERR_CONFIG,
                         "has a %% that begins no encoded byte; write %%25 for a plain one");
            text_add_char(&decoded, raw[i]);
        }
    }
    if (hide)
        hide_both(raw, len, text_str(&decoded));
    text_fini(&decoded);
    return rc;
}

/* user[:password] of a URI, up to the @. */
static int scan_user(const char *at, size_t len, bool hide, struct err *err)
{
    const char *colon = memchr(at, ':', len);

    if (colon == NULL)
        return 0;
    return take_encoded(colon + 1, len - (size_t)(colon + 1 - at), hide, err);
}

static int scan_parameters(const char *at, bool hide, struct err *err)
{
    int rc = 0;

    while (*at != '\0') {
        size_t len = strcspn(at, "&");
        size_t key_len = strcspn(at, "=&");
        char *key = mem_strndup(at, key_len);

        if (is_secret(key) && key_len < len &&
            take_encoded(at + key_len + 1, len - key_len - 1, hide, err) < 0)
            rc = -1;
        free(key);
        at += len;
        at += *at == '&';
    }
    return rc;
}

/* at: after "://". libpq ends the user part at the first @ and takes what follows for a host,
 * which it then names in its errors: a password that was not encoded would come out in part. */
static int scan_uri(const char *at, bool hide, struct err *err)
{
    size_t before_query = strcspn(at, "?");
    size_t authority = strcspn(at, "/?");
    const char *first = memchr(at, '@', before_query);
    const char *last = memrchr(at, '@', before_query);
    int rc = 0;

    if (last != NULL)
        rc = scan_user(at, (size_t)(last - at), hide, err);
    if (first != last || (last != NULL && last > at + authority))
        rc = err_set(err, ERR_CONFIG,
                     "has an @ or / that is not encoded; in user and password write @ as %%40 "
                     "and / as %%2F");
    if (at[before_query] == '?' && scan_parameters(at + before_query + 1, hide, err) < 0)
        rc = -1;
    return rc;
}

static int scan(const char *conninfo, bool hide, struct err *err)
{
    if (text_starts_with(conninfo, "postgresql://") || text_starts_with(conninfo, "postgres://"))
        return scan_uri(strstr(conninfo, "://") + 3, hide, err);
    return scan_pairs(conninfo, hide, err);
}

static int check_conninfo(const char *value, struct err *err)
{
    return scan(value, false, err);
}

static void hide_passwords(const char *value)
{
    struct err ignored = ERR_INIT; /* check_conninfo tells it */

    scan(value, true, &ignored);
}

const struct option postgres_option_rows[] = {
    {.key = "conninfo",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED | OPT_SECRET,
     .offset = offsetof(struct postgres_options, conninfo),
     .check = check_conninfo,
     .hide = hide_passwords,
     .help = "How backups reach the database: a connection string or URI of libpq."},
    {.key = "restore_conninfo",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct postgres_options, restore_conninfo),
     .check = check_conninfo,
     .hide = hide_passwords,
     .help = "The same for restore and drill, of a role that may create databases; its dbname must "
             "be another one than the database restored. Without it both are refused."},
    {.key = "globals",
     .type = OPT_BOOL,
     .offset = offsetof(struct postgres_options, globals),
     .def = "true",
     .help = "Back up roles and tablespaces too. Without superuser rights passwords of roles are "
             "left out."},
    {.key = "lock_timeout",
     .type = OPT_DURATION,
     .offset = offsetof(struct postgres_options, lock_timeout_ms),
     .def = "30s",
     .min = 100,
     .max = UINT64_C(24) * 3600 * 1000,
     .help = "How long pg_dump waits for a table that another session holds locked."},
    {.key = "tools",
     .type = OPT_TEXT,
     .offset = offsetof(struct postgres_options, tools),
     .check = option_check_absolute,
     .help = "Folder of pg_dump, pg_restore and pg_dumpall. Without it they are looked for by the "
             "server's version."},
    OPTION_END,
};
