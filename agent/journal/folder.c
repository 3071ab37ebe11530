// SPDX-License-Identifier: Apache-2.0
// flock() and readdir(), with errors that say where.
#include "folder.h"

#include "file.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

int folder_lock(const char *state_path, const char *name, int *fd, struct err *err)
{
    char *path = text_format("%s/%s", state_path, name);
    int opened = -1;
    int rc = file_make_folders(state_path, err);

    if (rc == 0) {
        opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        while (opened >= 0 && (rc = flock(opened, LOCK_EX)) < 0 && errno == EINTR)
            continue;
        if (opened < 0 || rc < 0)
            rc = err_set_errno(err, errno, "lock %s", path);
    }
    if (rc == 0)
        *fd = opened;
    else
        fd_close(&opened);
    free(path);
    return rc;
}

int folder_each(const char *folder, int (*each)(void *arg, const char *name, struct err *err),
                void *arg, struct err *err)
{
    DIR *dir = opendir(folder);
    int rc = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "list %s", folder);
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            rc = each(arg, entry->d_name, err);
    closedir(dir);
    return rc;
}
