// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 with certificates on both sides, on an event loop: contexts, and one non-blocking
// connection. Idle connections hold no buffers (SSL_MODE_RELEASE_BUFFERS). SIGPIPE must be ignored:
// OpenSSL writes without MSG_NOSIGNAL.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct tls_context;
struct tls_conn;

struct tls_files {
    const char *ca_file;   /* whom to believe; nothing else counts */
    const char *cert_file; /* own certificate, and the chain below the authority */
    const char *key_file;
};

/* Reads the files now: make a new one for each connection (client), or when files change (server),
 * and rotation needs no restart. ERR_CONFIG names the file that is wrong: missing, unreadable, not
 * PEM, key and certificate that do not belong together, own certificate expired. server: demands a
 * certificate of every client. */
int tls_context_new(const struct tls_files *files, bool server, struct tls_context **context,
                    struct err *err);
/* Connections that live keep what they need. NULL is allowed. */
void tls_context_free(struct tls_context *context);

struct tls_handlers {
    /* The handshake is over, the peer proven. Whether a server takes a client's certificate comes
     * out later only: an ERR_DENIED may still follow. */
    void (*opened)(void *arg);
    void (*received)(void *arg, const uint8_t *data, size_t len); /* lent */
    /* The end, by the peer or by an error: ERR_UNREACHABLE (closed, reset), ERR_DENIED (a
     * certificate that is not believed, expired, of another name, or refused by the peer; the text
     * says which), ERR_CORRUPT (no TLS). Not called after tls_conn_close, nor twice; the
     * connection must still be closed, which may be done right here. */
    void (*closed)(void *arg, const struct err *err);
    void *arg;
};

/* Takes fd, non-blocking, connected or connecting; on it a handshake begins. name: what the peer's
 * certificate must be valid for (a host name or an address), NULL on the server's side. handlers
 * are copied; none is called before this returns. loop is lent. */
struct tls_conn *tls_conn_new(const struct tls_context *context, int fd, const char *name,
                              struct ev_loop *loop, const struct tls_handlers *handlers);
/* Copies data and sends it as the peer takes it; also before opened(). Calls no handler. */
void tls_conn_send(struct tls_conn *conn, const void *data, size_t len);
/* So many bytes wait to be sent: whoever produces looks at this and stops. */
size_t tls_conn_queued(const struct tls_conn *conn);
/* The common name of the peer's certificate, "" before opened(); lent. */
const char *tls_conn_peer_name(const struct tls_conn *conn);
/* Sends what is queued, and close_notify, as far as that goes at once; closes, frees; no handler
 * afterwards. Legal inside a handler. NULL is allowed. */
void tls_conn_close(struct tls_conn *conn);
