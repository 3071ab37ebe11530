// SPDX-License-Identifier: Apache-2.0
// The bytes of a connection, plain or in TLS, non-blocking. For conn.c only.
#pragma once

#include "redis_options.h"
#include "stream.h"

#include <openssl/ssl.h>

struct redis_link {
    int fd;
    SSL *ssl;     /* NULL: plain */
    short events; /* of poll(): what the last AGAIN waits for */
};

/* Begins to connect to one address; false when that failed at once, with errno. */
bool redis_link_begin(struct redis_link *link, int family, const void *address, size_t len);
/* After the socket became writable: 0, or errno of the attempt. */
int redis_link_result(const struct redis_link *link);
/* Puts TLS over the connected socket; redis_link_shake goes on with it. */
int redis_link_secure(struct redis_link *link, const struct redis_options *options,
                      const char *host, struct err *err);
/* OK: the peer is proven. AGAIN, or ERROR. */
enum step redis_link_shake(struct redis_link *link, struct err *err);
/* OK: *len of them, at least one. END: closed by the peer. */
enum step redis_link_read(struct redis_link *link, void *data, size_t cap, size_t *len,
                          struct err *err);
enum step redis_link_write(struct redis_link *link, const void *data, size_t len, size_t *done,
                           struct err *err);
void redis_link_close(struct redis_link *link);
