// SPDX-License-Identifier: Apache-2.0
// The stages there are. Each is made by one function and closed by its owner, the pump.
#pragma once

#include "stream.h"

#define SHA256_HEX_CAP 65

struct digest_result {
    uint64_t bytes;
    char sha256[SHA256_HEX_CAP];
};

/* Passes bytes on and writes their SHA-256 and count into *result (lent) when it says END. */
struct stage *digest_new(struct digest_result *result);

/* Passes bytes on and ends in ERR_CORRUPT unless they are what is expected (copied). what names
 * them in the error. */
struct stage *digest_check_new(const struct digest_result *expected, const char *what);

/* RFC 8878. level as zstd counts; two worker threads beside the pump's. */
struct stage *zstd_compress_new(int level);
/* Refuses windows above 8 MiB: memory stays bounded whatever a frame asks for. A frame that is cut,
 * or followed by anything but another frame, is ERR_CORRUPT. */
struct stage *zstd_decompress_new(void);

/* RFC 1952, one member. level 1..9. */
struct stage *gzip_compress_new(int level);
/* One member and nothing after it, else ERR_CORRUPT. */
struct stage *gzip_decompress_new(void);
