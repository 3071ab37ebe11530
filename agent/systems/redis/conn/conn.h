// SPDX-License-Identifier: Apache-2.0
// One connection to a server: TCP, TLS or a unix socket; logged in. Commands wait for their answer,
// bounded by the deadline, by the option timeout, and by a wish to stop; an answer is bounded in
// size. What is no answer (the payload of PSYNC) is read as it comes, without waiting. What the
// server says is quoted in errors; passwords never are.
#pragma once

#include "redis_options.h"
#include "stream.h"

#include <hiredis.h>
#include <stdint.h>

#define REDIS_REPLY_MAX_BYTES ((size_t)16 << 20)
#define REDIS_REPLY_MAX_ITEMS 65536

struct redis_conn;

/* Connects and logs in; asks for nothing but PING. ERR_UNREACHABLE: no server, one that still
 * loads its data, or one without its primary; ERR_DENIED: password, rights or certificates. */
int redis_conn_open(const struct redis_options *options, int64_t deadline_mono_us,
                    struct redis_conn **conn, struct err *err);
/* NULL is allowed. */
void redis_conn_close(struct redis_conn *conn);
/* "127.0.0.1:6379", or the socket's path; lent. */
const char *redis_conn_place(const struct redis_conn *conn);
int64_t redis_conn_deadline(const struct redis_conn *conn);
void redis_conn_set_deadline(struct redis_conn *conn, int64_t deadline_mono_us);

/* One command and its answer, whatever that is: an error of the server's is an answer of type
 * REDIS_REPLY_ERROR. lens may be NULL: then all arguments are strings. Free *reply with
 * freeReplyObject. After a failure the connection is of no more use. */
int redis_conn_ask(struct redis_conn *conn, size_t argc, const char *const *argv,
                   const size_t *lens, redisReply **reply, struct err *err);
/* 0; or -1 for an answer that is an error, with the kind that it means and "COMMAND: " before it.
 */
int redis_reply_check(const redisReply *reply, const char *command, struct err *err);
/* The same for an error's text, without its "-": always -1. */
int redis_said(const char *said, const char *command, struct err *err);
/* Both; the arguments are strings, NULL at the end. reply may be NULL when it is of no interest. */
int redis_conn_call(struct redis_conn *conn, redisReply **reply, struct err *err, ...)
    __attribute__((sentinel));
/* The same for a command whose answer is a text: free() it. */
int redis_conn_text(struct redis_conn *conn, char **text, struct err *err, ...)
    __attribute__((sentinel));

/* Sends a command and leaves its answer to redis_conn_read. Waits until it is sent. */
int redis_conn_send(struct redis_conn *conn, struct err *err, ...) __attribute__((sentinel));
/* Bytes as they come. OK: *len of them, at least one. AGAIN: none now, poll redis_conn_fd for
 * redis_conn_events. END: the server closed the connection. */
enum step redis_conn_read(struct redis_conn *conn, uint8_t *data, size_t cap, size_t *len,
                          struct err *err);
int redis_conn_fd(const struct redis_conn *conn);
/* Of poll(), after AGAIN. */
short redis_conn_events(const struct redis_conn *conn);
/* After AGAIN: waits for them, as long as for an answer. */
int redis_conn_wait(struct redis_conn *conn, struct err *err);

/* Waits so long, at most until the deadline; -1 when that passed or a stop is wished for. */
int redis_conn_pause(struct redis_conn *conn, int ms, struct err *err);

/* A section of INFO, whole; free() it. */
int redis_info(struct redis_conn *conn, const char *section, char **info, struct err *err);
/* The value of a field; false (and "") when there is none. Cut to cap. */
bool redis_info_field(const char *info, const char *field, char *value, size_t cap);
/* Its number; absent when there is none, or it is no whole number. */
int64_t redis_info_number(const char *info, const char *field, int64_t absent);
