// SPDX-License-Identifier: Apache-2.0
// Connecting, without libpq's blocking calls, and what is the same for every session.
#include "session_impl.h"

#include "clock.h"
#include "conninfo.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 30000
#define MAX_KEYWORDS       64

/* Limits of the server's that would end a long job are lifted where this server knows them. */
static const char session_setup[] =
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES"
    " ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'),"
    " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),"
    " ('client_connection_check_interval', '1s'), ('default_transaction_read_only', 'off'),"
    " ('row_security', 'off'), ('search_path', ''),"
    " ('DateStyle', 'ISO'), ('standard_conforming_strings', 'on'), ('quote_all_identifiers', "
    "'off'))"
    " AS wanted (name, value)"
    " WHERE EXISTS (SELECT FROM pg_catalog.pg_settings AS s"
    " WHERE s.name OPERATOR(pg_catalog.=) wanted.name)";

static void on_notice(void *arg, const char *message)
{
    char line[512];

    (void)arg;
    pg_one_line(message, line, sizeof line);
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

    pg_one_line(PQerrorMessage(session->connection), line, sizeof line);
    denied = PQconnectionNeedsPassword(session->connection) || mentions(line, denials);
    return err_set(err, denied ? ERR_DENIED : ERR_UNREACHABLE, "%s", line);
}

static int connect_wait(struct pg_session *session, struct err *err)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED)
            return connect_failed(session, err);
        if (pg_wait_socket(session, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, -1, err) <
            0)
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

int pg_session_set_encoding(struct pg_session *session, bool own, struct err *err)
{
    const char *encoding = PQparameterStatus(session->connection, "server_encoding");
    bool convertible = encoding != NULL && strcmp(encoding, "SQL_ASCII") != 0;

    return pg_execf(session, err, "SET client_encoding TO '%s'",
                    convertible && !own ? "UTF8"
                    : encoding == NULL  ? "SQL_ASCII"
                                        : encoding);
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
    if (pg_exec(session, err, session_setup) < 0)
        return -1;
    return pg_session_set_encoding(session, false, err);
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
