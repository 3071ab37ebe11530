// SPDX-License-Identifier: Apache-2.0
// The backup's connection first, then the restore's; each finding is a line, and the rest is looked
// at whatever was found. What pg_dump would stumble over an hour later (a large object or a row
// that this user may not read) is asked of the catalogs.
#include "check.h"

#include "cancel.h"
#include "check_lines.h"
#include "clock.h"
#include "conninfo.h"
#include "grants.h"
#include "session.h"
#include "tools.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_SECONDS 30

struct checking {
    const struct agent_options *options;
    const struct component_options *component;
    struct pg_session *session;
    struct check_lines lines;
    int64_t deadline_mono_us;
};

/* A number or a list that ought to be "0" or empty: the finding, or NULL when all is well or the
 * question failed (then it was said). free() it. */
static char *finding(struct checking *checking, const char *what, const char *sql)
{
    struct err err = ERR_INIT;
    char *text = NULL;

    if (pg_query_text(checking->session, sql, NULL, 0, &text, &err) < 0)
        check_say_err(&checking->lines, what, &err);
    else if (text == NULL || strcmp(text, "0") == 0 || text[0] == '\0') {
        free(text);
        text = NULL;
        check_say(&checking->lines, CHECK_OK, what, "all of them");
    }
    return text;
}

static const char unreadable_tables[] =
    "SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid)"
    " FROM (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    "  WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname !~ '^pg_'"
    "  AND n.nspname <> 'information_schema'"
    "  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))"
    "  LIMIT 8) AS c";

static const char hidden_rows[] =
    "SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid)"
    " FROM (SELECT c.oid FROM pg_class AS c WHERE c.relrowsecurity AND row_security_active(c.oid)"
    "  LIMIT 8) AS c";

/* In 15, pg_read_all_data does not cover large objects, and there is no function to ask. */
static const char unreadable_large_objects[] =
    "SELECT count(*) FROM pg_largeobject_metadata AS m"
    " WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
    " AND NOT pg_has_role(m.lomowner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) AS "
    "a"
    "  WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))";

static void check_reading(struct checking *checking)
{
    char *found = finding(checking, "readable tables", unreadable_tables);

    if (found != NULL)
        check_say(&checking->lines, CHECK_FAIL, "readable tables",
                  "this user may not read %s; GRANT pg_read_all_data gives it", found);
    free(found);
    found = finding(checking, "readable rows", hidden_rows);
    if (found != NULL)
        check_say(
            &checking->lines, CHECK_FAIL, "readable rows",
            "row security hides rows of %s from this user; ALTER ROLE ... BYPASSRLS gives them",
            found);
    free(found);
    found = finding(checking, "readable large objects", unreadable_large_objects);
    if (found != NULL)
        check_say(
            &checking->lines, CHECK_FAIL, "readable large objects",
            "this user may not read %s of them; GRANT SELECT ON LARGE OBJECT, or a superuser, "
            "is needed",
            found);
    free(found);
}

static void check_role(struct checking *checking)
{
    struct err err = ERR_INIT;
    char *replica = NULL;
    int wants = checking->component->run_on;
    bool is_replica;

    if (pg_query_text(checking->session, "SELECT pg_is_in_recovery()", NULL, 0, &replica, &err) < 0)
        check_say_err(&checking->lines, "run_on", &err);
    is_replica = replica != NULL && strcmp(replica, "t") == 0;
    if (replica != NULL && wants != RUN_ON_ONE && is_replica != (wants == RUN_ON_REPLICA))
        check_say(&checking->lines, CHECK_WARN, "run_on",
                  "it is a %s now; this agent backs up a %s", is_replica ? "replica" : "primary",
                  wants == RUN_ON_REPLICA ? "replica" : "primary");
    else if (replica != NULL)
        check_say(&checking->lines, CHECK_OK, "run_on", "it is a %s",
                  is_replica ? "replica" : "primary");
    free(replica);
}

static void check_globals(struct checking *checking)
{
    struct err err = ERR_INIT;
    char *super = NULL;

    if (!checking->component->postgres.globals)
        check_say(&checking->lines, CHECK_WARN, "globals",
                  "roles are not backed up (globals: false): a new cluster will not have them");
    else if (pg_query_text(checking->session,
                           "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", NULL, 0,
                           &super, &err) < 0)
        check_say_err(&checking->lines, "globals", &err);
    else if (super == NULL || strcmp(super, "t") != 0)
        check_say(&checking->lines, CHECK_WARN, "globals",
                  "roles are backed up without their passwords: only a superuser may read them");
    else
        check_say(&checking->lines, CHECK_OK, "globals", "roles are backed up, passwords included");
    free(super);
}

static void check_tool(struct checking *checking, const char *program, int least,
                       int64_t deadline_mono_us)
{
    struct err err = ERR_INIT;
    struct pg_tool tool = {.path = NULL};

    if (pg_tool_find(&checking->component->postgres, program, least, "the server", deadline_mono_us,
                     &tool, &err) < 0 ||
        pg_tool_fits(&tool, least, &err) < 0)
        check_say_err(&checking->lines, program, &err);
    else
        check_say(&checking->lines, CHECK_OK, program, "%s, version %s", tool.path, tool.version);
    pg_tool_fini(&tool);
}

