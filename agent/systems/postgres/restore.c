// SPDX-License-Identifier: Apache-2.0
// A restore, a drill, or a restore beside (--to). All three build a new database under a name of
// its own, prove it, and differ only in the end: swapped with the live one, dropped, or renamed.
// Until then the live database is not touched, and whatever fails before takes the new one back; if
// this process cannot, the next one does (database.c).
#include "restoring.h"

#include "cancel.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CLEAN_TIME_US INT64_C(60000000)
#define CLOSE_TIME_US INT64_C(30000000)
#define LOCK_TIME_US  INT64_C(8000000)

static void choose_names(struct restoring *restoring)
{
    char hex[9];
    uint8_t random[4];
    char *suffix;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        abort();
    text_hex(random, sizeof random, hex);
    suffix = text_format("_lifeboat_%s_%s", restoring->request.scratch ? "drill" : "new", hex);
    pg_name_make(restoring->live, suffix, restoring->made);
    free(suffix);
}

/* Of the second of the swap, or of the next one that no kept database is named after. */
static int choose_old_name(struct restoring *restoring, struct err *err)
{
    const char *params[] = {restoring->old_name};
    int64_t moment_ms = clock_wall_ms();
    char *taken = NULL;

    do {
        char time_text[CLOCK_TEXT_CAP];
        char *suffix = text_format("_old_%s", clock_format_compact(moment_ms, time_text));

        pg_name_make(restoring->live, suffix, restoring->old_name);
        free(suffix);
        free(taken);
        taken = NULL;
        if (pg_query_text(restoring->session, "SELECT datname FROM pg_database WHERE datname = $1",
                          params, 1, &taken, err) < 0)
            return -1;
        moment_ms += 1000;
    } while (taken != NULL);
    return 0;
}

static int choose_live(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    if (request->to == NULL)
        return pg_conninfo_dbname("conninfo", request->component->postgres.conninfo,
                                  &restoring->live, err);
    if (request->to[0] == '\0' || strlen(request->to) >= PG_NAME_CAP)
        return err_set(err, ERR_USAGE, "--to must be the name of a database, of 1 to %d bytes",
                       PG_NAME_CAP - 1);
    restoring->live = mem_strdup(request->to);
    return 0;
}

/* A job that was killed in the middle of a command keeps its lock until the server has noticed;
 * the session of a living one does nothing most of the time. */
static int lock_live(struct restoring *restoring, struct err *err)
{
    int64_t until_us = clock_mono_us() + LOCK_TIME_US;
    bool taken = false, busy = true;

    if (restoring->request.scratch)
        return 0;
    for (;;) {
        if (pg_take_lock(restoring->session, restoring->live, &taken, err) < 0)
            return -1;
        if (taken)
            return 0;
        if (!busy || clock_mono_us() > until_us)
            return err_set(err, ERR_REFUSED, "another restore of database %s is running at %s",
                           restoring->live, pg_session_place(restoring->session));
        if (cancel_wait(100, err) < 0 ||
            pg_lock_holder_is_busy(restoring->session, restoring->live, &busy, err) < 0)
            return -1;
    }
}

static int open_all(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;
    const struct postgres_options *options = &request->component->postgres;
    int major;

    if (options->restore_conninfo == NULL)
        return err_set(err, ERR_CONFIG,
                       "component %s has no postgres.restore_conninfo; name there how to reach the "
                       "server as a user that may create databases, in another database than the "
                       "one restored, such as dbname=postgres",
                       request->component->name);
    if (choose_live(restoring, err) < 0 ||
        pg_session_open("restore_conninfo", options->restore_conninfo, NULL,
                        request->deadline_mono_us, &restoring->session, err) < 0)
        return -1;
    choose_names(restoring);
    if (lock_live(restoring, err) < 0)
        return -1;
    pg_drop_leftovers(restoring);
    major = pg_session_version(restoring->session) / 10000;
    if (pg_preflight(restoring, err) < 0 ||
        pg_restore_tool(request->component, request->manifest, major, &restoring->tool, err) < 0 ||
        pg_tool_fits(&restoring->tool, major, err) < 0)
        return -1;
    return pg_address_make("restore_conninfo", options->restore_conninfo,
                           pg_session_connection(restoring->session), restoring->made,
                           &restoring->address, err);
}

