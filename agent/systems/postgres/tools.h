// SPDX-License-Identifier: Apache-2.0
// The programs that come with PostgreSQL: which one is used, and whether it is new enough.
#pragma once

#include "err.h"

#include <stdint.h>

struct postgres_options;

struct pg_tool {
    char *path;
    char *version; /* "16.14" */
    int major;
};

/* program: "pg_dump", ... Looks in the folder configured, and there only; else in Debian's folder
 * of major version `least`, or of the next newer one; else in PATH. ERR_CONFIG when there is none,
 * or it is older than `least`; the error says what to install. what: "the server", "the backup". */
int pg_tool_find(const struct postgres_options *options, const char *program, int least,
                 const char *what, int64_t deadline_mono_us, struct pg_tool *tool, struct err *err);
/* ERR_CONFIG for a tool whose archives cannot go into a server of this major version: pg_restore 17
 * and newer set transaction_timeout, which older servers do not know. */
int pg_tool_fits(const struct pg_tool *tool, int server_major, struct err *err);
void pg_tool_fini(struct pg_tool *tool);
