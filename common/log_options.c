// SPDX-License-Identifier: Apache-2.0
// The rows of `log:`.
#include "log_options.h"

#include "option.h"

static const char *const formats[] = {
    [LOG_FORMAT_LOGFMT] = "logfmt", [LOG_FORMAT_JSON] = "json", NULL};
static const char *const levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error", NULL};

static const struct option rows[] = {
    {.key = "format",
     .type = OPT_CHOICE,
     .offset = offsetof(struct log_options, format),
     .def = "logfmt",
     .choices = formats,
     .help = "How log lines on standard error look."},
    {.key = "level",
     .type = OPT_CHOICE,
     .offset = offsetof(struct log_options, level),
     .def = "info",
     .choices = levels,
     .help = "The least level that is written."},
    OPTION_END,
};

const struct option *log_option_rows(void)
{
    return rows;
}
