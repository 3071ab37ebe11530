// SPDX-License-Identifier: Apache-2.0
// Inside of an open configuration file: included by option*.c only.
#pragma once

#include "option.h"

#define OPTION_MAX_VALUE_BYTES ((size_t)64 << 10)

struct option_node {
    struct option_file *file;
    const struct option_node *parent; /* NULL: the root */
    char *key;                        /* of a mapping's child */
    size_t index;                     /* of a list's item */
    size_t line;                      /* from 1; of the key, where there is one */
    enum option_kind kind;
    char *value;                   /* scalar, as written; NULL: none ("key:", ~, null) */
    struct option_node **children; /* of a mapping or list; room for a power of two */
    size_t count;
    struct option_node *next; /* of all nodes of the file */
};

struct option_file {
    char *name;
    struct option_node *root;
    struct option_node *nodes; /* all of them, to free */
    size_t node_count;
};

/* A node without a place in its parent's children. Lives as long as the file. */
struct option_node *option_node_new(struct option_file *file, const struct option_node *parent,
                                    enum option_kind kind, size_t line);

/* A bound as it would be written in the file: "8MiB", "15m", "3"; buffer of 32 bytes; returns it.
 */
const char *option_show_bound(enum option_type type, uint64_t bound, char *buffer);
