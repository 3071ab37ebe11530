// SPDX-License-Identifier: Apache-2.0
// The table of error kinds, and the composing of their sentences.
#include "err.h"

#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct kind_row {
    const char *name;
    int exit_status;
    bool retry;
    const char *hint;
};

static const struct kind_row kinds[ERR_KIND_COUNT] = {
    [ERR_NONE] = {.name = "none", .exit_status = 0, .retry = false, .hint = ""},
#define ERR_KIND(kind_, name_, exit_status_, retry_, hint_)                                        \
    [ERR_##kind_] = {.name = name_, .exit_status = exit_status_, .retry = retry_, .hint = hint_},
#include "err.def"
#undef ERR_KIND
};

/* Composes "<head><tail>" into err->text; tail may lie inside err->text. */
static void compose(struct err *err, const char *tail, const char *format, va_list args)
{
    char text[sizeof err->text];
    int len = vsnprintf(text, sizeof text, format, args);
    size_t used = len < 0 ? 0 : (size_t)len;

    if (used < sizeof text)
        snprintf(text + used, sizeof text - used, "%s", tail);
    text_fix_utf8(text);
    memcpy(err->text, text, sizeof err->text);
    used = strlen(err->text);
    while (used > 0 && (err->text[used - 1] == '\n' || err->text[used - 1] == '\r'))
        err->text[--used] = '\0';
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    compose(err, "", format, args);
    va_end(args);
    err->kind = kind;
    return -1;
}

int err_set_errno(struct err *err, int errno_value, const char *format, ...)
{
    char tail[160];
    va_list args;

    snprintf(tail, sizeof tail, ": %s", strerror(errno_value));
    va_start(args, format);
    compose(err, tail, format, args);
    va_end(args);
    err->kind = errno_value == ENOSPC || errno_value == EDQUOT ? ERR_NO_SPACE : ERR_IO;
    return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
    char tail[sizeof err->text + 2];
    va_list args;

    assert(err->kind != ERR_NONE);
    snprintf(tail, sizeof tail, ": %s", err->text);
    va_start(args, format);
    compose(err, tail, format, args);
    va_end(args);
    return -1;
}

void err_clear(struct err *err)
{
    err->kind = ERR_NONE;
    err->text[0] = '\0';
}

const char *err_kind_name(enum err_kind kind)
{
    return kinds[kind].name;
}

int err_kind_exit_status(enum err_kind kind)
{
    return kinds[kind].exit_status;
}

bool err_kind_may_retry(enum err_kind kind)
{
    return kinds[kind].retry;
}

const char *err_kind_hint(enum err_kind kind)
{
    return kinds[kind].hint;
}
