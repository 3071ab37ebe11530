// SPDX-License-Identifier: Apache-2.0
// Composing and masking of log lines. A line is written with one write(), so that lines of several
// processes do not mix.
#include "log.h"

#include "clock.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static enum log_level least_level = LOG_INFO;
static struct text *kept;
static size_t kept_max_bytes;
static int copy_fd = -1;
static bool as_json;
static char **secrets;
static size_t secret_count;

void log_setup(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

void log_hide(const char *secret)
{
    if (strlen(secret) < 4)
        return;
    for (size_t i = 0; i < secret_count; i++)
        if (strcmp(secrets[i], secret) == 0)
            return;
    secrets = mem_realloc(secrets, (secret_count + 1) * sizeof *secrets);
    secrets[secret_count++] = mem_strdup(secret);
}

/* Marks first and writes afterwards: secrets may overlap, or lie in one another. */
void log_mask(char *text)
{
    size_t len = strlen(text);
    bool *hidden = mem_calloc(len + 1, sizeof *hidden);
    size_t to = 0;

    for (size_t i = 0; i < secret_count; i++) {
        size_t secret_len = strlen(secrets[i]);

        for (char *at = strstr(text, secrets[i]); at != NULL; at = strstr(at + 1, secrets[i]))
            memset(hidden + (at - text), true, secret_len);
    }
    for (size_t from = 0; from < len; from++) {
        if (!hidden[from]) {
            text[to++] = text[from];
        } else if (from == 0 || !hidden[from - 1]) {
            memcpy(text + to, "***", 3); /* no overtaking: a run is of at least four bytes */
            to += 3;
        }
    }
    text[to] = '\0';
    free(hidden);
}

static void add_quoted(struct text *line, const char *value)
{
    text_add_char(line, '"');
    for (const unsigned char *at = (const unsigned char *)value; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            text_add(line, "\\%c", *at);
        else if (*at == '\n')
            text_add(line, "\\n");
        else if (*at < 0x20 || *at == 0x7f)
            text_add(line, "\\u%04x", *at);
        else
            text_add_char(line, (char)*at);
    }
    text_add_char(line, '"');
}

/* Masks before it quotes: a secret with a quote or a newline in it looks different afterwards. */
static void add_value(struct text *line, const char *value)
{
    char *shown = mem_strdup(value);
    bool plain;

    log_mask(shown);
    text_fix_utf8(shown);
    plain = *shown != '\0';
    for (const unsigned char *at = (const unsigned char *)shown; *at != '\0'; at++)
        if (*at <= 0x20 || *at == '"' || *at == '=' || *at == '\\' || *at == 0x7f)
            plain = false;
    if (plain && !as_json)
        text_add(line, "%s", shown);
    else
        add_quoted(line, shown);
    free(shown);
}

static void add_field(struct text *line, const struct log_field *field)
{
    if (field->key == NULL || (field->type == LOG_FIELD_TEXT && field->text == NULL))
        return;
    text_add(line, as_json ? ",\"%s\":" : " %s=", field->key);
    if (field->type == LOG_FIELD_NUMBER)
        text_add(line, "%" PRId64, field->number);
    else
        add_value(line, field->text);
}

/* A log that cannot be written is no reason to stop a backup. */
static void write_line(int fd, const char *line, size_t len)
{
    ssize_t n;

    do
        n = write(fd, line, len);
    while (n < 0 && errno == EINTR);
}

void log_keep(struct text *to, size_t max_bytes)
{
    kept = to;
    kept_max_bytes = max_bytes;
}

void log_copy(int fd)
{
    copy_fd = fd;
}

static void emit(enum log_level level, const char *message, const struct log_field *lists[2],
                 const size_t counts[2])
{
    struct text line = TEXT_INIT;
    char when[CLOCK_TEXT_CAP];

    clock_format(clock_wall_ms(), when);
    text_add(&line,
             as_json ? "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":" : "time=%s level=%s msg=", when,
             level_names[level]);
    add_value(&line, message);
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; i < counts[list]; i++)
            add_field(&line, &lists[list][i]);
    text_add(&line, as_json ? "}\n" : "\n");
    if (kept != NULL && level >= LOG_INFO && kept->len + line.len <= kept_max_bytes)
        text_add_bytes(kept, line.data, line.len);
    if (copy_fd >= 0 && level >= LOG_INFO)
        write_line(copy_fd, line.data, line.len);
    if (level >= least_level)
        write_line(STDERR_FILENO, line.data, line.len);
    text_fini(&line);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count)
{
    if (level >= least_level || ((kept != NULL || copy_fd >= 0) && level >= LOG_INFO))
        emit(level, message, (const struct log_field *[2]){fields, NULL}, (size_t[2]){count, 0});
}

void log_err(const char *message, const struct err *err, const struct log_field *fields,
             size_t count)
{
    const struct log_field tail[] = {
        LOG_TEXT("err", err->text),
        LOG_TEXT("kind", err_kind_name(err->kind)),
        LOG_TEXT("hint", err_kind_hint(err->kind)),
    };

    emit(LOG_ERROR, message, (const struct log_field *[2]){fields, tail},
         (size_t[2]){count, sizeof tail / sizeof tail[0]});
}
