// SPDX-License-Identifier: Apache-2.0
// What was asked for on the command line; everything is lent from argv.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct invocation {
    const char *command;
    const char *config_path;
    const char *store; /* --store */
    const char *from;  /* --from */
    const char *to;    /* --to */
    const char *topic, *to_topic, *until;
    bool json, all, yes, dry_run, grants, globals, leave_replication, drop_old, no_safety, if_empty,
        full, append, replace;
    char **targets; /* "COMPONENT[@BACKUP]" */
    size_t target_count;
};
