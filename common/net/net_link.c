// SPDX-License-Identifier: Apache-2.0
// The socket, and OpenSSL over it.
#include "net_link.h"

#include "file.h"
#include "tls_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool net_link_begin(struct net_link *link, int family, const void *address, size_t len)
{
    static const int on = 1;

    *link = (struct net_link){.events = POLLOUT};
    link->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return false;
    if (family != AF_UNIX) {
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* A server that vanished while it forks, or while a store is slow, is noticed. */
        setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return connect(link->fd, address, (socklen_t)len) == 0 || errno == EINPROGRESS;
}

int net_link_result(const struct net_link *link)
{
    int result = 0;
    socklen_t len = sizeof result;

    return getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &result, &len) < 0 ? errno : result;
}

int net_link_secure(struct net_link *link, const struct tls_files *files, const char *host,
                    struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL)
        abort(); /* out of memory */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (tls_read_files(context, files, err) < 0) {
        SSL_CTX_free(context);
        return -1;
    }
    link->ssl = SSL_new(context); /* holds the context */
    SSL_CTX_free(context);
    if (link->ssl == NULL || SSL_set_fd(link->ssl, link->fd) != 1)
        abort(); /* out of memory */
    tls_expect_name(link->ssl, host);
    SSL_set_connect_state(link->ssl);
    return 0;
}

static enum step explain_tls(const struct net_link *link, struct err *err)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    long verified = SSL_get_verify_result(link->ssl);

    if (verified != X509_V_OK)
        err_set(err, ERR_DENIED, "the server's certificate is not accepted: %s",
                X509_verify_cert_error_string(verified));
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return STEP_END;
    else if (reason >= SSL_AD_REASON_OFFSET)
        err_set(err, ERR_DENIED, "the server refused TLS: %s; does it ask for a certificate?",
                SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else
        err_set(err, ERR_DENIED, "the server does not speak TLS 1.2 or 1.3 here: %s",
                text == NULL ? "unknown reason" : text);
    return STEP_ERROR;
}

/* After a call of OpenSSL that did not succeed. */
static enum step ssl_step(struct net_link *link, int rc, struct err *err)
{
    int errno_value = errno;
    enum step step = STEP_END;

    switch (SSL_get_error(link->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        link->events = POLLIN;
        return STEP_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        link->events = POLLOUT;
        return STEP_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        break;
    case SSL_ERROR_SYSCALL:
        if (errno_value != 0 && errno_value != ECONNRESET && errno_value != EPIPE) {
            err_set(err, ERR_UNREACHABLE, "%s", strerror(errno_value));
            step = STEP_ERROR;
        }
        break;
    default:
        step = explain_tls(link, err);
    }
    ERR_clear_error();
    return step;
}

enum step net_link_shake(struct net_link *link, struct err *err)
{
    enum step step;
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(link->ssl);
    if (rc == 1)
        return STEP_OK;
    step = ssl_step(link, rc, err);
    if (step != STEP_END)
        return step;
    err_set(err, ERR_UNREACHABLE,
            "the server closed the connection in the handshake of TLS; is this its port for TLS?");
    return STEP_ERROR;
}

static enum step plain_step(struct net_link *link, short events, struct err *err)
{
    if (errno == EAGAIN || errno == EINTR) {
        link->events = events;
        return STEP_AGAIN;
    }
    if (errno == ECONNRESET || errno == EPIPE)
        return STEP_END;
    err_set(err, ERR_UNREACHABLE, "%s", strerror(errno));
    return STEP_ERROR;
}

enum step net_link_read(struct net_link *link, void *data, size_t cap, size_t *len, struct err *err)
{
    ssize_t got;

    if (link->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        return SSL_read_ex(link->ssl, data, cap, len) == 1 ? STEP_OK : ssl_step(link, 0, err);
    }
    got = recv(link->fd, data, cap, 0);
    if (got < 0)
        return plain_step(link, POLLIN, err);
    *len = (size_t)got;
    return got == 0 ? STEP_END : STEP_OK;
}

enum step net_link_write(struct net_link *link, const void *data, size_t len, size_t *done,
                         struct err *err)
{
    ssize_t put;

    if (link->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        return SSL_write_ex(link->ssl, data, len, done) == 1 ? STEP_OK : ssl_step(link, 0, err);
    }
    put = send(link->fd, data, len, MSG_NOSIGNAL);
    if (put < 0)
        return plain_step(link, POLLOUT, err);
    *done = (size_t)put;
    return STEP_OK;
}

void net_link_close(struct net_link *link)
{
    if (link->ssl != NULL)
        SSL_free(link->ssl);
    link->ssl = NULL;
    fd_close(&link->fd);
}
