// SPDX-License-Identifier: Apache-2.0
// One connection to a server, for questions and commands. Calls wait on poll(), until the session's
// deadline or a wish to stop; then the command is cancelled and the connection closed. Even if we
// are killed, the server, which looks for its client once a second
// (client_connection_check_interval), ends what it was doing.
#pragma once

#include "err.h"

#include <libpq-fe.h>
#include <stdint.h>

#define PG_OLDEST_VERSION 130000

struct pg_session;

/* Connects. key: the option that conninfo comes from, for errors. dbname: another database than
 * conninfo names; NULL: its own. The session has no time limits of the server's, writes are
 * allowed, search_path is empty (only pg_catalog is looked into), client_encoding is UTF8, and row
 * security raises an error rather than hide rows. ERR_UNREACHABLE, ERR_DENIED, ERR_TIMEOUT,
 * ERR_CONFIG. */
int pg_session_open(const char *key, const char *conninfo, const char *dbname,
                    int64_t deadline_mono_us, struct pg_session **session, struct err *err);
/* NULL is allowed. An open transaction is rolled back by the server. */
void pg_session_close(struct pg_session *session);

/* Lent; NULL once the connection is closed. */
const PGconn *pg_session_connection(const struct pg_session *session);
int pg_session_version(const struct pg_session *session); /* 160014 */
/* "127.0.0.1:5432" or "/run/postgresql:5432"; lent. */
const char *pg_session_place(const struct pg_session *session);
/* The host, "" for the machine's own socket, is this machine. */
bool pg_session_is_local(const struct pg_session *session);
/* Text in the database's own encoding, as the tools write it; else in UTF-8, as sessions begin. Of
 * a database of SQL_ASCII, which knows of no characters, bytes come as they are. */
int pg_session_set_encoding(struct pg_session *session, bool own, struct err *err);
void pg_session_set_deadline(struct pg_session *session, int64_t deadline_mono_us);
int64_t pg_session_deadline(const struct pg_session *session);

/* Runs statements without parameters; several may be separated by semicolons. */
int pg_exec(struct pg_session *session, struct err *err, const char *sql);
/* The same with the text composed like printf; identifiers through pg_quote_name. */
int pg_execf(struct pg_session *session, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Runs one query with text parameters ($1, ...); *result is the last one's rows: PQclear it.
 * SQLSTATE 42501 and 28xxx are ERR_DENIED, 53100 ERR_NO_SPACE, 55006 ERR_CONFLICT, 57014 and 55P03
 * ERR_TIMEOUT; a lost connection ERR_UNREACHABLE; else ERR_SOURCE. */
int pg_query(struct pg_session *session, const char *sql, const char *const *params, int count,
             PGresult **result, struct err *err);
/* The first column of the first row; NULL for none or null. free() it. */
int pg_query_text(struct pg_session *session, const char *sql, const char *const *params, int count,
                  char **text, struct err *err);

/* Sends a statement without waiting; pg_poll until it returns END (done, well) or ERROR. AGAIN:
 * not within timeout_ms. */
int pg_send(struct pg_session *session, const char *sql, struct err *err);
enum pg_wait { PG_WAIT_AGAIN, PG_WAIT_END, PG_WAIT_ERROR };
enum pg_wait pg_poll(struct pg_session *session, int timeout_ms, struct err *err);
