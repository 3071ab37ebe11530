// SPDX-License-Identifier: Apache-2.0
// What is asked of a live server before anything is done to it: whether a restore in place can be
// right there at all, and whether it would load this file. A server that cannot load one exits, or
// finds out after its old data is gone.
#include "redis_restoring.h"

#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_WAY                                                                                  \
    "restore into a file (--to FILE) and start the server with it, as docs/OPERATIONS.md says"

static int ask_version(struct restoring *restoring, struct err *err)
{
    char *info = NULL;

    if (redis_info(restoring->conn, "server", &info, err) < 0)
        return -1;
    restoring->valkey =
        redis_info_field(info, "valkey_version", restoring->version, sizeof restoring->version);
    if (!restoring->valkey)
        redis_info_field(info, "redis_version", restoring->version, sizeof restoring->version);
    free(info);
    return redis_version_fits(restoring->request.manifest, restoring->valkey, restoring->version,
                              redis_conn_place(restoring->conn), err);
}

int redis_ask_replid(struct restoring *restoring, struct err *err)
{
    char role[16], master[256];
    char *info = NULL;
    int rc = -1;

    if (redis_info(restoring->conn, "replication", &info, err) < 0)
        return -1;
    redis_info_field(info, "role", role, sizeof role);
    redis_info_field(info, "master_host", master, sizeof master);
    redis_info_field(info, "master_replid", restoring->replid, sizeof restoring->replid);
    if (strcmp(role, "master") != 0)
        err_set(err, ERR_REFUSED,
                "%s is a replica of %s, whose data would soon replace what is restored; restore "
                "onto the primary, and its replicas follow",
                redis_conn_place(restoring->conn), master);
    else if (strlen(restoring->replid) != 40)
        err_set(err, ERR_SOURCE, "%s has no replication id in INFO",
                redis_conn_place(restoring->conn));
    else
        rc = 0;
    free(info);
    return rc;
}

static int refuse_cluster(struct restoring *restoring, struct err *err)
{
    char *info = NULL;
    bool cluster;

    if (redis_info(restoring->conn, "cluster", &info, err) < 0)
        return -1;
    cluster = redis_info_number(info, "cluster_enabled", 0) == 1;
    free(info);
    if (!cluster)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "%s is in cluster mode, where no server can be told to follow another; stop the "
                   "node, " OTHER_WAY,
                   redis_conn_place(restoring->conn));
}

