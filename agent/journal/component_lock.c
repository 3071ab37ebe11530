// SPDX-License-Identifier: Apache-2.0
// <state_path>/locks/<component>; its text says who holds it.
#include "component_lock.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *lock_path(const char *state_path, const char *component)
{
    return text_format("%s/locks/%s", state_path, component);
}

/* The holder may not have written its name yet. */
static int refuse(const char *component, const char *path, struct err *err)
{
    struct err unread = ERR_INIT;
    char *holder = NULL;

    if (file_read(path, 256, &holder, NULL, &unread) < 0 || *holder == '\0')
        err_set(err, ERR_REFUSED, "another job of %s runs; wait for it, or stop it", component);
    else
        err_set(err, ERR_REFUSED, "another job of %s runs (%s); wait for it, or stop it", component,
                holder);
    free(holder);
    return -1;
}

int component_lock(const char *state_path, const char *component, const char *what, int *fd,
                   struct err *err)
{
    char *path = lock_path(state_path, component);
    char when[CLOCK_TEXT_CAP];
    int opened = -1;
    int rc = file_make_parents(path, err);

    if (rc == 0) {
        opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (opened < 0)
            rc = err_set_errno(err, errno, "open %s", path);
    }
    if (rc == 0 && flock(opened, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? refuse(component, path, err)
                                  : err_set_errno(err, errno, "lock %s", path);
    if (rc == 0 && (ftruncate(opened, 0) < 0 ||
                    dprintf(opened, "%s, process %ld, since %s", what, (long)getpid(),
                            clock_format(clock_wall_ms(), when)) < 0))
        rc = err_set_errno(err, errno, "write %s", path);
    if (rc == 0)
        *fd = opened;
    else
        fd_close(&opened);
    free(path);
    return rc;
}

/* An empty file says that the last holder ended by itself. */
void component_unlock(int *fd)
{
    if (*fd >= 0 && ftruncate(*fd, 0) < 0)
        log_warn("a lock that was let go looks as if its holder had died");
    fd_close(fd);
}

static bool look(const char *state_path, const char *component, bool *left)
{
    char *path = lock_path(state_path, component);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    struct stat info;

    *left = fd >= 0 && !locked && fstat(fd, &info) == 0 && info.st_size > 0;
    fd_close(&fd);
    free(path);
    return locked;
}

bool component_locked(const char *state_path, const char *component)
{
    bool left;

    return look(state_path, component, &left);
}

bool component_left(const char *state_path, const char *component)
{
    bool left;

    look(state_path, component, &left);
    return left;
}
