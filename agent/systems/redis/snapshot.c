// SPDX-License-Identifier: Apache-2.0
// One backup: the server is asked what it is, then for its data, by either method one RDB. What
// that holds, and the moment it is of, is known only when it has passed: finish tells it.
#include "redis_snapshot.h"

#include "clock.h"
#include "manifest.h"
#include "mem.h"
#include "rdb_facts.h"
#include "redis_prove.h"
#include "run_on.h"

#include <stdlib.h>
#include <string.h>

struct snapshot {
    const struct component_options *component;
    struct redis_conn *conn;
    struct rdb *rdb;
    struct source *source; /* until it is handed out */
    char version[32], valkey_version[32];
    int64_t not_before_unix; /* by the server's clock; 0: not known */
    json_t *facts;
};

int redis_feed(struct rdb *rdb, const uint8_t *data, size_t len, struct err *err)
{
    if (rdb_feed(rdb, data, len, err) == 0)
        return 0;
    err->kind = ERR_SOURCE;
    return err_wrap(err, "what the server gave is no RDB file that could be restored");
}

int redis_feed_end(struct rdb *rdb, struct err *err)
{
    if (rdb_finish(rdb, err) == 0)
        return 0;
    err->kind = ERR_SOURCE;
    return err_wrap(err, "what the server gave is no whole RDB file");
}

int redis_check_role(const struct component_options *component, const char *info, struct err *err)
{
    char role[16], link[16];
    bool replica = redis_info_field(info, "role", role, sizeof role) && strcmp(role, "slave") == 0;

    if (run_on_check(component, replica, err) < 0)
        return -1;
    if (replica && redis_info_field(info, "master_link_status", link, sizeof link) &&
        strcmp(link, "up") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "the replica has no connection to its primary: nobody knows how old its "
                       "data are");
    return 0;
}

static void add_field(json_t *facts, const char *key, const char *info, const char *field)
{
    char value[128];

    if (redis_info_field(info, field, value, sizeof value))
        json_object_set_new(facts, key, json_string(value));
}

static int ask_server(struct snapshot *snapshot, struct err *err)
{
    json_t *server = json_object();
    char *info = NULL;
    bool valkey;

    json_object_set_new(snapshot->facts, "server", server);
    if (redis_info(snapshot->conn, "server", &info, err) < 0)
        return -1;
    valkey = redis_info_field(info, "valkey_version", snapshot->valkey_version,
                              sizeof snapshot->valkey_version);
    redis_info_field(info, valkey ? "valkey_version" : "redis_version", snapshot->version,
                     sizeof snapshot->version);
    json_object_set_new(server, "name", json_string(valkey ? "valkey" : "redis"));
    add_field(server, "version", info, valkey ? "valkey_version" : "redis_version");
    add_field(server, "mode", info, valkey ? "server_mode" : "redis_mode");
    add_field(server, "run_id", info, "run_id");
    free(info);
    if (snapshot->version[0] == '\0')
        return err_set(err, ERR_SOURCE, "%s says no version in INFO",
                       redis_conn_place(snapshot->conn));
    return 0;
}

static int ask_replication(struct snapshot *snapshot, struct err *err)
{
    json_t *server = json_object_get(snapshot->facts, "server");
    char *info = NULL;
    int rc;

    if (redis_info(snapshot->conn, "replication", &info, err) < 0)
        return -1;
    rc = redis_check_role(snapshot->component, info, err);
    add_field(server, "role", info, "role");
    free(info);
    return rc;
}

static int ask_memory(struct snapshot *snapshot, struct err *err)
{
    json_t *server = json_object_get(snapshot->facts, "server");
    char *info = NULL;

    if (redis_info(snapshot->conn, "memory", &info, err) < 0)
        return -1;
    json_object_set_new(server, "used_memory_bytes",
                        json_integer(redis_info_number(info, "used_memory", 0)));
    json_object_set_new(server, "maxmemory_bytes",
                        json_integer(redis_info_number(info, "maxmemory", 0)));
    add_field(server, "maxmemory_policy", info, "maxmemory_policy");
    free(info);
    return 0;
}

