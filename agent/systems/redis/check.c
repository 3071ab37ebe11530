// SPDX-License-Identifier: Apache-2.0
// Each finding is a line, and the rest is looked at whatever was found. Rights are tried out with
// calls that the server refuses for their arguments, after it has looked at the rights and before
// it does anything: PSYNC with an offset that is no number, BGSAVE with a word it does not know.
#include "redis_snapshot.h"

#include "cancel.h"
#include "check_lines.h"
#include "clock.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_SECONDS 30

struct checking {
    const struct component_options *component;
    struct redis_conn *conn;
    struct check_lines lines;
    int64_t deadline_mono_us;
    int major; /* of the version that the server speaks as Redis */
};

/* A section of INFO, or NULL when that was said to have failed; free() it. */
static char *ask_info(struct checking *checking, const char *section, const char *what)
{
    struct err err = ERR_INIT;
    char *info = NULL;

    if (redis_info(checking->conn, section, &info, &err) < 0)
        check_say_err(&checking->lines, what, &err);
    return info;
}

/* A setting of the server's, "" when this user may not ask; that is no fault. */
static void ask_config(struct checking *checking, const char *name, char *value, size_t cap)
{
    const char *argv[] = {"CONFIG", "GET", name};
    redisReply *reply = NULL;
    struct err ignored = ERR_INIT;

    value[0] = '\0';
    if (redis_conn_ask(checking->conn, 3, argv, NULL, &reply, &ignored) < 0)
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str != NULL)
        snprintf(value, cap, "%s", reply->element[1]->str);
    freeReplyObject(reply);
}

static void check_server(struct checking *checking)
{
    char *info = ask_info(checking, "server", "connection");
    char redis[32], valkey[32], mode[16];

    if (info == NULL)
        return;
    redis_info_field(info, "redis_version", redis, sizeof redis);
    if (!redis_info_field(info, "redis_mode", mode, sizeof mode))
        redis_info_field(info, "server_mode", mode, sizeof mode);
    checking->major = (int)strtol(redis, NULL, 10);
    if (redis_info_field(info, "valkey_version", valkey, sizeof valkey))
        check_say(&checking->lines, CHECK_OK, "connection", "%s, Valkey %s",
                  redis_conn_place(checking->conn), valkey);
    else
        check_say(&checking->lines, CHECK_OK, "connection", "%s, Redis %s",
                  redis_conn_place(checking->conn), redis);
    if (strcmp(mode, "cluster") == 0)
        check_say(
            &checking->lines, CHECK_WARN, "cluster",
            "only the slots of this node are protected by this component; each primary needs its "
            "own");
    free(info);
}

static bool is_near(const struct redis_address *address)
{
    return address->kind == REDIS_UNIX || strcmp(address->host, "localhost") == 0 ||
           strcmp(address->host, "::1") == 0 || text_starts_with(address->host, "127.");
}

static void check_encryption(struct checking *checking)
{
    struct redis_address address = {.kind = REDIS_UNIX};
    struct err ignored = ERR_INIT;

    redis_address_parse(checking->component->redis.url, &address, &ignored);
    if (address.kind == REDIS_TCP && !is_near(&address))
        check_say(&checking->lines, CHECK_WARN, "encryption",
                  "data%s travel in the clear; rediss:// would protect them",
                  checking->component->redis.password == NULL ? "" : " and password");
}

static void check_role(struct checking *checking)
{
    char *info = ask_info(checking, "replication", "run_on");
    struct err err = ERR_INIT;

    if (info == NULL)
        return;
    if (redis_check_role(checking->component, info, &err) < 0)
        check_say(&checking->lines, err.kind == ERR_ELSEWHERE ? CHECK_WARN : CHECK_FAIL, "run_on",
                  "%s", err.text);
    else
        check_say(&checking->lines, CHECK_OK, "run_on", "the server is what run_on says");
    free(info);
}

/* --- rights --- */

static void say_right(struct checking *checking, const char *command, const redisReply *reply)
{
    struct err err = ERR_INIT;

    if (redis_reply_check(reply, command, &err) < 0 && err.kind == ERR_DENIED)
        check_say_err(&checking->lines, "rights", &err);
    else if (err.kind == ERR_UNREACHABLE)
        check_say(&checking->lines, CHECK_WARN, "rights", "%s", err.text);
    else
        check_say(&checking->lines, CHECK_OK, "rights", "%s may be called", command);
}

static void try_right(struct checking *checking, size_t argc, const char *const *argv)
{
    struct redis_conn *conn = NULL;
    redisReply *reply = NULL;
    struct err err = ERR_INIT;

    if (redis_conn_open(&checking->component->redis, checking->deadline_mono_us, &conn, &err) < 0 ||
        redis_conn_ask(conn, argc, argv, NULL, &reply, &err) < 0)
        check_say_err(&checking->lines, "rights", &err);
    else
        say_right(checking, argv[0], reply);
    freeReplyObject(reply);
    redis_conn_close(conn);
}

