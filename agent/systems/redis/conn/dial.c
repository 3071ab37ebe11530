// SPDX-License-Identifier: Apache-2.0
// Connecting, and waiting: every wait is one poll() over the socket and the wish to stop.
#include "conn_impl.h"

#include "cancel.h"
#include "clock.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- waiting --- */

/* Until the link is ready for its events, or until_us (which may lie behind the deadline). */
static int wait_until(struct redis_conn *conn, int64_t until_us, bool *ready, struct err *err)
{
    if (until_us > conn->deadline_mono_us)
        until_us = conn->deadline_mono_us;
    for (*ready = false;;) {
        int64_t left_ms = (until_us - clock_mono_us() + 999) / 1000;
        struct pollfd fds[2] = {{.fd = cancel_fd(), .events = POLLIN},
                                {.fd = conn->link.fd, .events = conn->link.events}};

        if (cancel_check(err) < 0)
            return -1;
        if (poll(fds, 2,
                 left_ms < 0       ? 0
                 : left_ms > 60000 ? 60000
                                   : (int)left_ms) < 0 &&
            errno != EINTR)
            return err_set_errno(err, errno, "poll");
        if (cancel_check(err) < 0)
            return -1;
        *ready = fds[1].revents != 0;
        if (*ready || left_ms <= 0)
            return 0;
    }
}

int64_t redis_patience(const struct redis_conn *conn)
{
    return clock_mono_us() + conn->timeout_ms * 1000;
}

int redis_wait_ready(struct redis_conn *conn, int64_t until_us, struct err *err)
{
    bool ready;

    if (wait_until(conn, until_us, &ready, err) < 0)
        return -1;
    if (ready)
        return 0;
    if (clock_mono_us() >= conn->deadline_mono_us)
        return err_set(err, ERR_TIMEOUT, "%s: no answer within the time given", conn->place);
    return err_set(err, ERR_UNREACHABLE, "%s: no answer within %lld ms (timeout)", conn->place,
                   (long long)conn->timeout_ms);
}

int redis_conn_pause(struct redis_conn *conn, int ms, struct err *err)
{
    struct pollfd stop = {.fd = cancel_fd(), .events = POLLIN};
    int64_t left_ms = (conn->deadline_mono_us - clock_mono_us()) / 1000;

    if (left_ms <= 0)
        return err_set(err, ERR_TIMEOUT, "the time given is over");
    if (poll(&stop, 1, left_ms < ms ? (int)left_ms : ms) < 0 && errno != EINTR)
        return err_set_errno(err, errno, "poll");
    return cancel_check(err);
}

/* --- connecting --- */

static int connect_to(struct redis_conn *conn, int family, const void *address, size_t len,
                      struct err *err)
{
    int result;

    redis_link_close(&conn->link);
    if (!redis_link_begin(&conn->link, family, address, len))
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", conn->place, strerror(errno));
    if (redis_wait_ready(conn, redis_patience(conn), err) < 0)
        return -1;
    result = redis_link_result(&conn->link);
    if (result != 0)
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", conn->place, strerror(result));
    return 0;
}

static int connect_unix(struct redis_conn *conn, const struct redis_address *address,
                        struct err *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    memcpy(name.sun_path, address->path, strlen(address->path) + 1);
    return connect_to(conn, AF_UNIX, &name, sizeof name, err);
}

static int connect_host(struct redis_conn *conn, const struct redis_address *address,
                        struct err *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(address->host, address->port, &hints, &found);
    int rc = -1;

    if (status != 0)
        return err_set(err, ERR_UNREACHABLE, "look up %s: %s", address->host, gai_strerror(status));
    for (struct addrinfo *at = found; at != NULL && rc < 0 && err->kind != ERR_CANCELLED;
         at = at->ai_next)
        rc = connect_to(conn, at->ai_family, at->ai_addr, at->ai_addrlen, err);
    freeaddrinfo(found);
    if (rc == 0)
        err_clear(err);
    return rc;
}

static int secure(struct redis_conn *conn, const struct redis_options *options, const char *host,
                  struct err *err)
{
    int64_t until_us = redis_patience(conn);
    enum step step;

    if (redis_link_secure(&conn->link, options, host, err) < 0)
        return -1;
    while ((step = redis_link_shake(&conn->link, err)) == STEP_AGAIN)
        if (redis_wait_ready(conn, until_us, err) < 0)
            return err_wrap(err, "begin TLS (is this its port for TLS?)");
    return step == STEP_OK ? 0 : err_wrap(err, "%s", conn->place);
}

int redis_dial(struct redis_conn *conn, const struct redis_options *options, struct err *err)
{
    struct redis_address address;

    if (redis_address_parse(options->url, &address, err) < 0)
        return -1;
    if (address.kind == REDIS_UNIX) {
        conn->place = mem_strdup(address.path);
        return connect_unix(conn, &address, err);
    }
    conn->place = text_format(strchr(address.host, ':') == NULL ? "%s:%s" : "[%s]:%s", address.host,
                              address.port);
    if (connect_host(conn, &address, err) < 0)
        return -1;
    return address.kind == REDIS_TLS ? secure(conn, options, address.host, err) : 0;
}
