// SPDX-License-Identifier: Apache-2.0
// PostgreSQL as a system: who the server is, what it holds, and the table of what can be done.
#include "postgres.h"

#include "check.h"
#include "clock.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_TIME_US INT64_C(30000000)

int pg_lineage(struct pg_session *session, char **lineage, struct err *err)
{
    if (pg_query_text(session, "SELECT system_identifier FROM pg_control_system()", NULL, 0,
                      lineage, err) < 0) {
        if (err->kind == ERR_DENIED)
            err_wrap(err, "GRANT EXECUTE ON FUNCTION pg_control_system() TO this user");
        return -1;
    }
    return *lineage != NULL ? 0 : err_set(err, ERR_SOURCE, "the server has no system identifier");
}

void pg_version_text(int version, char *version_text)
{
    snprintf(version_text, 16, "%d.%d", version / 10000 % 1000, version % 10000);
}

static int ask_lineage(const struct component_options *component, char **lineage, struct err *err)
{
    struct pg_session *session = NULL;
    int rc = -1;

    if (pg_session_open("conninfo", component->postgres.conninfo, NULL,
                        clock_mono_us() + ASK_TIME_US, &session, err) == 0)
        rc = pg_lineage(session, lineage, err);
    pg_session_close(session);
    return rc;
}

const struct system_ops postgres_system = {
    .name = "postgres",
    .check = pg_check,
    .snapshot_open = pg_snapshot_open,
    .snapshot_describe = pg_snapshot_describe,
    .snapshot_next = pg_snapshot_next,
    .snapshot_close = pg_snapshot_close,
    .clean = pg_clean,
    .lineage = ask_lineage,
    .prove = pg_prove,
    .restore_open = pg_restore_open,
    .restore_stake = pg_restore_stake,
    .restore_begin = pg_restore_begin,
    .restore_sink = pg_restore_sink,
    .restore_finish = pg_restore_finish,
    .restore_close = pg_restore_close,
};
