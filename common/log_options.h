// SPDX-License-Identifier: Apache-2.0
// The `log:` section that both daemons' files have.
#pragma once

#include "log.h"

enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_options {
    int format; /* enum log_format */
    int level;  /* enum log_level */
};

struct option;
/* The rows, for option_read and its likes. */
const struct option *log_option_rows(void);

/* log_setup() as the section says. */
static inline void log_options_apply(const struct log_options *options)
{
    log_setup((enum log_level)options->level, options->format == LOG_FORMAT_JSON);
}
