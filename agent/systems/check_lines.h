// SPDX-License-Identifier: Apache-2.0
// The lines that a system's check says.
#pragma once

#include "system.h"

struct check_lines {
    check_fn *line;
    void *arg;
};

/* One line; secrets in it are masked. */
void check_say(const struct check_lines *lines, enum check_result result, const char *what,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What an error says, as CHECK_FAIL. */
void check_say_err(const struct check_lines *lines, const char *what, const struct err *err);
