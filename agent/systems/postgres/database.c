// SPDX-License-Identifier: Apache-2.0
// Making and dropping the databases that a restore builds in. Each has a lock of its own, held by
// its job's session as long as the job lives (pg_advisory_lock over a hash of the name): a database
// of that kind whose lock nobody holds was left by a dead job. pg_locks shows the locks of all
// databases, so that it does not matter through which one a job is connected.
#include "restoring.h"

#include "clock.h"
#include "facts.h"
#include "log.h"
#include "manifest.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_CLASS       "1818846821" /* "life" */
#define MADE_PATTERN     "_lifeboat_(new|drill)_[0-9a-f]{8}$"
#define LEFTOVER_TIME_US INT64_C(60000000)

int pg_take_lock(struct pg_session *session, const char *name, bool *taken, struct err *err)
{
    const char *params[] = {name};
    char *answer = NULL;

    if (pg_query_text(
            session,
            "SELECT pg_try_advisory_lock(" LOCK_CLASS ", hashtext($1)) AND NOT EXISTS ("
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = " LOCK_CLASS
            " AND objid = hashtext($1)::oid AND objsubid = 2"
            " AND pid <> pg_backend_pid())",
            params, 1, &answer, err) < 0)
        return -1;
    *taken = answer != NULL && strcmp(answer, "t") == 0;
    free(answer);
    return 0;
}

int pg_lock_holder_is_busy(struct pg_session *session, const char *name, bool *busy,
                           struct err *err)
{
    const char *params[] = {name};
    char *answer = NULL;

    if (pg_query_text(session,
                      "SELECT count(*) = 0 OR bool_or(a.state = 'active') FROM pg_locks AS l"
                      " JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE l.locktype = 'advisory'"
                      " AND l.granted AND l.classid = " LOCK_CLASS
                      " AND l.objid = hashtext($1)::oid AND l.objsubid = 2"
                      " AND l.pid <> pg_backend_pid()",
                      params, 1, &answer, err) < 0)
        return -1;
    *busy = answer != NULL && strcmp(answer, "t") == 0;
    free(answer);
    return 0;
}

/* A subscription would keep its database from being dropped, and dropping it the usual way would
 * drop the slot that the live one may still use. */
static void drop_subscriptions(struct restoring *restoring, const char *name)
{
    const struct postgres_options *options = &restoring->request.component->postgres;
    struct pg_session *inside = NULL;
    struct err ignored = ERR_INIT; /* the drop that follows tells it */
    const char *params[] = {name};
    PGresult *result = NULL;

    if (pg_query(restoring->session,
                 "SELECT s.subname FROM pg_subscription AS s JOIN pg_database AS d"
                 " ON d.oid = s.subdbid WHERE d.datname = $1",
                 params, 1, &result, &ignored) < 0)
        return;
    if (PQntuples(result) > 0 &&
        pg_session_open("restore_conninfo", options->restore_conninfo, name,
                        pg_session_deadline(restoring->session), &inside, &ignored) == 0) {
        for (int i = 0; i < PQntuples(result); i++) {
            char *quoted = pg_quote_name(PQgetvalue(result, i, 0));

            pg_execf(inside, &ignored, "ALTER SUBSCRIPTION %s DISABLE", quoted);
            pg_execf(inside, &ignored, "ALTER SUBSCRIPTION %s SET (slot_name = NONE)", quoted);
            pg_execf(inside, &ignored, "DROP SUBSCRIPTION %s", quoted);
            free(quoted);
        }
    }
    PQclear(result);
    pg_session_close(inside);
}

/* How often the server looks whether the client of a running command is still there. */
static int mind_client(struct pg_session *session, const char *interval, struct err *err)
{
    return pg_execf(session, err,
                    "SELECT set_config(name, '%s', false) FROM pg_settings"
                    " WHERE name = 'client_connection_check_interval'",
                    interval);
}

int pg_drop_database(struct restoring *restoring, const char *name, struct err *err)
{
    char *quoted = pg_quote_name(name);
    const char *params[] = {name};
    char *is_template = NULL;
    int rc = -1;

    drop_subscriptions(restoring, name);
    if (pg_query_text(restoring->session,
                      "SELECT datname FROM pg_database WHERE datname = $1 AND datistemplate",
                      params, 1, &is_template, err) < 0)
        goto out;
    if (is_template != NULL &&
        pg_execf(restoring->session, err, "ALTER DATABASE %s IS_TEMPLATE false", quoted) < 0)
        goto out;
    /* Once begun, the server finishes it even if we go away: a half-dropped database cannot be used
     * and stays in the way. */
    if (mind_client(restoring->session, "0", err) == 0 &&
        pg_execf(restoring->session, err, "DROP DATABASE IF EXISTS %s WITH (FORCE)", quoted) == 0)
        rc = mind_client(restoring->session, "1s", err);
out:
    free(is_template);
    free(quoted);
    return rc;
}

