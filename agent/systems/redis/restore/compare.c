// SPDX-License-Identifier: Apache-2.0
// The proof after the loading: what the server says it holds, and the assertions.
#include "redis_restoring.h"

#include "cancel.h"
#include "clock.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_EVERY_MS 50

/* "keys=12,expires=3,..." of a database in INFO keyspace; 0 for one that is not there. */
static void numbers_of(const char *keyspace, const char *database, long long *keys,
                       long long *expires)
{
    char field[32], value[128];
    const char *at;

    snprintf(field, sizeof field, "db%.20s", database);
    *keys = *expires = 0;
    if (!redis_info_field(keyspace, field, value, sizeof value))
        return;
    at = strstr(value, "keys=");
    *keys = at == NULL ? 0 : strtoll(at + strlen("keys="), NULL, 10);
    at = strstr(value, "expires=");
    *expires = at == NULL ? 0 : strtoll(at + strlen("expires="), NULL, 10);
}

static int compare_database(const char *keyspace, const char *number, const json_t *database,
                            json_t *counted, struct err *err)
{
    long long keys, expires;
    json_int_t expected = json_integer_value(json_object_get(database, "keys"));
    json_int_t expected_expires = json_integer_value(json_object_get(database, "expires"));

    numbers_of(keyspace, number, &keys, &expires);
    if (keys != expected || expires != expected_expires)
        return err_set(err, ERR_MISMATCH,
                       "database %s: %lld keys, %lld of them with an expiry, were loaded; the "
                       "backup has %lld and %lld",
                       number, keys, expires, (long long)expected, (long long)expected_expires);
    json_object_set_new(counted, number, json_integer(expected));
    return 0;
}

int redis_compare(struct restoring *restoring, json_t *findings, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    const json_t *databases = json_object_get(json_object_get(manifest->facts, "rdb"), "databases");
    int64_t began_us = clock_mono_us();
    json_t *counted = json_object();
    char *keyspace = NULL;
    const char *number;
    const json_t *database;
    size_t there = 0;
    int rc;

    json_object_set_new(findings, "keys", counted);
    rc = redis_info(restoring->conn, "keyspace", &keyspace, err);
    if (rc == 0)
        json_object_foreach ((json_t *)(uintptr_t)databases, number, database)
            if (rc == 0)
                rc = compare_database(keyspace, number, database, counted, err);
    for (const char *at = keyspace; at != NULL && (at = strstr(at, ":keys=")) != NULL; at++)
        there++;
    if (rc == 0 && there != json_object_size(databases))
        rc = err_set(err, ERR_MISMATCH, "%zu databases hold keys, in the backup it is %zu", there,
                     json_object_size(databases));
    free(keyspace);
    if (rc == 0 && restoring->sample != NULL)
        rc = sample_check(restoring->sample, restoring->conn, findings, err);
    json_object_set_new(findings, "compare_ms", json_integer((clock_mono_us() - began_us) / 1000));
    return rc;
}

int redis_assertions_parse(struct restoring *restoring, struct err *err)
{
    const struct option_list *lines = &restoring->request.component->assertions;

    restoring->assertions = mem_calloc(lines->count + 1, sizeof *restoring->assertions);
    for (size_t i = 0; i < lines->count; i++) {
        restoring->assertion_count++;
        if (assertion_parse(lines->items[i], &restoring->assertions[i], err) < 0)
            return -1;
    }
    return 0;
}

static void describe_reply(const redisReply *reply, char *shown, size_t cap)
{
    if (reply->str != NULL)
        snprintf(shown, cap, "%.*s", (int)(cap - 1), reply->str);
    else if (reply->type == REDIS_REPLY_NIL)
        snprintf(shown, cap, "nil");
    else if (reply->type == REDIS_REPLY_ARRAY)
        snprintf(shown, cap, "%zu elements", reply->elements);
    else
        snprintf(shown, cap, "%lld", reply->integer);
    text_fix_utf8(shown);
}

static int check_assertion(struct restoring *restoring, size_t i, struct err *err)
{
    const struct assertion *assertion = &restoring->assertions[i];
    const char *line = restoring->request.component->assertions.items[i];
    redisReply *reply = NULL;
    char database[16], shown[64];
    int rc;

    snprintf(database, sizeof database, "%u", assertion->database);
    if (redis_conn_call(restoring->conn, NULL, err, "SELECT", database, NULL) < 0 ||
        redis_conn_ask(restoring->conn, assertion->count,
                       (const char *const *)(uintptr_t)assertion->words, NULL, &reply, err) < 0)
        return err_wrap(err, "assert \"%s\"", line);
    rc = 0;
    if (!assertion_holds(assertion, reply)) {
        describe_reply(reply, shown, sizeof shown);
        rc = err_set(err, ERR_MISMATCH, "assert \"%s\" does not hold: the answer is \"%s\"", line,
                     shown);
    }
    freeReplyObject(reply);
    return rc;
}

int redis_assertions_check(struct restoring *restoring, struct err *err)
{
    for (size_t i = 0; i < restoring->assertion_count; i++)
        if (check_assertion(restoring, i, err) < 0)
            return -1;
    return redis_conn_call(restoring->conn, NULL, err, "SELECT", "0", NULL);
}

/* The server rewrites its append-only file from the data it has now; the old one counts till then.
 */
int redis_await_aof(struct restoring *restoring, json_t *findings, struct err *err)
{
    int64_t began_us = clock_mono_us();
    bool busy = restoring->aof;

    while (busy) {
        char *info = NULL;
        char status[16];

        if (redis_info(restoring->conn, "persistence", &info, err) < 0)
            return -1;
        redis_info_field(info, "aof_last_bgrewrite_status", status, sizeof status);
        busy = redis_info_number(info, "aof_rewrite_in_progress", 0) != 0 ||
               redis_info_number(info, "aof_rewrite_scheduled", 0) != 0;
        free(info);
        if (!busy && strcmp(status, "ok") != 0)
            return err_set(err, ERR_SOURCE,
                           "the data is loaded, but the server could not write its append-only "
                           "file (aof_last_bgrewrite_status is %s): a restart would bring back the "
                           "old data; give it room, then say BGREWRITEAOF",
                           status);
        if (busy && cancel_wait(ASK_EVERY_MS, err) < 0)
            return -1;
        if (busy && clock_mono_us() > restoring->request.deadline_mono_us)
            return err_set(err, ERR_TIMEOUT,
                           "the data is loaded, but its append-only file is not written yet");
    }
    if (restoring->aof)
        json_object_set_new(findings, "aof_ms", json_integer((clock_mono_us() - began_us) / 1000));
    return 0;
}
