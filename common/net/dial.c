// SPDX-License-Identifier: Apache-2.0
// Waiting first, because connecting is made of it.
#include "dial.h"

#include "cancel.h"
#include "clock.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- waiting --- */

int64_t dial_patience(const struct dial *dial)
{
    return clock_mono_us() + dial->timeout_ms * 1000;
}

int dial_wait(struct dial *dial, int64_t until_us, struct err *err)
{
    bool ready;

    if (until_us > dial->deadline_mono_us)
        until_us = dial->deadline_mono_us;
    if (cancel_poll(dial->link.fd, dial->link.events, until_us, &ready, err) < 0)
        return -1;
    if (ready)
        return 0;
    if (clock_mono_us() >= dial->deadline_mono_us)
        return err_set(err, ERR_TIMEOUT, "%s: no answer within the time given", dial->place);
    return err_set(err, ERR_UNREACHABLE, "%s: no answer within %lld ms (timeout)", dial->place,
                   (long long)dial->timeout_ms);
}

enum step dial_send(struct dial *dial, const void *data, size_t len, struct err *err)
{
    int64_t until_us = dial_patience(dial);
    const char *at = data;

    while (len > 0) {
        size_t done = 0;
        enum step step = net_link_write(&dial->link, at, len, &done, err);

        if (step == STEP_ERROR)
            err_wrap(err, "%s", dial->place);
        if (step == STEP_ERROR || step == STEP_END)
            return step;
        if (step == STEP_AGAIN && dial_wait(dial, until_us, err) < 0)
            return STEP_ERROR;
        at += done;
        len -= done;
    }
    return STEP_OK;
}

enum step dial_receive(struct dial *dial, void *data, size_t cap, size_t *len, int64_t until_us,
                       struct err *err)
{
    enum step step;

    while ((step = net_link_read(&dial->link, data, cap, len, err)) == STEP_AGAIN)
        if (dial_wait(dial, until_us, err) < 0)
            return STEP_ERROR;
    if (step == STEP_ERROR)
        err_wrap(err, "%s", dial->place);
    return step;
}

int dial_pause(struct dial *dial, int ms, struct err *err)
{
    int64_t left_ms = (dial->deadline_mono_us - clock_mono_us()) / 1000;

    if (left_ms <= 0)
        return err_set(err, ERR_TIMEOUT, "the time given is over");
    return cancel_wait(left_ms < ms ? (int)left_ms : ms, err);
}

/* --- connecting --- */

static int connect_to(struct dial *dial, int family, const void *address, size_t len,
                      struct err *err)
{
    int result;

    net_link_close(&dial->link);
    if (!net_link_begin(&dial->link, family, address, len))
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", dial->place, strerror(errno));
    if (dial_wait(dial, dial_patience(dial), err) < 0)
        return -1;
    result = net_link_result(&dial->link);
    if (result != 0)
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", dial->place, strerror(result));
    return 0;
}

static int connect_host(struct dial *dial, const char *host, const char *port, struct err *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, port, &hints, &found);
    int rc = -1;

    if (status != 0)
        return err_set(err, ERR_UNREACHABLE, "look up %s: %s", host, gai_strerror(status));
    for (struct addrinfo *at = found; at != NULL && rc < 0 && err->kind != ERR_CANCELLED;
         at = at->ai_next)
        rc = connect_to(dial, at->ai_family, at->ai_addr, at->ai_addrlen, err);
    freeaddrinfo(found);
    if (rc == 0)
        err_clear(err);
    return rc;
}

static int secure(struct dial *dial, const struct tls_files *files, const char *host,
                  struct err *err)
{
    int64_t until_us = dial_patience(dial);
    enum step step;

    if (net_link_secure(&dial->link, files, host, err) < 0)
        return -1;
    while ((step = net_link_shake(&dial->link, err)) == STEP_AGAIN)
        if (dial_wait(dial, until_us, err) < 0)
            return err_wrap(err, "begin TLS (is this its port for TLS?)");
    return step == STEP_OK ? 0 : err_wrap(err, "%s", dial->place);
}

/* --- for owners --- */

void dial_init(struct dial *dial, int64_t deadline_mono_us, int64_t timeout_ms)
{
    *dial = (struct dial){
        .link.fd = -1, .deadline_mono_us = deadline_mono_us, .timeout_ms = timeout_ms};
}

int dial_host(struct dial *dial, const char *host, const char *port, const struct tls_files *files,
              struct err *err)
{
    dial->place = text_format(strchr(host, ':') == NULL ? "%s:%s" : "[%s]:%s", host, port);
    if (connect_host(dial, host, port, err) < 0)
        return -1;
    return files == NULL ? 0 : secure(dial, files, host, err);
}

int dial_unix(struct dial *dial, const char *path, struct err *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    dial->place = mem_strdup(path);
    memcpy(name.sun_path, path, strlen(path) + 1);
    return connect_to(dial, AF_UNIX, &name, sizeof name, err);
}

void dial_fini(struct dial *dial)
{
    net_link_close(&dial->link);
    free(dial->place);
    dial->place = NULL;
}