int pg_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                    struct err *err)
{
    struct restoring *restoring = mem_calloc(1, sizeof *restoring);

    (void)loop;
    restoring->request = *request;
    restoring->counted = json_object();
    if (open_all(restoring, err) < 0) {
        pg_restore_close(restoring);
        return -1;
    }
    *restore = restoring;
    return 0;
}

void pg_clean(const struct component_options *component, const char *state_path)
{
    struct restoring restoring = {.request = {.component = component}};
    struct err err = ERR_INIT;

    (void)state_path;
    if (component->postgres.restore_conninfo == NULL)
        return;
    if (pg_session_open("restore_conninfo", component->postgres.restore_conninfo, NULL,
                        clock_mono_us() + CLEAN_TIME_US, &restoring.session, &err) == 0)
        pg_drop_leftovers(&restoring);
    else
        log_warn("leftovers of dead jobs could not be looked for", LOG_TEXT("err", err.text));
    pg_session_close(restoring.session);
}

char *pg_restore_stake(void *restore)
{
    const struct restoring *restoring = restore;
    const char *place = pg_session_place(restoring->session);

    if (restoring->request.scratch)
        return text_format("builds database %s at %s (%s) and drops it again%s", restoring->made,
                           place, restoring->size_text, restoring->space_text);
    if (!restoring->live_exists)
        return text_format("makes database %s at %s (%s)%s", restoring->live, place,
                           restoring->size_text, restoring->space_text);
    return text_format("replaces database %s on %s (%s, %llu %s connected)%s", restoring->live,
                       place, restoring->size_text, (unsigned long long)restoring->clients,
                       restoring->clients == 1 ? "client" : "clients", restoring->space_text);
}

int pg_restore_begin(void *restore, struct err *err)
{
    struct restoring *restoring = restore;

    /* Roles that are still to come may be its owner: then it is made when they are there. */
    if (json_array_size(restoring->missing_roles) > 0)
        return 0;
    return pg_create_database(restoring, err);
}

static int start_restore(struct restoring *restoring, struct child **child, struct err *err)
{
    const char *argv[] = {restoring->tool.path,
                          "--exit-on-error",
                          "--no-password",
                          "-d",
                          restoring->address.target,
                          restoring->request.scratch ? "--no-subscriptions" : NULL,
                          NULL};
    const struct child_spec spec = {
        .argv = argv, .env = (const char *const *)restoring->address.env, .feeds = true};

    return child_start(&spec, child, err);
}

static int database_sink(struct restoring *restoring, struct sink **sink, struct err *err)
{
    struct sink *proof = NULL;
    struct child *child = NULL;

    if (pg_make_roles(restoring, err) < 0 || pg_missing_roles(restoring, err) < 0 ||
        pg_refuse_missing_roles(restoring, err) < 0)
        return -1;
    if (!restoring->created && pg_create_database(restoring, err) < 0)
        return -1;
    if (pg_prove(restoring->request.component, restoring->request.manifest, PG_DATABASE,
                 restoring->counted, &proof, err) < 0)
        return -1;
    if (start_restore(restoring, &child, err) < 0) {
        sink_close(proof);
        return -1;
    }
    *sink = pg_tee_new(child_sink_new(child), proof);
    return 0;
}

int pg_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                    struct sink **sink, struct err *err)
{
    struct restoring *restoring = restore;

    (void)manifest; /* there is but one */
    *sink = NULL;
    if (strcmp(object, PG_DATABASE) == 0)
        return database_sink(restoring, sink, err);
    if (strcmp(object, PG_GLOBALS) != 0)
        return err_set(err, ERR_CORRUPT, "a backup of Postgres holds no object %s", object);
    return restoring->request.globals ? pg_roles_sink(restoring, sink, err) : 0;
}

