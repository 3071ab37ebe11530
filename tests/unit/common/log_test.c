// SPDX-License-Identifier: Apache-2.0
// Log lines as they leave the process, and the mask over them. Secrets stay registered for the
// whole program, so each test has its own.
#include "log.h"
#include "text.h"

#include "clock.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t fixed(void)
{
    return 1795418100123;
}

static const struct clock_ops still = {.wall_ms = fixed, .mono_us = fixed};

/* What body() wrote to standard error; valid until the next call. */
static const char *captured(void (*body)(void))
{
    static char text[8192];
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    size_t len;

    assert_non_null(file);
    clock_replace(&still);
    dup2(fileno(file), STDERR_FILENO);
    body();
    dup2(kept, STDERR_FILENO);
    close(kept);
    clock_replace(NULL);
    rewind(file);
    len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static void write_one(void)
{
    log_info("backup committed", LOG_TEXT("component", "orders-db"), LOG_TEXT("absent", NULL),
             LOG_TEXT("note", "a \"b\"\n\x01=c"), LOG_NUMBER("bytes", -5), LOG_TEXT("empty", ""));
    log_debug("not shown");
}

static void test_logfmt(void **state)
{
    (void)state;
    log_setup(LOG_INFO, false);
    assert_string_equal(
        captured(write_one),
        "time=2026-11-23T07:15:00.123Z level=info msg=\"backup committed\" "
        "component=orders-db note=\"a \\\"b\\\"\\n\\u0001=c\" bytes=-5 empty=\"\"\n");
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, true);
    assert_string_equal(captured(write_one),
                        "{\"time\":\"2026-11-23T07:15:00.123Z\",\"level\":\"info\","
                        "\"msg\":\"backup committed\",\"component\":\"orders-db\","
                        "\"note\":\"a \\\"b\\\"\\n\\u0001=c\",\"bytes\":-5,\"empty\":\"\"}\n");
}

static void write_error(void)
{
    struct err err = ERR_INIT;
    const struct log_field field = LOG_TEXT("component", "c");

    err_set(&err, ERR_UNREACHABLE, "connect: refused");
    log_err("backup failed", &err, &field, 1);
}

static void test_an_error_brings_kind_and_hint(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, false);
    assert_string_equal(
        captured(write_error),
        "time=2026-11-23T07:15:00.123Z level=error msg=\"backup failed\" component=c "
        "err=\"connect: refused\" kind=unreachable hint=\"is the other side up, and "
        "is the address right?\"\n");
}

static void write_secrets(void)
{
    log_info("msg with tricky\"quote\\\nsecret", LOG_TEXT("a", "x tricky\"quote\\\nsecret y"),
             LOG_TEXT("latin", "caf\xe9"));
}

/* Quoting changes what a secret looks like; the mask must come before. */
static void test_a_secret_that_needs_quoting_is_masked(void **state)
{
    (void)state;
    log_hide("tricky\"quote\\\nsecret");
    log_setup(LOG_INFO, false);
    assert_string_equal(
        captured(write_secrets),
        "time=2026-11-23T07:15:00.123Z level=info msg=\"msg with ***\" a=\"x *** y\" "
        "latin=caf?\n");
    log_setup(LOG_INFO, true);
    assert_string_equal(
        captured(write_secrets),
        "{\"time\":\"2026-11-23T07:15:00.123Z\",\"level\":\"info\",\"msg\":\"msg with "
        "***\",\"a\":\"x *** y\",\"latin\":\"caf?\"}\n");
}

static void expect_masked(const char *before, const char *after)
{
    char text[256];

    snprintf(text, sizeof text, "%s", before);
    log_mask(text);
    assert_string_equal(text, after);
}

static void test_the_mask(void **state)
{
    (void)state;
    log_hide("hunter2");
    log_hide("hunter2-and-more"); /* one in another */
    log_hide("overlap-left");
    log_hide("left-right"); /* one over the end of another */
    log_hide("abab");
    log_hide("abc"); /* too short */
    expect_masked("", "");
    expect_masked("nothing", "nothing");
    expect_masked("hunter2", "***");
    expect_masked("hunter2hunter2", "***");
    expect_masked("a hunter2 b hunter2 c", "a *** b *** c");
    expect_masked("hunter2-and-more!", "***!");
    expect_masked("hunter2-and-mor", "***-and-mor");
    expect_masked("(overlap-left-right)", "(***)");
    expect_masked("xababababx", "x***x");
    expect_masked("abc", "abc");
    log_hide("*****");
    expect_masked("hunter2 ***** x", "*** *** x");
}

static struct text kept = TEXT_INIT;

static void write_kept(void)
{
    log_setup(LOG_WARN, false);
    log_keep(&kept, 200);
    log_debug("too small to keep");
    log_info("first", LOG_TEXT("secret", "open sesame"));
    for (int i = 0; i < 100; i++)
        log_info("more");
    log_keep(NULL, 0);
    log_info("too late");
    log_setup(LOG_INFO, false);
}

static void test_lines_are_kept_within_bounds(void **state)
{
    (void)state;
    log_hide("open sesame");
    assert_string_equal(captured(write_kept), "");
    assert_non_null(strstr(text_str(&kept), "msg=first secret=***\n"));
    assert_null(strstr(text_str(&kept), "too"));
    assert_true(kept.len <= 200 && text_ends_with(text_str(&kept), "msg=more\n"));
    text_fini(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_an_error_brings_kind_and_hint),
        cmocka_unit_test(test_a_secret_that_needs_quoting_is_masked),
        cmocka_unit_test(test_the_mask),
        cmocka_unit_test(test_lines_are_kept_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
