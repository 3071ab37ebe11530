// SPDX-License-Identifier: Apache-2.0
// A restore into the live server, a drill in a scratch one, or a file (--to). The first two are the
// same: we are the server's primary for one transfer (serve.c), compare while nothing can change,
// and let it go again. The job has proven the whole backup, and taken the safety backup, before the
// live server is told anything.
#include "redis_restoring.h"

#include "cancel.h"
#include "clock.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "redis_prove.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static int open_live(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    redis_clean(request->component, request->state_path);
    if (redis_conn_open(restoring->options, request->deadline_mono_us, &restoring->conn, err) < 0)
        return -1;
    return redis_preflight(restoring, err);
}

static int open_all(struct restoring *restoring, struct err *err)
{
    if (redis_backup_check(restoring->request.manifest, err) < 0 ||
        redis_assertions_parse(restoring, err) < 0)
        return -1;
    if (restoring->request.to != NULL)
        return redis_file_check(restoring, err);
    if (restoring->request.scratch)
        return 0;
    return open_live(restoring, err);
}

int redis_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                       struct err *err)
{
    struct restoring *restoring = mem_calloc(1, sizeof *restoring);

    (void)loop;
    restoring->request = *request;
    restoring->options = &request->component->redis;
    if (open_all(restoring, err) < 0) {
        redis_restore_close(restoring);
        return -1;
    }
    *restore = restoring;
    return 0;
}

char *redis_restore_stake(void *restore)
{
    const struct restoring *restoring = restore;

    if (restoring->stake != NULL)
        return mem_strdup(restoring->stake);
    return text_format("writes %s, and replaces nothing", restoring->request.to);
}

int redis_restore_begin(void *restore, struct err *err)
{
    struct restoring *restoring = restore;
    const struct manifest *manifest = restoring->request.manifest;

    if (restoring->request.scratch) {
        redis_scratch_clean(restoring->request.component, restoring->request.state_path);
        if (redis_scratch_start(restoring, err) < 0)
            return -1;
        restoring->options = redis_scratch_options(restoring->scratch);
        restoring->sample = sample_new(redis_backup_keys(manifest));
    }
    return 0;
}

static int server_sink(struct restoring *restoring, struct sink **sink, struct err *err)
{
    uint64_t bytes = restoring->request.manifest->objects[0].plain_bytes;

    /* Proving and backing up took their time: the role may be another by now. */
    if (redis_ask_replid(restoring, err) < 0 ||
        redis_serving_open(restoring->conn, restoring->options, restoring->tls, &restoring->serving,
                           err) < 0 ||
        redis_follow(restoring, err) < 0)
        return -1;
    *sink = redis_serving_sink(restoring->serving, restoring->replid, bytes);
    if (restoring->sample != NULL)
        *sink = sample_sink_new(restoring->sample, *sink);
    return 0;
}

static int file_sink(struct restoring *restoring, struct sink **sink, struct err *err)
{
    json_t *proven = json_object();
    struct sink *proof = NULL;
    int rc;

    restoring->proven = proven;
    rc = redis_prove(restoring->request.component, restoring->request.manifest, REDIS_OBJECT,
                     proven, &proof, err);
    return rc < 0 ? -1 : redis_file_sink(restoring, proof, sink, err);
}

int redis_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                       struct sink **sink, struct err *err)
{
    struct restoring *restoring = restore;

    (void)manifest; /* there is but one */
    if (strcmp(object, REDIS_OBJECT) != 0)
        return err_set(err, ERR_CORRUPT, "a backup of Redis holds no object %s", object);
    return restoring->request.to != NULL ? file_sink(restoring, sink, err)
                                         : server_sink(restoring, sink, err);
}

static int finish_file(struct restoring *restoring, json_t *findings)
{
    json_object_set_new(findings, "place", json_string(restoring->request.to));
    json_object_set_new(findings, "compared", json_string("every byte and key proven"));
    json_object_set_new(findings, "hint", json_string(restoring->hint));
    log_warn("before a server starts with the file", LOG_TEXT("hint", restoring->hint));
    return 0;
}

static int finish_scratch(struct restoring *restoring, json_t *findings, struct err *err)
{
    char *info = NULL;

    if (redis_info(restoring->conn, "memory", &info, err) < 0)
        return -1;
    json_object_set_new(findings, "server",
                        json_pack("{s:s, s:s, s:I}", "name", restoring->valkey ? "valkey" : "redis",
                                  "version", restoring->version, "memory_bytes",
                                  (json_int_t)redis_info_number(info, "used_memory_peak", 0)));
    free(info);
    return 0;
}

int redis_restore_finish(void *restore, json_t *findings, struct err *err)
{
    struct restoring *restoring = restore;
    struct err why = ERR_INIT;
    int rc;

    if (restoring->request.to != NULL)
        return finish_file(restoring, findings);
    rc = redis_compare(restoring, findings, &why);
    if (rc == 0)
        rc = redis_assertions_check(restoring, &why);
    if (rc == 0 && restoring->request.scratch)
        return finish_scratch(restoring, findings, err);
    if (rc < 0) {
        *err = why;
        return -1;
    }
    if (redis_unfollow(restoring, err) < 0)
        return err_wrap(err, "the data is loaded, but the server still follows us");
    json_object_set_new(findings, "place", json_string(redis_conn_place(restoring->conn)));
    json_object_set_new(findings, "compared", json_string("the keys of each database counted"));
    return redis_await_aof(restoring, findings, err);
}

static void take_back(struct restoring *restoring)
{
    struct err err = ERR_INIT;

    if (redis_unfollow(restoring, &err) < 0)
        log_warn("the server could not be made a primary again; the next prune or restore tries "
                 "it, or say REPLICAOF NO ONE to it",
                 LOG_TEXT("err", err.text));
}

void redis_restore_close(void *restore)
{
    struct restoring *restoring = restore;

    if (restoring == NULL)
        return;
    if (restoring->following && !restoring->request.scratch)
        take_back(restoring);
    redis_serving_close(restoring->serving);
    redis_conn_close(restoring->conn);
    redis_scratch_free(restoring->scratch);
    sample_free(restoring->sample);
    for (size_t i = 0; i < restoring->assertion_count; i++)
        assertion_fini(&restoring->assertions[i]);
    free(restoring->assertions);
    json_decref(restoring->proven);
    free(restoring->stake);
    free(restoring->hint);
    free(restoring);
}
