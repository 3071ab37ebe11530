// SPDX-License-Identifier: Apache-2.0
// Room: the files are counted once, when the lock is taken, and then with each write. Before
// anything is refused or goes they are counted anew, for an upload beside us removes without the
// lock.
#include "fallback.h"

#include "absent.h"
#include "bounded.h"
#include "cancel.h"
#include "clock.h"
#include "eviction.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#define LOCK_POLL_MS      100
#define RESERVE_SHARE     100 /* of the file system's blocks */
#define RESERVE_MIN_BYTES ((uint64_t)1 << 20)
#define RESERVE_FILES     16

struct fallback {
    const struct agent_options *options;
    const struct component_options *component;
    struct ev_loop *loop;
    struct store *store; /* the inner one; lent */
    int lock_fd;         /* -1: not taken yet */
    bool may_evict;
    uint64_t used_bytes;
};

static int on_entry(void *arg, const struct store_entry *entry, struct err *err)
{
    (void)err;
    *(uint64_t *)arg += entry->bytes;
    return 0;
}

static int count_used(struct store *store, uint64_t *used_bytes, struct err *err)
{
    *used_bytes = 0;
    if (store->ops->list(store, "", on_entry, used_bytes, err) < 0 ||
        store->ops->list_uploads(store, "", on_entry, used_bytes, err) < 0)
        return -1;
    return 0;
}

/* What the file system still takes with its reserve kept; files: whether it takes more of them. */
static int ask_room(const struct fallback *fallback, uint64_t *bytes, bool *files, struct err *err)
{
    const char *path = fallback->options->fallback_store->local.path;
    struct statvfs info;
    uint64_t reserve;

    if (statvfs(path, &info) < 0)
        return err_set_errno(err, errno, "ask for the room at %s", path);
    reserve = (uint64_t)info.f_blocks / RESERVE_SHARE * info.f_frsize;
    if (reserve < RESERVE_MIN_BYTES)
        reserve = RESERVE_MIN_BYTES;
    *bytes = (uint64_t)info.f_bavail * info.f_frsize;
    *bytes = *bytes > reserve ? *bytes - reserve : 0;
    *files = info.f_files == 0 || info.f_favail >= RESERVE_FILES;
    return 0;
}

/* 1: so many bytes fit; 0 with err set: they do not; -1: it cannot be told. */
static int fits(const struct fallback *fallback, uint64_t bytes, struct err *err)
{
    const struct store_options *store = fallback->options->fallback_store;
    uint64_t max_bytes = fallback->options->fallback_max_bytes;
    uint64_t room = 0;
    bool files = false;
    char most[24];

    if (ask_room(fallback, &room, &files, err) < 0)
        return -1;
    if (fallback->used_bytes > max_bytes || bytes > max_bytes - fallback->used_bytes) {
        err_set(err, ERR_NO_SPACE,
                "it does not fit into fallback.max_bytes (%s), and nothing there may go for it",
                text_show_bytes(max_bytes, most, sizeof most));
        return 0;
    }
    if (bytes > room || !files) {
        err_set(err, ERR_NO_SPACE,
                "the file system of %s is nearly full, and nothing there may go for it",
                store->local.path);
        return 0;
    }
    return 1;
}

static int evict_one(struct fallback *fallback, bool *gone, struct err *err)
{
    struct eviction *eviction = NULL;
    int rc = eviction_open(fallback->options, fallback->component, fallback->store, fallback->loop,
                           &eviction, err);

    if (rc == 0)
        rc = eviction_run(eviction, gone, err);
    eviction_close(eviction);
    return rc;
}

