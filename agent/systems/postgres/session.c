// SPDX-License-Identifier: Apache-2.0
// libpq without its blocking calls. Every wait is one poll() over the socket and the wish to stop.
#include "session.h"

#include "cancel.h"
#include "clock.h"
#include "conninfo.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 30000
#define MAX_KEYWORDS       64

struct pg_session {
    PGconn *connection; /* NULL once lost */
    char *place;
    int version;
    int64_t deadline_mono_us;
    PGresult *last;     /* of the command that runs: its latest result */
    struct err failure; /* of that command: its first error */
};

/* Limits of the server's that would end a long job are lifted where this server knows them. */
static const char session_setup[] =
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES"
    " ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'),"
    " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),"
    " ('client_connection_check_interval', '1s'), ('default_transaction_read_only', 'off'),"
    " ('row_security', 'off'), ('search_path', ''), ('client_encoding', 'UTF8'),"
    " ('DateStyle', 'ISO'), ('standard_conforming_strings', 'on'), ('quote_all_identifiers', "
    "'off'))"
    " AS wanted (name, value)"
    " WHERE EXISTS (SELECT FROM pg_catalog.pg_settings AS s"
    " WHERE s.name OPERATOR(pg_catalog.=) wanted.name)";

/* Server and library send several lines; the last ones are hints and contexts. */
static void one_line(const char *message, char *line, size_t cap)
{
    size_t used = 0;

    for (; *message != '\0' && used + 2 < cap; message++) {
        bool blank = (unsigned char)*message <= ' ';

        if (!blank)
            line[used++] = *message;
        else if (used > 0 && line[used - 1] != ' ')
            line[used++] = ' ';
    }
    while (used > 0 && line[used - 1] == ' ')
        used--;
    line[used] = '\0';
    log_mask(line);
}

static void on_notice(void *arg, const char *message)
{
    char line[512];

    (void)arg;
    one_line(message, line, sizeof line);
    log_debug("the server remarks", LOG_TEXT("text", line));
}

static bool mentions(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++)
        if (strstr(text, words[i]) != NULL)
            return true;
    return false;
}

/* A refused connection carries no SQLSTATE in libpq 15: only its words tell a wrong password from a
 * server that is down. A translated message is taken for the latter, which merely retries it. */
static int connect_failed(const struct pg_session *session, struct err *err)
{
    static const char *const denials[] = {"authentication failed",
                                          "no password supplied",
                                          "no pg_hba.conf entry",
                                          "permission denied",
                                          "not permitted to log in",
                                          "certificate verify failed",
                                          NULL};
    char line[600];
    bool denied;

    one_line(PQerrorMessage(session->connection), line, sizeof line);
    denied = PQconnectionNeedsPassword(session->connection) || mentions(line, denials);
    return err_set(err, denied ? ERR_DENIED : ERR_UNREACHABLE, "%s", line);
}

static void lose(struct pg_session *session)
{
    PQfinish(session->connection);
    session->connection = NULL;
}

/* Waits for the socket: 1 ready, 0 not within timeout_ms (below 0: the deadline), -1 error. */
static int wait_socket(struct pg_session *session, short events, int timeout_ms, struct err *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

    for (;;) {
        int64_t now_us = clock_mono_us();
        bool bounded = timeout_ms >= 0 && until_us < session->deadline_mono_us;
        int64_t left_ms = ((bounded ? until_us : session->deadline_mono_us) - now_us + 999) / 1000;
        struct pollfd fds[2] = {{.fd = PQsocket(session->connection), .events = events},
                                {.fd = cancel_fd(), .events = POLLIN}};

        if (cancel_check(err) < 0)
            return -1;
        if (poll(fds, 2,
                 left_ms < 0       ? 0
                 : left_ms > 60000 ? 60000
                                   : (int)left_ms) < 0 &&
            errno != EINTR)
            return err_set_errno(err, errno, "poll");
        if (cancel_check(err) < 0)
            return -1;
        if (fds[0].revents != 0)
            return 1;
        if (left_ms > 0)
            continue;
        if (bounded)
            return 0;
        return err_set(err, ERR_TIMEOUT, "the server at %s did not answer within the time given",
                       session->place);
    }
}

static int connect_wait(struct pg_session *session, struct err *err)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED)
            return connect_failed(session, err);
        if (wait_socket(session, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, -1, err) < 0)
            return -1;
        status = PQconnectPoll(session->connection);
    }
    return 0;
}

