// SPDX-License-Identifier: Apache-2.0
// Asking: every wait is one poll() over the socket and the wish to stop.
#include "session_impl.h"

#include "cancel.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANCEL_TIME_US INT64_C(700000)

/* Server and library send several lines; the last ones are hints and contexts. */
void pg_one_line(const char *message, char *line, size_t cap)
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

static void lose(struct pg_session *session)
{
    PQfinish(session->connection);
    session->connection = NULL;
}

/* Has the server end what it does, and hears of it, so that nothing of it comes after us. PQcancel
 * blocks, for minutes if the server is not there; but it is safe in a signal handler, and so in a
 * child that can be killed. */
static void cancel_command(struct pg_session *session)
{
    int64_t until_us = clock_mono_us() + CANCEL_TIME_US;
    PGcancel *request = PQgetCancel(session->connection);
    char message[256];
    pid_t child = request == NULL ? -1 : fork();

    if (child == 0)
        _exit(PQcancel(request, message, sizeof message) ? 0 : 1);
    while (child > 0 && PQisBusy(session->connection) && clock_mono_us() < until_us) {
        struct pollfd fd = {.fd = PQsocket(session->connection), .events = POLLIN};

        poll(&fd, 1, 50);
        if (fd.revents != 0 && PQconsumeInput(session->connection) == 0)
            break;
    }
    if (child > 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    PQfreeCancel(request);
}

int pg_wait_socket(struct pg_session *session, short events, int timeout_ms, struct err *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    bool bounded = timeout_ms >= 0 && until_us < session->deadline_mono_us;
    bool ready;

    if (cancel_poll(PQsocket(session->connection), events,
                    bounded ? until_us : session->deadline_mono_us, &ready, err) < 0)
        return -1;
    if (ready || bounded)
        return ready;
    return err_set(err, ERR_TIMEOUT, "the server at %s did not answer within the time given",
                   session->place);
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

    pg_one_line(text, line, sizeof line);
    free(text);
    return err_set(err, kind_of(PQresultErrorField(result, PG_DIAG_SQLSTATE)), "%s: %s",
                   session->place, line);
}

static int connection_failed(struct pg_session *session, struct err *err)
{
    char line[600];

    pg_one_line(PQerrorMessage(session->connection), line, sizeof line);
    err_set(err, ERR_UNREACHABLE, "%s: %s", session->place, line);
    lose(session);
    return -1;
}

static int flush(struct pg_session *session, struct err *err)
{
    int left;

    while ((left = PQflush(session->connection)) > 0) {
        if (pg_wait_socket(session, POLLIN | POLLOUT, -1, err) < 0) {
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
            int ready = pg_wait_socket(session, POLLIN, timeout_ms, &session->failure);

            if (ready == 0)
                return PG_WAIT_AGAIN;
            if (ready < 0) {
                cancel_command(session);
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
