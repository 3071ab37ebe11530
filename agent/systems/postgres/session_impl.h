// SPDX-License-Identifier: Apache-2.0
// What session.c (connecting) and ask.c (asking) share; for nobody else.
#pragma once

#include "session.h"

struct pg_session {
    PGconn *connection; /* NULL once lost */
    char *place;
    int version;
    int64_t deadline_mono_us;
    PGresult *last;     /* of the command that runs: its latest result */
    struct err failure; /* of that command: its first error */
};

/* One line of what libpq or the server says, secrets masked. */
void pg_one_line(const char *message, char *line, size_t cap);
/* Waits for the socket: 1 ready, 0 not within timeout_ms (below 0: the deadline), -1 error. */
int pg_wait_socket(struct pg_session *session, short events, int timeout_ms, struct err *err);