static int64_t connect_deadline(const PQconninfoOption *options, int64_t deadline_mono_us)
{
    const char *given = pg_conninfo_value(options, "connect_timeout");
    uint64_t seconds;
    int64_t limit_us = clock_mono_us() + (int64_t)CONNECT_TIMEOUT_MS * 1000;

    if (given != NULL && text_parse_u64(given, &seconds) == 0 && seconds > 0 && seconds < 3600)
        limit_us = clock_mono_us() + (int64_t)seconds * 1000000;
    return limit_us < deadline_mono_us ? limit_us : deadline_mono_us;
}

static int connect_start(struct pg_session *session, const PQconninfoOption *options,
                         const char *dbname, struct err *err)
{
    const char *keywords[MAX_KEYWORDS + 1] = {NULL}, *values[MAX_KEYWORDS + 1] = {NULL};
    size_t count = 0;

    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        const char *value = option->val;

        if (dbname != NULL && strcmp(option->keyword, "dbname") == 0)
            value = dbname;
        else if (strcmp(option->keyword, "application_name") == 0)
            value = "lifeboat";
        if (value == NULL || count == MAX_KEYWORDS)
            continue;
        keywords[count] = option->keyword;
        values[count++] = value;
    }
    /* expand_dbname 0: a database called "host=elsewhere" is just that. */
    session->connection = PQconnectStartParams(keywords, values, 0);
    if (session->connection == NULL)
        abort();
    if (PQstatus(session->connection) == CONNECTION_BAD)
        return connect_failed(session, err);
    PQsetNoticeProcessor(session->connection, on_notice, NULL);
    return connect_wait(session, err);
}

static int set_up(struct pg_session *session, struct err *err)
{
    PQsetnonblocking(session->connection, 1);
    session->version = PQserverVersion(session->connection);
    free(session->place);
    session->place = text_format("%s:%s", PQhost(session->connection), PQport(session->connection));
    if (session->version < PG_OLDEST_VERSION)
        return err_set(err, ERR_REFUSED,
                       "the server at %s is PostgreSQL %d; the oldest supported is %d",
                       session->place, session->version / 10000, PG_OLDEST_VERSION / 10000);
    return pg_exec(session, err, session_setup);
}

int pg_session_open(const char *key, const char *conninfo, const char *dbname,
                    int64_t deadline_mono_us, struct pg_session **session, struct err *err)
{
    struct pg_session *opened = mem_calloc(1, sizeof *opened);
    PQconninfoOption *options = NULL;
    const char *host;
    int rc = -1;

    if (pg_conninfo_parse(key, conninfo, &options, err) < 0)
        goto out;
    host = pg_conninfo_value(options, "host");
    opened->place = mem_strdup(host == NULL ? "its default socket" : host);
    opened->deadline_mono_us = connect_deadline(options, deadline_mono_us);
    if (connect_start(opened, options, dbname, err) < 0 || set_up(opened, err) < 0)
        goto out;
    opened->deadline_mono_us = deadline_mono_us;
    *session = opened;
    opened = NULL;
    rc = 0;
out:
    PQconninfoFree(options);
    pg_session_close(opened);
    return rc;
}

void pg_session_close(struct pg_session *session)
{
    if (session == NULL)
        return;
    PQclear(session->last);
    PQfinish(session->connection);
    free(session->place);
    free(session);
}

const PGconn *pg_session_connection(const struct pg_session *session)
{
    return session->connection;
}

int pg_session_version(const struct pg_session *session)
{
    return session->version;
}

const char *pg_session_place(const struct pg_session *session)
{
    return session->place;
}

bool pg_session_is_local(const struct pg_session *session)
{
    const char *host = session->connection == NULL ? "?" : PQhost(session->connection);
    const char *address = session->connection == NULL ? "?" : PQhostaddr(session->connection);

    return host[0] == '/' || host[0] == '@' || text_starts_with(address, "127.") ||
           strcmp(address, "::1") == 0;
}

void pg_session_set_deadline(struct pg_session *session, int64_t deadline_mono_us)
{
    session->deadline_mono_us = deadline_mono_us;
}

int64_t pg_session_deadline(const struct pg_session *session)
{
    return session->deadline_mono_us;
}

static enum err_kind kind_of(const char *state)
{
    if (state == NULL || text_starts_with(state, "08") || text_starts_with(state, "57P"))
        return ERR_UNREACHABLE;
    if (strcmp(state, "42501") == 0 || text_starts_with(state, "28"))
        return ERR_DENIED;
    if (strcmp(state, "53100") == 0)
        return ERR_NO_SPACE;
    if (strcmp(state, "55006") == 0)
        return ERR_CONFLICT;
    if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
        return ERR_TIMEOUT;
    return ERR_SOURCE;
}