void pg_drop_leftovers(struct restoring *restoring)
{
    int64_t deadline_us = pg_session_deadline(restoring->session);
    int64_t limit_us = clock_mono_us() + LEFTOVER_TIME_US;
    struct err err = ERR_INIT;
    PGresult *result = NULL;

    if (pg_query(restoring->session,
                 "SELECT datname FROM pg_database WHERE datname ~ '" MADE_PATTERN "' AND NOT EXISTS"
                 " (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid "
                 "= " LOCK_CLASS " AND objid = hashtext(datname::text)::oid AND objsubid = 2)",
                 NULL, 0, &result, &err) < 0) {
        log_warn("leftovers of dead jobs could not be looked for", LOG_TEXT("err", err.text));
        return;
    }
    pg_session_set_deadline(restoring->session, limit_us < deadline_us ? limit_us : deadline_us);
    for (int i = 0; i < PQntuples(result); i++) {
        const char *name = PQgetvalue(result, i, 0);

        err_clear(&err);
        if (pg_drop_database(restoring, name, &err) < 0)
            log_warn("what a dead job left could not be dropped", LOG_TEXT("database", name),
                     LOG_TEXT("err", err.text));
        else
            log_info("dropped what a dead job left", LOG_TEXT("database", name));
    }
    PQclear(result);
    pg_session_set_deadline(restoring->session, deadline_us);
}

static void add_text(struct text *sql, const char *keyword, const char *value)
{
    char *quoted;

    if (value == NULL)
        return;
    quoted = pg_quote_text(value);
    text_add(sql, " %s %s", keyword, quoted);
    free(quoted);
}

static void add_name(struct text *sql, const char *keyword, const char *value)
{
    char *quoted;

    if (value == NULL)
        return;
    quoted = pg_quote_name(value);
    text_add(sql, " %s %s", keyword, quoted);
    free(quoted);
}

static int add_locale(struct restoring *restoring, struct text *sql, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    const char *provider = pg_fact_text(manifest, "database", "locale_provider");
    const char *locale = pg_fact_text(manifest, "database", "locale");
    int major = pg_session_version(restoring->session) / 10000;

    add_text(sql, "ENCODING", pg_fact_text(manifest, "database", "encoding"));
    add_text(sql, "LC_COLLATE", pg_fact_text(manifest, "database", "collate"));
    add_text(sql, "LC_CTYPE", pg_fact_text(manifest, "database", "ctype"));
    if (provider == NULL || strcmp(provider, "libc") == 0) {
        if (major >= 15)
            text_add(sql, " LOCALE_PROVIDER libc");
        return 0;
    }
    if (strcmp(provider, "icu") == 0 && major >= 15) {
        text_add(sql, " LOCALE_PROVIDER icu");
        add_text(sql, "ICU_LOCALE", locale);
        add_text(sql, "ICU_RULES", pg_fact_text(manifest, "database", "icu_rules"));
        return 0;
    }
    if (strcmp(provider, "builtin") == 0 && major >= 17) {
        text_add(sql, " LOCALE_PROVIDER builtin");
        add_text(sql, "BUILTIN_LOCALE", locale);
        return 0;
    }
    return err_set(err, ERR_REFUSED, "PostgreSQL %d has no locale provider \"%s\"", major,
                   provider);
}

/* template0 brings a schema public even for a database that has none. */
static int match_public_schema(struct restoring *restoring, struct err *err)
{
    const struct postgres_options *options = &restoring->request.component->postgres;
    struct pg_session *inside = NULL;
    int rc = -1;

    if (pg_fact(restoring->request.manifest, "objects", "public") != NULL)
        return 0;
    if (pg_session_open("restore_conninfo", options->restore_conninfo, restoring->made,
                        pg_session_deadline(restoring->session), &inside, err) == 0)
        rc = pg_exec(inside, err, "DROP SCHEMA IF EXISTS public");
    pg_session_close(inside);
    return rc;
}

int pg_create_database(struct restoring *restoring, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    const char *tablespace = pg_fact_text(manifest, "database", "tablespace");
    struct text sql = TEXT_INIT;
    bool taken = false;
    int rc = -1;

    if (pg_take_lock(restoring->session, restoring->made, &taken, err) < 0)
        goto out;
    if (!taken) {
        err_set(err, ERR_CONFLICT, "another job builds a database %s", restoring->made);
        goto out;
    }
    add_name(&sql, "CREATE DATABASE", restoring->made);
    text_add(&sql, " TEMPLATE template0");
    add_name(&sql, "OWNER", pg_fact_text(manifest, "database", "owner"));
    /* To name the default one would need a right on it. */
    if (tablespace != NULL && strcmp(tablespace, "pg_default") != 0)
        add_name(&sql, "TABLESPACE", tablespace);
    if (add_locale(restoring, &sql, err) < 0)
        goto out;
    restoring->created = true;
    if (pg_exec(restoring->session, err, text_str(&sql)) < 0 ||
        match_public_schema(restoring, err) < 0)
        goto out;
    rc = 0;
out:
    if (rc < 0)
        err_wrap(err, "make the new database");
    text_fini(&sql);
    return rc;
}
