// SPDX-License-Identifier: Apache-2.0
// A restore in progress, and the steps it is made of, one file each. Everything is built in a new
// database under a name of its own; the live one is touched by the swap alone.
#pragma once

#include "conninfo.h"
#include "internal.h"
#include "names.h"
#include "tools.h"

struct restoring {
    struct restore_request request;
    char *live;                 /* the name that is to serve in the end */
    char made[PG_NAME_CAP];     /* the name it is built under */
    char old_name[PG_NAME_CAP]; /* what the replaced one is called after the swap; "" for none */
    struct pg_session *session; /* in the database that restore_conninfo names; holds the locks */
    struct pg_session *inside;  /* in the new database, while properties.c works */
    struct pg_address address;  /* of the new database, for pg_restore */
    struct pg_tool tool;        /* pg_restore */
    json_t *missing_roles;      /* needed and not there */
    char *role_script;          /* what makes roles; NULL: nothing was asked for */
    json_t *counted;            /* findings of the proof: {"tables": {...}} */
    bool live_exists;
    bool created;     /* a database `made` may be there, to be dropped at close */
    bool replication; /* subscriptions or slots stay with the old database */
    char *size_text;  /* for the question */
    char *space_text; /* what is known of the space: "" or a remark for the question */
    uint64_t clients;
};

/* preflight.c: what can be known before anything is touched. Fills live_exists, missing_roles,
 * clients and the texts. */
int pg_preflight(struct restoring *restoring, struct err *err);
/* The roles of the facts that this server lacks. */
int pg_missing_roles(struct restoring *restoring, struct err *err);
/* ERR_REFUSED that names them. */
int pg_refuse_missing_roles(const struct restoring *restoring, struct err *err);

/* database.c: the locks that tell a living job from a dead one, making and dropping. */
int pg_take_lock(struct pg_session *session, const char *name, bool *taken, struct err *err);
/* Whoever holds it is in the middle of a command, or gone by now. */
int pg_lock_holder_is_busy(struct pg_session *session, const char *name, bool *busy,
                           struct err *err);
/* Drops what dead jobs left on this server. Whatever goes wrong is logged and left to a next run.
 */
void pg_drop_leftovers(struct restoring *restoring);
int pg_create_database(struct restoring *restoring, struct err *err);
/* Even one with sessions or subscriptions; one that is not there is fine. */
int pg_drop_database(struct restoring *restoring, const char *name, struct err *err);

/* properties.c: settings, rights, comment and limits of the database itself, put on and compared.
 */
int pg_apply_properties(struct restoring *restoring, struct err *err);
int pg_finish_properties(struct restoring *restoring, struct err *err);

/* compare.c: statistics, objects, rows, assertions. Fills findings. */
int pg_compare(struct restoring *restoring, json_t *findings, struct err *err);

/* swap.c: the new database gets the name; the live one, if there is one, goes to old_name. On
 * failure both are as they were. */
int pg_swap(struct restoring *restoring, struct err *err);

/* roles.c: out of globals.sql, the statements that make the roles which this server lacks;
 * collected by the sink, run by pg_make_roles. */
int pg_roles_sink(struct restoring *restoring, struct sink **sink, struct err *err);
int pg_make_roles(struct restoring *restoring, struct err *err);

/* tee.c: a sink that gives the same bytes to both. Takes them. */
struct sink *pg_tee_new(struct sink *first, struct sink *second);
