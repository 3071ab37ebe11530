// SPDX-License-Identifier: Apache-2.0
// Log lines on standard error: one event a line, a short message and its fields, as logfmt or as
// JSON. Every line passes through the mask, so that a registered secret cannot leave the process
// by this way, whoever quoted it.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER } type;
    const char *text;
    int64_t number;
};

#define LOG_TEXT(key_, text_)                                                                      \
    {                                                                                              \
        .key = (key_), .type = LOG_FIELD_TEXT, .text = (text_)                                     \
    }
#define LOG_NUMBER(key_, number_)                                                                  \
    {                                                                                              \
        .key = (key_), .type = LOG_FIELD_NUMBER, .number = (int64_t)(number_)                      \
    }

void log_setup(enum log_level least, bool json);

/* fields may be NULL when count is 0. A text of NULL is left out. */
void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);

/* log_info("backup committed", LOG_TEXT("component", name), LOG_NUMBER("bytes", n)); */
#define LOG_FIELDS_(...) ((const struct log_field[]){__VA_ARGS__})
#define LOG_AT_(level, message, ...)                                                               \
    log_write(level, message, LOG_FIELDS_({.key = NULL}, __VA_ARGS__) + 1,                         \
              sizeof LOG_FIELDS_({.key = NULL}, __VA_ARGS__) / sizeof(struct log_field) - 1)
#define log_debug(...) LOG_AT_(LOG_DEBUG, __VA_ARGS__, )
#define log_info(...)  LOG_AT_(LOG_INFO, __VA_ARGS__, )
#define log_warn(...)  LOG_AT_(LOG_WARN, __VA_ARGS__, )

/* Logs the error with its kind and hint. This is the "once" of "logged once". */
void log_err(const char *message, const struct err *err, const struct log_field *fields,
             size_t count);

struct text;
/* From now on every line of at least LOG_INFO is also added to kept (lent), as long as that stays
 * below max_bytes; NULL ends it. */
void log_keep(struct text *kept, size_t max_bytes);

/* From now on every line of at least LOG_INFO also goes to fd (lent); -1 ends it. */
void log_copy(int fd);

/* From now on secret is written as *** wherever log_mask is applied. Copies. Shorter than four
 * bytes is not hidden: it would blank out innocent text. */
void log_hide(const char *secret);
/* Replaces every registered secret in text, in place (*** is never longer than a secret is). */
void log_mask(char *text);
