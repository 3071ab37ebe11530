// SPDX-License-Identifier: Apache-2.0
// Writing one file: a temporary name, fsync, a rename that replaces nothing, fsync of the folder.
// The kernel is asked to start writing back early, so that the fsync at the end is short.
#include "internal.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BACK_BYTES ((off_t)8 << 20)

struct local_sink {
    struct sink sink;
    const struct local_store *local;
    char *path, *part; /* part: NULL when there is none */
    int fd;
    off_t written, handed_over; /* bytes; handed over to the write-back */
};

static enum step local_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct local_sink *local = (struct local_sink *)sink;
    size_t left = in->len - in->pos;

    if (fd_write_all(local->fd, in->data + in->pos, left, err) < 0) {
        err_wrap(err, "%s", local->part);
        return STEP_ERROR;
    }
    in->pos = in->len;
    local->written += (off_t)left;
    if (local->written - local->handed_over >= WRITE_BACK_BYTES) {
        sync_file_range(local->fd, local->handed_over, local->written - local->handed_over,
                        SYNC_FILE_RANGE_WRITE);
        local->handed_over = local->written;
    }
    return STEP_OK;
}

/* Both files whole, byte by byte. */
static int same_content(const char *a, const char *b, bool *same, struct err *err)
{
    int rc = -1;
    FILE *file_a = fopen(a, "re");
    FILE *file_b = fopen(b, "re");
    int c = 0;

    if (file_a == NULL || file_b == NULL) {
        err_set_errno(err, errno, "compare %s with %s", a, b);
        goto out;
    }
    *same = true;
    while (*same && c != EOF) {
        c = getc_unlocked(file_a);
        *same = c == getc_unlocked(file_b);
    }
    if (ferror(file_a) || ferror(file_b)) {
        err_set_errno(err, errno, "compare %s with %s", a, b);
        goto out;
    }
    rc = 0;
out:
    if (file_a != NULL)
        fclose(file_a);
    if (file_b != NULL)
        fclose(file_b);
    return rc;
}

static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* A file system without RENAME_NOREPLACE: a link fails on an existing name just as well. */
    if (link(from, to) < 0)
        return -1;
    unlink(from); /* what stays is listed as an upload; the file itself is there */
    return 0;
}

/* A folder that was made for this file is durable only once the one around it is. */
static int sync_folders(const struct local_sink *local, struct err *err)
{
    size_t root_len = strlen(local->local->root);
    char *path = mem_strdup(local->path);
    int rc = 0;

    for (char *slash = path; rc == 0 && slash != NULL && strlen(path) > root_len;) {
        rc = file_sync_parent(path, err);
        slash = strrchr(path, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    free(path);
    return rc;
}

static int publish(struct local_sink *local, struct err *err)
{
    bool same = false;

    if (rename_new(local->part, local->path) < 0) {
        if (errno == ENOENT)
            return err_set(err, ERR_CONFLICT, "%s was removed while it was written", local->part);
        if (errno != EEXIST)
            return err_set_errno(err, errno, "rename %s", local->part);
        if (same_content(local->part, local->path, &same, err) < 0)
            return -1;
        if (!same)
            return err_set(err, ERR_EXISTS, "%s exists with other content", local->path);
        unlink(local->part);
    }
    free(local->part);
    local->part = NULL;
    return sync_folders(local, err);
}

static enum step local_commit(struct sink *sink, struct err *err)
{
    struct local_sink *local = (struct local_sink *)sink;

    if (fsync(local->fd) < 0) {
        err_set_errno(err, errno, "sync %s", local->part);
        return STEP_ERROR;
    }
    return publish(local, err) < 0 ? STEP_ERROR : STEP_END;
}

static void local_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void local_close(struct sink *sink)
{
    struct local_sink *local = (struct local_sink *)sink;
    struct err err = ERR_INIT;

    fd_close(&local->fd);
    if (local->part != NULL && local_remove_file(local->local, local->part, &err) < 0)
        log_warn("left to the next prune", LOG_TEXT("err", err.text));
    free(local->part);
    free(local->path);
    free(local);
}

static const struct sink_ops local_sink_ops = {
    .name = "local disk",
    .write = local_write,
    .commit = local_commit,
    .arm = local_arm,
    .close = local_close,
};

static int open_part(struct local_sink *local, struct err *err)
{
    uint32_t tail;

    /* A prune may remove a folder, empty as it still is, at any moment before the file is there. */
    for (int attempt = 0; attempt < 5; attempt++) {
        if (file_make_parents(local->path, err) < 0)
            continue;
        if (getrandom(&tail, sizeof tail, 0) != sizeof tail)
            return err_set_errno(err, errno, "random name");
        local->part = text_format("%s" LOCAL_PART_MARK "%08x", local->path, tail);
        local->fd = open(local->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (local->fd >= 0)
            return 0;
        err_set_errno(err, errno, "create %s", local->part);
        free(local->part);
        local->part = NULL;
    }
    return -1;
}

int local_put(struct store *store, const char *key, struct sink **sink, struct err *err)
{
    struct local_sink *local = mem_calloc(1, sizeof *local);

    local->sink.ops = &local_sink_ops;
    local->local = (struct local_store *)store;
    local->fd = -1;
    if (local_path(local->local, key, &local->path, err) < 0 || open_part(local, err) < 0) {
        local_close(&local->sink);
        return -1;
    }
    *sink = &local->sink;
    return 0;
}
