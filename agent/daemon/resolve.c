// SPDX-License-Identifier: Apache-2.0
// The thread cannot be stopped, so it owns the lookup together with its starter: whoever lets go
// last frees it.
#include "resolve.h"

#include "mem.h"

#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10)

struct resolve {
    struct ev_loop *loop;
    resolve_fn *done;
    void *arg;
    char *host, *port;
    int ready; /* eventfd: the thread has written what follows */
    ev_io on_ready;
    struct addrinfo *addresses;
    int code;
    atomic_int owners;
};

static void let_go(struct resolve *resolve)
{
    if (atomic_fetch_sub(&resolve->owners, 1) > 1)
        return;
    if (resolve->addresses != NULL)
        freeaddrinfo(resolve->addresses);
    close(resolve->ready);
    free(resolve->host);
    free(resolve->port);
    free(resolve);
}

static void *look_up(void *arg)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct resolve *resolve = arg;

    resolve->code = getaddrinfo(resolve->host, resolve->port, &hints, &resolve->addresses);
    eventfd_write(resolve->ready, 1);
    let_go(resolve);
    return NULL;
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct resolve *resolve = io->data;

    (void)events;
    ev_io_stop(loop, io);
    resolve->done(resolve->arg, resolve->code == 0 ? resolve->addresses : NULL,
                  resolve->code == 0 ? NULL : gai_strerror(resolve->code));
    let_go(resolve);
}

/* Signals are the loop's. */
static int start_thread(struct resolve *resolve)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attributes, look_up, resolve);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

struct resolve *resolve_start(struct ev_loop *loop, const char *host, const char *port,
                              resolve_fn *done, void *arg)
{
    struct resolve *resolve = mem_calloc(1, sizeof *resolve);

    resolve->loop = loop;
    resolve->done = done;
    resolve->arg = arg;
    resolve->host = mem_strdup(host);
    resolve->port = mem_strdup(port);
    resolve->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&resolve->owners, 2);
    ev_io_init(&resolve->on_ready, on_ready, resolve->ready, EV_READ);
    resolve->on_ready.data = resolve;
    if (resolve->ready < 0 || start_thread(resolve) != 0) {
        atomic_store(&resolve->owners, 1);
        let_go(resolve);
        return NULL;
    }
    ev_io_start(loop, &resolve->on_ready);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    ev_io_stop(resolve->loop, &resolve->on_ready);
    let_go(resolve);
}
