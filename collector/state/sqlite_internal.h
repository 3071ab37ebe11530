// SPDX-License-Identifier: Apache-2.0
// The inside of the state: included by sqlite*.c only.
#pragma once

#include "state.h"

#include <sqlite3.h>

enum sqlite_statement {
    ADD_REPORT,
    PUT_AGENT,
    PUT_COMPONENT,
    REMOVE_COMPONENT,
    REMOVE_COMPONENTS,
    REMOVE_AGENT,
    LAST_SEQUENCE,
    PRUNE,
    PROBE,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENT_COUNT
};

struct state {
    sqlite3 *db;
    char *path;
    int lock_fd;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool in_batch;
};

/* Sets err from what the newest call said. Returns -1. */
int sqlite_fail(const struct state *state, const char *what, struct err *err);
