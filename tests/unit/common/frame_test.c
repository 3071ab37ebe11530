// SPDX-License-Identifier: Apache-2.0
// Frames come out whole, however the stream is cut, and never larger than allowed.
#include "frame.h"

#include "mem.h"
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

static void add_frame(struct text *out, const void *message, size_t len)
{
    uint8_t head[FRAME_HEAD_BYTES];

    frame_head(len, head);
    text_add_bytes(out, head, sizeof head);
    text_add_bytes(out, message, len);
}

struct taken {
    struct text log; /* "<5:hello><0:>" */
    size_t fails_at; /* counted from 1; 0: never */
    size_t count;
};

static int take(void *arg, const uint8_t *message, size_t len, struct err *err)
{
    struct taken *taken = arg;

    if (++taken->count == taken->fails_at)
        return err_set(err, ERR_REFUSED, "enough");
    text_add(&taken->log, "<%zu:", len);
    text_add_bytes(&taken->log, message, len);
    text_add_char(&taken->log, '>');
    return 0;
}

/* From a block of its own size, so that a read past its end is seen. */
static int add_exact(struct frame_reader *reader, const char *data, size_t len, struct taken *taken,
                     struct err *err)
{
    uint8_t *exact = mem_calloc(len == 0 ? 1 : len, 1);
    int rc;

    memcpy(exact, data, len);
    rc = frame_reader_add(reader, exact, len, take, taken, err);
    free(exact);
    return rc;
}

static void test_every_cut_of_a_stream_gives_the_same(void **state)
{
    static const char expected[] = "<5:hello><0:><1:x><0:><8:maximums>";
    struct text stream = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    add_frame(&stream, "hello", 5);
    add_frame(&stream, "", 0);
    add_frame(&stream, "x", 1);
    add_frame(&stream, "", 0);
    add_frame(&stream, "maximums", 8);
    for (size_t first = 0; first <= stream.len; first++) {
        for (size_t second = first; second <= stream.len; second++) {
            const size_t cuts[] = {0, first, second, stream.len};
            struct taken taken = {.log = TEXT_INIT};
            struct frame_reader reader;

            frame_reader_init(&reader, 8);
            for (size_t i = 0; i + 1 < COUNT(cuts); i++)
                assert_int_equal(
                    add_exact(&reader, stream.data + cuts[i], cuts[i + 1] - cuts[i], &taken, &err),
                    0);
            assert_string_equal(text_str(&taken.log), expected);
            assert_null(reader.data); /* nothing is held between frames */
            text_fini(&taken.log);
        }
    }
    text_fini(&stream);
}

static void test_bytes_one_by_one(void **state)
{
    struct text stream = TEXT_INIT;
    struct taken taken = {.log = TEXT_INIT};
    struct frame_reader reader;
    struct err err = ERR_INIT;
    (void)state;

    add_frame(&stream, "", 0);
    add_frame(&stream, "ab", 2);
    frame_reader_init(&reader, FRAME_MAX_BYTES);
    for (size_t i = 0; i < stream.len; i++) {
        assert_int_equal(add_exact(&reader, stream.data + i, 1, &taken, &err), 0);
        assert_int_equal(taken.count, i < 3 ? 0 : i < 9 ? 1 : 2);
    }
    assert_string_equal(text_str(&taken.log), "<0:><2:ab>");
    text_fini(&taken.log);
    text_fini(&stream);
}

static void test_the_largest_frame_and_one_more_byte(void **state)
{
    static const size_t maximums[] = {0, 1, 1000, FRAME_MAX_BYTES};
    uint8_t *message = mem_calloc(FRAME_MAX_BYTES + 1, 1);
    (void)state;

    for (size_t i = 0; i < COUNT(maximums); i++) {
        struct text stream = TEXT_INIT;
        struct taken taken = {.log = TEXT_INIT};
        struct frame_reader reader;
        struct err err = ERR_INIT;
        uint8_t over[] = {0, (uint8_t)((maximums[i] + 1) >> 16), (uint8_t)((maximums[i] + 1) >> 8),
                          (uint8_t)(maximums[i] + 1)};

        add_frame(&stream, message, maximums[i]);
        frame_reader_init(&reader, maximums[i]);
        assert_int_equal(add_exact(&reader, stream.data, stream.len, &taken, &err), 0);
        assert_int_equal(taken.count, 1);
        assert_int_equal(frame_reader_add(&reader, over, sizeof over, take, &taken, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        assert_int_equal(taken.count, 1);
        assert_true(reader.cap <= FRAME_HEAD_BYTES); /* refused before room was made */
        frame_reader_fini(&reader);
        text_fini(&taken.log);
        text_fini(&stream);
    }
    free(message);
}

static void test_a_huge_length_is_refused(void **state)
{
    static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff};
    struct taken taken = {.log = TEXT_INIT};
    struct frame_reader reader;
    struct err err = ERR_INIT;
    (void)state;

    frame_reader_init(&reader, FRAME_MAX_BYTES);
    assert_int_equal(frame_reader_add(&reader, head, sizeof head, take, &taken, &err), -1);
    assert_string_equal(err.text, "a frame of 4294967295 bytes; at most 1048576 are allowed");
    frame_reader_fini(&reader);
}

static void test_who_takes_may_stop(void **state)
{
    struct text stream = TEXT_INIT;
    struct taken taken = {.log = TEXT_INIT, .fails_at = 2};
    struct frame_reader reader;
    struct err err = ERR_INIT;
    (void)state;

    add_frame(&stream, "a", 1);
    add_frame(&stream, "b", 1);
    add_frame(&stream, "c", 1);
    frame_reader_init(&reader, 8);
    assert_int_equal(add_exact(&reader, stream.data, stream.len, &taken, &err), -1);
    assert_string_equal(err.text, "enough");
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_string_equal(text_str(&taken.log), "<1:a>");
    frame_reader_fini(&reader);
    frame_reader_fini(&reader);
    text_fini(&taken.log);
    text_fini(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut_of_a_stream_gives_the_same),
        cmocka_unit_test(test_bytes_one_by_one),
        cmocka_unit_test(test_the_largest_frame_and_one_more_byte),
        cmocka_unit_test(test_a_huge_length_is_refused),
        cmocka_unit_test(test_who_takes_may_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
