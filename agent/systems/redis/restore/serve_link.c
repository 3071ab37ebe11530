// SPDX-License-Identifier: Apache-2.0
// Addresses, the listening socket, and TLS with the roles exchanged.
#include "serve_link.h"

#include "file.h"
#include "tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void loopback(struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;

    memset(address, 0, sizeof *address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static const void *host_of(const struct sockaddr_storage *address, size_t *len)
{
    if (address->ss_family == AF_INET6) {
        *len = sizeof(struct in6_addr);
        return &((const struct sockaddr_in6 *)address)->sin6_addr;
    }
    *len = sizeof(struct in_addr);
    return &((const struct sockaddr_in *)address)->sin_addr;
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    size_t len;
    const void *host = host_of(a, &len);

    return a->ss_family == b->ss_family && memcmp(host, host_of(b, &len), len) == 0;
}

static int find_addresses(struct serve_listener *listener, int fd, struct sockaddr_storage *own,
                          struct err *err)
{
    socklen_t own_len = sizeof *own;
    socklen_t peer_len = sizeof listener->peer;

    if (getsockname(fd, (struct sockaddr *)own, &own_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&listener->peer, &peer_len) < 0)
        return err_set_errno(err, errno, "the address of the connection to the server");
    if (own->ss_family != AF_INET && own->ss_family != AF_INET6) {
        loopback(own);
        loopback(&listener->peer);
    }
    *port_of(own) = 0;
    return 0;
}

int serve_listener_open(struct serve_listener *listener, int fd, struct err *err)
{
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof own;
    size_t host_len;

    *listener = (struct serve_listener){.fd = -1};
    if (find_addresses(listener, fd, &own, err) < 0)
        return -1;
    listener->fd = socket(own.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&own, sizeof own) < 0 ||
        listen(listener->fd, 8) < 0 ||
        getsockname(listener->fd, (struct sockaddr *)&own, &len) < 0) {
        err_set_errno(err, errno, "listen for the server");
        serve_listener_close(listener);
        return -1;
    }
    inet_ntop(own.ss_family, host_of(&own, &host_len), listener->host, sizeof listener->host);
    snprintf(listener->port, sizeof listener->port, "%u", ntohs(*port_of(&own)));
    return 0;
}

void serve_listener_close(struct serve_listener *listener)
{
    fd_close(&listener->fd);
}

enum step serve_listener_accept(struct serve_listener *listener, int *fd, struct err *err)
{
    static const int on = 1;
    struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof from;
    int got = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
        return STEP_AGAIN;
    if (got < 0) {
        err_set_errno(err, errno, "accept the server's connection");
        return STEP_ERROR;
    }
    if (!same_host(&from, &listener->peer)) {
        fd_close(&got);
        return STEP_END;
    }
    setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(got, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    *fd = got;
    return STEP_OK;
}

int serve_link_secure(struct net_link *link, const struct redis_options *options, struct err *err)
{
    const struct tls_files files = {.ca_file = options->ca_file,
                                    .cert_file = options->cert_file,
                                    .key_file = options->key_file};
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL)
        abort(); /* out of memory */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (tls_read_files(context, &files, err) < 0) {
        SSL_CTX_free(context);
        return -1;
    }
    link->ssl = SSL_new(context); /* holds the context */
    SSL_CTX_free(context);
    if (link->ssl == NULL || SSL_set_fd(link->ssl, link->fd) != 1)
        abort(); /* out of memory */
    SSL_set_accept_state(link->ssl);
    return 0;
}