/* After the swap nothing may fail any more: what cannot be dropped is kept, and said. */
static void drop_old(struct restoring *restoring)
{
    struct err err = ERR_INIT;

    if (restoring->replication)
        log_warn("the replaced database is kept: subscriptions or slots are still in it",
                 LOG_TEXT("database", restoring->old_name));
    else if (pg_drop_database(restoring, restoring->old_name, &err) < 0)
        log_warn("the replaced database could not be dropped",
                 LOG_TEXT("database", restoring->old_name), LOG_TEXT("err", err.text));
    else
        restoring->old_name[0] = '\0';
}

static int finish_scratch(struct restoring *restoring, json_t *findings, struct err *err)
{
    json_object_set_new(findings, "database", json_string(restoring->made));
    if (pg_drop_database(restoring, restoring->made, err) < 0)
        return err_wrap(err, "drop the scratch database");
    restoring->created = false;
    return 0;
}

int pg_restore_finish(void *restore, json_t *findings, struct err *err)
{
    struct restoring *restoring = restore;
    int64_t began_us;

    json_object_update(findings, restoring->counted);
    if (pg_apply_properties(restoring, err) < 0 || pg_compare(restoring, findings, err) < 0 ||
        pg_finish_properties(restoring, err) < 0)
        return -1;
    if (restoring->request.scratch)
        return finish_scratch(restoring, findings, err);
    began_us = clock_mono_us();
    if (choose_old_name(restoring, err) < 0 || pg_swap(restoring, err) < 0)
        return -1;
    restoring->created = false;
    json_object_set_new(findings, "swap_ms", json_integer((clock_mono_us() - began_us) / 1000));
    if (!restoring->live_exists)
        restoring->old_name[0] = '\0';
    else if (restoring->request.drop_old)
        drop_old(restoring);
    json_object_set_new(findings, "database", json_string(restoring->live));
    json_object_set_new(findings, "place", json_string(restoring->live));
    json_object_set_new(findings, "compared", json_string("every row and object compared"));
    if (restoring->old_name[0] != '\0')
        json_object_set_new(findings, "old_database", json_string(restoring->old_name));
    return 0;
}

/* A session that was given up, or is in the middle of a transaction, is of no more use. */
static int renew_session(struct restoring *restoring, struct err *err)
{
    const struct postgres_options *options = &restoring->request.component->postgres;
    const PGconn *connection =
        restoring->session == NULL ? NULL : pg_session_connection(restoring->session);
    int64_t deadline_us = clock_mono_us() + CLOSE_TIME_US;

    if (connection != NULL && PQtransactionStatus(connection) == PQTRANS_IDLE) {
        pg_session_set_deadline(restoring->session, deadline_us);
        return 0;
    }
    pg_session_close(restoring->session);
    restoring->session = NULL;
    return pg_session_open("restore_conninfo", options->restore_conninfo, NULL, deadline_us,
                           &restoring->session, err);
}

static void take_back(struct restoring *restoring)
{
    struct err err = ERR_INIT;
    int rc = -1;

    /* Twice: that a connection is dead may show only when it is used. */
    for (int attempt = 0; rc < 0 && attempt < 2; attempt++) {
        if (renew_session(restoring, &err) < 0)
            break;
        rc = pg_drop_database(restoring, restoring->made, &err);
        if (pg_session_connection(restoring->session) != NULL)
            break;
    }
    if (rc < 0)
        log_warn("the unfinished database is left for the next restore or drill to drop",
                 LOG_TEXT("database", restoring->made), LOG_TEXT("err", err.text));
}

void pg_restore_close(void *restore)
{
    struct restoring *restoring = restore;

    if (restoring == NULL)
        return;
    if (restoring->created)
        take_back(restoring);
    pg_session_close(restoring->session);
    pg_address_fini(&restoring->address);
    pg_tool_fini(&restoring->tool);
    json_decref(restoring->missing_roles);
    json_decref(restoring->counted);
    free(restoring->role_script);
    free(restoring->live);
    free(restoring->size_text);
    free(restoring->space_text);
    free(restoring);
}
