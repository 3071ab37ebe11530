// SPDX-License-Identifier: Apache-2.0
// The missing roles, out of the script of pg_dumpall --globals-only. Of its statements only those
// run whose subject is a role that this server lacks; roles that are there keep their password,
// rights and settings. The sink only collects, for it must not wait; pg_make_roles runs them, all
// in one transaction.
#include "restoring.h"

#include "facts.h"
#include "log.h"
#include "mem.h"
#include "sql_split.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STATEMENT ((size_t)64 << 10)
#define MAX_SCRIPT    ((size_t)4 << 20)

struct roles_sink {
    struct sink sink;
    struct restoring *restoring;
    struct sql_split *split;
    json_t *there;      /* the roles of this server */
    json_t *made;       /* the roles that the script creates and this server lacks */
    struct text script; /* the statements to run; each ends in a semicolon */
};

/* Reads a name as in SQL; returns what follows it, NULL when there is none. */
static const char *take_name(const char *at, struct text *name)
{
    if (*at != '"') {
        size_t len = strcspn(at, " ;\n");

        text_add_bytes(name, at, len);
        return len == 0 ? NULL : at + len;
    }
    for (at++; *at != '\0'; at++) {
        if (*at == '"' && *++at != '"')
            return at;
        text_add_char(name, *at);
    }
    return NULL;
}

/* The role that a statement begins with after words; NULL when it does not begin with them. */
static const char *subject(const char *statement, const char *words, struct text *role)
{
    if (!text_starts_with(statement, words))
        return NULL;
    return take_name(statement + strlen(words), role);
}

/* GRANT a TO b ...: either end is enough. GRANT ... ON PARAMETER p TO b: only b is a role. */
static bool grants_to_made(const struct roles_sink *to, const char *statement)
{
    struct text first = TEXT_INIT, second = TEXT_INIT;
    const char *at = strstr(statement, " ON PARAMETER ");
    const char *member;
    bool concerned = false;

    if (at != NULL) {
        struct text parameter = TEXT_INIT;

        at = take_name(at + strlen(" ON PARAMETER "), &parameter);
        text_fini(&parameter);
    } else {
        at = subject(statement, "GRANT ", &first);
    }
    member = at == NULL || !text_starts_with(at, " TO ") ? NULL
                                                         : take_name(at + strlen(" TO "), &second);
    if (member != NULL)
        concerned = json_object_get(to->made, text_str(&first)) != NULL ||
                    json_object_get(to->made, text_str(&second)) != NULL;
    text_fini(&first);
    text_fini(&second);
    return concerned;
}

static bool is_wanted(struct roles_sink *to, const char *statement)
{
    struct text role = TEXT_INIT;
    bool wanted = false;

    if (subject(statement, "CREATE ROLE ", &role) != NULL) {
        wanted = json_object_get(to->there, text_str(&role)) == NULL;
        if (wanted)
            json_object_set_new(to->made, text_str(&role), json_true());
    } else if (subject(statement, "ALTER ROLE ", &role) != NULL ||
               subject(statement, "COMMENT ON ROLE ", &role) != NULL) {
        wanted = json_object_get(to->made, text_str(&role)) != NULL;
    } else if (text_starts_with(statement, "GRANT ")) {
        wanted = grants_to_made(to, statement);
    }
    text_fini(&role);
    return wanted;
}

static int on_statement(struct roles_sink *to, struct err *err)
{
    bool cut;
    const char *statement = sql_split_text(to->split, &cut);

    if (!is_wanted(to, statement))
        return 0;
    if (cut || to->script.len + strlen(statement) > MAX_SCRIPT)
        return err_set(err, ERR_CORRUPT, "the script of roles has a statement too long to be one");
    text_add(&to->script, "%s;\n", statement);
    return 0;
}

static enum step roles_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct roles_sink *to = (struct roles_sink *)sink;

    while (in->pos < in->len) {
        bool complete;
        size_t used;

        if (sql_split_feed(to->split, in->data + in->pos, in->len - in->pos, &used, &complete,
                           err) < 0)
            return STEP_ERROR;
        in->pos += used;
        if (complete && on_statement(to, err) < 0)
            return STEP_ERROR;
    }
    return STEP_OK;
}

static enum step roles_commit(struct sink *sink, struct err *err)
{
    struct roles_sink *to = (struct roles_sink *)sink;

    if (!sql_split_between(to->split)) {
        err_set(err, ERR_CORRUPT, "the script of roles is not whole");
        return STEP_ERROR;
    }
    free(to->restoring->role_script);
    to->restoring->role_script = text_take(&to->script);
    return STEP_END;
}

static void roles_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void roles_close(struct sink *sink)
{
    struct roles_sink *to = (struct roles_sink *)sink;

    sql_split_free(to->split);
    json_decref(to->there);
    json_decref(to->made);
    text_fini(&to->script);
    free(to);
}

static const struct sink_ops roles_sink_ops = {
    .name = "roles",
    .write = roles_write,
    .commit = roles_commit,
    .arm = roles_arm,
    .close = roles_close,
};

int pg_roles_sink(struct restoring *restoring, struct sink **sink, struct err *err)
{
    json_t *there = NULL;
    struct roles_sink *to;

    if (pg_query_json(restoring->session, "SELECT jsonb_object_agg(rolname, true) FROM pg_roles",
                      NULL, 0, &there, err) < 0)
        return -1;
    to = mem_calloc(1, sizeof *to);
    to->sink.ops = &roles_sink_ops;
    to->restoring = restoring;
    to->split = sql_split_new(MAX_STATEMENT);
    to->there = there;
    to->made = json_object();
    *sink = &to->sink;
    return 0;
}

int pg_make_roles(struct restoring *restoring, struct err *err)
{
    /* Several statements in one message are one transaction. */
    if (restoring->role_script == NULL || restoring->role_script[0] == '\0')
        return 0;
    if (pg_exec(restoring->session, err, restoring->role_script) < 0)
        return err_wrap(err, "make the missing roles");
    log_info("made the missing roles", LOG_TEXT("place", pg_session_place(restoring->session)));
    return 0;
}
