// SPDX-License-Identifier: Apache-2.0
// The form of an address is checked here, so that what goes to getaddrinfo is a number or a name.
#include "address.h"

#include "file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    HOST_CAP = 256,
    PORT_CAP = 6,
    BACKLOG = 128,
};

static bool is_port(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len < PORT_CAP && strspn(text, "0123456789") == len &&
           strtoul(text, NULL, 10) <= 65535;
}

static bool is_name(const char *text, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._";

    return len > 0 && text[0] != '-' && text[0] != '.' && strspn(text, allowed) >= len;
}

/* "fe80::1%eth0" has a zone. */
static bool is_ipv6(const char *text, size_t len)
{
    char number[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    const char *zone = memchr(text, '%', len);
    size_t number_len = zone == NULL ? len : (size_t)(zone - text);

    if (number_len >= sizeof number)
        return false;
    memcpy(number, text, number_len);
    number[number_len] = '\0';
    return inet_pton(AF_INET6, number, &parsed) == 1 &&
           (zone == NULL || is_name(zone + 1, len - number_len - 1));
}

int address_split(const char *address, char *host, size_t host_cap, char *port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);
    bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
    const char *from = bracketed ? address + 1 : address;
    bool good;

    if (bracketed)
        len -= 2;
    good = bracketed ? is_ipv6(from, len) : is_name(from, len);
    if (colon == NULL || !good || !is_port(colon + 1))
        return err_set(err, ERR_CONFIG,
                       "is not HOST:PORT as in \"collector:7443\", \"10.0.0.1:7443\" or "
                       "\"[::1]:7443\"");
    if (len >= host_cap)
        return err_set(err, ERR_CONFIG, "is too long: a host has at most %zu bytes", host_cap - 1);
    memcpy(host, from, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

int address_check(const char *address, struct err *err)
{
    char host[HOST_CAP];
    char port[PORT_CAP];

    return address_split(address, host, sizeof host, port, err);
}

static int listen_at(const struct addrinfo *info, int *fd)
{
    static const int on = 1;
    int made = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                      info->ai_protocol);
    int reason;

    if (made < 0)
        return -1;
    if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(made, info->ai_addr, info->ai_addrlen) == 0 && listen(made, BACKLOG) == 0) {
        *fd = made;
        return 0;
    }
    reason = errno;
    fd_close(&made);
    errno = reason;
    return -1;
}

int address_listen(const char *address, int *fd, struct err *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char host[HOST_CAP];
    char port[PORT_CAP];
    struct addrinfo *found = NULL;
    int rc = -1;
    int status;

    if (address_split(address, host, sizeof host, port, err) < 0)
        return err_wrap(err, "%s", address);
    status = getaddrinfo(host, port, &hints, &found);
    if (status != 0)
        return err_set(err, ERR_IO, "listen on %s: %s", address, gai_strerror(status));
    for (struct addrinfo *at = found; rc < 0 && at != NULL; at = at->ai_next)
        rc = listen_at(at, fd);
    if (rc < 0)
        err_set_errno(err, errno, "listen on %s", address);
    freeaddrinfo(found);
    return rc;
}
