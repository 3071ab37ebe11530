// SPDX-License-Identifier: Apache-2.0
// What a manifest says of a Postgres backup, asked of the server in the caller's transaction. All
// JSON from a manifest is hostile: the readers here return what is of the right type, or nothing.
#pragma once

#include "session.h"

#include <jansson.h>
#include <stdint.h>

struct manifest;

/* One value of JSON, as the query's only column; json_null() for no row. */
int pg_query_json(struct pg_session *session, const char *sql, const char *const *params, int count,
                  json_t **json, struct err *err);

/* The database of that name, as it stands in the facts under "database": name, owner, encoding,
 * locale, tablespace, connection_limit, is_template, acl, comment, settings, role_settings,
 * size_bytes (null when this user may not ask). JSON null when there is none. */
int pg_database_facts(struct pg_session *session, const char *name, json_t **json, struct err *err);
/* All facts of the session's own database. */
int pg_facts_take(struct pg_session *session, json_t *facts, struct err *err);

/* "objects": schema -> kind -> {count, digest of the sorted names}; "" for what has no schema.
 * "tables": the tables whose rows a dump holds -> estimated rows, -1 unknown. */
int pg_objects_take(struct pg_session *session, json_t **objects, struct err *err);
int pg_tables_take(struct pg_session *session, json_t **tables, struct err *err);

/* Of a manifest's facts; lent. NULL when it is not there or not of that type. */
const json_t *pg_fact(const struct manifest *manifest, const char *group, const char *key);
const char *pg_fact_text(const struct manifest *manifest, const char *group, const char *key);
int64_t pg_fact_number(const struct manifest *manifest, const char *group, const char *key,
                       int64_t otherwise);
