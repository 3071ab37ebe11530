// SPDX-License-Identifier: Apache-2.0
// The inside of a connection, for conn.c (asking) and dial.c (connecting, and waiting).
#pragma once

#include "conn.h"
#include "redis_link.h"

struct redis_conn {
    struct redis_link link;
    char *place;
    redisReader *reader;
    redisReplyObjectFunctions functions; /* hiredis' own, with bounds */
    int64_t deadline_mono_us;
    int64_t timeout_ms;
    bool logged_in;
};

/* Connects to what the options name, TLS included; sets place. */
int redis_dial(struct redis_conn *conn, const struct redis_options *options, struct err *err);
/* When the timeout that begins now will be over. */
int64_t redis_patience(const struct redis_conn *conn);
/* Until the link is ready for its events; a failure at until_us or at the deadline. */
int redis_wait_ready(struct redis_conn *conn, int64_t until_us, struct err *err);
