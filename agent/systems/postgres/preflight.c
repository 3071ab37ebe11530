// SPDX-License-Identifier: Apache-2.0
// Everything about a restore that can be known before anything is touched: is this server able to
// take the database, is there room, and what would the swap do to the live one.
#include "restoring.h"

#include "facts.h"
#include "file.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* "a, b, c and 4 more" of an array of texts; free() it. */
static char *list_names(const json_t *names)
{
    struct text list = TEXT_INIT;
    size_t count = json_array_size(names), shown = count > 6 ? 5 : count;

    for (size_t i = 0; i < shown; i++)
        text_add(&list, "%s%s", i == 0 ? "" : ", ", json_string_value(json_array_get(names, i)));
    if (shown < count)
        text_add(&list, " and %zu more", count - shown);
    return text_take(&list);
}

/* Of the names in the facts under key, those that query (of one name column) does not give. */
static int find_missing(struct restoring *restoring, const char *key, const char *query,
                        json_t **missing, struct err *err)
{
    const json_t *needed = pg_fact(restoring->request.manifest, key, NULL);
    char *text = json_dumps(needed == NULL ? json_null() : needed, JSON_ENCODE_ANY);
    char *sql = text_format("SELECT coalesce(jsonb_agg(n.name ORDER BY n.name COLLATE \"C\"), '[]')"
                            " FROM jsonb_array_elements_text(CASE jsonb_typeof($1::jsonb) WHEN"
                            " 'array' THEN $1::jsonb WHEN 'object' THEN (SELECT jsonb_agg(k) FROM"
                            " jsonb_object_keys($1::jsonb) AS k) END) AS n (name)"
                            " WHERE n.name NOT IN (%s)",
                            query);
    const char *params[] = {text};
    int rc = pg_query_json(restoring->session, sql, params, 1, missing, err);

    free(sql);
    free(text);
    return rc;
}

/* ERR_REFUSED when something needed is not there. */
static int demand(struct restoring *restoring, const char *key, const char *query, const char *what,
                  const char *remedy, struct err *err)
{
    json_t *missing = NULL;
    char *names;
    int rc = 0;

    if (find_missing(restoring, key, query, &missing, err) < 0)
        return -1;
    if (json_array_size(missing) > 0) {
        names = list_names(missing);
        rc = err_set(err, ERR_REFUSED, "%s %s: %s; %s", pg_session_place(restoring->session), what,
                     names, remedy);
        free(names);
    }
    json_decref(missing);
    return rc;
}

int pg_missing_roles(struct restoring *restoring, struct err *err)
{
    json_decref(restoring->missing_roles);
    restoring->missing_roles = NULL;
    return find_missing(restoring, "roles", "SELECT rolname::text FROM pg_roles",
                        &restoring->missing_roles, err);
}

int pg_refuse_missing_roles(const struct restoring *restoring, struct err *err)
{
    char *names;

    if (json_array_size(restoring->missing_roles) == 0)
        return 0;
    names = list_names(restoring->missing_roles);
    err_set(err, ERR_REFUSED, "%s lacks roles that the database needs: %s; %s",
            pg_session_place(restoring->session), names,
            restoring->request.globals ? "the backup does not hold them either: make them by hand"
                                       : "--globals makes them from the backup");
    free(names);
    return -1;
}

