// SPDX-License-Identifier: Apache-2.0
// Kafka's primitive types at their bounds: nothing is read beyond the end, and what is bad stays
// so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cursor.h"
#include "fetch.h"

#include <string.h>

static void test_numbers(void **state)
{
    static const uint8_t data[] = {0xff, 0x80, 0x00, 0x7f, 0xff, 0xff, 0xff, 0x80,
                                   0,    0,    0,    0,    0,    0,    1};
    struct kafka_cursor from = kafka_cursor(data, sizeof data);

    (void)state;
    assert_int_equal(kafka_i8(&from), -1);
    assert_int_equal(kafka_i16(&from), INT16_MIN);
    assert_int_equal(kafka_i32(&from), INT32_MAX);
    assert_true(kafka_i64(&from) == INT64_MIN + 1);
    assert_false(from.bad);
    assert_int_equal(kafka_i8(&from), 0);
    assert_true(from.bad);
}

static void test_a_bad_cursor_stays_bad(void **state)
{
    struct kafka_cursor from = kafka_cursor("\x01\x02", 2);
    size_t len;

    (void)state;
    assert_int_equal(kafka_i32(&from), 0);
    assert_true(from.bad);
    assert_int_equal(kafka_i8(&from), 0);
    assert_int_equal(kafka_varint(&from), 0);
    assert_null(kafka_string(&from, &len, NULL));
    assert_int_equal(len, 0);
    assert_int_equal(kafka_count(&from, 1), 0);
}

static void test_varints(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int64_t value;
        bool fits_32, fits_64;
    } rows[] = {
        {"\x00", 1, 0, true, true},
        {"\x01", 1, -1, true, true},
        {"\xac\x02", 2, 150, true, true},
        {"\xfe\xff\xff\xff\x0f", 5, INT32_MAX, true, true},
        {"\xff\xff\xff\xff\x0f", 5, INT32_MIN, true, true},
        {"\x80\x80\x80\x80\x10", 5, INT64_C(1) << 31, false, true},
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, INT64_MAX, false, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, INT64_MIN, false, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, false, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, 0, false, false},
        {"\x80", 1, 0, false, false},
        {"", 0, 0, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kafka_cursor narrow = kafka_cursor(rows[i].bytes, rows[i].len);
        struct kafka_cursor wide = narrow;

        assert_int_equal(kafka_varint(&narrow), rows[i].fits_32 ? rows[i].value : 0);
        assert_int_equal(narrow.bad, !rows[i].fits_32);
        assert_true(kafka_varlong(&wide) == rows[i].value);
        assert_int_equal(wide.bad, !rows[i].fits_64);
    }
}

static void test_strings(void **state)
{
    struct kafka_cursor from = kafka_cursor("\x00\x02hi\xff\xff\x00\x00\xff\xfe", 10);
    size_t len;
    bool null;

    (void)state;
    assert_memory_equal(kafka_string(&from, &len, NULL), "hi", 2);
    assert_null(kafka_string(&from, &len, &null));
    assert_true(null);
    assert_non_null(kafka_string(&from, &len, &null));
    assert_false(null);
    assert_int_equal(len, 0);
    assert_false(from.bad);
    kafka_string(&from, &len, &null);
    assert_true(from.bad);
    from = kafka_cursor("\xff\xff", 2);
    kafka_string(&from, &len, NULL);
    assert_true(from.bad);
}

static void test_counts(void **state)
{
    struct kafka_cursor from = kafka_cursor("\x00\x00\x00\x02....", 8);

    (void)state;
    assert_int_equal(kafka_count(&from, 2), 2);
    from = kafka_cursor("\x00\x00\x00\x03....", 8);
    assert_int_equal(kafka_count(&from, 2), 0);
    assert_true(from.bad);
    from = kafka_cursor("\xff\xff\xff\xff", 4);
    assert_int_equal(kafka_count(&from, 2), 0);
    assert_false(from.bad);
    from = kafka_cursor("\x7f\xff\xff\xff", 4);
    kafka_count(&from, 2);
    assert_true(from.bad);
}

/* FetchRequest.json of Kafka, version 11, by hand. */
static void test_a_fetch(void **state)
{
    static const char want[] = "\xff\xff\xff\xff"                 /* replica */
                               "\x00\x00\x00\x64"                 /* max wait */
                               "\x00\x00\x00\x01"                 /* min bytes */
                               "\x00\x40\x00\x00"                 /* max bytes */
                               "\x01"                             /* read committed */
                               "\x00\x00\x00\x00\xff\xff\xff\xff" /* session, epoch */
                               "\x00\x00\x00\x01\x00\x01t"        /* topics */
                               "\x00\x00\x00\x01\x00\x00\x00\x09" /* partitions */
                               "\xff\xff\xff\xff"                 /* leader epoch */
                               "\x00\x00\x00\x01\x00\x00\x00\x02" /* offset */
                               "\xff\xff\xff\xff\xff\xff\xff\xff" /* log start */
                               "\x00\x40\x00\x00"                 /* max bytes */
                               "\x00\x00\x00\x00"                 /* forgotten */
                               "\x00\x00";                        /* rack */
    const struct kafka_fetch fetch = {.topic = "t",
                                      .partition = 9,
                                      .offset = (INT64_C(1) << 32) + 2,
                                      .max_bytes = 4 << 20,
                                      .max_wait_ms = 100};
    struct text body = TEXT_INIT;

    (void)state;
    kafka_fetch_put(&body, &fetch);
    assert_int_equal(body.len, sizeof want - 1);
    assert_memory_equal(body.data, want, body.len);
    text_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_a_bad_cursor_stays_bad),
        cmocka_unit_test(test_varints), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_a_fetch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
