// SPDX-License-Identifier: Apache-2.0
// Configuration options as tables: one row per option gives its key, type, default, bounds and
// help. From the rows come the reading of the YAML file into a struct, the errors (file, line, key
// and what would be right), and docs/reference/options.md. A value is never replaced in silence.
//
// Every scalar may contain ${VAR} (from the environment; a missing one is an error; "$${" is a
// plain "${"). A row with OPT_SECRET also accepts KEY_file: the value is the content of that file
// without its last newline, and is registered with log_hide.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPT_TEXT,     /* char *: NULL when absent and without default */
    OPT_BOOL,     /* bool: true or false */
    OPT_NUMBER,   /* uint64_t, within min..max */
    OPT_SIZE,     /* uint64_t bytes: "8MiB" */
    OPT_DURATION, /* int64_t ms: "15m" */
    OPT_CHOICE,   /* int: index into choices */
    OPT_LIST,     /* struct option_list of texts */
    OPT_NOT_YET,  /* refused with ERR_NOT_YET when present */
};

enum {
    OPT_REQUIRED = 1 << 0,
    OPT_SECRET = 1 << 1, /* OPT_TEXT only */
    OPT_HIDDEN = 1 << 2, /* left out of the reference: for tests */
};

struct option_list {
    char **items;
    size_t count;
};

struct option {
    const char *key;
    enum option_type type;
    unsigned flags;
    size_t offset;
    const char *def;            /* as it would stand in the file; NULL: zero, false, NULL, empty */
    uint64_t min, max;          /* NUMBER, SIZE (bytes), DURATION (ms); max 0: no bounds */
    const char *const *choices; /* CHOICE: NULL at the end */
    /* Optional, for OPT_TEXT and each item of OPT_LIST: what would be right, in err; 0 or -1. */
    int (*check)(const char *value, struct err *err);
    const char *help; /* a sentence; the reference prints it */
};

#define OPTION_END                                                                                 \
    {                                                                                              \
        .key = NULL                                                                                \
    }

struct option_file;
struct option_node; /* one YAML node of an open file */

/* Reads and parses a file of at most 1 MiB. The nodes live as long as the file. */
int option_file_open(const char *path, struct option_file **file, struct err *err);
/* NULL is allowed. */
void option_file_close(struct option_file *file);
const struct option_node *option_file_root(const struct option_file *file);

/* The child under key, NULL when absent. node must be a mapping, else ERR_CONFIG. */
int option_node_child(const struct option_node *node, const char *key,
                      const struct option_node **child, struct err *err);
/* Items of a sequence, one by one from 0; *item NULL past the end. */
int option_node_item(const struct option_node *node, size_t index, const struct option_node **item,
                     struct err *err);
/* ERR_CONFIG "FILE:LINE: KEY: what": for errors that no row can know. key may be NULL. */
int option_node_fail(const struct option_node *node, const char *key, struct err *err,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reads the mapping node into base by the rows. Keys of neither rows nor also[] (NULL-ended, may
 * be NULL) are an error that names the nearest known key. A NULL node stands for an empty mapping.
 * path is what stands before the key in errors: "components[0].postgres". */
int option_read(const struct option_node *node, const char *path, const struct option *rows,
                const char *const *also, void *base, struct err *err);
/* Frees what option_read allocated in base, for the same rows. */
void option_free(const struct option *rows, void *base);

struct text;
/* Appends one Markdown table row per visible option. */
void option_describe(const struct option *rows, struct text *markdown);
