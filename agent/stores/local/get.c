// SPDX-License-Identifier: Apache-2.0
// Reading one file. The length is that of the file when it was opened; what is shorter at the end
// is a broken disk, and said so.
#include "internal.h"

#include "file.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct local_source {
    struct source source;
    char *path;
    int fd;
    uint64_t left;
};

static enum step local_read(struct source *source, struct span_out *out, struct err *err)
{
    struct local_source *local = (struct local_source *)source;
    size_t space = out->cap - out->len;
    ssize_t n;

    if (local->left == 0)
        return STEP_END;
    do
        n = read(local->fd, out->data + out->len,
                 space < local->left ? space : (size_t)local->left);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        err_set_errno(err, errno, "read %s", local->path);
        return STEP_ERROR;
    }
    if (n == 0) {
        err_set(err, ERR_CORRUPT, "%s ends %llu bytes before its length", local->path,
                (unsigned long long)local->left);
        return STEP_ERROR;
    }
    out->len += (size_t)n;
    local->left -= (uint64_t)n;
    return local->left == 0 ? STEP_END : STEP_OK;
}

static void local_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    (void)source;
    (void)loop;
    waker.wake(waker.arg);
}

static void local_close(struct source *source)
{
    struct local_source *local = (struct local_source *)source;

    fd_close(&local->fd);
    free(local->path);
    free(local);
}

static const struct source_ops local_source_ops = {
    .name = "local disk",
    .read = local_read,
    .arm = local_arm,
    .close = local_close,
};

/* What is no plain file is no object, and opening it must not wait for a writer. */
static int open_object(struct local_source *local, struct err *err)
{
    struct stat info;
    int reason;

    local->fd = open(local->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (local->fd < 0 || fstat(local->fd, &info) < 0) {
        reason = errno;
        err_set_errno(err, reason, "open %s", local->path);
        if (reason == ENOENT || reason == ENOTDIR || reason == ELOOP)
            err->kind = ERR_NOT_FOUND;
        return -1;
    }
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_NOT_FOUND, "open %s: it is no plain file", local->path);
    local->left = (uint64_t)info.st_size;
    return 0;
}

int local_get(struct store *store, const char *key, struct source **source, struct err *err)
{
    struct local_source *local = mem_calloc(1, sizeof *local);

    local->source.ops = &local_source_ops;
    local->fd = -1;
    if (local_path((struct local_store *)store, key, &local->path, err) < 0 ||
        open_object(local, err) < 0) {
        local_close(&local->source);
        return -1;
    }
    *source = &local->source;
    return 0;
}
