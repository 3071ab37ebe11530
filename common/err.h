// SPDX-License-Identifier: Apache-2.0
// One error: what kind, and a sentence that grows outwards as callers add what they were doing.
// Set where the cause is known, wrapped on the way up, logged once by whoever decides. The kind
// alone carries meaning for programs (exit status, retry); nobody compares text.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum err_kind {
    ERR_NONE,
#define ERR_KIND(kind, name, exit_status, retry, hint) ERR_##kind,
#include "err.def"
#undef ERR_KIND
    ERR_KIND_COUNT
};

struct err {
    enum err_kind kind;
    char text[1024]; /* valid UTF-8; cut at the end when too long; never ends in a newline */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .kind = ERR_NONE, .text = ""                                                               \
    }

/* Sets kind and text, replacing what was there. Returns -1, so that it can be returned. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": " and the text of errno (as passed) appended; ENOSPC and EDQUOT become
 * ERR_NO_SPACE. */
int err_set_errno(struct err *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "what: " before the text. Returns -1. Needs an error that is set. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

const char *err_kind_name(enum err_kind kind); /* "config", "unreachable", ... */
int err_kind_exit_status(enum err_kind kind);
bool err_kind_may_retry(enum err_kind kind);
const char *err_kind_hint(enum err_kind kind);
