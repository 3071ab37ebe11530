// SPDX-License-Identifier: Apache-2.0
// A server for a drill: on a unix socket in a folder that only we may enter, without a port and
// without persistence. It loads what it is served straight from the connection, so nothing of the
// backup lies on disk. It dies with us.
#include "redis_restoring.h"

#include "cancel.h"
#include "child.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define START_TIME_US INT64_C(30000000)
#define TOOL_TIME_US  INT64_C(10000000)
#define LOG_MAX_BYTES ((size_t)1 << 20)
#define SAID_BYTES    400

#define DEFAULT_DATABASES 16

struct redis_scratch {
    char *folder, *socket, *url;
    struct redis_options options;
    struct child *child;
};

static char *folder_path(const char *state_path, const struct component_options *component)
{
    return text_format("%s/redis/%s.drill", state_path, component->name);
}

/* A folder that only this code writes: files, no folders in it. */
static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    if (rmdir(path) < 0 && errno != ENOENT)
        log_warn("the folder of a drill is left", LOG_TEXT("path", path),
                 LOG_TEXT("err", strerror(errno)));
}

void redis_scratch_clean(const struct component_options *component, const char *state_path)
{
    char *path = folder_path(state_path, component);

    remove_folder(path);
    free(path);
}

/* "Redis server v=7.0.15 sha=..." or "Valkey server v=9.1.2 ..." */
static int ask_program(const char *path, bool *valkey, char version[32], struct err *err)
{
    const char *argv[] = {path, "--version", NULL};
    const struct child_spec spec = {.argv = argv, .reads = true};
    char *said = NULL;
    const char *at;

    if (child_run(&spec, 4096, clock_mono_us() + TOOL_TIME_US, &said, err) < 0)
        return -1;
    at = strstr(said, " v=");
    *valkey = text_starts_with(said, "Valkey");
    snprintf(version, 32, "%.*s", at == NULL ? 0 : (int)strcspn(at + 3, " \n"),
             at == NULL ? "" : at + 3);
    free(said);
    return 0;
}

/* The first of that name in PATH; NULL when there is none. */
static char *in_path(const char *name)
{
    const char *at = getenv("PATH");

    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        char *path = text_format("%.*s/%s", (int)len, at, name);

        if (len > 0 && access(path, X_OK) == 0)
            return path;
        free(path);
        at += len;
        at += *at == ':';
    }
    return NULL;
}

/* The one that is configured; else of the kind that the backup is of, else of the other. */
static int find_program(struct restoring *restoring, char **program, struct err *err)
{
    const char *configured = restoring->request.component->redis.server;
    const char *kind = json_string_value(
        json_object_get(json_object_get(restoring->request.manifest->facts, "server"), "name"));
    bool valkey = kind != NULL && strcmp(kind, "valkey") == 0;

    *program = configured != NULL ? mem_strdup(configured)
                                  : in_path(valkey ? "valkey-server" : "redis-server");
    if (*program == NULL)
        *program = in_path(valkey ? "redis-server" : "valkey-server");
    if (*program == NULL)
        return err_set(err, ERR_CONFIG,
                       "a drill needs a %s-server, and there is none in PATH; name one with "
                       "redis.server",
                       valkey ? "valkey" : "redis");
    if (ask_program(*program, &restoring->valkey, restoring->version, err) < 0)
        return -1;
    return redis_version_fits(restoring->request.manifest, restoring->valkey, restoring->version,
                              *program, err);
}