/* Each Sentinel listens on this channel of every server that it watches. */
static int refuse_sentinel(struct restoring *restoring, struct err *err)
{
    redisReply *reply = NULL;
    long long sentinels = 0;
    int rc = redis_conn_call(restoring->conn, &reply, err, "PUBSUB", "NUMSUB", "__sentinel__:hello",
                             NULL);

    if (rc < 0 && err->kind == ERR_DENIED)
        return err_wrap(err, "whether a Sentinel watches the server cannot be asked");
    if (rc == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        sentinels = reply->element[1]->integer;
    freeReplyObject(reply);
    if (rc < 0 || sentinels == 0)
        return rc;
    return err_set(
        err, ERR_REFUSED,
        "%lld Sentinel(s) watch %s and would fail over in the middle of it; say SENTINEL "
        "REMOVE to each and SENTINEL MONITOR afterwards, or " OTHER_WAY,
        sentinels, redis_conn_place(restoring->conn));
}

/* "yes", a number, a word; "" when this user may not ask. */
static int ask_config(struct restoring *restoring, const char *name, char *value, size_t cap,
                      struct err *err)
{
    redisReply *reply = NULL;
    int rc = redis_conn_call(restoring->conn, &reply, err, "CONFIG", "GET", name, NULL);

    value[0] = '\0';
    if (rc == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->str != NULL)
        snprintf(value, cap, "%s", reply->element[1]->str);
    freeReplyObject(reply);
    if (rc < 0 && err->kind != ERR_CANCELLED && err->kind != ERR_UNREACHABLE &&
        err->kind != ERR_TIMEOUT) {
        err_clear(err);
        rc = 0;
    }
    return rc;
}

static int check_databases(struct restoring *restoring, struct err *err)
{
    uint64_t last = redis_backup_last_database(restoring->request.manifest);
    char number[24];
    redisReply *reply = NULL;
    int rc;

    snprintf(number, sizeof number, "%llu", (unsigned long long)last);
    rc = redis_conn_call(restoring->conn, &reply, err, "SELECT", number, NULL);
    freeReplyObject(reply);
    if (rc == 0)
        return redis_conn_call(restoring->conn, NULL, err, "SELECT", "0", NULL);
    if (err->kind == ERR_UNREACHABLE || err->kind == ERR_CANCELLED || err->kind == ERR_TIMEOUT)
        return -1;
    return err_set(err, ERR_REFUSED,
                   "the backup has keys in database %s, which %s does not have; raise its option "
                   "databases",
                   number, redis_conn_place(restoring->conn));
}

static int check_replication(struct restoring *restoring, struct err *err)
{
    const struct redis_options *options = restoring->options;
    char diskless[32], tls[8];

    if (ask_config(restoring, "repl-diskless-load", diskless, sizeof diskless, err) < 0 ||
        ask_config(restoring, "tls-replication", tls, sizeof tls, err) < 0)
        return -1;
    if (strcmp(diskless, "flush-before-load") == 0)
        return err_set(err, ERR_REFUSED,
                       "repl-diskless-load is flush-before-load: the old data would be gone before "
                       "the new is there; say CONFIG SET repl-diskless-load disabled first");
    restoring->tls =
        tls[0] == '\0' ? text_starts_with(options->url, "rediss:") : strcmp(tls, "yes") == 0;
    if (restoring->tls && (options->cert_file == NULL || options->ca_file == NULL))
        return err_set(err, ERR_CONFIG,
                       "the server replicates with TLS (tls-replication yes), so lifeboat needs a "
                       "certificate that the server accepts of its primary: set redis.ca_file, "
                       "redis.cert_file and redis.key_file, or " OTHER_WAY);
    return 0;
}

/* "replaces all data of redis 7.0.15 at 127.0.0.1:6379 (12000 keys, 3 clients connected; ..." */
static int describe(struct restoring *restoring, struct err *err)
{
    char *keyspace = NULL;
    char *clients = NULL;
    char *persistence = NULL;
    int64_t keys = 0;
    int rc = -1;

    if (redis_info(restoring->conn, "keyspace", &keyspace, err) < 0 ||
        redis_info(restoring->conn, "clients", &clients, err) < 0 ||
        redis_info(restoring->conn, "persistence", &persistence, err) < 0)
        goto out;
    for (const char *at = keyspace; (at = strstr(at, ":keys=")) != NULL; at++)
        keys += strtoll(at + strlen(":keys="), NULL, 10);
    restoring->aof = redis_info_number(persistence, "aof_enabled", 0) == 1;
    restoring->stake = text_format(
        "replaces all data of %s %s at %s (%lld keys, %lld clients connected; until it is loaded, "
        "writes are answered with READONLY, and everything with LOADING)",
        restoring->valkey ? "valkey" : "redis", restoring->version,
        redis_conn_place(restoring->conn), (long long)keys,
        (long long)redis_info_number(clients, "connected_clients", 1) - 1);
    rc = 0;
out:
    free(keyspace);
    free(clients);
    free(persistence);
    return rc;
}

int redis_preflight(struct restoring *restoring, struct err *err)
{
    if (ask_version(restoring, err) < 0 || refuse_cluster(restoring, err) < 0 ||
        redis_ask_replid(restoring, err) < 0 || refuse_sentinel(restoring, err) < 0 ||
        check_databases(restoring, err) < 0 || check_replication(restoring, err) < 0)
        return -1;
    return describe(restoring, err);
}
