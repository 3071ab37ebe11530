// SPDX-License-Identifier: Apache-2.0
#include "check_lines.h"

#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void check_say(const struct check_lines *lines, enum check_result result, const char *what,
               const char *format, ...)
{
    char detail[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    log_mask(detail);
    lines->line(lines->arg, result, what, detail);
}

void check_say_err(const struct check_lines *lines, const char *what, const struct err *err)
{
    check_say(lines, CHECK_FAIL, what, "%s", err->text);
}
