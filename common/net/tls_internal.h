// SPDX-License-Identifier: Apache-2.0
// What tls_context.c makes and tls.c uses.
#pragma once

#include "tls.h"

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    bool server;
};
