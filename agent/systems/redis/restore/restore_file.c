// SPDX-License-Identifier: Apache-2.0
// --to FILE: the RDB as a file for a server that starts with it. It appears whole and proven, or
// not at all, and never in the place of another.
#include "redis_restoring.h"

#include "file.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPARE_BYTES ((size_t)64 << 10)

struct file_sink {
    struct sink sink;
    struct sink *proof; /* sees every byte first */
    char *path, *part;
    int fd;
};

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static int check_path(const char *to, struct err *err)
{
    if (to[0] == '/' && !text_ends_with(to, "/"))
        return 0;
    return err_set(err, ERR_USAGE, "--to must be the absolute path of a file, as /data/dump.rdb");
}

/* Whether a folder beside the file holds an append-only file with something in it. */
static bool has_aof(const char *folder)
{
    char *path = text_format("%s/appendonlydir", folder);
    char *old = text_format("%s/appendonly.aof", folder);
    DIR *dir = opendir(path);
    struct stat info;
    bool found = stat(old, &info) == 0 && info.st_size > 0;
    const struct dirent *entry;

    while (dir != NULL && !found && (entry = readdir(dir)) != NULL)
        found = entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    free(path);
    free(old);
    return found;
}

int redis_file_occupied(const char *to, char **what, struct err *err)
{
    struct stat info;
    char *folder;

    *what = NULL;
    if (check_path(to, err) < 0)
        return -1;
    folder = folder_of(to);
    if (lstat(to, &info) == 0)
        *what = text_format("%s is there", to);
    else if (has_aof(folder))
        *what = text_format("%s holds an append-only file", folder);
    free(folder);
    return 0;
}

int redis_file_check(struct restoring *restoring, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    const char *to = restoring->request.to;
    struct stat info;
    char *folder;
    int rc = 0;

    if (check_path(to, err) < 0)
        return -1;
    folder = folder_of(to);
    if (stat(folder, &info) < 0)
        rc = err_set_errno(err, errno, "--to %s: %s", to, folder);
    else if (lstat(to, &info) == 0 &&
             (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != manifest->objects[0].plain_bytes))
        rc = err_set(err, ERR_EXISTS, "%s is there, and is something else than this backup", to);
    else if (has_aof(folder))
        rc = err_set(err, ERR_EXISTS,
                     "%s holds an append-only file: a server with appendonly yes would load that, "
                     "and never look at %s; move it away first",
                     folder, to);
    if (rc == 0)
        restoring->hint = text_format(
            "a server with appendonly yes would start empty beside it: start it once with "
            "appendonly no, say CONFIG SET appendonly yes, and wait until aof_rewrite_in_progress "
            "is 0");
    free(folder);
    return rc;
}

static enum step file_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct file_sink *to = (struct file_sink *)sink;
    struct span_in seen = {.data = in->data, .len = in->len, .pos = in->pos};
    enum step step = to->proof->ops->write(to->proof, &seen, err);

    if (step != STEP_OK)
        return step;
    if (fd_write_all(to->fd, in->data + in->pos, seen.pos - in->pos, err) < 0) {
        err_wrap(err, "write %s", to->part);
        return STEP_ERROR;
    }
    in->pos = seen.pos;
    return STEP_OK;
}

static bool same_bytes(int a, int b)
{
    uint8_t *left = mem_calloc(2, COMPARE_BYTES);
    uint8_t *right = left + COMPARE_BYTES;
    bool same = true;
    off_t at = 0;
    ssize_t got;

    do {
        got = pread(a, left, COMPARE_BYTES, at);
        same = got >= 0 && pread(b, right, COMPARE_BYTES, at) == got &&
               memcmp(left, right, (size_t)got) == 0;
        at += got;
    } while (same && got > 0);
    free(left);
    return same;
}

/* The file is there already: fine when it is this one. */
static int accept_equal(const struct file_sink *to, struct err *err)
{
    int there = open(to->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool same = there >= 0 && same_bytes(to->fd, there);

    fd_close(&there);
    if (same)
        return 0;
    return err_set(err, ERR_EXISTS, "%s is there, and is something else than this backup",
                   to->path);
}

static enum step file_commit(struct sink *sink, struct err *err)
{
    struct file_sink *to = (struct file_sink *)sink;
    enum step step = to->proof->ops->commit(to->proof, err);
    int rc;

    if (step != STEP_END)
        return step;
    if (fsync(to->fd) < 0) {
        err_set_errno(err, errno, "fsync %s", to->part);
        return STEP_ERROR;
    }
    /* Unlike rename, link replaces nothing. */
    rc = link(to->part, to->path);
    if (rc < 0 && errno == EEXIST)
        rc = accept_equal(to, err);
    else if (rc < 0)
        err_set_errno(err, errno, "link %s", to->path);
    if (rc < 0 || unlink(to->part) < 0 || file_sync_parent(to->path, err) < 0)
        return STEP_ERROR;
    return STEP_END;
}

static void file_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct file_sink *to = (struct file_sink *)sink;

    to->proof->ops->arm(to->proof, loop, waker);
}

static void file_close(struct sink *sink)
{
    struct file_sink *to = (struct file_sink *)sink;

    sink_close(to->proof);
    fd_close(&to->fd);
    unlink(to->part); /* gone already after a commit */
    free(to->path);
    free(to->part);
    free(to);
}

static const struct sink_ops file_sink_ops = {
    .name = "file",
    .write = file_write,
    .commit = file_commit,
    .arm = file_arm,
    .close = file_close,
};

int redis_file_sink(const struct restoring *restoring, struct sink *proof, struct sink **sink,
                    struct err *err)
{
    const char *to = restoring->request.to;
    struct file_sink *file = mem_calloc(1, sizeof *file);
    char *folder = folder_of(to);
    struct stat info;

    file->sink.ops = &file_sink_ops;
    file->proof = proof;
    file->path = mem_strdup(to);
    /* One name for all: what a killed job left is overwritten by the next. */
    file->part = text_format("%s.lifeboat-part", to);
    file->fd = open(file->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file->fd < 0) {
        err_set_errno(err, errno, "open %s", file->part);
        sink_close(&file->sink);
        free(folder);
        return -1;
    }
    /* The server is seldom the user that we are: as root, the file is for whom the folder is. */
    if (geteuid() == 0 && stat(folder, &info) == 0 &&
        fchown(file->fd, info.st_uid, info.st_gid) < 0)
        log_debug("the owner of the file stays", LOG_TEXT("file", to));
    free(folder);
    *sink = &file->sink;
    return 0;
}
