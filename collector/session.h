// SPDX-License-Identifier: Apache-2.0
// One agent's connection, without the connection: bytes in, bytes out. docs/PROTOCOL.md is what it
// speaks. A session that is over says why (a Refusal), hears nothing more, and asks to be ended
// from hub_tick only, never while it is being fed.
#pragma once

#include "hub.h"

#define SESSION_HELLO_US   ((int64_t)10 * 1000 * 1000) /* from accept to a hello */
#define SESSION_SILENT_US  ((int64_t)90 * 1000 * 1000)
#define SESSION_LINGER_US  ((int64_t)1000 * 1000) /* for the peer to read its Refusal */
#define SESSION_MAX_QUEUED ((size_t)64 << 10)     /* a peer that does not read is cut */

struct session_link {
    void (*send)(void *arg, const void *data, size_t len);
    size_t (*queued)(void *arg); /* bytes that wait to be sent */
    /* The connection is to be closed and the session freed, now. */
    void (*end)(void *arg);
    void *arg;
};

/* link is copied. remote: the peer's address; copied. */
struct session *session_new(struct hub *hub, const struct session_link *link, const char *remote);
/* NULL is allowed. */
void session_free(struct session *session);
/* peer: the name that its certificate proved; copied. */
void session_opened(struct session *session, const char *peer);
void session_received(struct session *session, const uint8_t *data, size_t len);
/* The peer's name, or its address while that is all that is known. Lent. */
const char *session_peer(const struct session *session);

/* For the hub: */
struct session *session_next(const struct session *session);
/* The batch has ended. Acknowledges, or refuses those who had reports in a batch that failed. */
void session_settle(struct session *session, bool committed);
/* Ends a session whose time is up; it is freed then. */
void session_tick(struct session *session, int64_t now_us);
