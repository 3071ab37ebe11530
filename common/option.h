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
    OPT_NOT_YET,  /* refused with ERR_NOT_YET when present; help says with what it comes */
};

enum {
    OPT_REQUIRED = 1 << 0,
    OPT_SECRET = 1 << 1,    /* OPT_TEXT only */
    OPT_HIDDEN = 1 << 2,    /* left out of the reference: for tests */
    OPT_MAY_EMPTY = 1 << 3, /* OPT_TEXT: "" counts as absent; elsewhere it is an error */
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
    const char *const *not_yet; /* CHOICE, may be NULL: values that are refused with ERR_NOT_YET */
    /* Optional, for OPT_TEXT and each item of OPT_LIST: 0, or -1 with the second half of a
     * sentence in err, which follows the quoted value: "is not a name; use letters and digits". It
     * must not repeat the value. */
    int (*check)(const char *value, struct err *err);
    /* OPT_SECRET: registers what is secret in the value; NULL: log_hide of all of it. */
    void (*hide)(const char *value);
    const char *help; /* a sentence; the reference and "is required" print it */
};

#define OPTION_END                                                                                 \
    {                                                                                              \
        .key = NULL                                                                                \
    }

struct option_file;
struct option_node; /* one YAML node of an open file; knows its line and the path of keys to it */

enum option_kind { OPTION_SCALAR, OPTION_LIST, OPTION_MAPPING };

#define OPTION_FILE_MAX_BYTES ((size_t)1 << 20)

/* Reads and parses a file of at most OPTION_FILE_MAX_BYTES. The nodes live as long as the file.
 * Refused: anchors, aliases and tags, keys given twice, several documents, anything but UTF-8.
 * ERR_CONFIG. */
int option_file_open(const char *path, struct option_file **file, struct err *err);
/* The same of bytes in memory, copied; name stands for the file in errors. */
int option_file_parse(const char *name, const char *data, size_t len, struct option_file **file,
                      struct err *err);
/* NULL is allowed. */
void option_file_close(struct option_file *file);
const struct option_node *option_file_root(const struct option_file *file);

enum option_kind option_node_kind(const struct option_node *node);
/* How many items a list has, or keys a mapping. */
size_t option_node_count(const struct option_node *node);
/* Item of a list, or value of a mapping; index below the count. */
const struct option_node *option_node_item(const struct option_node *node, size_t index);
/* The key of a mapping's value; lent. */
const char *option_node_key(const struct option_node *node);
/* Line in the file, from 1. */
size_t option_node_line(const struct option_node *node);
/* The child under key, NULL when absent or when node is no mapping. */
const struct option_node *option_node_child(const struct option_node *node, const char *key);
/* The same, but an absent one is an empty mapping that stands at node's line. Never NULL. */
const struct option_node *option_node_section(const struct option_node *node, const char *key);
/* The scalar with ${VAR} replaced, at most 64 KiB; free() it. remedy is what else than exporting
 * could help when a variable is missing: "use password_file". */
int option_node_text(const struct option_node *node, const char *remedy, char **text,
                     struct err *err);
/* "FILE:LINE: PATH.KEY: what": for errors that no row can know. key names a child, present or not;
 * NULL: the node itself. Returns -1. */
int option_node_fail(const struct option_node *node, const char *key, struct err *err,
                     enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Puts value in double quotes, cut when long, without control characters, and without the user
 * part of a URL: for errors. buffer of OPTION_QUOTE_CAP bytes; returns it. */
#define OPTION_QUOTE_CAP 96
const char *option_quote(const char *value, char *buffer);

/* Ready checks for rows: a name that may stand in a key of a store (letters, digits, '.', '_', '-';
 * at most 63; not "." or ".."); a path that begins with a slash. */
int option_check_name(const char *value, struct err *err);
int option_check_absolute(const char *value, struct err *err);

/* The one of names (NULL-ended) that few edits make of to; NULL when none is near. Lent. */
const char *option_nearest(const char *to, const char *const *names);

/* As also[]: this reading does not mind other keys (another one of the same node does). */
extern const char *const option_any_key[];

/* Reads the mapping node into base, which must be zeroed, by the rows. Keys of neither rows nor
 * also[] (NULL-ended, may be NULL) are an error that names the nearest known key. On failure base
 * may be filled in part; option_free is right either way. */
int option_read(const struct option_node *node, const struct option *rows, const char *const *also,
                void *base, struct err *err);
/* Frees what option_read allocated in base, for the same rows. */
void option_free(const struct option *rows, void *base);

struct text;
/* Appends a Markdown table with one row per visible option. */
void option_describe(const struct option *rows, struct text *markdown);
