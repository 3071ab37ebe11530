// SPDX-License-Identifier: Apache-2.0
// Memory. On the control path an allocation succeeds or the program aborts: there is no state in
// which a half-configured job could usefully go on. On the data path everything comes from a pool
// of equal chunks that is filled once, when the job starts, so that its size is the bound.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Never NULL. Zeroed. Released with free(). */
void *mem_calloc(size_t count, size_t size);
/* Never NULL. Grown bytes are not zeroed. */
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *string);
/* Exactly len bytes of string, whatever they are, and a terminator. */
char *mem_strndup(const char *string, size_t len);

struct pool;

/* A pool of count chunks of chunk_bytes each; the memory is reserved now and touched on use. */
struct pool *pool_new(size_t chunk_bytes, size_t count);
/* A chunk, or NULL when all are out. Not zeroed. */
uint8_t *pool_take(struct pool *pool);
/* NULL is allowed. */
void pool_give(struct pool *pool, uint8_t *chunk);
/* All chunks must be back. NULL is allowed. */
void pool_free(struct pool *pool);
