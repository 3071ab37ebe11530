// SPDX-License-Identifier: Apache-2.0
// Whole small files, folders, descriptors.
#include "file.h"

#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int fd_set_nonblocking(int fd, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return err_set_errno(err, errno, "set descriptor non-blocking");
    return 0;
}

int fd_write_all(int fd, const void *data, size_t len, struct err *err)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "write");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads to the end or to cap, whichever comes first. */
static int read_up_to(int fd, char *data, size_t cap, size_t *len, struct err *err)
{
    *len = 0;
    while (*len < cap) {
        ssize_t n = read(fd, data + *len, cap - *len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "read");
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return 0;
}

int file_read(const char *path, size_t max_bytes, char **data, size_t *len, struct err *err)
{
    int rc = -1;
    size_t got = 0;
    char *buffer = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        int reason = errno;

        err_set_errno(err, reason, "open");
        if (reason == ENOENT)
            err->kind = ERR_NOT_FOUND;
        goto out;
    }
    buffer = mem_calloc(max_bytes + 2, 1);
    if (read_up_to(fd, buffer, max_bytes + 1, &got, err) < 0)
        goto out;
    if (got > max_bytes) {
        err_set(err, ERR_IO, "larger than %zu bytes", max_bytes);
        goto out;
    }
    *data = mem_strndup(buffer, got);
    if (len != NULL)
        *len = got;
    rc = 0;
out:
    if (rc < 0)
        err_wrap(err, "read %s", path);
    fd_close(&fd);
    free(buffer);
    return rc;
}

int file_sync_parent(const char *path, struct err *err)
{
    int rc = 0;
    char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    int fd;

    if (slash == folder)
        slash[1] = '\0';
    else if (slash != NULL)
        *slash = '\0';
    fd = open(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = err_set_errno(err, errno, "sync folder of %s", path);
    fd_close(&fd);
    free(folder);
    return rc;
}

int file_replace(const char *path, const void *data, size_t len, struct err *err)
{
    int rc = -1;
    char *part = text_format("%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        err_set_errno(err, errno, "open %s", part);
        goto out;
    }
    if (fd_write_all(fd, data, len, err) < 0)
        goto out;
    if (fsync(fd) < 0) {
        err_set_errno(err, errno, "sync %s", part);
        goto out;
    }
    if (rename(part, path) < 0) {
        err_set_errno(err, errno, "rename %s", part);
        goto out;
    }
    rc = file_sync_parent(path, err);
out:
    if (rc < 0) {
        unlink(part);
        err_wrap(err, "replace %s", path);
    }
    fd_close(&fd);
    free(part);
    return rc;
}

/* One that is there is fine, if it is a folder. */
static int make_folder(const char *path, struct err *err)
{
    struct stat info;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return 0;
    return err_set_errno(err, errno == EEXIST ? ENOTDIR : errno, "make folder %s", path);
}

int file_make_folders(const char *path, struct err *err)
{
    int rc = 0;
    char *copy = mem_strdup(path);

    for (char *at = copy + 1; rc == 0 && *copy != '\0'; at++) {
        char kept = *at;

        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        rc = make_folder(copy, err);
        *at = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    return rc;
}

int file_make_parents(const char *path, struct err *err)
{
    int rc = 0;
    const char *slash = strrchr(path, '/');

    if (slash != NULL && slash != path) {
        char *folder = mem_strndup(path, (size_t)(slash - path));

        rc = file_make_folders(folder, err);
        free(folder);
    }
    return rc;
}

int file_remove(const char *path, struct err *err)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return err_set_errno(err, errno, "remove %s", path);
    return 0;
}