static int make_folder(struct redis_scratch *scratch, struct err *err)
{
    remove_folder(scratch->folder);
    if (file_make_parents(scratch->folder, err) < 0)
        return -1;
    if (mkdir(scratch->folder, 0700) < 0)
        return err_set_errno(err, errno, "make %s", scratch->folder);
    if (strlen(scratch->socket) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return err_set(err, ERR_CONFIG, "state.path is too long for the socket of a drill: %s",
                       scratch->socket);
    return 0;
}

/* Those of the backup and of the assertions; as many as a server has by default at least. */
static uint64_t databases_needed(const struct restoring *restoring)
{
    uint64_t last = redis_backup_last_database(restoring->request.manifest);

    for (size_t i = 0; i < restoring->assertion_count; i++)
        if (restoring->assertions[i].database > last)
            last = restoring->assertions[i].database;
    return last < DEFAULT_DATABASES ? DEFAULT_DATABASES : last + 1;
}

static int start_program(struct restoring *restoring, const char *program, struct err *err)
{
    struct redis_scratch *scratch = restoring->scratch;
    char *databases = text_format("%llu", (unsigned long long)databases_needed(restoring));
    char *log = text_format("%s/log", scratch->folder);
    const char *argv[] = {
        program, "--port", "0", "--unixsocket", scratch->socket, "--unixsocketperm", "700", "--dir",
        scratch->folder, "--logfile", log, "--save", "", "--appendonly", "no", "--daemonize", "no",
        "--repl-diskless-load", "on-empty-db", "--databases", databases,
        /* Older servers do not know it, and need it not. */
        strtol(restoring->version, NULL, 10) >= 7 ? "--enable-debug-command" : NULL, "local", NULL};
    const char *env[] = {"LC_ALL=C", NULL};
    const struct child_spec spec = {.argv = argv, .env = env};
    int rc = child_start(&spec, &scratch->child, err);

    free(databases);
    free(log);
    return rc;
}

static int await_start(struct restoring *restoring, struct err *err)
{
    struct redis_scratch *scratch = restoring->scratch;
    int64_t until_us = clock_mono_us() + START_TIME_US;

    for (;;) {
        struct err why = ERR_INIT;
        enum step step = child_ended(scratch->child, err);

        if (step != STEP_AGAIN) {
            char *said = redis_scratch_said(scratch);

            err_set(err, ERR_SOURCE, "the scratch server ended at once: %s", said);
            free(said);
            return -1;
        }
        if (redis_conn_open(&scratch->options, restoring->request.deadline_mono_us,
                            &restoring->conn, &why) == 0)
            return 0;
        if (why.kind != ERR_UNREACHABLE || clock_mono_us() > until_us) {
            *err = why;
            return err_wrap(err, "the scratch server");
        }
        if (cancel_wait(20, err) < 0)
            return -1;
    }
}

int redis_scratch_start(struct restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;
    struct redis_scratch *scratch = mem_calloc(1, sizeof *scratch);
    char *program = NULL;
    int rc = -1;

    restoring->scratch = scratch;
    scratch->folder = folder_path(request->state_path, request->component);
    scratch->socket = text_format("%s/socket", scratch->folder);
    scratch->url = text_format("unix://%s", scratch->socket);
    scratch->options = (struct redis_options){.url = scratch->url,
                                              .timeout_ms = request->component->redis.timeout_ms};
    if (find_program(restoring, &program, err) == 0 && make_folder(scratch, err) == 0 &&
        start_program(restoring, program, err) == 0)
        rc = await_start(restoring, err);
    free(program);
    return rc;
}

const struct redis_options *redis_scratch_options(const struct redis_scratch *scratch)
{
    return &scratch->options;
}

char *redis_scratch_said(const struct redis_scratch *scratch)
{
    char *path = text_format("%s/log", scratch->folder);
    char *said = NULL;
    size_t len = 0;
    struct err err = ERR_INIT;

    if (file_read(path, LOG_MAX_BYTES, &said, &len, &err) < 0)
        said = mem_strdup("it left no log");
    else if (len > SAID_BYTES)
        memmove(said, said + len - SAID_BYTES, SAID_BYTES + 1);
    free(path);
    text_fix_utf8(said);
    for (char *at = said; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    return said;
}

void redis_scratch_free(struct redis_scratch *scratch)
{
    if (scratch == NULL)
        return;
    child_free(scratch->child);
    remove_folder(scratch->folder);
    free(scratch->folder);
    free(scratch->socket);
    free(scratch->url);
    free(scratch);
}
