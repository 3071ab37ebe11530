// SPDX-License-Identifier: Apache-2.0
// collector.db: a write-ahead log, so that a reader (sqlite3 at three in the morning) does not
// disturb, and a synced commit, because an acknowledged report is deleted by the agent. The lock
// file keeps a second collector out: two would each know half of the fleet.
#include "file.h"
#include "mem.h"
#include "sqlite_internal.h"
#include "sqlite_schema.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

static const char *const statement_texts[STATEMENT_COUNT] = {
    [ADD_REPORT] = ("INSERT OR IGNORE INTO report (instance, sequence, received_ms, cluster, "
                    "namespace, pod, component, kind, outcome, started_ms, ended_ms, backup, "
                    "message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"),
    [PUT_AGENT] = ("INSERT OR REPLACE INTO agent (instance, cluster, namespace, workload, pod, "
                   "peer, version, first_seen_ms, last_seen_ms, sequence, heard, config_valid, "
                   "fallback_bytes) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"),
    [PUT_COMPONENT] = ("INSERT OR REPLACE INTO component (instance, name, system, message) "
                       "VALUES (?1, ?2, ?3, ?4)"),
    [REMOVE_COMPONENT] = "DELETE FROM component WHERE instance = ?1 AND name = ?2",
    [REMOVE_COMPONENTS] = "DELETE FROM component WHERE instance = ?1",
    [REMOVE_AGENT] = "DELETE FROM agent WHERE instance = ?1",
    [LAST_SEQUENCE] = "SELECT coalesce(max(sequence), 0) FROM report WHERE instance = ?1",
    [PRUNE] = "DELETE FROM report WHERE received_ms < ?1",
    [PROBE] = "UPDATE written SET at_ms = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

int sqlite_fail(const struct state *state, const char *what, struct err *err)
{
    const char *remedy = "";
    enum err_kind kind;

    switch (sqlite3_errcode(state->db)) {
    case SQLITE_FULL:
        kind = ERR_NO_SPACE;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        kind = ERR_CORRUPT;
        remedy = "; move it away: agents tell their state anew, past reports are lost";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        kind = ERR_CONFLICT;
        break;
    default:
        kind = ERR_IO;
    }
    return err_set(err, kind, "%s %s: %s%s", what, state->path, sqlite3_errmsg(state->db), remedy);
}

static int run_text(const struct state *state, const char *sql, struct err *err)
{
    if (sqlite3_exec(state->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return sqlite_fail(state, "set up", err);
}

static int take_lock(struct state *state, const char *folder, struct err *err)
{
    char *path = text_format("%s/collector.lock", folder);
    int rc = 0;

    state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_fd < 0)
        rc = err_set_errno(err, errno, "open %s", path);
    else if (flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? err_set(err, ERR_REFUSED, "another collector holds %s; stop it first", path)
                 : err_set_errno(err, errno, "lock %s", path);
    free(path);
    return rc;
}

static int read_version(const struct state *state, int *version, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(state->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        *version = sqlite3_column_int(statement, 0);
    else
        rc = sqlite_fail(state, "read", err);
    sqlite3_finalize(statement);
    return rc;
}

static int migrate(const struct state *state, struct err *err)
{
    int version = 0;

    if (read_version(state, &version, err) < 0)
        return -1;
    if (version < 0 || version > SQLITE_SCHEMA_VERSION)
        return err_set(err, ERR_CORRUPT,
                       "%s is of version %d, this collector knows %d; use the later collector, or "
                       "move the file away",
                       state->path, version, SQLITE_SCHEMA_VERSION);
    for (; version < SQLITE_SCHEMA_VERSION; version++) {
        char *sql = text_format("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
                                sqlite_schema[version], version + 1);
        int rc = run_text(state, sql, err);

        free(sql);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int open_database(struct state *state, struct err *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(state->path, &state->db, flags, NULL) != SQLITE_OK)
        return sqlite_fail(state, "open", err);
    sqlite3_busy_timeout(state->db, 1000);
    if (run_text(state,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                 "PRAGMA journal_size_limit = 16777216; PRAGMA trusted_schema = OFF;",
                 err) < 0 ||
        migrate(state, err) < 0)
        return -1;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(state->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &state->statements[i], NULL) != SQLITE_OK)
            return sqlite_fail(state, "prepare", err);
    return 0;
}

int state_open(const char *folder, struct state **state, struct err *err)
{
    struct state *opened;

    if (file_make_folders(folder, err) < 0)
        return -1;
    opened = mem_calloc(1, sizeof *opened);
    opened->lock_fd = -1;
    opened->path = text_format("%s/collector.db", folder);
    if (take_lock(opened, folder, err) < 0 || open_database(opened, err) < 0) {
        state_close(opened);
        return -1;
    }
    *state = opened;
    return 0;
}

void state_close(struct state *state)
{
    if (state == NULL)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(state->statements[i]);
    sqlite3_close(state->db);
    fd_close(&state->lock_fd);
    free(state->path);
    free(state);
}
