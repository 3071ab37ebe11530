// SPDX-License-Identifier: Apache-2.0
// SHA-256 of a stream, for the stages, and for ends that must know the digest of what passed.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sha256;

struct sha256 *sha256_new(void);
void sha256_reset(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t len);
/* Ends it: 64 lower-case hexadecimal digits and an end. Reset before using it again. */
void sha256_hex(struct sha256 *sha, char *hex);
/* NULL is allowed. */
void sha256_free(struct sha256 *sha);
