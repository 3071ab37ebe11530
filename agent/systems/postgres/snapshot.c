// SPDX-License-Identifier: Apache-2.0
// One backup's sources. A transaction of our own fixes the moment and is held open: facts are asked
// for in it, and pg_dump reads in the same snapshot, so that what the manifest says and what the
// archive holds are of one moment. Roles are no part of that snapshot: pg_dumpall takes none.
#include "internal.h"

#include "child.h"
#include "clock.h"
#include "conninfo.h"
#include "facts.h"
#include "manifest.h"
#include "mem.h"
#include "run_on.h"
#include "text.h"
#include "tools.h"

#include <stdlib.h>
#include <string.h>

enum next { NEXT_GLOBALS, NEXT_DATABASE, NEXT_NONE };

struct snapshot {
    const struct component_options *component;
    struct pg_session *session; /* the transaction that exports the snapshot */
    struct pg_address address;
    struct pg_tool dump, dumpall; /* dumpall only when configured */
    char *snapshot_name;
    char *lineage;
    int64_t recovery_point_ms;
    bool superuser;
    json_t *facts;
    enum next next;
};

/* On a replica the data are as old as what it has replayed, unless it is known to be level with a
 * primary that it is connected to. */
static const char moment_query[] =
    "SELECT pg_export_snapshot(), (extract(epoch FROM CASE"
    " WHEN NOT pg_is_in_recovery() THEN now()"
    " WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
    "  AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL) THEN now()"
    " ELSE least(now(), coalesce(pg_last_xact_replay_timestamp(), now())) END) * 1000)::bigint,"
    " pg_is_in_recovery(), (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";

static int fix_moment(struct snapshot *snapshot, struct err *err)
{
    PGresult *result = NULL;
    int rc = -1;

    if (pg_exec(snapshot->session, err, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") < 0 ||
        pg_query(snapshot->session, moment_query, NULL, 0, &result, err) < 0)
        return -1;
    if (run_on_check(snapshot->component, strcmp(PQgetvalue(result, 0, 2), "t") == 0, err) == 0) {
        snapshot->snapshot_name = mem_strdup(PQgetvalue(result, 0, 0));
        snapshot->recovery_point_ms = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        snapshot->superuser = strcmp(PQgetvalue(result, 0, 3), "t") == 0;
        rc = 0;
    }
    PQclear(result);
    return rc;
}

static int find_tools(struct snapshot *snapshot, struct err *err)
{
    const struct postgres_options *options = &snapshot->component->postgres;
    int major = pg_session_version(snapshot->session) / 10000;
    int64_t deadline_us = pg_session_deadline(snapshot->session);

    if (pg_tool_find(options, "pg_dump", major, "the server", deadline_us, &snapshot->dump, err) <
            0 ||
        pg_tool_fits(&snapshot->dump, major, err) < 0)
        return -1;
    return options->globals ? pg_tool_find(options, "pg_dumpall", major, "the server", deadline_us,
                                           &snapshot->dumpall, err)
                            : 0;
}

static int take_facts(struct snapshot *snapshot, struct err *err)
{
    if (pg_lineage(snapshot->session, &snapshot->lineage, err) < 0 ||
        pg_facts_take(snapshot->session, snapshot->facts, err) < 0)
        return err_wrap(err, "ask for the facts");
    json_object_set_new(snapshot->facts, "tools",
                        json_pack("{s:s}", "pg_dump", snapshot->dump.version));
    return 0;
}

int pg_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop, void **opened,
                     struct err *err)
{
    struct snapshot *snapshot = mem_calloc(1, sizeof *snapshot);
    const struct component_options *component = request->component;
    const char *conninfo = component->postgres.conninfo;
    const PGconn *connection;

