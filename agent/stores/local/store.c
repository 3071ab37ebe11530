// SPDX-License-Identifier: Apache-2.0
// The small calls of the local store, and its table.
#include "internal.h"
#include "local.h"

#include "file.h"
#include "mem.h"
#include "store_options.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int local_path(const struct local_store *local, const char *key, char **path, struct err *err)
{
    char *around = text_format("/%s/", key);
    bool leaves = key[0] == '\0' || strstr(around, "/../") != NULL ||
                  strstr(around, "/./") != NULL || strstr(around, "//") != NULL;

    free(around);
    if (leaves)
        return err_set(err, ERR_INTERNAL, "\"%s\" is no key of a store", key);
    *path = text_format("%s/%s", local->root, key);
    return 0;
}

static int local_open(const struct store_options *options, struct ev_loop *loop,
                      struct store **store, struct err *err)
{
    struct local_store *local;

    (void)loop;
    if (file_make_folders(options->local.path, err) < 0)
        return -1;
    local = mem_calloc(1, sizeof *local);
    local->root = mem_strdup(options->local.path);
    *store = &local->store;
    return 0;
}

static void local_close(struct store *store)
{
    struct local_store *local = (struct local_store *)store;

    free(local->root);
    free(local);
}

static int local_stat(struct store *store, const char *key, struct store_entry *entry,
                      struct err *err)
{
    char *path = NULL;
    struct stat info;
    int rc = local_path((struct local_store *)store, key, &path, err);

    if (rc == 0 && lstat(path, &info) < 0) {
        int kept_errno = errno;

        rc = err_set_errno(err, kept_errno, "look at %s", path);
        if (kept_errno == ENOENT || kept_errno == ENOTDIR)
            err->kind = ERR_NOT_FOUND;
    }
    if (rc == 0 && !S_ISREG(info.st_mode))
        rc = err_set(err, ERR_NOT_FOUND, "%s is no plain file", path);
    if (rc == 0) {
        entry->bytes = (uint64_t)info.st_size;
        entry->modified_ms = (int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
    }
    free(path);
    return rc;
}

static int local_list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                      struct err *err)
{
    return local_walk(store, prefix, false, each, arg, err);
}

static int local_list_uploads(struct store *store, const char *prefix, store_each_fn *each,
                              void *arg, struct err *err)
{
    return local_walk(store, prefix, true, each, arg, err);
}

int local_remove_file(const struct local_store *local, char *path, struct err *err)
{
    size_t root_len = strlen(local->root);

    if (file_remove(path, err) < 0)
        return -1;
    for (char *slash = strrchr(path, '/'); slash > path + root_len; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (rmdir(path) < 0)
            break;
    }
    return 0;
}

static int local_remove(struct store *store, const char *key, struct err *err)
{
    const struct local_store *local = (struct local_store *)store;
    char *path = NULL;
    int rc = local_path(local, key, &path, err);

    if (rc == 0)
        rc = local_remove_file(local, path, err);
    free(path);
    return rc;
}

static int local_abort_upload(struct store *store, const char *key, const char *upload,
                              struct err *err)
{
    char *part = text_format("%s" LOCAL_PART_MARK "%s", key, upload);
    int rc = local_remove(store, part, err);

    free(part);
    return rc;
}

/* The time that a new file gets: on a network file system that is the server's. */
static int local_clock(struct store *store, int64_t *wall_ms, struct err *err)
{
    const struct local_store *local = (struct local_store *)store;
    char *path = text_format("%s/.clock-XXXXXX", local->root);
    struct stat info;
    int rc = 0;
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0 || fstat(fd, &info) < 0)
        rc = err_set_errno(err, errno, "create %s", path);
    else
        *wall_ms = (int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
    if (fd >= 0)
        unlink(path);
    fd_close(&fd);
    free(path);
    return rc;
}

const struct store_ops local_store = {
    .name = "local",
    .open = local_open,
    .put = local_put,
    .get = local_get,
    .stat = local_stat,
    .list = local_list,
    .list_uploads = local_list_uploads,
    .abort_upload = local_abort_upload,
    .remove = local_remove,
    .clock = local_clock,
    .close = local_close,
};
