// SPDX-License-Identifier: Apache-2.0
// Both renames stand in one transaction: at every instant, also of a kill -9, there is one database
// of the live name. A rename waits up to 5 s (the server's own limit) for the clients of its
// database to go, and its lock keeps new ones out meanwhile; the helper session ends those there
// are. Forbidding connections first (ALLOW_CONNECTIONS false) would turn a kill -9 into an outage.
#include "swap.h"

#include "clock.h"
#include "mem.h"
#include "names.h"
#include "text.h"

#include <stdlib.h>

#define POLL_MS 50

static int disconnect_clients(struct pg_session *helper, const char *database, struct err *err)
{
    PGresult *result = NULL;
    int rc = pg_query(helper,
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE datname = $1 AND pid <> pg_backend_pid()",
                      &database, 1, &result, err);

    PQclear(result);
    return rc < 0 ? err_wrap(err, "disconnect the clients of %s", database) : 0;
}

/* Ends with the statement done, or failed by the server's limit. */
static int rename_live(struct pg_session *maintenance, struct pg_session *helper, const char *live,
                       const char *statement, struct err *err)
{
    enum pg_wait wait;

    if (pg_send(maintenance, statement, err) < 0)
        return -1;
    while ((wait = pg_poll(maintenance, POLL_MS, err)) == PG_WAIT_AGAIN)
        if (disconnect_clients(helper, live, err) < 0)
            return -1;
    return wait == PG_WAIT_END ? 0 : -1;
}

static int rename_both(struct pg_session *maintenance, struct pg_session *helper, const char *live,
                       const char *restored, const char *old, struct err *err)
{
    int rc = -1;
    char *live_name = pg_quote_name(live);
    char *restored_name = pg_quote_name(restored);
    char *old_name = pg_quote_name(old == NULL ? "" : old);
    char *away = text_format("ALTER DATABASE %s RENAME TO %s", live_name, old_name);

    if (old != NULL && rename_live(maintenance, helper, live, away, err) < 0) {
        err_wrap(err, "rename %s away (its clients, or a prepared transaction, are in the way)",
                 live);
        goto out;
    }
    rc = pg_execf(maintenance, err, "ALTER DATABASE %s RENAME TO %s", restored_name, live_name);
    if (rc < 0)
        err_wrap(err, "rename %s to %s", restored, live);
out:
    free(away);
    free(old_name);
    free(restored_name);
    free(live_name);
    return rc;
}

int pg_swap(struct pg_session *maintenance, struct pg_session *helper, const char *live,
            const char *restored, const char *old, struct err *err)
{
    struct err ignored = ERR_INIT;

    if (pg_exec(maintenance, err, "BEGIN; SET LOCAL lock_timeout = '5s'") < 0)
        return -1;
    if (rename_both(maintenance, helper, live, restored, old, err) < 0) {
        pg_exec(maintenance, &ignored, "ROLLBACK");
        return err_wrap(err, "swap");
    }
    if (pg_exec(maintenance, err, "COMMIT") < 0)
        return err_wrap(err, "swap: the commit was not acknowledged; it took place if %s is gone",
                        restored);
    return 0;
}