    (void)loop;
    snapshot->component = component;
    snapshot->facts = json_object();
    snapshot->next = component->postgres.globals ? NEXT_GLOBALS : NEXT_DATABASE;
    if (pg_session_open("conninfo", conninfo, NULL, request->deadline_mono_us, &snapshot->session,
                        err) < 0)
        goto failed;
    connection = pg_session_connection(snapshot->session);
    if (find_tools(snapshot, err) < 0 ||
        pg_address_make("conninfo", conninfo, connection, PQdb(connection), &snapshot->address,
                        err) < 0 ||
        fix_moment(snapshot, err) < 0 || take_facts(snapshot, err) < 0)
        goto failed;
    *opened = snapshot;
    return 0;
failed:
    pg_snapshot_close(snapshot);
    return -1;
}

int pg_snapshot_describe(void *opened, struct manifest *manifest, struct err *err)
{
    struct snapshot *snapshot = opened;
    char version[16];

    (void)err;
    pg_version_text(pg_session_version(snapshot->session), version);
    free(manifest->system);
    free(manifest->system_version);
    free(manifest->lineage);
    manifest->system = mem_strdup("postgres");
    manifest->system_version = mem_strdup(version);
    manifest->lineage = mem_strdup(snapshot->lineage);
    manifest->recovery_point_ms = snapshot->recovery_point_ms;
    json_object_update(manifest->facts, snapshot->facts);
    return 0;
}

static int start_dump(struct snapshot *snapshot, struct child **child, struct err *err)
{
    char *name = text_format("--snapshot=%s", snapshot->snapshot_name);
    char *lock = text_format("--lock-wait-timeout=%lld",
                             (long long)snapshot->component->postgres.lock_timeout_ms);
    char *encoding =
        text_format("--encoding=%s",
                    PQparameterStatus(pg_session_connection(snapshot->session), "server_encoding"));
    const char *argv[] = {
        snapshot->dump.path,      "-Fc", "-Z0", "--no-password", name, lock, encoding, "-d",
        snapshot->address.target, NULL};
    const struct child_spec spec = {
        .argv = argv, .env = (const char *const *)snapshot->address.env, .reads = true};
    int rc = child_start(&spec, child, err);

    free(name);
    free(lock);
    free(encoding);
    return rc;
}

static int start_dumpall(struct snapshot *snapshot, struct child **child, struct err *err)
{
    const char *argv[] = {snapshot->dumpall.path,
                          "--globals-only",
                          "--no-password",
                          "-l",
                          PQdb(pg_session_connection(snapshot->session)),
                          "-d",
                          snapshot->address.target,
                          snapshot->superuser ? NULL : "--no-role-passwords",
                          NULL};
    const struct child_spec spec = {
        .argv = argv, .env = (const char *const *)snapshot->address.env, .reads = true};

    return child_start(&spec, child, err);
}

enum step pg_snapshot_next(void *opened, struct snapshot_object *object, struct source **source,
                           struct err *err)
{
    struct snapshot *snapshot = opened;
    struct child *child = NULL;
    int rc;

    /* The moment has passed for pg_dump if the transaction that exports it is gone. */
    if (pg_exec(snapshot->session, err, "SELECT 1") < 0) {
        err_wrap(err, "the transaction that holds the snapshot");
        return STEP_ERROR;
    }
    if (snapshot->next == NEXT_NONE)
        return STEP_END;
    if (snapshot->next == NEXT_GLOBALS) {
        *object = (struct snapshot_object){.name = PG_GLOBALS, .format = "SQL"};
        rc = start_dumpall(snapshot, &child, err);
    } else {
        *object = (struct snapshot_object){.name = PG_DATABASE, .format = "pg_dump custom archive"};
        rc = start_dump(snapshot, &child, err);
    }
    if (rc < 0)
        return STEP_ERROR;
    snapshot->next++;
    *source = child_source_new(child);
    return STEP_OK;
}

void pg_snapshot_close(void *opened)
{
    struct snapshot *snapshot = opened;

    if (snapshot == NULL)
        return;
    pg_session_close(snapshot->session);
    pg_address_fini(&snapshot->address);
    pg_tool_fini(&snapshot->dump);
    pg_tool_fini(&snapshot->dumpall);
    free(snapshot->snapshot_name);
    free(snapshot->lineage);
    json_decref(snapshot->facts);
    free(snapshot);
}
