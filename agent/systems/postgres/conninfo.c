// SPDX-License-Identifier: Apache-2.0
// libpq's own table of keywords says which environment variable stands for which, and which are
// secret, so that what a later libpq adds is treated rightly too.
#include "conninfo.h"

#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static bool is_secret(const PQconninfoOption *option)
{
    return option->dispchar != NULL && option->dispchar[0] == '*';
}

/* What conninfo itself says, without defaults. */
static int parse_own(const char *key, const char *conninfo, PQconninfoOption **options,
                     struct err *err)
{
    char *message = NULL;

    *options = PQconninfoParse(conninfo, &message);
    PQfreemem(message);
    if (*options == NULL)
        return err_set(err, ERR_CONFIG,
                       "postgres.%s is no connection string of libpq; right would be "
                       "\"host=127.0.0.1 user=backup dbname=orders\" or \"postgresql://...\"",
                       key);
    for (const PQconninfoOption *option = *options; option->keyword != NULL; option++)
        if (is_secret(option) && option->val != NULL)
            log_hide(option->val);
    return 0;
}

int pg_conninfo_parse(const char *key, const char *conninfo, PQconninfoOption **options,
                      struct err *err)
{
    PQconninfoOption *defaults;

    if (parse_own(key, conninfo, options, err) < 0)
        return -1;
    defaults = PQconndefaults();
    for (size_t i = 0; defaults != NULL && (*options)[i].keyword != NULL; i++) {
        /* Both lists come from the same table, in its order. */
        if ((*options)[i].val == NULL && defaults[i].val != NULL) {
            (*options)[i].val = defaults[i].val;
            defaults[i].val = NULL;
            if (is_secret(&(*options)[i]))
                log_hide((*options)[i].val);
        }
    }
    PQconninfoFree(defaults);
    return 0;
}

const char *pg_conninfo_value(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val;
    return NULL;
}

int pg_conninfo_dbname(const char *key, const char *conninfo, char **dbname, struct err *err)
{
    PQconninfoOption *options = NULL;
    const char *name;
    int rc = 0;

    if (pg_conninfo_parse(key, conninfo, &options, err) < 0)
        return -1;
    name = pg_conninfo_value(options, "dbname");
    if (name == NULL && pg_conninfo_value(options, "service") == NULL)
        name = pg_conninfo_value(options, "user");
    if (name == NULL)
        rc = err_set(err, ERR_CONFIG, "postgres.%s names no database: add dbname=...", key);
    else
        *dbname = mem_strdup(name);
    PQconninfoFree(options);
    return rc;
}

static void add_env(struct pg_address *address, size_t *count, const char *name, const char *value)
{
    address->env = mem_realloc(address->env, (*count + 2) * sizeof *address->env);
    address->env[*count] = text_format("%s=%s", name, value);
    address->env[++*count] = NULL;
}

static void add_pair(struct text *target, const char *keyword, const char *value)
{
    text_add(target, "%s%s='", target->len == 0 ? "" : " ", keyword);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            text_add_char(target, '\\');
        text_add_char(target, *value);
    }
    text_add_char(target, '\'');
}

static bool is_place(const char *keyword)
{
    static const char *const places[] = {"host", "hostaddr", "port", "dbname", NULL};

    for (size_t i = 0; places[i] != NULL; i++)
        if (strcmp(keyword, places[i]) == 0)
            return true;
    return false;
}

static void add_place(struct pg_address *address, size_t *count, const PGconn *connection)
{
    const char *host = PQhost(connection);
    const char *hostaddr = PQhostaddr(connection);

    add_env(address, count, "PGHOST", host);
    /* Of a Unix socket there is none; an empty one stands for "not given". */
    add_env(address, count, "PGHOSTADDR", host[0] == '/' || host[0] == '@' ? "" : hostaddr);
    add_env(address, count, "PGPORT", PQport(connection));
}

int pg_address_make(const char *key, const char *conninfo, const PGconn *connection,
                    const char *dbname, struct pg_address *address, struct err *err)
{
    struct pg_address made = {.env = NULL};
    PQconninfoOption *options = NULL;
    struct text target = TEXT_INIT;
    size_t count = 0;
    int rc = -1;

    if (parse_own(key, conninfo, &options, err) < 0)
        return -1;
    add_pair(&target, "dbname", dbname);
    add_place(&made, &count, connection);
    add_env(&made, &count, "PGAPPNAME", "lifeboat");
    add_env(&made, &count, "LC_ALL", "C");
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || is_place(option->keyword))
            continue;
        if (option->envvar != NULL) {
            add_env(&made, &count, option->envvar, option->val);
        } else if (is_secret(option)) {
            err_set(err, ERR_CONFIG,
                    "postgres.%s: %s cannot reach pg_dump but through its argument list, which "
                    "others can read; use a key without a passphrase, readable by this user only",
                    key, option->keyword);
            goto out;
        } else {
            add_pair(&target, option->keyword, option->val);
        }
    }
    made.target = text_take(&target);
    *address = made;
    made = (struct pg_address){.env = NULL};
    rc = 0;
out:
    pg_address_fini(&made);
    text_fini(&target);
    PQconninfoFree(options);
    return rc;
}

void pg_address_fini(struct pg_address *address)
{
    for (size_t i = 0; address->env != NULL && address->env[i] != NULL; i++)
        free(address->env[i]);
    free(address->env);
    free(address->target);
    *address = (struct pg_address){.env = NULL};
}
