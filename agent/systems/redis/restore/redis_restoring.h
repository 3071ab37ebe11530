// SPDX-License-Identifier: Apache-2.0
// What the parts of a restore or drill of Redis share.
#pragma once

#include "assertion.h"
#include "conn.h"
#include "redis_prove.h"
#include "sample.h"
#include "serve.h"
#include "system.h"

struct redis_scratch;

struct restoring {
    struct restore_request request;
    const struct redis_options *options; /* of the server restored into */
    struct redis_conn *conn;             /* to it; NULL with --to */
    struct redis_scratch *scratch;       /* NULL but for a drill */
    struct redis_serving *serving;
    struct assertion *assertions;
    size_t assertion_count;
    struct sample *sample; /* of a drill */
    char *stake;           /* what the server holds now */
    char version[32];      /* of the server */
    bool valkey, tls, aof; /* aof: it keeps one */
    bool following;        /* it was told to follow us */
    char replid[41];       /* its own before that */
    char *hint;            /* --to: what else must be done; NULL: nothing */
    json_t *proven;        /* --to: what the proof counted */
};

/* --- the facts of the backup --- */

/* The keys of facts.rdb are there and of the right kind. */
int redis_backup_check(const struct manifest *manifest, struct err *err);
/* Of the file: 11 of "REDIS0011". */
int64_t redis_backup_version(const struct manifest *manifest, bool *valkey);
uint64_t redis_backup_keys(const struct manifest *manifest);
/* The highest database that holds keys. */
uint64_t redis_backup_last_database(const struct manifest *manifest);
/* 0 when a server of that kind and version reads the file; what: whose it is. */
int redis_version_fits(const struct manifest *manifest, bool valkey, const char *version,
                       const char *what, struct err *err);

/* --- the server --- */

/* Everything that may speak against a restore into the live server, by asking only. */
int redis_preflight(struct restoring *restoring, struct err *err);
/* The role, again, and the replication id of this moment. */
int redis_ask_replid(struct restoring *restoring, struct err *err);

/* Has the server follow serving. For a live one a note is left first, by which a later job finds
 * and undoes it (redis_clean). */
int redis_follow(struct restoring *restoring, struct err *err);
/* Makes it a primary again, whatever it does at the moment, and removes the note. */
int redis_unfollow(struct restoring *restoring, struct err *err);
void redis_clean(const struct component_options *component, const char *state_path);

/* While it follows, nothing in it changes, and what is past its time is still there: the keys of
 * each database, and of those the ones that expire, are exactly those of the manifest. */
int redis_compare(struct restoring *restoring, json_t *findings, struct err *err);
int redis_assertions_parse(struct restoring *restoring, struct err *err);
int redis_assertions_check(struct restoring *restoring, struct err *err);
/* Until what was loaded is in the append-only file, when there is one. */
int redis_await_aof(struct restoring *restoring, json_t *findings, struct err *err);

/* --- a place in the file system: --to FILE --- */

int redis_file_check(struct restoring *restoring, struct err *err);
/* Takes proof, which sees every byte first. */
int redis_file_sink(const struct restoring *restoring, struct sink *proof, struct sink **sink,
                    struct err *err);
int redis_file_occupied(const char *to, char **what, struct err *err);

/* --- a scratch server --- */

int redis_scratch_start(struct restoring *restoring, struct err *err);
/* How to reach it. */
const struct redis_options *redis_scratch_options(const struct redis_scratch *scratch);
/* The last words of its log; free it. */
char *redis_scratch_said(const struct redis_scratch *scratch);
/* Ends it and removes its folder. NULL is allowed. */
void redis_scratch_free(struct redis_scratch *scratch);
void redis_scratch_clean(const struct component_options *component, const char *state_path);

/* --- system_ops --- */

int redis_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                       struct err *err);
char *redis_restore_stake(void *restore);
int redis_restore_begin(void *restore, struct err *err);
int redis_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                       struct sink **sink, struct err *err);
int redis_restore_finish(void *restore, json_t *findings, struct err *err);
void redis_restore_close(void *restore);
