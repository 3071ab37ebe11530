// SPDX-License-Identifier: Apache-2.0
// The option tables of the collector: one for the top of the file, one for each section.
#include "collector_options.h"

#include "address.h"
#include "log.h"
#include "mem.h"
#include "option.h"
#include "text.h"

#include <stdlib.h>

#define HOUR_MS ((uint64_t)3600 * 1000)

static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const log_levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error", NULL};

static const char *const root_sections[] = {"tls", "http", "state", "log", NULL};
static const struct option root_rows[] = {
    {.key = "listen",
     .type = OPT_TEXT,
     .offset = offsetof(struct collector_options, listen),
     .def = "0.0.0.0:7443",
     .check = address_check,
     .help = "Where agents connect to."},
    {.key = "retire_after",
     .type = OPT_DURATION,
     .offset = offsetof(struct collector_options, retire_after_ms),
     .def = "7d",
     .min = HOUR_MS,
     .max = 365 * 24 * HOUR_MS,
     .help = "An agent that was not seen for so long is forgotten, with its metrics."},
    OPTION_END,
};

static const struct option tls_rows[] = {
    {.key = "ca_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct collector_options, ca_file),
     .check = option_check_absolute,
     .help = "The authority (PEM) whose certificates agents must show; absolute."},
    {.key = "cert_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct collector_options, cert_file),
     .check = option_check_absolute,
     .help = "The collector's own certificate and its chain (PEM); absolute."},
    {.key = "key_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct collector_options, key_file),
     .check = option_check_absolute,
     .help = "The key of that certificate (PEM); absolute. The three are read again when they "
             "change."},
    OPTION_END,
};

static const struct option http_rows[] = {
    {.key = "listen",
     .type = OPT_TEXT,
     .offset = offsetof(struct collector_options, http_listen),
     .def = "0.0.0.0:9465",
     .check = address_check,
     .help = "Where `/metrics` and `/healthz` are."},
    OPTION_END,
};

static const struct option state_rows[] = {
    {.key = "path",
     .type = OPT_TEXT,
     .offset = offsetof(struct collector_options, state_path),
     .def = "/var/lib/lifeboat/collector",
     .check = option_check_absolute,
     .help = "Folder of the SQLite file `collector.db`; absolute. It must outlive the container."},
    OPTION_END,
};

struct log_options {
    int format; /* index into log_formats */
    int level;
};

static const struct option log_rows[] = {
    {.key = "format",
     .type = OPT_CHOICE,
     .offset = offsetof(struct log_options, format),
     .def = "logfmt",
     .choices = log_formats,
     .help = "How log lines on standard error look."},
    {.key = "level",
     .type = OPT_CHOICE,
     .offset = offsetof(struct log_options, level),
     .def = "info",
     .choices = log_levels,
     .help = "The least level that is written."},
    OPTION_END,
};

static int read_root(const struct option_node *root, struct collector_options *options,
                     struct err *err)
{
    struct log_options log = {.format = 0};

    if (option_read(root, root_rows, root_sections, options, err) < 0 ||
        option_read(option_node_section(root, "tls"), tls_rows, NULL, options, err) < 0 ||
        option_read(option_node_section(root, "http"), http_rows, NULL, options, err) < 0 ||
        option_read(option_node_section(root, "state"), state_rows, NULL, options, err) < 0 ||
        option_read(option_node_section(root, "log"), log_rows, NULL, &log, err) < 0)
        return -1;
    options->log_json = log.format == 1;
    options->log_level = log.level;
    return 0;
}

/* Takes file. */
static int read_file(struct option_file *file, struct collector_options **options, struct err *err)
{
    struct collector_options *read = mem_calloc(1, sizeof *read);
    int rc = read_root(option_file_root(file), read, err);

    if (rc < 0)
        collector_options_free(read);
    else
        *options = read;
    option_file_close(file);
    return rc;
}

int collector_options_load(const char *path, struct collector_options **options, struct err *err)
{
    struct option_file *file = NULL;

    if (option_file_open(path, &file, err) < 0)
        return -1;
    return read_file(file, options, err);
}

int collector_options_parse(const char *name, const char *data, size_t len,
                            struct collector_options **options, struct err *err)
{
    struct option_file *file = NULL;

    if (option_file_parse(name, data, len, &file, err) < 0)
        return -1;
    return read_file(file, options, err);
}

void collector_options_free(struct collector_options *options)
{
    if (options == NULL)
        return;
    option_free(root_rows, options);
    option_free(tls_rows, options);
    option_free(http_rows, options);
    option_free(state_rows, options);
    free(options);
}

static void describe_section(const char *heading, const struct option *rows, struct text *markdown)
{
    text_add(markdown, "\n## %s\n\n", heading);
    option_describe(rows, markdown);
}

void collector_options_describe(struct text *markdown)
{
    text_add(markdown,
             "# Options of the collector\n\n"
             "Generated by `lifeboat-reference collector` from the option tables; not edited by "
             "hand.\n`docs/collector.example.yaml` shows a whole file.\n\n"
             "`lifeboat-collector -c FILE` reads one YAML file; without `-c` it is "
             "`/etc/lifeboat/collector.yaml`. Values are written as in [the agent's file]"
             "(options.md): `${VAR}` is taken from the environment, durations look like `90s` or "
             "`7d`, and a wrong value or an unknown key ends the start with status 2.\n\n"
             "## The file\n\n");
    option_describe(root_rows, markdown);
    describe_section("tls", tls_rows, markdown);
    describe_section("http", http_rows, markdown);
    describe_section("state", state_rows, markdown);
    describe_section("log", log_rows, markdown);
}
