// SPDX-License-Identifier: Apache-2.0
// Connection strings: what libpq makes of one, and how the same goes to a tool without a secret in
// its argument list.
#pragma once

#include "err.h"

#include <libpq-fe.h>

/* Parses conninfo ("key=value ..." or a URI), with libpq's defaults (environment) for what it does
 * not say, and hides its password from logs. key is the option's name for errors. Never quotes the
 * string: it may hold a secret. Free with PQconninfoFree. */
int pg_conninfo_parse(const char *key, const char *conninfo, PQconninfoOption **options,
                      struct err *err);
/* NULL when the string does not say it and there is no default. Lent. */
const char *pg_conninfo_value(const PQconninfoOption *options, const char *keyword);
/* The database that conninfo means; free it. */
int pg_conninfo_dbname(const char *key, const char *conninfo, char **dbname, struct err *err);

/* How a tool reaches the server that connection is connected to: the environment carries all that
 * conninfo says (secrets too), and target what has no variable ("dbname='x' keepalives='1'"). */
struct pg_address {
    char **env; /* NULL at the end */
    char *target;
};

/* dbname: the database to name in target. Host and port are those of the living connection, so that
 * a list of hosts or a name with several addresses cannot lead the tool elsewhere. */
int pg_address_make(const char *key, const char *conninfo, const PGconn *connection,
                    const char *dbname, struct pg_address *address, struct err *err);
void pg_address_fini(struct pg_address *address);