static int check_server(struct restoring *restoring, struct err *err)
{
    struct pg_session *session = restoring->session;
    int64_t dumped = pg_fact_number(restoring->request.manifest, "server", "version_num", 0);
    PGresult *result = NULL;
    int rc = -1;

    if (pg_query(session,
                 "SELECT pg_is_in_recovery(), rolsuper OR rolcreatedb, rolname, current_database()"
                 " FROM pg_roles WHERE rolname = current_user",
                 NULL, 0, &result, err) < 0)
        return -1;
    if (strcmp(PQgetvalue(result, 0, 0), "t") == 0)
        err_set(err, ERR_REFUSED, "%s is a replica; restore to the primary",
                pg_session_place(session));
    else if (strcmp(PQgetvalue(result, 0, 1), "t") != 0)
        err_set(err, ERR_DENIED, "%s: user %s may not create databases: ALTER ROLE ... CREATEDB",
                pg_session_place(session), PQgetvalue(result, 0, 2));
    else if (strcmp(PQgetvalue(result, 0, 3), restoring->live) == 0)
        err_set(err, ERR_CONFIG,
                "postgres.restore_conninfo names the database that is to be restored; name another "
                "one there, such as dbname=postgres");
    else if (dumped / 10000 > pg_session_version(session) / 10000)
        err_set(err, ERR_REFUSED,
                "the backup is of PostgreSQL %d, the server at %s is %d: a dump cannot go to an "
                "older one",
                (int)(dumped / 10000), pg_session_place(session),
                pg_session_version(session) / 10000);
    else
        rc = 0;
    PQclear(result);
    return rc;
}

/* The data directory as the server names it may be another one here, or none: only one that holds
 * this server's pg_control is believed. */
static bool is_data_directory(struct restoring *restoring, const char *path)
{
    char *file = text_format("%s/global/pg_control", path);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct err ignored = ERR_INIT;
    char *identifier = NULL, *found;
    uint64_t value = 0;
    bool same = false;

    free(file);
    if (fd < 0)
        return false;
    if (read(fd, &value, sizeof value) == (ssize_t)sizeof value &&
        pg_lineage(restoring->session, &identifier, &ignored) == 0) {
        found = text_format("%llu", (unsigned long long)value);
        same = strcmp(found, identifier) == 0;
        free(found);
    }
    free(identifier);
    fd_close(&fd);
    return same;
}

/* Free bytes where the new database will lie; false when that cannot be seen from here. */
static bool free_space(struct restoring *restoring, uint64_t *bytes)
{
    const char *tablespace = pg_fact_text(restoring->request.manifest, "database", "tablespace");
    const char *params[] = {tablespace == NULL ? "pg_default" : tablespace};
    struct err ignored = ERR_INIT;
    PGresult *result = NULL;
    struct statvfs volume;
    bool known = false;

    if (!pg_session_is_local(restoring->session) ||
        pg_query(restoring->session,
                 "SELECT current_setting('data_directory'), pg_tablespace_location(oid)"
                 " FROM pg_tablespace WHERE spcname = $1",
                 params, 1, &result, &ignored) < 0)
        return false;
    if (PQntuples(result) == 1 && is_data_directory(restoring, PQgetvalue(result, 0, 0))) {
        const char *place = PQgetvalue(result, 0, 1)[0] != '\0' ? PQgetvalue(result, 0, 1)
                                                                : PQgetvalue(result, 0, 0);

        known = statvfs(place, &volume) == 0;
        if (known)
            *bytes = (uint64_t)volume.f_bavail * volume.f_frsize;
    }
    PQclear(result);
    return known;
}

static int check_space(struct restoring *restoring, struct err *err)
{
    int64_t needed = pg_fact_number(restoring->request.manifest, "database", "size_bytes", 0);
    char needed_text[32], free_text[32];
    uint64_t available = 0;

    text_show_bytes(needed < 0 ? 0 : (uint64_t)needed, needed_text, sizeof needed_text);
    free(restoring->size_text);
    restoring->size_text = mem_strdup(needed_text);
    if (!free_space(restoring, &available)) {
        restoring->space_text =
            mem_strdup("; the free space of the server's volume cannot be seen from here");
        return 0;
    }
    restoring->space_text = mem_strdup("");
    if (needed <= 0 || available >= (uint64_t)needed)
        return 0;
    text_show_bytes(available, free_text, sizeof free_text);
    return err_set(err, ERR_NO_SPACE,
                   "the restored database needs about %s beside the live one, and the server's "
                   "volume has %s free",
                   needed_text, free_text);
}

