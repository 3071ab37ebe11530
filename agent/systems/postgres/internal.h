// SPDX-License-Identifier: Apache-2.0
// The parts of the Postgres system as system.c puts them together; see system.h for what each call
// promises.
#pragma once

#include "session.h"
#include "system.h"

int pg_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop, void **snapshot,
                     struct err *err);
int pg_snapshot_describe(void *snapshot, struct manifest *manifest, struct err *err);
enum step pg_snapshot_next(void *snapshot, struct snapshot_object *object, struct source **source,
                           struct err *err);
void pg_snapshot_close(void *snapshot);

int pg_prove(const struct component_options *component, const struct manifest *manifest,
             const char *object, json_t *findings, struct sink **sink, struct err *err);

void pg_clean(const struct component_options *component, const char *state_path);

int pg_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                    struct err *err);
char *pg_restore_stake(void *restore);
int pg_restore_begin(void *restore, struct err *err);
int pg_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                    struct sink **sink, struct err *err);
int pg_restore_finish(void *restore, json_t *findings, struct err *err);
void pg_restore_close(void *restore);

/* The objects of a backup, in their order. Roles come first: a database needs its owner. */
#define PG_GLOBALS  "globals.sql"
#define PG_DATABASE "database.pgdump"

/* The system identifier, as text; free() it. */
int pg_lineage(struct pg_session *session, char **lineage, struct err *err);
/* "16.14"; version has 16 bytes. */
void pg_version_text(int version, char *version_text);

/* pg_restore of a version that reads this manifest's archive; least: at least this major version,
 * too. */
struct pg_tool;
int pg_restore_tool(const struct component_options *component, const struct manifest *manifest,
                    int least, struct pg_tool *tool, struct err *err);
