// SPDX-License-Identifier: Apache-2.0
// What tls_context.c makes and tls.c uses; and the parts of both for a client that must speak older
// TLS too, and so has a context of its own.
#pragma once

#include "tls.h"

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    bool server;
};

/* Reads the files into ssl, as tls_context_new does. Without ca_file those authorities count that
 * the system trusts; without cert_file this side has no certificate. */
int tls_read_files(SSL_CTX *ssl, const struct tls_files *files, struct err *err);
/* From now on the peer's certificate must be valid for name, a host name or an address. */
void tls_expect_name(SSL *ssl, const char *name);