/* Ends early on a wish to stop. */
static int take_lock(struct fallback *fallback, int64_t deadline_mono_us, struct err *err)
{
    char *path = text_format("%s/fallback.lock", fallback->options->state_path);
    int rc = file_make_parents(path, err);
    int fd = rc < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (rc == 0 && fd < 0)
        rc = err_set_errno(err, errno, "open %s", path);
    while (rc == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            rc = err_set_errno(err, errno, "lock %s", path);
        else if (clock_mono_us() > deadline_mono_us)
            rc = err_set(err, ERR_TIMEOUT,
                         "the deadline passed while waiting for another job's fallback");
        else
            rc = cancel_wait(LOCK_POLL_MS, err);
    }
    if (rc == 0)
        fallback->lock_fd = fd;
    else
        fd_close(&fd);
    free(path);
    return rc;
}

static int begin(struct fallback *fallback, int64_t deadline_mono_us, struct err *err)
{
    struct eviction *eviction = NULL;
    int rc;

    if (fallback->lock_fd >= 0)
        return 0;
    if (take_lock(fallback, deadline_mono_us, err) < 0)
        return -1;
    rc = eviction_open(fallback->options, fallback->component, fallback->store, fallback->loop,
                       &eviction, err);
    if (rc == 0)
        rc = eviction_sweep(eviction, err);
    if (rc == 0)
        rc = count_used(fallback->store, &fallback->used_bytes, err);
    if (rc < 0)
        fd_close(&fallback->lock_fd);
    eviction_close(eviction);
    return rc;
}

static int make_room(void *arg, uint64_t bytes, struct err *err)
{
    struct fallback *fallback = arg;
    int64_t deadline_mono_us = clock_mono_us() + fallback->component->deadline_ms * 1000;
    struct err none = ERR_INIT;
    bool gone = true;
    int rc;

    if (begin(fallback, deadline_mono_us, err) < 0)
        return -1;
    rc = fits(fallback, bytes, &none);
    while (rc == 0 && gone) {
        if (count_used(fallback->store, &fallback->used_bytes, err) < 0)
            return -1;
        rc = fits(fallback, bytes, &none);
        gone = false;
        if (rc == 0 && fallback->may_evict && evict_one(fallback, &gone, err) < 0)
            return -1;
    }
    if (rc <= 0)
        *err = none;
    return rc <= 0 ? -1 : 0;
}

static void moved(void *arg, int64_t bytes)
{
    struct fallback *fallback = arg;
    uint64_t less = bytes < 0 ? (uint64_t)-bytes : 0;

    if (bytes > 0)
        fallback->used_bytes += (uint64_t)bytes;
    else
        fallback->used_bytes -= less < fallback->used_bytes ? less : fallback->used_bytes;
}

static void close_fallback(void *arg)
{
    struct fallback *fallback = arg;

    fd_close(&fallback->lock_fd);
    free(fallback);
}

struct site *fallback_open(const struct agent_options *options,
                           const struct component_options *component, struct ev_loop *loop)
{
    struct fallback *fallback = mem_calloc(1, sizeof *fallback);
    const struct bound bound = {
        .make_room = make_room, .moved = moved, .close = close_fallback, .arg = fallback};
    struct store *store = NULL;
    struct err err = ERR_INIT;

    if (store_open(options->fallback_store, loop, &store, &err) < 0)
        store = absent_store_new(options->fallback_name, &err);
    *fallback = (struct fallback){
        .options = options, .component = component, .loop = loop, .store = store, .lock_fd = -1};
    return site_new(options, component, NULL, bounded_store_new(store, &bound), loop);
}

int fallback_begin(struct site *site, int64_t deadline_mono_us, struct err *err)
{
    struct fallback *fallback = bounded_store_bound(site->store)->arg;

    if (begin(fallback, deadline_mono_us, err) < 0)
        return -1;
    fallback->may_evict = true;
    return 0;
}

int fallback_usage(struct site *site, struct fallback_usage *usage, struct err *err)
{
    struct fallback *fallback = bounded_store_bound(site->store)->arg;
    bool files;

    if (count_used(fallback->store, &usage->used_bytes, err) < 0)
        return -1;
    return ask_room(fallback, &usage->free_bytes, &files, err);
}