static void check_rights(struct checking *checking)
{
    static const char *const replconf[] = {"REPLCONF", "capa", "eof"};
    static const char *const psync[] = {"PSYNC", "?", "none"};
    static const char *const bgsave[] = {"BGSAVE", "NOTHING"};

    if (checking->component->redis.method == REDIS_BGSAVE) {
        try_right(checking, 2, bgsave);
        return;
    }
    try_right(checking, 3, replconf);
    /* Before 7.0 the offset was looked at too late: a transfer would begin. */
    if (checking->major >= 7)
        try_right(checking, 3, psync);
    else
        check_say(&checking->lines, CHECK_WARN, "rights",
                  "PSYNC cannot be tried with this version");
}

/* --- what the method needs --- */

static void check_file(struct checking *checking)
{
    const char *path = checking->component->redis.rdb_path;
    char name[256];
    const char *base = strrchr(path, '/') + 1;

    if (access(path, R_OK) == 0)
        check_say(&checking->lines, CHECK_OK, "rdb_path", "%s can be read", path);
    else if (errno == ENOENT)
        check_say(&checking->lines, CHECK_WARN, "rdb_path",
                  "%s is not there: the server has not saved yet, or saves elsewhere", path);
    else
        check_say(&checking->lines, CHECK_FAIL, "rdb_path", "%s: %s", path, strerror(errno));
    ask_config(checking, "dbfilename", name, sizeof name);
    if (name[0] != '\0' && strcmp(name, base) != 0)
        check_say(&checking->lines, CHECK_FAIL, "rdb_path", "the server's dbfilename is %s, not %s",
                  name, base);
}

static void check_transfer(struct checking *checking)
{
    char diskless[8], timeout[16];

    ask_config(checking, "repl-diskless-sync", diskless, sizeof diskless);
    ask_config(checking, "repl-timeout", timeout, sizeof timeout);
    if (strcmp(diskless, "no") == 0)
        check_say(&checking->lines, CHECK_OK, "transfer",
                  "the server writes a file on its volume first, and sends that "
                  "(repl-diskless-sync no)");
    else if (diskless[0] == '\0')
        check_say(
            &checking->lines, CHECK_OK, "transfer",
            "this user may not ask for repl-timeout: a store that takes nothing for so long ends "
            "the transfer");
    else
        check_say(
            &checking->lines, CHECK_OK, "transfer",
            "straight from memory; a store that takes nothing for %s s (repl-timeout) ends it",
            timeout);
}

static void check_persistence(struct checking *checking)
{
    char *info = ask_info(checking, "persistence", "persistence");
    char status[16];

    if (info == NULL)
        return;
    redis_info_field(info, "rdb_last_bgsave_status", status, sizeof status);
    if (strcmp(status, "ok") != 0)
        check_say(&checking->lines, CHECK_WARN, "persistence",
                  "the server's last save failed (rdb_last_bgsave_status:%s); its log says why",
                  status);
    else
        check_say(&checking->lines, CHECK_OK, "persistence",
                  "the last save was well; appendonly is %s",
                  redis_info_number(info, "aof_enabled", 0) != 0 ? "on" : "off");
    free(info);
}

static void check_unprotected(struct checking *checking)
{
    check_say(&checking->lines, CHECK_OK, "unprotected",
              "users (ACL) and configuration are in no RDB file; keep them elsewhere");
}

static void say_grants(struct checking *checking)
{
    const struct redis_options *options = &checking->component->redis;

    check_say(&checking->lines, CHECK_OK, "grant",
              "ACL SETUSER %s on >PASSWORD resetkeys -@all +ping +info %s",
              options->user == NULL ? "lifeboat" : options->user,
              options->method == REDIS_BGSAVE ? "+bgsave" : "+replconf +psync");
}

int redis_check(const struct agent_options *options, const struct component_options *component,
                bool grants, check_fn *line, void *arg, struct err *err)
{
    struct checking checking = {
        .component = component,
        .lines = {.line = line, .arg = arg},
        .deadline_mono_us = clock_mono_us() + CHECK_SECONDS * INT64_C(1000000),
    };
    struct err refused = ERR_INIT;

    (void)options;
    if (redis_conn_open(&component->redis, checking.deadline_mono_us, &checking.conn, &refused) <
        0) {
        check_say_err(&checking.lines, "connection", &refused);
    } else {
        check_server(&checking);
        check_encryption(&checking);
        check_role(&checking);
        check_rights(&checking);
        if (component->redis.method == REDIS_BGSAVE)
            check_file(&checking);
        else
            check_transfer(&checking);
        check_persistence(&checking);
        check_unprotected(&checking);
    }
    redis_conn_close(checking.conn);
    if (grants)
        say_grants(&checking);
    return cancel_check(err);
}
