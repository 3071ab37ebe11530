// SPDX-License-Identifier: Apache-2.0
// The configuration file of the collector, read and checked as a whole.
#pragma once

#include "err.h"
#include "log_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collector_options {
    char *listen; /* for agents */
    char *ca_file, *cert_file, *key_file;
    char *http_listen;
    char *state_path;
    int64_t retire_after_ms; /* an agent that was not seen for so long is forgotten */
    struct log_options log;
};

/* Reads the file; on failure *options is untouched and err names file, line, key and remedy. */
int collector_options_load(const char *path, struct collector_options **options, struct err *err);
/* The same of bytes in memory; name stands for the file in errors. */
int collector_options_parse(const char *name, const char *data, size_t len,
                            struct collector_options **options, struct err *err);
/* NULL is allowed. */
void collector_options_free(struct collector_options *options);

struct text;
/* docs/reference/collector.md, whole. */
void collector_options_describe(struct text *markdown);
