// SPDX-License-Identifier: Apache-2.0
// REPLICAOF, and its undoing on every way out. A process that is killed cannot undo it: so before
// the server is told, a note says whom it will follow. A job that finds the note asks the server,
// and makes it a primary again only when it still follows just that.
#include "redis_restoring.h"

#include "cancel.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_MAX_BYTES 512
#define CLEAN_TIME_US  INT64_C(30000000)
#define UNDO_TIME_US   INT64_C(30000000)
#define RETRY_MS       100

static char *note_path(const char *state_path, const struct component_options *component)
{
    return text_format("%s/redis/%s.replicaof", state_path, component->name);
}

static int write_note(const struct restoring *restoring, struct err *err)
{
    char *path = note_path(restoring->request.state_path, restoring->request.component);
    char *note = text_format("%s %s\n", redis_serving_host(restoring->serving),
                             redis_serving_port(restoring->serving));
    int rc = file_make_parents(path, err);

    if (rc == 0)
        rc = file_replace(path, note, strlen(note), err);
    free(note);
    free(path);
    return rc;
}

static int remove_note(const struct component_options *component, const char *state_path,
                       struct err *err)
{
    char *path = note_path(state_path, component);
    int rc = file_remove(path, err);

    free(path);
    return rc;
}

int redis_follow(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    if (!request->scratch && write_note(restoring, err) < 0)
        return -1;
    restoring->following = true;
    return redis_conn_call(restoring->conn, NULL, err, "REPLICAOF",
                           redis_serving_host(restoring->serving),
                           redis_serving_port(restoring->serving), NULL);
}

/* A server that loads answers everything with an error: until it is done, or the time is over. */
static int promote(const struct redis_options *options, struct redis_conn **conn, int64_t until_us,
                   struct err *err)
{
    for (;;) {
        struct err why = ERR_INIT;

        if (*conn == NULL && redis_conn_open(options, until_us, conn, &why) < 0)
            *conn = NULL;
        if (*conn != NULL) {
            redis_conn_set_deadline(*conn, until_us);
            if (redis_conn_call(*conn, NULL, &why, "REPLICAOF", "NO", "ONE", NULL) == 0)
                return 0;
            redis_conn_close(*conn);
            *conn = NULL;
        }
        *err = why;
        if (why.kind != ERR_UNREACHABLE || clock_mono_us() + RETRY_MS * 1000 > until_us)
            return -1;
        if (cancel_wait(RETRY_MS, err) < 0)
            return -1;
    }
}

int redis_unfollow(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    if (promote(restoring->options, &restoring->conn, clock_mono_us() + UNDO_TIME_US, err) < 0)
        return -1;
    restoring->following = false;
    if (restoring->conn != NULL)
        redis_conn_set_deadline(restoring->conn, request->deadline_mono_us);
    return request->scratch ? 0 : remove_note(request->component, request->state_path, err);
}

/* Whether the server follows whom the note names. */
static int still_follows(struct redis_conn *conn, const char *note, bool *follows, struct err *err)
{
    char *info = NULL;
    char host[256], port[16];
    char *both;

    if (redis_info(conn, "replication", &info, err) < 0)
        return -1;
    redis_info_field(info, "master_host", host, sizeof host);
    redis_info_field(info, "master_port", port, sizeof port);
    both = text_format("%s %s\n", host, port);
    *follows = strcmp(both, note) == 0;
    free(both);
    free(info);
    return 0;
}

static int undo(const struct component_options *component, const char *state_path, const char *note,
                struct err *err)
{
    const struct redis_options *options = &component->redis;
    int64_t until_us = clock_mono_us() + CLEAN_TIME_US;
    struct redis_conn *conn = NULL;
    bool follows = false;
    int rc = -1;

    if (redis_conn_open(options, until_us, &conn, err) == 0 &&
        still_follows(conn, note, &follows, err) == 0)
        rc = follows ? promote(options, &conn, until_us, err) : 0;
    if (rc == 0 && follows)
        log_warn("the server still followed a restore that died: it is a primary again",
                 LOG_TEXT("component", component->name));
    if (rc == 0)
        rc = remove_note(component, state_path, err);
    redis_conn_close(conn);
    return rc;
}

void redis_clean(const struct component_options *component, const char *state_path)
{
    char *path = note_path(state_path, component);
    char *note = NULL;
    struct err err = ERR_INIT;

    redis_scratch_clean(component, state_path);
    if (file_read(path, NOTE_MAX_BYTES, &note, NULL, &err) == 0) {
        if (undo(component, state_path, note, &err) < 0)
            log_warn("the server may still follow a restore that died; the next prune or restore "
                     "tries again, or say REPLICAOF NO ONE to it",
                     LOG_TEXT("component", component->name), LOG_TEXT("err", err.text));
    } else if (err.kind != ERR_NOT_FOUND) {
        log_warn("the note of a restore cannot be read", LOG_TEXT("err", err.text));
    }
    free(note);
    free(path);
}
