// SPDX-License-Identifier: Apache-2.0
// Least power: the backup's user reads, the restore's user makes databases. What only a superuser
// may do is said as such.
#include "grants.h"

#include "conninfo.h"
#include "names.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct granting {
    check_fn *line;
    void *arg;
};

static void grant(const struct granting *granting, const char *format, const char *role,
                  const char *database)
{
    struct text text = TEXT_INIT;

    /* %1 the role, %2 the database: the formats are the literals below. */
    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '%' && (at[1] == '1' || at[1] == '2'))
            text_add(&text, "%s", *++at == '1' ? role : database);
        else
            text_add_char(&text, *at);
    }
    granting->line(granting->arg, CHECK_OK, "grant", text_str(&text));
    text_fini(&text);
}

/* The user and the database of a connection string, quoted; free() both. */
static int who(const char *key, const char *conninfo, char **role, char **database, struct err *err)
{
    PQconninfoOption *parsed = NULL;
    char *dbname = NULL;
    const char *user;
    int rc = -1;

    if (pg_conninfo_parse(key, conninfo, &parsed, err) < 0 ||
        pg_conninfo_dbname(key, conninfo, &dbname, err) < 0)
        goto out;
    user = pg_conninfo_value(parsed, "user");
    if (user == NULL) {
        err_set(err, ERR_CONFIG, "%s names no user", key);
        goto out;
    }
    *role = pg_quote_name(user);
    *database = pg_quote_name(dbname);
    rc = 0;
out:
    PQconninfoFree(parsed);
    free(dbname);
    return rc;
}

static int grant_backup(const struct granting *granting, const struct postgres_options *options,
                        struct err *err)
{
    char *role = NULL;
    char *database = NULL;

    if (who("conninfo", options->conninfo, &role, &database, err) < 0)
        return -1;
    grant(granting, "GRANT CONNECT ON DATABASE %2 TO %1;", role, database);
    grant(granting, "GRANT pg_read_all_data TO %1;", role, database);
    grant(granting, "GRANT EXECUTE ON FUNCTION pg_control_system() TO %1; -- in database %2", role,
          database);
    grant(granting, "ALTER ROLE %1 BYPASSRLS; -- where tables have row security", role, database);
    grant(
        granting,
        "-- before PostgreSQL 18, each large object of another owner: GRANT SELECT ON LARGE OBJECT "
        "... TO %1;",
        role, database);
    free(role);
    free(database);
    return 0;
}

static int grant_restore(const struct granting *granting, const struct postgres_options *options,
                         struct err *err)
{
    char *role = NULL;
    char *database = NULL;

    if (options->restore_conninfo == NULL)
        return 0;
    if (who("restore_conninfo", options->restore_conninfo, &role, &database, err) < 0)
        return -1;
    grant(granting, "ALTER ROLE %1 CREATEDB;", role, database);
    grant(granting, "GRANT CONNECT ON DATABASE %2 TO %1;", role, database);
    grant(granting, "GRANT pg_signal_backend TO %1;", role, database);
    grant(granting,
          "-- and membership in each role that owns something in the database; a superuser "
          "needs none of these, and can also restore extensions and event triggers",
          role, database);
    free(role);
    free(database);
    return 0;
}

int pg_grants(const struct component_options *component, check_fn *line, void *arg, struct err *err)
{
    const struct granting granting = {.line = line, .arg = arg};

    if (grant_backup(&granting, &component->postgres, err) < 0)
        return -1;
    return grant_restore(&granting, &component->postgres, err);
}
