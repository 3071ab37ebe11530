// SPDX-License-Identifier: Apache-2.0
// Accepting, and the glue between a connection and its session. When descriptors run out, accepting
// pauses until the next second: a readable socket that nobody can accept from would spin the loop.
#include "listener.h"

#include "address.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "session.h"

#include <errno.h>
#include <ev.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_COUNT = 3,
    ACCEPTS_A_TURN = 64,
    SPARE_DESCRIPTORS = 64, /* for the state, for http, for the certificates */
};

#define SECOND_US ((int64_t)1000 * 1000)

struct client {
    struct client *previous, *next;
    struct listener *listener;
    struct tls_conn *conn;
    struct session *session;
};

struct listener {
    struct ev_loop *loop;
    struct hub *hub;
    struct tls_files files;
    struct stat seen[FILE_COUNT]; /* as they were when context was made, or could not be */
    struct tls_context *context;
    int64_t next_look_us;
    int fd;
    ev_io readable;
    ev_timer second;
    ev_prepare turn_ends;
    struct client *clients;
    size_t max_connections;
};

/* --- certificates --- */

static bool look(struct listener *listener)
{
    const char *const paths[FILE_COUNT] = {listener->files.ca_file, listener->files.cert_file,
                                           listener->files.key_file};
    bool changed = false;

    for (size_t i = 0; i < FILE_COUNT; i++) {
        const struct stat *seen = &listener->seen[i];
        struct stat now = {.st_size = 0};

        if (stat(paths[i], &now) < 0)
            memset(&now, 0, sizeof now);
        changed = changed || now.st_dev != seen->st_dev || now.st_ino != seen->st_ino ||
                  now.st_size != seen->st_size || now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
                  now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
        listener->seen[i] = now;
    }
    return changed;
}

static void renew_context(struct listener *listener)
{
    struct tls_context *renewed = NULL;
    struct err err = ERR_INIT;
    int64_t now_us = clock_mono_us();

    if (now_us < listener->next_look_us)
        return;
    listener->next_look_us = now_us + SECOND_US;
    if (!look(listener))
        return;
    if (tls_context_new(&listener->files, true, &renewed, &err) < 0) {
        log_err("changed certificates are wrong; the earlier ones stay in use", &err, NULL, 0);
        return;
    }
    tls_context_free(listener->context);
    listener->context = renewed;
    log_info("changed certificates are in use");
}

/* --- a connection and its session --- */

static void free_client(struct client *client)
{
    struct listener *listener = client->listener;

    tls_conn_close(client->conn);
    session_free(client->session);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        listener->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    free(client);
}

static void on_opened(void *arg)
{
    struct client *client = arg;

    session_opened(client->session, tls_conn_peer_name(client->conn));
}

static void on_received(void *arg, const uint8_t *data, size_t len)
{
    struct client *client = arg;

    session_received(client->session, data, len);
}

static void on_closed(void *arg, const struct err *err)
{
    struct client *client = arg;
    struct hub *hub = client->listener->hub;

    if (err->kind == ERR_DENIED || err->kind == ERR_CORRUPT) {
        hub->counts.tls_failures++;
        hub_blame(hub, session_peer(client->session), "connection failed", err);
    }
    free_client(client);
}

static void send_bytes(void *arg, const void *data, size_t len)
{
    const struct client *client = arg;

    tls_conn_send(client->conn, data, len);
}

static size_t queued_bytes(void *arg)
{
    const struct client *client = arg;

    return tls_conn_queued(client->conn);
}

static void end_client(void *arg)
{
    free_client(arg);
}

static void add_client(struct listener *listener, int fd, const char *remote)
{
    struct client *client = mem_calloc(1, sizeof *client);
    const struct session_link link = {
        .send = send_bytes, .queued = queued_bytes, .end = end_client, .arg = client};
    const struct tls_handlers handlers = {
        .opened = on_opened, .received = on_received, .closed = on_closed, .arg = client};

    client->listener = listener;
    client->session = session_new(listener->hub, &link, remote);
    client->conn = tls_conn_new(listener->context, fd, NULL, listener->loop, &handlers);
    client->next = listener->clients;
    if (listener->clients != NULL)
        listener->clients->previous = client;
    listener->clients = client;
}

/* --- accepting --- */

/* Whether another one may be waiting. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char remote[64] = "?";
    int yes = 1;
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            ev_io_stop(listener->loop, &listener->readable);
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (listener->hub->session_count >= listener->max_connections) {
        listener->hub->counts.turned_away++;
        fd_close(&fd);
        return true;
    }
    getnameinfo((struct sockaddr *)&address, len, remote, sizeof remote, NULL, 0, NI_NUMERICHOST);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    add_client(listener, fd, remote);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct listener *listener = io->data;

    (void)loop;
    (void)events;
    renew_context(listener);
    for (int i = 0; i < ACCEPTS_A_TURN && accept_one(listener); i++)
        continue;
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listener *listener = timer->data;

    (void)events;
    hub_tick(listener->hub);
    ev_io_start(loop, &listener->readable);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *prepare, int events)
{
    struct listener *listener = prepare->data;

    (void)loop;
    (void)events;
    hub_turn(listener->hub);
}

static size_t connection_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= LISTENER_MAX_CONNECTIONS + SPARE_DESCRIPTORS)
        return LISTENER_MAX_CONNECTIONS;
    return limit.rlim_cur <= SPARE_DESCRIPTORS ? 1 : limit.rlim_cur - SPARE_DESCRIPTORS;
}

int listener_open(struct ev_loop *loop, const char *address, const struct tls_files *files,
                  struct hub *hub, struct listener **listener, struct err *err)
{
    struct listener *opened = mem_calloc(1, sizeof *opened);

    *opened = (struct listener){
        .loop = loop, .hub = hub, .files = *files, .fd = -1, .max_connections = connection_limit()};
    look(opened);
    if (tls_context_new(files, true, &opened->context, err) < 0 ||
        address_listen(address, &opened->fd, err) < 0) {
        tls_context_free(opened->context);
        free(opened);
        return -1;
    }
    ev_io_init(&opened->readable, on_readable, opened->fd, EV_READ);
    ev_timer_init(&opened->second, on_second, 1., 1.);
    ev_prepare_init(&opened->turn_ends, on_turn_end);
    opened->readable.data = opened->second.data = opened->turn_ends.data = opened;
    ev_io_start(loop, &opened->readable);
    ev_timer_start(loop, &opened->second);
    ev_prepare_start(loop, &opened->turn_ends);
    *listener = opened;
    return 0;
}

void listener_close(struct listener *listener)
{
    struct client *next;

    if (listener == NULL)
        return;
    hub_turn(listener->hub);
    for (struct client *client = listener->clients; client != NULL; client = next) {
        next = client->next;
        free_client(client);
    }
    ev_io_stop(listener->loop, &listener->readable);
    ev_timer_stop(listener->loop, &listener->second);
    ev_prepare_stop(listener->loop, &listener->turn_ends);
    fd_close(&listener->fd);
    tls_context_free(listener->context);
    free(listener);
}