static int check_rename(struct restoring *restoring, struct err *err)
{
    const char *params[] = {restoring->live};
    char *owner = NULL;
    int rc = 0;

    if (pg_query_text(restoring->session,
                      "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1"
                      " AND NOT pg_has_role(datdba, 'MEMBER')",
                      params, 1, &owner, err) < 0)
        return -1;
    if (owner != NULL)
        rc = err_set(err, ERR_DENIED,
                     "the user of restore_conninfo may not rename database %s: GRANT its owner, "
                     "role %s, to it",
                     restoring->live, owner);
    free(owner);
    return rc;
}

/* What holds on to the live database by its identity, not by its name. */
static int check_live(struct restoring *restoring, struct err *err)
{
    const char *params[] = {restoring->live};
    json_t *found = NULL;
    json_t *prepared, *replication;
    char *names = NULL;
    int rc = -1;

    if (pg_query_json(restoring->session,
                      "SELECT jsonb_build_object("
                      "'prepared', (SELECT coalesce(jsonb_agg(gid), '[]') FROM pg_prepared_xacts"
                      "  WHERE database = d.datname),"
                      " 'replication', (SELECT coalesce(jsonb_agg(x), '[]') FROM ("
                      "  SELECT 'subscription ' || subname AS x FROM pg_subscription"
                      "   WHERE subdbid = d.oid UNION ALL"
                      "  SELECT 'slot ' || slot_name FROM pg_replication_slots"
                      "   WHERE database = d.datname) AS all_of_it),"
                      " 'clients', (SELECT count(*) FROM pg_stat_activity"
                      "  WHERE datid = d.oid AND backend_type = 'client backend'))"
                      " FROM pg_database AS d WHERE d.datname = $1",
                      params, 1, &found, err) < 0)
        return -1;
    prepared = json_object_get(found, "prepared");
    replication = json_object_get(found, "replication");
    restoring->clients = (uint64_t)json_integer_value(json_object_get(found, "clients"));
    restoring->replication = json_array_size(replication) > 0;
    if (json_array_size(prepared) > 0) {
        names = list_names(prepared);
        err_set(err, ERR_REFUSED,
                "database %s has prepared transactions, which would block the swap: %s; COMMIT "
                "PREPARED or ROLLBACK PREPARED them",
                restoring->live, names);
        goto out;
    }
    if (restoring->replication && !restoring->request.leave_replication) {
        names = list_names(replication);
        err_set(err, ERR_REFUSED,
                "%s would stay with the replaced database, and a slot there keeps WAL for ever; "
                "drop them, or say --leave-replication",
                names);
        goto out;
    }
    rc = check_rename(restoring, err);
out:
    free(names);
    json_decref(found);
    return rc;
}

static int look_for_live(struct restoring *restoring, struct err *err)
{
    const char *params[] = {restoring->live};
    char *there = NULL;

    if (pg_query_text(restoring->session, "SELECT datname FROM pg_database WHERE datname = $1",
                      params, 1, &there, err) < 0)
        return -1;
    restoring->live_exists = there != NULL;
    free(there);
    if (restoring->live_exists && restoring->request.to != NULL)
        return err_set(err, ERR_EXISTS, "there is a database %s already at %s", restoring->live,
                       pg_session_place(restoring->session));
    return 0;
}

int pg_preflight(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    if (check_server(restoring, err) < 0 || look_for_live(restoring, err) < 0 ||
        pg_missing_roles(restoring, err) < 0)
        return -1;
    if (!request->globals && pg_refuse_missing_roles(restoring, err) < 0)
        return -1;
    if (demand(restoring, "tablespaces", "SELECT spcname::text FROM pg_tablespace",
               "lacks tablespaces of the database", "make them by hand", err) < 0 ||
        demand(restoring, "extensions", "SELECT name::text FROM pg_available_extensions",
               "lacks extensions of the database", "install their packages", err) < 0 ||
        check_space(restoring, err) < 0)
        return -1;
    return restoring->live_exists && !request->scratch ? check_live(restoring, err) : 0;
}
