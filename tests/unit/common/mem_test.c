// SPDX-License-Identifier: Apache-2.0
// Allocation never fails quietly, not for no bytes and not for too many; the pool is its own bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_nothing_is_something(void **state)
{
    char *none = mem_calloc(0, 8);
    char *sized = mem_calloc(8, 0);
    char *grown = mem_realloc(NULL, 0);

    (void)state;
    assert_non_null(none);
    assert_non_null(sized);
    assert_non_null(grown);
    grown = mem_realloc(grown, 3);
    memcpy(grown, "ab", 3);
    grown = mem_realloc(grown, 100000);
    assert_string_equal(grown, "ab");
    grown = mem_realloc(grown, 0);
    assert_non_null(grown);
    free(none);
    free(sized);
    free(grown);
}

static void test_calloc_is_zeroed(void **state)
{
    unsigned char *bytes = mem_calloc(100, 10);

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
}

static void test_strings(void **state)
{
    char *whole = mem_strdup("lifeboat");
    char *empty = mem_strdup("");
    char *part = mem_strndup("lifeboat", 4);
    char *bytes = mem_strndup("a\0b", 3);

    (void)state;
    assert_string_equal(whole, "lifeboat");
    assert_string_equal(empty, "");
    assert_string_equal(part, "life");
    assert_memory_equal(bytes, "a\0b", 4);
    free(whole);
    free(empty);
    free(part);
    free(bytes);
}

/* Whether a process of its own comes back from the call. */
static int comes_back(void *(*call)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        dup2(null, STDERR_FILENO);
        _exit(call() == NULL ? 1 : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Products that wrap around to a small number, zero among them. */
static void *calloc_wraps_to_zero(void)
{
    return mem_calloc(SIZE_MAX / 2 + 1, 2);
}

static void *calloc_wraps(void)
{
    return mem_calloc(SIZE_MAX / 8 + 2, 8);
}

static void *pool_wraps(void)
{
    return pool_new(SIZE_MAX / 2 + 1, 2);
}

static void *realloc_too_much(void)
{
    return mem_realloc(NULL, SIZE_MAX / 2 + 1);
}

static void *calloc_little(void)
{
    return mem_calloc(1, 1);
}

static void test_too_much_ends_the_program(void **state)
{
    (void)state;
    assert_true(comes_back(calloc_little));
    assert_false(comes_back(calloc_wraps_to_zero));
    assert_false(comes_back(calloc_wraps));
    assert_false(comes_back(pool_wraps));
    assert_false(comes_back(realloc_too_much));
}

static void test_pool_gives_distinct_chunks_and_no_more(void **state)
{
    enum { CHUNK_BYTES = 4096, COUNT = 5 };
    struct pool *pool = pool_new(CHUNK_BYTES, COUNT);
    uint8_t *chunks[COUNT];
    uint8_t *last;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        chunks[i] = pool_take(pool);
        assert_non_null(chunks[i]);
        memset(chunks[i], (int)i, CHUNK_BYTES);
    }
    assert_null(pool_take(pool));
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(chunks[i][0], i);
        assert_int_equal(chunks[i][CHUNK_BYTES - 1], i);
    }
    last = chunks[3];
    pool_give(pool, last);
    assert_ptr_equal(pool_take(pool), last);
    assert_null(pool_take(pool));
    pool_give(pool, NULL);
    assert_null(pool_take(pool));
    for (size_t i = 0; i < COUNT; i++)
        pool_give(pool, chunks[i]);
    pool_free(pool);
}

static void test_empty_pool(void **state)
{
    struct pool *pool = pool_new(4096, 0);

    (void)state;
    assert_null(pool_take(pool));
    pool_free(pool);
    pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_something),
        cmocka_unit_test(test_calloc_is_zeroed),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_too_much_ends_the_program),
        cmocka_unit_test(test_pool_gives_distinct_chunks_and_no_more),
        cmocka_unit_test(test_empty_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
