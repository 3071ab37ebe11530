// SPDX-License-Identifier: Apache-2.0
// Records are <state.path>/jobs/<component>/<backup-id>.json: text for people, and a lock.
#include "record.h"

#include "clock.h"
#include "file.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_SUFFIX ".json"
#define JUST_MADE_MS  60000

struct record {
    char *path;
    int fd;
};

static void record_free(struct record *record)
{
    fd_close(&record->fd);
    free(record->path);
    free(record);
}

void record_finish(struct record *record)
{
    if (record == NULL)
        return;
    unlink(record->path);
    record_free(record);
}

void record_abandon(struct record *record)
{
    if (record != NULL)
        record_free(record);
}

/* Between open() and flock() the owner may have removed the file: then the lock is of nothing. */
static bool still_there(const struct record *record)
{
    struct stat by_name, by_fd;

    return stat(record->path, &by_name) == 0 && fstat(record->fd, &by_fd) == 0 &&
           by_name.st_ino == by_fd.st_ino && by_name.st_dev == by_fd.st_dev;
}

/* An owner locks its record before it writes: an empty one may belong to somebody who is just about
 * to lock it, and proves nothing for a minute. */
static bool just_made(const struct record *record)
{
    struct stat info;

    return fstat(record->fd, &info) == 0 && info.st_size == 0 &&
           clock_wall_ms() - (int64_t)info.st_mtim.tv_sec * 1000 < JUST_MADE_MS;
}

/* *record stays NULL when the file is not there (and flags do not create it) or is locked. */
static int lock(char *path, int flags, struct record **record, struct err *err)
{
    struct record *opened = mem_calloc(1, sizeof *opened);

    opened->path = path;
    for (;;) {
        opened->fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
        if (opened->fd < 0 && errno == ENOENT && (flags & O_CREAT) == 0)
            break;
        if (opened->fd < 0) {
            err_set_errno(err, errno, "open job record %s", path);
            record_free(opened);
            return -1;
        }
        if ((flags & O_CREAT) == 0 && just_made(opened))
            break;
        if (flock(opened->fd, LOCK_EX | LOCK_NB) < 0)
            break;
        if (still_there(opened)) {
            *record = opened;
            return 0;
        }
        fd_close(&opened->fd);
    }
    record_free(opened);
    return 0;
}

static char *record_path(const char *state_path, const char *component, const char *id)
{
    return text_format("%s/jobs/%s/%s" RECORD_SUFFIX, state_path, component, id);
}

int record_open(const char *state_path, const char *component, const char *id, const char *job,
                struct record **record, struct err *err)
{
    struct record *opened = NULL;
    char when[CLOCK_TEXT_CAP];
    char *path = record_path(state_path, component, id);

    if (file_make_parents(path, err) < 0) {
        free(path);
        return err_wrap(err, "state.path");
    }
    if (lock(path, O_CREAT, &opened, err) < 0)
        return -1;
    if (opened == NULL)
        return err_set(err, ERR_REFUSED, "another job works on %s", id);
    if (ftruncate(opened->fd, 0) < 0 ||
        dprintf(opened->fd, "{\"job\": \"%s\", \"pid\": %ld, \"started\": \"%s\"}\n", job,
                (long)getpid(), clock_format(clock_wall_ms(), when)) < 0 ||
        fsync(opened->fd) < 0) {
        err_set_errno(err, errno, "write job record %s", opened->path);
        record_finish(opened);
        return -1;
    }
    *record = opened;
    return 0;
}

int record_take_over(const char *state_path, const char *component, const char *id,
                     struct record **record, struct err *err)
{
    *record = NULL;
    return lock(record_path(state_path, component, id), 0, record, err);
}

bool record_alive(const char *state_path, const char *component, const char *id)
{
    struct record probe = {.path = record_path(state_path, component, id)};
    bool alive;

    probe.fd = open(probe.path, O_RDWR | O_CLOEXEC);
    if (probe.fd < 0)
        alive = errno != ENOENT;
    else
        alive = just_made(&probe) || flock(probe.fd, LOCK_EX | LOCK_NB) < 0;
    fd_close(&probe.fd);
    free(probe.path);
    return alive;
}

int record_each(const char *state_path, const char *component,
                int (*each)(void *arg, const char *id, struct err *err), void *arg, struct err *err)
{
    int rc = 0;
    char *folder = text_format("%s/jobs/%s", state_path, component);
    DIR *dir = opendir(folder);

    if (dir == NULL && errno != ENOENT)
        rc = err_set_errno(err, errno, "list job records in %s", folder);
    for (struct dirent *entry; rc == 0 && dir != NULL && (entry = readdir(dir)) != NULL;) {
        size_t len = strlen(entry->d_name);
        char id[BACKUP_ID_CAP];

        if (!text_ends_with(entry->d_name, RECORD_SUFFIX) ||
            len - strlen(RECORD_SUFFIX) >= sizeof id)
            continue;
        snprintf(id, sizeof id, "%.*s", (int)(len - strlen(RECORD_SUFFIX)), entry->d_name);
        if (backup_id_valid(id))
            rc = each(arg, id, err);
    }
    if (dir != NULL)
        closedir(dir);
    free(folder);
    return rc;
}
