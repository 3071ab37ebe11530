// SPDX-License-Identifier: Apache-2.0
// The only file that calls the allocator of libc.
#include "mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *got, size_t count, size_t size)
{
    if (got == NULL) {
        fprintf(stderr, "lifeboat: out of memory (%zu times %zu bytes)\n", count, size);
        abort();
    }
    return got;
}

/* Of no bytes libc may give NULL, or free the old ones: of one byte it does not. */
static size_t at_least_one(size_t count)
{
    return count == 0 ? 1 : count;
}

void *mem_calloc(size_t count, size_t size)
{
    return checked(calloc(at_least_one(count), at_least_one(size)), count, size);
}

void *mem_realloc(void *old, size_t size)
{
    return checked(realloc(old, at_least_one(size)), 1, size);
}

char *mem_strdup(const char *string)
{
    return mem_strndup(string, strlen(string));
}

char *mem_strndup(const char *string, size_t len)
{
    char *copy = mem_realloc(NULL, len + 1);

    memcpy(copy, string, len);
    copy[len] = '\0';
    return copy;
}

struct pool {
    size_t chunk_bytes;
    size_t count;
    size_t free_count;
    uint8_t *memory;
    uint8_t **free_chunks; /* a stack; the chunk given back last is warm and goes out first */
};

struct pool *pool_new(size_t chunk_bytes, size_t count)
{
    struct pool *pool = mem_calloc(1, sizeof *pool);

    pool->chunk_bytes = chunk_bytes;
    pool->count = count;
    pool->free_count = count;
    pool->memory =
        checked(reallocarray(NULL, at_least_one(count), chunk_bytes), count, chunk_bytes);
    pool->free_chunks = mem_calloc(count, sizeof *pool->free_chunks);
    for (size_t i = 0; i < count; i++)
        pool->free_chunks[i] = pool->memory + (count - 1 - i) * chunk_bytes;
    return pool;
}

uint8_t *pool_take(struct pool *pool)
{
    return pool->free_count == 0 ? NULL : pool->free_chunks[--pool->free_count];
}

void pool_give(struct pool *pool, uint8_t *chunk)
{
    if (chunk == NULL)
        return;
    assert(pool->free_count < pool->count);
    pool->free_chunks[pool->free_count++] = chunk;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->free_count == pool->count);
    free(pool->free_chunks);
    free(pool->memory);
    free(pool);
}
