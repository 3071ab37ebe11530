// SPDX-License-Identifier: Apache-2.0
// The bytes of a connection to a database, plain or in TLS, non-blocking, on no loop. TLS 1.2 is
// allowed, unlike towards the collector (tls.h): servers and their proxies are not ours to choose.
#pragma once

#include "err.h"
#include "step.h"
#include "tls.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct net_link {
    int fd;
    SSL *ssl;     /* NULL: plain */
    short events; /* of poll(): what the last AGAIN waits for */
};

/* Begins to connect to one address; false when that failed at once, with errno. */
bool net_link_begin(struct net_link *link, int family, const void *address, size_t len);
/* After the socket became writable: 0, or errno of the attempt. */
int net_link_result(const struct net_link *link);
/* Puts TLS over the connected socket; net_link_shake goes on with it. host is what the server's
 * certificate must be valid for. Without files->ca_file those count that the system trusts; without
 * cert_file this side has no certificate. */
int net_link_secure(struct net_link *link, const struct tls_files *files, const char *host,
                    struct err *err);
/* OK: the peer is proven. AGAIN, or ERROR. */
enum step net_link_shake(struct net_link *link, struct err *err);
/* OK: *len of them, at least one. END: closed by the peer. */
enum step net_link_read(struct net_link *link, void *data, size_t cap, size_t *len,
                        struct err *err);
enum step net_link_write(struct net_link *link, const void *data, size_t len, size_t *done,
                         struct err *err);
void net_link_close(struct net_link *link);
