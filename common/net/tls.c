// SPDX-License-Identifier: Apache-2.0
// One connection. Each event of its socket gives one turn: go on with the handshake, or read, then
// write, both a bounded number of records so that no peer holds the loop. Everything else only
// queues and watches, so handlers run inside of a turn and nowhere else.
//
// A handler may close: tls_conn_close then leaves the struct to the turn, which looks at the state
// after each handler.
#include "mem.h"
#include "text.h"
#include "tls_internal.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RECORDS_A_TURN = 16,
    COMPACT_BYTES = 64 * 1024,
};

enum state {
    SHAKING,
    OPEN,
    ENDED, /* closed() was told */
    GONE,  /* tls_conn_close was called inside a turn */
};

struct tls_conn {
    enum state state;
    bool in_turn;
    bool wants_write; /* of this turn */
    int fd;
    SSL *ssl;
    struct ev_loop *loop;
    ev_io io;
    struct tls_handlers handlers;
    struct text queue;
    size_t queue_sent; /* so many bytes of the queue are gone */
    char *peer_name;
};

/* --- why it ended --- */

static bool is_certificate_alert(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

static void explain_tls(const struct tls_conn *conn, struct err *err)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    long verified = SSL_get_verify_result(conn->ssl);

    if (verified != X509_V_OK)
        err_set(err, ERR_DENIED, "the peer's certificate is not accepted: %s",
                X509_verify_cert_error_string(verified));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        err_set(err, ERR_DENIED, "the peer showed no certificate");
    else if (reason >= SSL_AD_REASON_OFFSET && is_certificate_alert(reason - SSL_AD_REASON_OFFSET))
        err_set(err, ERR_DENIED, "the peer refused this side's certificate: %s",
                SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        err_set(err, ERR_UNREACHABLE, "the peer closed the connection%s",
                conn->state == SHAKING ? " in the handshake" : " without taking leave");
    else
        err_set(err, ERR_CORRUPT, "the peer does not speak TLS 1.3: %s",
                text == NULL ? "unknown reason" : text);
}

/* After a call of OpenSSL that failed: false when it only has to wait, else err says why. */
static bool is_over(struct tls_conn *conn, int rc, struct err *err)
{
    int errno_value = errno;

    switch (SSL_get_error(conn->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return false;
    case SSL_ERROR_WANT_WRITE:
        conn->wants_write = true;
        return false;
    case SSL_ERROR_ZERO_RETURN:
        err_set(err, ERR_UNREACHABLE, "the peer closed the connection");
        return true;
    case SSL_ERROR_SYSCALL:
        err_set(err, ERR_UNREACHABLE, "%s",
                errno_value == 0 ? "the peer closed the connection" : strerror(errno_value));
        return true;
    default:
        explain_tls(conn, err);
        return true;
    }
}

static void end(struct tls_conn *conn, const struct err *err)
{
    ev_io_stop(conn->loop, &conn->io);
    text_fini(&conn->queue);
    conn->queue_sent = 0;
    conn->state = ENDED;
    ERR_clear_error();
    conn->handlers.closed(conn->handlers.arg, err);
}

/* --- a turn --- */

/* Never NULL. A name with a NUL inside would be read as another, shorter one: it counts as none. */
static char *common_name(const X509 *certificate)
{
    char *name = NULL;
    unsigned char *utf8 = NULL;
    X509_NAME *subject = X509_get_subject_name(certificate);
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    int len = index < 0 ? -1
                        : ASN1_STRING_to_UTF8(
                              &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));

    if (len > 0 && memchr(utf8, '\0', (size_t)len) == NULL)
        name = mem_strndup((const char *)utf8, (size_t)len);
    OPENSSL_free(utf8);
    if (name == NULL)
        return mem_strdup("");
    text_fix_utf8(name);
    return name;
}

static void shake(struct tls_conn *conn)
{
    struct err err = ERR_INIT;
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(conn->ssl);
    if (rc == 1) {
        free(conn->peer_name);
        conn->peer_name = common_name(SSL_get0_peer_certificate(conn->ssl));
        conn->state = OPEN;
        conn->handlers.opened(conn->handlers.arg);
    } else if (is_over(conn, rc, &err)) {
        end(conn, &err);
    }
}

/* A whole record fits, so OpenSSL keeps none back that the socket would not announce again. */
static void receive(struct tls_conn *conn)
{
    uint8_t data[SSL3_RT_MAX_PLAIN_LENGTH];
    struct err err = ERR_INIT;

    for (int i = 0; i < RECORDS_A_TURN && conn->state == OPEN; i++) {
        size_t len = 0;

        ERR_clear_error();
        errno = 0;
        if (SSL_read_ex(conn->ssl, data, sizeof data, &len) != 1) {
            if (is_over(conn, 0, &err))
                end(conn, &err);
            return;
        }
        conn->handlers.received(conn->handlers.arg, data, len);
    }
}

static void took(struct tls_conn *conn, size_t len)
{
    size_t left;

    conn->queue_sent += len;
    left = conn->queue.len - conn->queue_sent;
    if (left == 0) {
        text_fini(&conn->queue);
        conn->queue_sent = 0;
    } else if (conn->queue_sent >= COMPACT_BYTES && conn->queue_sent >= left) {
        memmove(conn->queue.data, conn->queue.data + conn->queue_sent, left);
        conn->queue.len = left;
        conn->queue_sent = 0;
    }
}

/* -1 when the connection broke. */
static int send_queue(struct tls_conn *conn, struct err *err)
{
    for (int i = 0; i < RECORDS_A_TURN && tls_conn_queued(conn) > 0; i++) {
        size_t len = 0;

        ERR_clear_error();
        errno = 0;
        if (SSL_write_ex(conn->ssl, conn->queue.data + conn->queue_sent, tls_conn_queued(conn),
                         &len) != 1)
            return is_over(conn, 0, err) ? -1 : 0;
        took(conn, len);
    }
    if (tls_conn_queued(conn) > 0)
        conn->wants_write = true;
    return 0;
}

/* A peer that refuses this side's certificate sends its alert and closes: the write fails, but the
 * reason stands there to be read. */
static void flush(struct tls_conn *conn)
{
    struct err err = ERR_INIT;

    if (send_queue(conn, &err) == 0)
        return;
    receive(conn);
    if (conn->state == OPEN)
        end(conn, &err);
}

static void watch(struct tls_conn *conn, int events)
{
    if (ev_is_active(&conn->io) && (conn->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(conn->loop, &conn->io);
    ev_io_set(&conn->io, conn->fd, events);
    ev_io_start(conn->loop, &conn->io);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct tls_conn *conn = io->data;

    (void)loop;
    (void)events;
    conn->in_turn = true;
    conn->wants_write = false;
    if (conn->state == SHAKING)
        shake(conn);
    if (conn->state == OPEN)
        receive(conn);
    if (conn->state == OPEN)
        flush(conn);
    conn->in_turn = false;
    if (conn->state == GONE)
        free(conn);
    else if (conn->state != ENDED)
        watch(conn, EV_READ | (conn->wants_write ? EV_WRITE : 0));
}

/* --- for owners --- */

/* Without this any certificate of the authority would do: failing is not an option. */
void tls_expect_name(SSL *ssl, const char *name)
{
    size_t len = strlen(name);
    char *host;

    if (len == 0)
        abort();
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return;
    /* "name." is for the resolver: certificates and SNI have no such dot. */
    host = mem_strndup(name, len > 1 && name[len - 1] == '.' ? len - 1 : len);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, host) != 1)
        abort();
    SSL_set_tlsext_host_name(ssl, host);
    free(host);
}

struct tls_conn *tls_conn_new(const struct tls_context *context, int fd, const char *name,
                              struct ev_loop *loop, const struct tls_handlers *handlers)
{
    struct tls_conn *conn = mem_calloc(1, sizeof *conn);

    assert(context->server == (name == NULL));
    conn->fd = fd;
    conn->loop = loop;
    conn->handlers = *handlers;
    conn->peer_name = mem_strdup("");
    conn->ssl = SSL_new(context->ssl);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, fd) != 1)
        abort(); /* out of memory */
    if (name != NULL)
        tls_expect_name(conn->ssl, name);
    if (context->server)
        SSL_set_accept_state(conn->ssl);
    else
        SSL_set_connect_state(conn->ssl);
    ev_init(&conn->io, on_io);
    conn->io.data = conn;
    /* The client speaks first, and may have to wait for the connection. */
    watch(conn, context->server ? EV_READ : EV_WRITE);
    return conn;
}

void tls_conn_send(struct tls_conn *conn, const void *data, size_t len)
{
    if (len == 0 || conn->state == ENDED)
        return;
    text_add_bytes(&conn->queue, data, len);
    if (conn->state == OPEN && !conn->in_turn)
        watch(conn, EV_READ | EV_WRITE);
}

size_t tls_conn_queued(const struct tls_conn *conn)
{
    return conn->queue.len - conn->queue_sent;
}

const char *tls_conn_peer_name(const struct tls_conn *conn)
{
    return conn->peer_name;
}

void tls_conn_close(struct tls_conn *conn)
{
    struct err ignored = ERR_INIT;

    if (conn == NULL)
        return;
    ev_io_stop(conn->loop, &conn->io);
    if (conn->state == OPEN && send_queue(conn, &ignored) == 0 && tls_conn_queued(conn) == 0)
        SSL_shutdown(conn->ssl);
    ERR_clear_error();
    SSL_free(conn->ssl);
    close(conn->fd);
    text_fini(&conn->queue);
    free(conn->peer_name);
    conn->state = GONE;
    if (!conn->in_turn)
        free(conn);
}
