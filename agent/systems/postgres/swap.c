// SPDX-License-Identifier: Apache-2.0
// Two renames in one transaction: whatever happens, either both names are as before or both are
// new. The first rename takes the lock that keeps new sessions out of the live database, and waits
// (up to 5 s, by the server's own count) for those that are in it; a second session ends them
// meanwhile. One that cannot be ended makes the rename fail, and nothing has changed.
#include "restoring.h"

#include "cancel.h"
#include "clock.h"
#include "facts.h"
#include "log.h"
#include "manifest.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define TERMINATE_EVERY_MS 50
#define COMMIT_TIME_US     INT64_C(10000000)

struct names {
    char *live, *made, *old; /* quoted */
};

/* Ends the sessions of the live database until the rename is through. */
static int rename_live(struct restoring *restoring, struct pg_session *second,
                       const struct names *names, struct err *err)
{
    const char *params[] = {restoring->live};
    char *sql = text_format("ALTER DATABASE %s RENAME TO %s", names->live, names->old);
    enum pg_wait wait = PG_WAIT_AGAIN;
    int rc = pg_send(restoring->session, sql, err);

    free(sql);
    while (rc == 0 && wait == PG_WAIT_AGAIN) {
        /* A session that this user may not end is the rename's to complain of. */
        struct err ignored = ERR_INIT;

        pg_query(second,
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
                 " AND pid <> pg_backend_pid()",
                 params, 1, NULL, &ignored);
        wait = pg_poll(restoring->session, TERMINATE_EVERY_MS, err);
    }
    if (rc == 0 && wait == PG_WAIT_END)
        return 0;
    if (err->kind == ERR_CONFLICT)
        err->kind = ERR_REFUSED;
    return err_wrap(err, "take the name from the live database");
}

static int rename_made(struct restoring *restoring, const struct names *names, struct err *err)
{
    bool is_template =
        json_is_true(pg_fact(restoring->request.manifest, "database", "is_template"));

    if (pg_execf(restoring->session, err, "ALTER DATABASE %s RENAME TO %s", names->made,
                 names->live) < 0)
        return err_wrap(err, "give the name to the new database");
    if (is_template)
        return pg_execf(restoring->session, err, "ALTER DATABASE %s IS_TEMPLATE true", names->live);
    return 0;
}

/* A COMMIT whose answer was lost has happened or not: only the names can tell. */
static int look_after_commit(struct restoring *restoring, struct err *err)
{
    const struct postgres_options *options = &restoring->request.component->postgres;
    const char *params[] = {restoring->made};
    struct pg_session *session = NULL;
    struct err failure = ERR_INIT;
    char *there = NULL;
    int rc = -1;

    if (pg_session_open("restore_conninfo", options->restore_conninfo, NULL,
                        clock_mono_us() + COMMIT_TIME_US, &session, &failure) < 0 ||
        pg_query_text(session, "SELECT datname FROM pg_database WHERE datname = $1", params, 1,
                      &there, &failure) < 0)
        err_wrap(err, "whether the databases were swapped is not known");
    else if (there == NULL)
        rc = 0;
    else
        err_wrap(err, "the databases were not swapped");
    free(there);
    pg_session_close(session);
    return rc;
}

static int commit(struct restoring *restoring, struct err *err)
{
    int64_t limit_us = clock_mono_us() + COMMIT_TIME_US;

    if (cancel_check(err) < 0)
        return -1;
    if (limit_us < pg_session_deadline(restoring->session))
        pg_session_set_deadline(restoring->session, limit_us);
    if (pg_exec(restoring->session, err, "COMMIT") == 0)
        return 0;
    /* A stop wished for meanwhile has to wait for the answer to what has happened. */
    cancel_grace(CANCEL_GRACE_MS);
    return look_after_commit(restoring, err);
}

int pg_swap(struct restoring *restoring, struct err *err)
{
    const struct postgres_options *options = &restoring->request.component->postgres;
    struct names names = {.live = pg_quote_name(restoring->live),
                          .made = pg_quote_name(restoring->made),
                          .old = pg_quote_name(restoring->old_name)};
    int64_t deadline_us = pg_session_deadline(restoring->session);
    struct pg_session *second = NULL;
    struct err ignored = ERR_INIT;
    int rc = -1;

    if (restoring->live_exists && pg_session_open("restore_conninfo", options->restore_conninfo,
                                                  NULL, deadline_us, &second, err) < 0)
        goto out;
    if (pg_exec(restoring->session, err, "BEGIN") < 0)
        goto out;
    if ((restoring->live_exists && rename_live(restoring, second, &names, err) < 0) ||
        rename_made(restoring, &names, err) < 0) {
        pg_exec(restoring->session, &ignored, "ROLLBACK");
        goto out;
    }
    rc = commit(restoring, err);
out:
    pg_session_set_deadline(restoring->session, deadline_us);
    pg_session_close(second);
    free(names.live);
    free(names.made);
    free(names.old);
    return rc;
}