static int fix_moment(struct snapshot *snapshot, struct err *err)
{
    const struct redis_options *options = &snapshot->component->redis;
    bool bgsave = options->method == REDIS_BGSAVE;

    json_object_set_new(snapshot->facts, "method", json_string(bgsave ? "bgsave" : "replication"));
    if (bgsave)
        return redis_bgsave_open(snapshot->conn, options, snapshot->rdb, &snapshot->not_before_unix,
                                 &snapshot->source, err);
    return redis_replication_open(options, snapshot->valkey_version,
                                  redis_conn_deadline(snapshot->conn), snapshot->rdb,
                                  &snapshot->source, err);
}

int redis_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop, void **opened,
                        struct err *err)
{
    struct snapshot *snapshot = mem_calloc(1, sizeof *snapshot);

    (void)loop;
    snapshot->component = request->component;
    snapshot->facts = json_object();
    snapshot->rdb = rdb_new();
    if (redis_conn_open(&request->component->redis, request->deadline_mono_us, &snapshot->conn,
                        err) < 0 ||
        ask_server(snapshot, err) < 0 || ask_replication(snapshot, err) < 0 ||
        ask_memory(snapshot, err) < 0 || fix_moment(snapshot, err) < 0) {
        redis_snapshot_close(snapshot);
        return -1;
    }
    /* From here on nothing is asked, and an idle client would only be counted. */
    redis_conn_close(snapshot->conn);
    snapshot->conn = NULL;
    *opened = snapshot;
    return 0;
}

int redis_snapshot_describe(void *opened, struct manifest *manifest, struct err *err)
{
    struct snapshot *snapshot = opened;

    (void)err;
    free(manifest->system);
    free(manifest->system_version);
    free(manifest->lineage);
    manifest->system = mem_strdup("redis");
    manifest->system_version = mem_strdup(snapshot->version);
    manifest->lineage = mem_strdup(snapshot->component->name);
    manifest->recovery_point_ms = clock_wall_ms(); /* until finish knows better */
    json_object_update(manifest->facts, snapshot->facts);
    return 0;
}

enum step redis_snapshot_next(void *opened, struct snapshot_object *object, struct source **source,
                              struct err *err)
{
    struct snapshot *snapshot = opened;

    (void)err;
    if (snapshot->source == NULL)
        return STEP_END;
    *object = (struct snapshot_object){.name = REDIS_OBJECT, .format = "RDB"};
    *source = snapshot->source;
    snapshot->source = NULL;
    return STEP_OK;
}

int redis_snapshot_finish(void *opened, struct manifest *manifest, struct err *err)
{
    struct snapshot *snapshot = opened;
    const struct rdb_facts *facts = rdb_facts(snapshot->rdb);

    /* A file of another server may be younger than the save was. */
    if (facts->ctime_unix > 0 && facts->ctime_unix < snapshot->not_before_unix)
        return err_set(err, ERR_CONFIG,
                       "rdb_path: the file is of a moment before the save that was awaited; is it "
                       "the server's dir and dbfilename?");
    if (facts->ctime_unix > 0)
        manifest->recovery_point_ms = facts->ctime_unix * 1000;
    if (facts->replid[0] != '\0')
        json_object_update_new(json_object_get(manifest->facts, "server"),
                               json_pack("{s:s, s:I}", "replid", facts->replid, "repl_offset",
                                         (json_int_t)facts->repl_offset));
    json_object_set_new(manifest->facts, "rdb", redis_facts_json(facts));
    return 0;
}

void redis_snapshot_close(void *opened)
{
    struct snapshot *snapshot = opened;

    if (snapshot == NULL)
        return;
    source_close(snapshot->source);
    redis_conn_close(snapshot->conn);
    rdb_free(snapshot->rdb);
    json_decref(snapshot->facts);
    free(snapshot);
}
