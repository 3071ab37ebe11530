// SPDX-License-Identifier: Apache-2.0
// Sentences that grow outwards, and the table of kinds.
#include "err.h"

#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <ctype.h>
#include <errno.h>
#include <string.h>

static void test_wrapping_grows_outwards(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(err_set(&err, ERR_DENIED, "status %d", 403), -1);
    assert_int_equal(err_wrap(&err, "put %s", "a.json"), -1);
    assert_int_equal(err_wrap(&err, "store s3"), -1);
    assert_string_equal(err.text, "store s3: put a.json: status 403");
    assert_int_equal(err.kind, ERR_DENIED);
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err.text, "");
}

static void test_an_error_may_quote_itself(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    err_set(&err, ERR_IO, "inner");
    err_set(&err, ERR_CONFIG, "outer %s", err.text);
    assert_string_equal(err.text, "outer inner");
}

static void test_errno_decides_the_kind(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(err_set_errno(&err, ENOENT, "open %s", "x"), -1);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(err.kind, ERR_IO);
    err_set_errno(&err, ENOSPC, "write");
    assert_int_equal(err.kind, ERR_NO_SPACE);
    err_set_errno(&err, EDQUOT, "write");
    assert_int_equal(err.kind, ERR_NO_SPACE);
}

static void test_ends_of_lines_are_dropped(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    err_set(&err, ERR_SOURCE, "pg_dump: error: one\ntwo\r\n\n");
    assert_string_equal(err.text, "pg_dump: error: one\ntwo");
    err_set(&err, ERR_SOURCE, "\n");
    assert_string_equal(err.text, "");
}

static void test_long_text_is_cut_at_the_end(void **state)
{
    struct err err = ERR_INIT;
    char text[3000];
    (void)state;

    for (size_t len = sizeof err.text - 4; len < sizeof err.text + 4; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        err_set(&err, ERR_IO, "%s", text);
        assert_int_equal(strlen(err.text), len < sizeof err.text ? len : sizeof err.text - 1);
        err_wrap(&err, "head");
        assert_memory_equal(err.text, "head: xxx", 9);
        assert_int_equal(strlen(err.text), sizeof err.text - 1);
    }
}

/* JSON readers refuse anything else, and a report must not be lost for a byte. */
static void test_text_is_valid_utf8(void **state)
{
    struct err err = ERR_INIT;
    struct text text = TEXT_INIT;
    (void)state;

    err_set(&err, ERR_SOURCE, "caf\xe9");
    assert_string_equal(err.text, "caf?");
    while (text.len < sizeof err.text - 2)
        text_add_char(&text, 'x');
    text_add(&text, "\xe2\x82\xac");
    err_set(&err, ERR_SOURCE, "%s", text.data);
    assert_string_equal(err.text + sizeof err.text - 3, "x?");
    text_fini(&text);
}

static void test_every_kind_is_told(void **state)
{
    (void)state;

    for (enum err_kind kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        const char *name = err_kind_name(kind);

        for (const char *at = name; *at != '\0'; at++)
            assert_true(islower(*at) || *at == '_');
        assert_true(strlen(name) > 0 && strlen(err_kind_hint(kind)) > 0);
        assert_in_range(err_kind_exit_status(kind), 1, 2);
        for (enum err_kind other = kind + 1; other < ERR_KIND_COUNT; other++)
            assert_string_not_equal(name, err_kind_name(other));
    }
    assert_string_equal(err_kind_name(ERR_NOT_YET), "not_yet");
    assert_int_equal(err_kind_exit_status(ERR_CONFIG), 2);
    assert_int_equal(err_kind_exit_status(ERR_NONE), 0);
    assert_true(err_kind_may_retry(ERR_UNREACHABLE));
    assert_false(err_kind_may_retry(ERR_CORRUPT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrapping_grows_outwards),
        cmocka_unit_test(test_an_error_may_quote_itself),
        cmocka_unit_test(test_errno_decides_the_kind),
        cmocka_unit_test(test_ends_of_lines_are_dropped),
        cmocka_unit_test(test_long_text_is_cut_at_the_end),
        cmocka_unit_test(test_text_is_valid_utf8),
        cmocka_unit_test(test_every_kind_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
