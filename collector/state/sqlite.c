// SPDX-License-Identifier: Apache-2.0
// The state in one SQLite file: what is written and read. A component and a report are kept as the
// message that came, beside the columns that somebody may ask for. sqlite_open.c has the file.
#include "sqlite_internal.h"

#include "text.h"

#include <string.h>

/* Runs a statement whose parameters are bound, for its effect. */
static int run(struct state *state, enum sqlite_statement which, struct err *err)
{
    sqlite3_stmt *statement = state->statements[which];
    int rc = 0;

    if (sqlite3_step(statement) != SQLITE_DONE)
        rc = sqlite_fail(state, "write", err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

static int begin(struct state *state, struct err *err)
{
    if (state->in_batch)
        return 0;
    if (run(state, BEGIN, err) < 0)
        return -1;
    state->in_batch = true;
    return 0;
}

/* --- parameters: texts and bytes are lent until the statement has run --- */

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void bind_instance(sqlite3_stmt *statement, int at, const uint8_t *instance)
{
    sqlite3_bind_blob(statement, at, instance, FLEET_INSTANCE_BYTES, SQLITE_STATIC);
}

/* SQLite's numbers have a sign; nothing that is counted here comes near. */
static void bind_count(sqlite3_stmt *statement, int at, uint64_t count)
{
    sqlite3_bind_int64(statement, at, count > INT64_MAX ? INT64_MAX : (int64_t)count);
}

/* --- writing --- */

int state_add_report(struct state *state, const struct fleet_agent *agent,
                     const lifeboat_v1_Report *report, int64_t received_ms, bool *is_new,
                     struct err *err)
{
    sqlite3_stmt *statement = state->statements[ADD_REPORT];
    struct text message = TEXT_INIT;
    int rc;

    if (begin(state, err) < 0)
        return -1;
    wire_add(&message, lifeboat_v1_Report_fields, report);
    bind_instance(statement, 1, agent->instance);
    bind_count(statement, 2, report->sequence);
    sqlite3_bind_int64(statement, 3, received_ms);
    bind_text(statement, 4, agent->identity.cluster);
    bind_text(statement, 5, agent->identity.namespace);
    bind_text(statement, 6, agent->identity.pod);
    bind_text(statement, 7, report->component);
    sqlite3_bind_int(statement, 8, (int)report->kind);
    sqlite3_bind_int(statement, 9, (int)report->outcome);
    sqlite3_bind_int64(statement, 10, report->started_ms);
    sqlite3_bind_int64(statement, 11, report->ended_ms);
    bind_text(statement, 12, report->backup);
    sqlite3_bind_blob(statement, 13, message.data, (int)message.len, SQLITE_STATIC);
    rc = run(state, ADD_REPORT, err);
    if (rc == 0)
        *is_new = sqlite3_changes(state->db) > 0;
    text_fini(&message);
    return rc;
}

static int put_component(struct state *state, const struct fleet_agent *agent,
                         const struct fleet_component *component, struct err *err)
{
    enum sqlite_statement which = component->gone ? REMOVE_COMPONENT : PUT_COMPONENT;
    sqlite3_stmt *statement = state->statements[which];
    struct text message = TEXT_INIT;
    int rc;

    bind_instance(statement, 1, agent->instance);
    bind_text(statement, 2, component->told.name);
    if (!component->gone) {
        wire_add(&message, lifeboat_v1_Component_fields, &component->told);
        bind_text(statement, 3, component->told.system);
        sqlite3_bind_blob(statement, 4, message.data, (int)message.len, SQLITE_STATIC);
    }
    rc = run(state, which, err);
    text_fini(&message);
    return rc;
}

static int put_agent(struct state *state, const struct fleet_agent *agent, struct err *err)
{
    sqlite3_stmt *statement = state->statements[PUT_AGENT];

    bind_instance(statement, 1, agent->instance);
    bind_text(statement, 2, agent->identity.cluster);
    bind_text(statement, 3, agent->identity.namespace);
    bind_text(statement, 4, agent->identity.workload);
    bind_text(statement, 5, agent->identity.pod);
    bind_text(statement, 6, agent->peer);
    bind_text(statement, 7, agent->version);
    sqlite3_bind_int64(statement, 8, agent->first_seen_ms);
    sqlite3_bind_int64(statement, 9, agent->last_seen_ms);
    bind_count(statement, 10, agent->batch_sequence);
    sqlite3_bind_int(statement, 11, agent->heard);
    sqlite3_bind_int(statement, 12, agent->config_valid);
    bind_count(statement, 13, agent->fallback_bytes);
    if (run(state, PUT_AGENT, err) < 0)
        return -1;
    for (const struct fleet_component *at = agent->components; at != NULL; at = at->next)
        if (at->dirty && put_component(state, agent, at, err) < 0)
            return -1;
    return 0;
}

int state_put_fleet(struct state *state, const struct fleet *fleet, struct err *err)
{
    if (begin(state, err) < 0)
        return -1;
    for (const struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next)
        if (agent->dirty && put_agent(state, agent, err) < 0)
            return -1;
    return 0;
}

int state_remove_agent(struct state *state, const struct fleet_agent *agent, struct err *err)
{
    if (begin(state, err) < 0)
        return -1;
    bind_instance(state->statements[REMOVE_COMPONENTS], 1, agent->instance);
    if (run(state, REMOVE_COMPONENTS, err) < 0)
        return -1;
    bind_instance(state->statements[REMOVE_AGENT], 1, agent->instance);
    return run(state, REMOVE_AGENT, err);
}

int state_prune(struct state *state, int64_t before_ms, struct err *err)
{
    if (begin(state, err) < 0)
        return -1;
    sqlite3_bind_int64(state->statements[PRUNE], 1, before_ms);
    return run(state, PRUNE, err);
}

int state_probe(struct state *state, int64_t now_ms, struct err *err)
{
    if (begin(state, err) < 0)
        return -1;
    sqlite3_bind_int64(state->statements[PROBE], 1, now_ms);
    return run(state, PROBE, err);
}

int state_commit(struct state *state, struct err *err)
{
    if (!state->in_batch)
        return 0;
    if (run(state, COMMIT, err) < 0)
        return -1;
    state->in_batch = false;
    return 0;
}

void state_rollback(struct state *state)
{
    struct err ignored = ERR_INIT;

    /* A disk that is full can have ended the transaction already. */
    if (sqlite3_get_autocommit(state->db) == 0)
        run(state, ROLLBACK, &ignored);
    state->in_batch = false;
}

/* --- reading --- */

static void read_text(char *field, size_t cap, sqlite3_stmt *statement, int column)
{
    wire_set_text(field, cap, (const char *)sqlite3_column_text(statement, column));
}

static bool read_instance(sqlite3_stmt *statement, uint8_t instance[FLEET_INSTANCE_BYTES])
{
    if (sqlite3_column_bytes(statement, 0) != FLEET_INSTANCE_BYTES)
        return false;
    memcpy(instance, sqlite3_column_blob(statement, 0), FLEET_INSTANCE_BYTES);
    return true;
}

static int load_agent(sqlite3_stmt *row, struct fleet *fleet, struct err *err)
{
    uint8_t instance[FLEET_INSTANCE_BYTES];
    struct fleet_agent *agent = read_instance(row, instance) ? fleet_add(fleet, instance) : NULL;

    if (agent == NULL)
        return err_set(err, ERR_CORRUPT, "a row of agents that no collector wrote");
    read_text(agent->identity.cluster, sizeof agent->identity.cluster, row, 1);
    read_text(agent->identity.namespace, sizeof agent->identity.namespace, row, 2);
    read_text(agent->identity.workload, sizeof agent->identity.workload, row, 3);
    read_text(agent->identity.pod, sizeof agent->identity.pod, row, 4);
    read_text(agent->peer, sizeof agent->peer, row, 5);
    read_text(agent->version, sizeof agent->version, row, 6);
    agent->first_seen_ms = sqlite3_column_int64(row, 7);
    agent->last_seen_ms = sqlite3_column_int64(row, 8);
    agent->sequence = (uint64_t)sqlite3_column_int64(row, 9);
    agent->batch_sequence = agent->sequence;
    agent->heard = sqlite3_column_int(row, 10) != 0;
    agent->config_valid = sqlite3_column_int(row, 11) != 0;
    agent->fallback_bytes = (uint64_t)sqlite3_column_int64(row, 12);
    return 0;
}

static int load_component(sqlite3_stmt *row, struct fleet *fleet, struct err *err)
{
    uint8_t instance[FLEET_INSTANCE_BYTES];
    struct fleet_agent *agent = read_instance(row, instance) ? fleet_find(fleet, instance) : NULL;
    const uint8_t *message = sqlite3_column_blob(row, 1);
    struct fleet_component *component;
    lifeboat_v1_Component told;

    if (agent == NULL ||
        wire_read(lifeboat_v1_Component_fields, message, (size_t)sqlite3_column_bytes(row, 1),
                  &told, err) < 0 ||
        (component = fleet_component_add(agent, told.name)) == NULL)
        return err_set(err, ERR_CORRUPT, "a row of components that no collector wrote");
    component->told = told;
    component->dirty = false;
    agent->dirty = false;
    return 0;
}

static int load(struct state *state, const char *sql,
                int (*each)(sqlite3_stmt *row, struct fleet *fleet, struct err *err),
                struct fleet *fleet, struct err *err)
{
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    int rc = 0;

    if (sqlite3_prepare_v2(state->db, sql, -1, &rows, NULL) != SQLITE_OK)
        return sqlite_fail(state, "read", err);
    while (rc == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        if (each(rows, fleet, err) < 0)
            rc = err_wrap(err, "%s", state->path);
    if (rc == 0 && step != SQLITE_DONE)
        rc = sqlite_fail(state, "read", err);
    sqlite3_finalize(rows);
    return rc;
}

int state_load(struct state *state, struct fleet *fleet, struct err *err)
{
    if (load(state,
             "SELECT instance, cluster, namespace, workload, pod, peer, version, first_seen_ms, "
             "last_seen_ms, sequence, heard, config_valid, fallback_bytes FROM agent",
             load_agent, fleet, err) < 0)
        return -1;
    return load(state, "SELECT instance, message FROM component", load_component, fleet, err);
}

int state_last_sequence(struct state *state, const uint8_t instance[FLEET_INSTANCE_BYTES],
                        uint64_t *sequence, struct err *err)
{
    sqlite3_stmt *statement = state->statements[LAST_SEQUENCE];
    int rc = 0;

    bind_instance(statement, 1, instance);
    if (sqlite3_step(statement) == SQLITE_ROW)
        *sequence = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        rc = sqlite_fail(state, "read", err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}
