// SPDX-License-Identifier: Apache-2.0
// The server's own file. A save is known to be done by one thing alone: that the time of the last
// save moved on. `rdb_bgsave_in_progress:0` with `rdb_last_bgsave_status:ok` holds as well before a
// scheduled save begins, after one that was killed, and when it was for a replica.
//
//   ask     BGSAVE SCHEDULE: started, scheduled (another child runs), or one is under way already
//   await   INFO, every 100 ms
//   again   when nothing runs, nothing moved and nothing failed: two saves within one second move
//           the time of the last save once, so there is a second between two askings
//
// The file is opened once: the server replaces it by rename, never in place.
#include "redis_snapshot.h"

#include "file.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS       100
#define ASK_AGAIN_MS  1100
#define CLOCK_SLACK_S 5 /* between the server's clock and that of the file system */

struct saving {
    struct redis_conn *conn;
    int64_t last_save_unix; /* before we asked */
    bool began;             /* a save that is ours, or that we joined; else it was only scheduled */
    int idle_ms;            /* how long nothing has run since we asked */
};

static int ask_for_save(struct saving *saving, struct err *err)
{
    static const char *const argv[] = {"BGSAVE", "SCHEDULE"};
    redisReply *reply = NULL;
    int rc = 0;

    if (redis_conn_ask(saving->conn, 2, argv, NULL, &reply, err) < 0)
        return -1;
    log_debug("BGSAVE", LOG_TEXT("reply", reply->str == NULL ? "" : reply->str));
    saving->idle_ms = 0;
    if ((reply->type == REDIS_REPLY_STATUS && strstr(reply->str, "started") != NULL) ||
        (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "in progress") != NULL))
        saving->began = true;
    else if (reply->type == REDIS_REPLY_STATUS && strstr(reply->str, "scheduled") != NULL)
        saving->began = false;
    else if (redis_reply_check(reply, "BGSAVE", err) == 0)
        rc = err_set(err, ERR_CORRUPT, "%s does not answer BGSAVE as Redis does",
                     redis_conn_place(saving->conn));
    else
        rc = -1;
    freeReplyObject(reply);
    return rc;
}

static int failed(const char *info, struct err *err)
{
    char status[32], seconds[32], changes[32];

    redis_info_field(info, "rdb_last_bgsave_status", status, sizeof status);
    redis_info_field(info, "rdb_last_bgsave_time_sec", seconds, sizeof seconds);
    redis_info_field(info, "rdb_changes_since_last_save", changes, sizeof changes);
    return err_set(err, ERR_SOURCE,
                   "the server could not save: rdb_last_bgsave_status:%s, "
                   "rdb_last_bgsave_time_sec:%s, rdb_changes_since_last_save:%s; its log says why "
                   "(no space on its volume, or no memory to fork?)",
                   status, seconds, changes);
}

/* 1: saved. 0: not yet. */
static int look(struct saving *saving, const char *info, struct err *err)
{
    bool runs = redis_info_number(info, "rdb_bgsave_in_progress", 0) != 0;
    bool other = redis_info_number(info, "aof_rewrite_in_progress", 0) != 0 ||
                 redis_info_number(info, "module_fork_in_progress", 0) != 0;
    char status[16];

    if (redis_info_number(info, "rdb_last_save_time", saving->last_save_unix) !=
        saving->last_save_unix)
        return 1;
    redis_info_field(info, "rdb_last_bgsave_status", status, sizeof status);
    if (!runs && saving->began && strcmp(status, "ok") != 0)
        return failed(info, err);
    if (runs)
        saving->began = true;
    saving->idle_ms = runs || other ? 0 : saving->idle_ms + POLL_MS;
    return 0;
}

static int await_save(struct saving *saving, struct err *err)
{
    for (;;) {
        char *info = NULL;
        int rc;

        if (redis_info(saving->conn, "persistence", &info, err) < 0)
            return -1;
        rc = look(saving, info, err);
        free(info);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        if (saving->idle_ms >= ASK_AGAIN_MS && ask_for_save(saving, err) < 0)
            return -1;
        if (redis_conn_pause(saving->conn, POLL_MS, err) < 0)
            return -1;
    }
}

/* --- its file --- */

struct rdb_file {
    struct source source;
    struct rdb *rdb; /* lent */
    char *path;
    int fd;
};

static enum step file_step(struct source *source, struct span_out *out, struct err *err)
{
    struct rdb_file *file = (struct rdb_file *)source;
    ssize_t got;

    do
        got = read(file->fd, out->data + out->len, out->cap - out->len);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        err_set_errno(err, errno, "read %s", file->path);
        return STEP_ERROR;
    }
    if (got == 0)
        return redis_feed_end(file->rdb, err) < 0 ? STEP_ERROR : STEP_END;
    if (redis_feed(file->rdb, out->data + out->len, (size_t)got, err) < 0)
        return STEP_ERROR;
    out->len += (size_t)got;
    return STEP_OK;
}

static void file_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    (void)source;
    (void)loop;
    waker.wake(waker.arg);
}

static void file_close(struct source *source)
{
    struct rdb_file *file = (struct rdb_file *)source;

    fd_close(&file->fd);
    free(file->path);
    free(file);
}

static const struct source_ops file_ops = {
    .name = "the server's file",
    .read = file_step,
    .arm = file_arm,
    .close = file_close,
};

/* An older file lies there when rdb_path is not where the server saves. */
static int check_file(int fd, const char *path, int64_t not_before_unix, struct err *err)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return err_set_errno(err, errno, "rdb_path: %s", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_CONFIG, "rdb_path: %s is no file", path);
    if (status.st_mtim.tv_sec + CLOCK_SLACK_S < not_before_unix)
        return err_set(err, ERR_CONFIG,
                       "rdb_path: %s is older than what the server has just saved; is it the "
                       "server's dir and dbfilename?",
                       path);
    return 0;
}

static int open_file(const char *path, int64_t not_before_unix, struct rdb *rdb,
                     struct source **source, struct err *err)
{
    /* Not to wait for ever for a pipe's other end. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct rdb_file *file;

    if (fd < 0) {
        err_set_errno(err, errno, "rdb_path: %s", path);
        return err_wrap(err, "the server has saved, but its file cannot be opened");
    }
    if (check_file(fd, path, not_before_unix, err) < 0) {
        fd_close(&fd);
        return -1;
    }
    file = mem_calloc(1, sizeof *file);
    *file =
        (struct rdb_file){.source.ops = &file_ops, .rdb = rdb, .path = mem_strdup(path), .fd = fd};
    *source = &file->source;
    return 0;
}

int redis_bgsave_open(struct redis_conn *conn, const struct redis_options *options, struct rdb *rdb,
                      int64_t *not_before_unix, struct source **source, struct err *err)
{
    struct saving saving = {.conn = conn};
    char *info = NULL;

    if (redis_info(conn, "persistence", &info, err) < 0)
        return -1;
    saving.last_save_unix = redis_info_number(info, "rdb_last_save_time", -1);
    free(info);
    if (saving.last_save_unix < 0)
        return err_set(err, ERR_CORRUPT, "%s says no rdb_last_save_time in INFO",
                       redis_conn_place(conn));
    if (ask_for_save(&saving, err) < 0)
        return -1;
    if (await_save(&saving, err) < 0)
        return err_wrap(err, "await BGSAVE");
    *not_before_unix = saving.last_save_unix;
    return open_file(options->rdb_path, saving.last_save_unix, rdb, source, err);
}