static bool same_value(const PQconninfoOption *a, const PQconninfoOption *b, const char *keyword)
{
    const char *in_a = pg_conninfo_value(a, keyword);
    const char *in_b = pg_conninfo_value(b, keyword);

    return in_a == NULL || in_b == NULL ? in_a == in_b : strcmp(in_a, in_b) == 0;
}

/* Do both strings name the same host and port? Two names of one host count as two servers: then
 * check names a database too many, which is better than one too few. */
static bool same_server(const char *conninfo_a, const char *conninfo_b)
{
    PQconninfoOption *a = NULL;
    PQconninfoOption *b = NULL;
    struct err ignored = ERR_INIT;
    bool same = pg_conninfo_parse("conninfo", conninfo_a, &a, &ignored) == 0 &&
                pg_conninfo_parse("conninfo", conninfo_b, &b, &ignored) == 0 &&
                same_value(a, b, "host") && same_value(a, b, "hostaddr") &&
                same_value(a, b, "port");

    PQconninfoFree(a);
    PQconninfoFree(b);
    return same;
}

/* Is the database of that name on this server in some component? */
static bool is_protected(const struct checking *checking, const char *dbname)
{
    const struct agent_options *options = checking->options;
    bool found = false;

    for (size_t i = 0; i < options->component_count && !found; i++) {
        const struct component_options *other = &options->components[i];
        struct err ignored = ERR_INIT;
        char *name = NULL;

        if (other->system == checking->component->system &&
            same_server(other->postgres.conninfo, checking->component->postgres.conninfo) &&
            pg_conninfo_dbname("conninfo", other->postgres.conninfo, &name, &ignored) == 0)
            found = strcmp(name, dbname) == 0;
        free(name);
    }
    return found;
}

static void check_unprotected(struct checking *checking)
{
    struct err err = ERR_INIT;
    PGresult *result = NULL;

    if (pg_query(checking->session,
                 "SELECT datname FROM pg_database WHERE NOT datistemplate AND datallowconn"
                 " AND datname <> 'postgres' AND datname !~ '_(old|lifeboat_new|lifeboat_drill)_'"
                 " ORDER BY datname",
                 NULL, 0, &result, &err) < 0) {
        check_say_err(&checking->lines, "unprotected", &err);
        return;
    }
    for (int row = 0; row < PQntuples(result); row++)
        if (!is_protected(checking, PQgetvalue(result, row, 0)))
            check_say(&checking->lines, CHECK_WARN, "unprotected", "database %s is in no component",
                      PQgetvalue(result, row, 0));
    PQclear(result);
}

static void check_backup(struct checking *checking)
{
    const struct postgres_options *options = &checking->component->postgres;
    struct err err = ERR_INIT;
    int version;

    if (pg_session_open("conninfo", options->conninfo, NULL, checking->deadline_mono_us,
                        &checking->session, &err) < 0) {
        check_say_err(&checking->lines, "connection", &err);
        return;
    }
    version = pg_session_version(checking->session);
    check_say(&checking->lines, CHECK_OK, "connection", "%s, PostgreSQL %d.%d",
              pg_session_place(checking->session), version / 10000, version % 10000);
    check_role(checking);
    check_tool(checking, "pg_dump", version / 10000, checking->deadline_mono_us);
    check_tool(checking, "pg_restore", version / 10000, checking->deadline_mono_us);
    if (options->globals)
        check_tool(checking, "pg_dumpall", version / 10000, checking->deadline_mono_us);
    check_reading(checking);
    check_globals(checking);
    check_unprotected(checking);
    pg_session_close(checking->session);
    checking->session = NULL;
}

static void check_restore(struct checking *checking)
{
    const struct postgres_options *options = &checking->component->postgres;
    struct err err = ERR_INIT;
    char *missing;

    if (options->restore_conninfo == NULL) {
        check_say(&checking->lines, CHECK_WARN, "restore connection",
                  "restore_conninfo is not set: neither restore nor drill can run");
        return;
    }
    if (pg_session_open("restore_conninfo", options->restore_conninfo, NULL,
                        checking->deadline_mono_us, &checking->session, &err) < 0) {
        check_say_err(&checking->lines, "restore connection", &err);
        return;
    }
    check_say(&checking->lines, CHECK_OK, "restore connection", "%s",
              pg_session_place(checking->session));
    missing = finding(checking, "restore rights",
                      "SELECT concat_ws(', ', CASE WHEN NOT rolcreatedb THEN 'CREATEDB' END,"
                      " CASE WHEN NOT pg_has_role('pg_signal_backend', 'USAGE')"
                      " THEN 'membership in pg_signal_backend' END)"
                      " FROM pg_roles WHERE rolname = current_user AND NOT rolsuper");
    if (missing != NULL)
        check_say(&checking->lines, CHECK_FAIL, "restore rights", "this user lacks: %s", missing);
    free(missing);
    pg_session_close(checking->session);
    checking->session = NULL;
}

int pg_check(const struct agent_options *options, const struct component_options *component,
             bool grants, check_fn *line, void *arg, struct err *err)
{
    struct checking checking = {
        .options = options,
        .component = component,
        .lines = {.line = line, .arg = arg},
        .deadline_mono_us = clock_mono_us() + CHECK_SECONDS * INT64_C(1000000),
    };

    check_backup(&checking);
    check_restore(&checking);
    if (grants && pg_grants(component, line, arg, err) < 0)
        return -1;
    return cancel_check(err);
}
