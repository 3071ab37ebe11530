// SPDX-License-Identifier: Apache-2.0
// Growable strings and strict conversions.
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void test_text_grows_over_odd_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 62, 63, 64, 65, 127, 128, 129, 70000};
    (void)state;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct text text = TEXT_INIT;
        char *taken;

        assert_string_equal(text_str(&text), "");
        for (size_t j = 0; j < sizes[i]; j++)
            text_add_char(&text, (char)('a' + j % 26));
        text_add(&text, "<%d>", 42);
        assert_int_equal(text.len, sizes[i] + 4);
        assert_string_equal(text.data + sizes[i], "<42>");
        text_clear(&text);
        assert_string_equal(text_str(&text), "");
        text_add_bytes(&text, "a\0b", 3);
        assert_int_equal(text.len, 3);
        taken = text_take(&text);
        assert_memory_equal(taken, "a\0b", 4);
        assert_null(text.data);
        free(taken);
        text_fini(&text);
    }
}

static void test_taking_an_empty_text_gives_an_empty_string(void **state)
{
    struct text text = TEXT_INIT;
    char *taken = text_take(&text);
    (void)state;

    assert_string_equal(taken, "");
    free(taken);
}

static void test_numbers_are_strict(void **state)
{
    static const char *const wrong[] = {
        "", " 1", "1 ", "-1", "+1", "1a", "0x1", "18446744073709551616", "1e3x", "."};
    uint64_t value = 7;
    (void)state;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(text_parse_u64(wrong[i], &value), -1);
        assert_int_equal(value, 7);
    }
    assert_int_equal(text_parse_u64("18446744073709551615", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_parse_u64("0", &value), 0);
    assert_true(value == 0);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"65536", 65536},
        {"1B", 1},
        {"8MiB", UINT64_C(8) << 20},
        {"20GiB", UINT64_C(20) << 30},
        {"5GB", UINT64_C(5000000000)},
        {"1kB", 1000},
        {"1TB", UINT64_C(1000000000000)},
        {"8388607TiB", UINT64_C(8388607) << 40},
    };
    static const char *const wrong[] = {"",   "MiB",   "8mib",       "8 MiB", "8M",
                                        "-1", "1.5GB", "8388608TiB", "1KB",   "8MiBx"};
    uint64_t bytes = 7;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(text_parse_size(rows[i].text, &bytes), 0);
        assert_true(bytes == rows[i].bytes);
    }
    bytes = 7;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(text_parse_size(wrong[i], &bytes), -1);
        assert_true(bytes == 7);
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"500ms", 500}, {"90s", 90000}, {"15m", 900000}, {"24h", 86400000}, {"30d", 2592000000}};
    static const char *const wrong[] = {"",     "15",  "m",   "1h30m",
                                        "1.5h", "-1s", "1 s", "106751991168d"};
    int64_t ms = 7;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(text_parse_duration(rows[i].text, &ms), 0);
        assert_true(ms == rows[i].ms);
    }
    ms = 7;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(text_parse_duration(wrong[i], &ms), -1);
        assert_true(ms == 7);
    }
}

static void test_what_people_read(void **state)
{
    char buffer[32];
    (void)state;

    assert_string_equal(text_show_bytes(312, buffer, sizeof buffer), "312 B");
    assert_string_equal(text_show_bytes(1536, buffer, sizeof buffer), "1.5 KiB");
    assert_string_equal(text_show_bytes(UINT64_C(48) << 30, buffer, sizeof buffer), "48 GiB");
    assert_string_equal(text_show_bytes(UINT64_MAX, buffer, sizeof buffer), "16384 PiB");
    assert_string_equal(text_show_duration(800, buffer, sizeof buffer), "0.8 s");
    assert_string_equal(text_show_duration(59949, buffer, sizeof buffer), "59.9 s");
    assert_string_equal(text_show_duration(59999, buffer, sizeof buffer), "1 min 0 s");
    assert_string_equal(text_show_duration(192000, buffer, sizeof buffer), "3 min 12 s");
    assert_string_equal(text_show_duration(14700000, buffer, sizeof buffer), "4 h 05 min");
    assert_string_equal(text_show_duration(183600000, buffer, sizeof buffer), "2 d 3 h");
    assert_string_equal(text_show_duration(INT64_MAX, buffer, sizeof buffer), "106751991167 d 7 h");
}

static void test_distance_counts_edits(void **state)
{
    static const char long_word[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    (void)state;

    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("schedul", "schedule"), 1);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_true(text_distance(long_word, "a") == SIZE_MAX);
    assert_int_equal(text_distance(long_word + 1, long_word + 1), 0);
}

static void test_hex(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff};
    char out[9];
    (void)state;

    text_hex(bytes, sizeof bytes, out);
    assert_string_equal(out, "000ff0ff");
    text_hex(bytes, 0, out);
    assert_string_equal(out, "");
}

static void test_only_valid_utf8_is_left(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"", ""},
        {"plain\n", "plain\n"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80"},
        {"caf\xe9 x", "caf? x"},
        {"cut \xe2\x82", "cut ??"},
        {"\xc0\x80", "??"},           /* overlong */
        {"\xe0\x80\x80", "???"},      /* overlong */
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* past the last character */
        {"\x80\xff\xc3\xa9", "??\xc3\xa9"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = text_format("%s", rows[i].before);

        text_fix_utf8(copy);
        assert_string_equal(copy, rows[i].after);
        free(copy);
    }
}

static void test_starts_and_ends(void **state)
{
    (void)state;
    assert_true(text_starts_with("https://x", "https://"));
    assert_false(text_starts_with("http", "https://"));
    assert_true(text_ends_with("conninfo_file", "_file"));
    assert_false(text_ends_with("file", "_file"));
    assert_true(text_ends_with("", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows_over_odd_sizes),
        cmocka_unit_test(test_taking_an_empty_text_gives_an_empty_string),
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_what_people_read),
        cmocka_unit_test(test_distance_counts_edits),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_only_valid_utf8_is_left),
        cmocka_unit_test(test_starts_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