static int result_failed(struct pg_session *session, const PGresult *result, struct err *err)
{
    char line[600];
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    char *text = text_format("%s%s%s", primary == NULL ? PQresultErrorMessage(result) : primary,
                             detail == NULL ? "" : ": ", detail == NULL ? "" : detail);

    one_line(text, line, sizeof line);
    free(text);
    return err_set(err, kind_of(PQresultErrorField(result, PG_DIAG_SQLSTATE)), "%s: %s",
                   session->place, line);
}

static int connection_failed(struct pg_session *session, struct err *err)
{
    char line[600];

    one_line(PQerrorMessage(session->connection), line, sizeof line);
    err_set(err, ERR_UNREACHABLE, "%s: %s", session->place, line);
    lose(session);
    return -1;
}

static int flush(struct pg_session *session, struct err *err)
{
    int left;

    while ((left = PQflush(session->connection)) > 0) {
        if (wait_socket(session, POLLIN | POLLOUT, -1, err) < 0) {
            lose(session);
            return -1;
        }
        if (PQconsumeInput(session->connection) == 0)
            return connection_failed(session, err);
    }
    return left == 0 ? 0 : connection_failed(session, err);
}

/* Everything until the command is over. AGAIN only with a timeout_ms of 0 or more. */
static enum pg_wait collect(struct pg_session *session, int timeout_ms)
{
    for (;;) {
        PGresult *result;

        while (PQisBusy(session->connection)) {
            int ready = wait_socket(session, POLLIN, timeout_ms, &session->failure);

            if (ready == 0)
                return PG_WAIT_AGAIN;
            if (ready < 0) {
                lose(session);
                return PG_WAIT_ERROR;
            }
            if (PQconsumeInput(session->connection) == 0) {
                connection_failed(session, &session->failure);
                return PG_WAIT_ERROR;
            }
        }
        result = PQgetResult(session->connection);
        if (result == NULL)
            return session->failure.kind == ERR_NONE ? PG_WAIT_END : PG_WAIT_ERROR;
        if (PQresultStatus(result) != PGRES_TUPLES_OK &&
            PQresultStatus(result) != PGRES_COMMAND_OK && session->failure.kind == ERR_NONE)
            result_failed(session, result, &session->failure);
        PQclear(session->last);
        session->last = result;
        if (PQstatus(session->connection) == CONNECTION_BAD) {
            lose(session);
            return PG_WAIT_ERROR;
        }
    }
}

static int ready_to_ask(struct pg_session *session, struct err *err)
{
    PQclear(session->last);
    session->last = NULL;
    err_clear(&session->failure);
    if (session->connection != NULL)
        return cancel_check(err);
    return err_set(err, ERR_UNREACHABLE, "the connection to %s was lost", session->place);
}

int pg_query(struct pg_session *session, const char *sql, const char *const *params, int count,
             PGresult **result, struct err *err)
{
    int sent;

    if (ready_to_ask(session, err) < 0)
        return -1;
    sent = count == 0
               ? PQsendQuery(session->connection, sql)
               : PQsendQueryParams(session->connection, sql, count, NULL, params, NULL, NULL, 0);
    if (sent == 0)
        return connection_failed(session, err);
    if (flush(session, err) < 0)
        return -1;
    if (collect(session, -1) != PG_WAIT_END) {
        *err = session->failure;
        return -1;
    }
    if (result != NULL) {
        *result = session->last;
        session->last = NULL;
    }
    return 0;
}

int pg_exec(struct pg_session *session, struct err *err, const char *sql)
{
    return pg_query(session, sql, NULL, 0, NULL, err);
}

int pg_execf(struct pg_session *session, struct err *err, const char *format, ...)
{
    va_list args, again;
    char *sql;
    int len, rc;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    sql = mem_calloc(1, (size_t)len + 1);
    vsnprintf(sql, (size_t)len + 1, format, again);
    va_end(again);
    rc = pg_exec(session, err, sql);
    free(sql);
    return rc;
}

int pg_query_text(struct pg_session *session, const char *sql, const char *const *params, int count,
                  char **text, struct err *err)
{
    PGresult *result = NULL;

    if (pg_query(session, sql, params, count, &result, err) < 0)
        return -1;
    *text = PQntuples(result) == 0 || PQnfields(result) == 0 || PQgetisnull(result, 0, 0)
                ? NULL
                : mem_strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

int pg_send(struct pg_session *session, const char *sql, struct err *err)
{
    if (ready_to_ask(session, err) < 0)
        return -1;
    if (PQsendQuery(session->connection, sql) == 0)
        return connection_failed(session, err);
    return flush(session, err);
}

enum pg_wait pg_poll(struct pg_session *session, int timeout_ms, struct err *err)
{
    enum pg_wait wait = collect(session, timeout_ms);

    if (wait == PG_WAIT_ERROR)
        *err = session->failure;
    return wait;
}
