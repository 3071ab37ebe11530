// SPDX-License-Identifier: Apache-2.0
// What every stage must do, whatever the sizes of what it is handed; and what every stage on the
// way out of a store must do with bytes that are not what was stored: ERR_CORRUPT, never END.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stages.h"

#include "chain.h"
#include "fakes.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { MOST_OUT = 70000 };

/* Runs a stage as the pump does: pieces of at most in_step bytes, room for out_room each time.
 * Takes the stage. 0, or -1 with err. */
static int run(struct stage *stage, const uint8_t *data, size_t len, size_t in_step,
               size_t out_room, struct text *text, struct err *err)
{
    uint8_t *room = mem_calloc(MOST_OUT, 1);
    size_t done = 0;
    enum step step = STEP_OK;

    assert_true(out_room <= MOST_OUT);
    while (step == STEP_OK) {
        size_t n = len - done < in_step ? len - done : in_step;
        struct span_in in = {.data = data + done, .len = n};
        struct span_out out = {.data = room, .cap = out_room};
        bool last = done + n == len;

        step = stage->ops->step(stage, &in, &out, last, err);
        assert_true(in.pos <= n && out.len <= out_room);
        assert_true(step != STEP_AGAIN);
        assert_true(step != STEP_OK || in.pos + out.len > 0);
        assert_true(step != STEP_END || in.pos == n);
        if (step != STEP_ERROR)
            text_add_bytes(text, room, out.len);
        done += in.pos;
    }
    stage_close(stage);
    free(room);
    return step == STEP_END ? 0 : -1;
}

/* --- every stage --- */

static struct digest_result seen;
static struct digest_result expected;

static struct stage *new_digest(void)
{
    return digest_new(&seen);
}

static struct stage *new_digest_check(void)
{
    return digest_check_new(&expected, "object");
}

static struct stage *new_gzip(void)
{
    return gzip_compress_new(6);
}

static struct stage *new_zstd(void)
{
    return zstd_compress_new(3);
}

struct pair {
    const char *name;
    struct stage *(*in)(void), *(*out)(void);
};

static const struct pair pairs[] = {
    {.name = "digest", .in = new_digest, .out = new_digest_check},
    {.name = "gzip", .in = new_gzip, .out = gzip_decompress_new},
    {.name = "zstd", .in = new_zstd, .out = zstd_decompress_new},
};

enum { DIGEST, GZIP, ZSTD, PAIRS };

static struct text encode(const struct pair *pair, const uint8_t *data, size_t len, size_t in_step,
                          size_t out_room)
{
    struct text text = TEXT_INIT;
    struct err err = ERR_INIT;

    if (run(pair->in(), data, len, in_step, out_room, &text, &err) < 0)
        fail_msg("%s of %zu bytes: %s", pair->name, len, err.text);
    expected = seen;
    return text;
}

static void assert_decodes(const struct pair *pair, const struct text *stored, size_t in_step,
                           size_t out_room, const uint8_t *data, size_t len)
{
    struct text plain = TEXT_INIT;
    struct err err = ERR_INIT;

    if (run(pair->out(), (const uint8_t *)text_str(stored), stored->len, in_step, out_room, &plain,
            &err) < 0)
        fail_msg("%s back to %zu bytes: %s", pair->name, len, err.text);
    assert_int_equal(plain.len, len);
    if (len > 0)
        assert_memory_equal(plain.data, data, len);
    text_fini(&plain);
}

static void test_every_split_gives_the_same_bytes(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 999, 65536, 300001};
    static const size_t in_steps[] = {1, 7, 4096, 65536, SIZE_MAX};
    static const size_t rooms[] = {1, 13, 4096, 65536};

    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint8_t *data = fake_bytes(sizes[s], (uint32_t)s);
            struct text whole = encode(&pairs[p], data, sizes[s], SIZE_MAX, MOST_OUT);

            for (size_t i = 0; i < sizeof in_steps / sizeof in_steps[0]; i++) {
                for (size_t r = 0; r < sizeof rooms / sizeof rooms[0]; r++) {
                    struct text text = encode(&pairs[p], data, sizes[s], in_steps[i], rooms[r]);

                    assert_decodes(&pairs[p], &text, SIZE_MAX, MOST_OUT, data, sizes[s]);
                    assert_decodes(&pairs[p], &whole, in_steps[i], rooms[r], data, sizes[s]);
                    text_fini(&text);
                }
            }
            text_fini(&whole);
            free(data);
        }
    }
}

static void test_workers_never_stall(void **state)
{
    const size_t len = (size_t)24 << 20; /* several jobs of the workers */
    uint8_t *data = fake_bytes(len, 5);

    (void)state;
    for (int level = 1; level <= 3; level++) {
        struct text stored = TEXT_INIT;
        struct err err = ERR_INIT;

        assert_int_equal(run(zstd_compress_new(level), data, len, 50000, 3000, &stored, &err), 0);
        assert_decodes(&pairs[ZSTD], &stored, 131072, 65536, data, len);
        text_fini(&stored);
    }
    free(data);
}

static void test_a_stage_may_be_closed_early(void **state)
{
    uint8_t *data = fake_bytes((size_t)4 << 20, 5);
    uint8_t room[100];

    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        struct stage *stage = pairs[p].in();
        struct span_in in = {.data = data, .len = (size_t)4 << 20};
        struct span_out out = {.data = room, .cap = sizeof room};
        struct err err = ERR_INIT;

        stage_close(pairs[p].out());
        assert_int_equal(stage->ops->step(stage, &in, &out, false, &err), STEP_OK);
        stage_close(stage);
    }
    free(data);
}

static void test_stages_stand_in_the_order_of_their_phases(void **state)
{
    struct digest_result result;

    (void)state;
    for (enum codec codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        struct chain chain = chain_inwards(codec, 1, &result);

        for (size_t i = 0; i < chain.count; i++) {
            assert_true(i == 0 || chain.stages[i - 1]->ops->phase <= chain.stages[i]->ops->phase);
            assert_non_null(chain.stages[i]->ops->name);
        }
        for (size_t i = 0; i < chain.count; i++)
            stage_close(chain.stages[i]);
    }
}

static void test_a_codec_that_is_not_known_is_refused(void **state)
{
    struct chain chain = {.count = 7};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(chain_outwards("lzma", &expected, "a.dump", &chain, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_string_equal(err.text, "a.dump: codec \"lzma\" is not one of zstd, gzip, none");
    assert_int_equal(chain.count, 7);
}

/* --- hostile bytes --- */

static bool decodes(const struct pair *pair, const uint8_t *data, size_t len, size_t in_step,
                    struct text *plain)
{
    struct err err = ERR_INIT;

    text_clear(plain);
    if (run(pair->out(), data, len, in_step, 4096, plain, &err) == 0)
        return true;
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_true(err.text[0] != '\0');
    return false;
}

static void assert_corrupt(const struct pair *pair, const uint8_t *data, size_t len)
{
    struct text plain = TEXT_INIT;

    assert_false(decodes(pair, data, len, SIZE_MAX, &plain));
    assert_false(decodes(pair, data, len, 5, &plain));
    text_fini(&plain);
}

static void test_a_cut_stream_is_corrupt(void **state)
{
    uint8_t *data = fake_bytes(9000, 3);

    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        struct text stored = encode(&pairs[p], data, 9000, SIZE_MAX, 65536);

        for (size_t len = 0; len<stored.len; len += len> 40 && len + 40 < stored.len ? 31 : 1)
            assert_corrupt(&pairs[p], (const uint8_t *)stored.data, len);
        assert_corrupt(&pairs[p], (const uint8_t *)stored.data, stored.len - 1);
        text_fini(&stored);
    }
    free(data);
}

/* A bit that no decoder looks at may flip (a name, a time in the header of gzip); then the plain
 * bytes are the same. Other bytes never pass. */
static void test_a_flipped_bit_never_gives_other_bytes(void **state)
{
    uint8_t *data = fake_bytes(5000, 3);
    struct text plain = TEXT_INIT;

    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        struct text stored = encode(&pairs[p], data, 5000, SIZE_MAX, 65536);
        uint8_t *bytes = (uint8_t *)stored.data;
        size_t passed = 0;

        for (size_t bit = 0; bit < stored.len * 8; bit += bit < 400 ? 1 : 11) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (decodes(&pairs[p], bytes, stored.len, SIZE_MAX, &plain)) {
                assert_int_equal(plain.len, 5000);
                assert_memory_equal(plain.data, data, 5000);
                passed++;
            }
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(passed <= 80);
        text_fini(&stored);
    }
    text_fini(&plain);
    free(data);
}

static void test_bytes_after_the_end_are_corrupt(void **state)
{
    static const char *const tails[] = {"\0",
                                        "x",
                                        "\x1f",
                                        "\x1f\x8b",
                                        "\x28",
                                        "\x28\xb5\x2f\xfd",
                                        "trailing garbage that is longer than a header"};
    uint8_t *data = fake_bytes(1000, 3);

    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        for (size_t t = 0; t < sizeof tails / sizeof tails[0]; t++) {
            struct text stored = encode(&pairs[p], data, 1000, SIZE_MAX, 65536);

            text_add_bytes(&stored, tails[t], t == 0 ? 1 : strlen(tails[t]));
            assert_corrupt(&pairs[p], (const uint8_t *)stored.data, stored.len);
            text_fini(&stored);
        }
    }
    free(data);
}

static void test_a_second_member_of_gzip_is_corrupt_a_second_frame_of_zstd_is_not(void **state)
{
    uint8_t *data = fake_bytes(1000, 3);
    struct text plain = TEXT_INIT;

    (void)state;
    for (size_t p = GZIP; p < PAIRS; p++) {
        struct text stored = encode(&pairs[p], data, 1000, SIZE_MAX, 65536);
        struct text more = encode(&pairs[p], data, 500, SIZE_MAX, 65536);

        text_add_bytes(&stored, more.data, more.len);
        assert_int_equal(
            decodes(&pairs[p], (const uint8_t *)stored.data, stored.len, SIZE_MAX, &plain),
            p == ZSTD);
        if (p == ZSTD)
            assert_int_equal(plain.len, 1500);
        text_fini(&stored);
        text_fini(&more);
    }
    text_fini(&plain);
    free(data);
}

/* One frame of unknown length with the window asked for. */
static struct text frame_with_window(int window_log, const uint8_t *data, size_t len)
{
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    struct text text = TEXT_INIT;
    uint8_t *room = mem_calloc(MOST_OUT, 1);
    ZSTD_inBuffer in = {.src = data, .size = len};
    ZSTD_outBuffer out = {.dst = room, .size = MOST_OUT};

    ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog, window_log);
    assert_false(ZSTD_isError(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_end), 0);
    text_add_bytes(&text, room, out.pos);
    ZSTD_freeCCtx(compressor);
    free(room);
    return text;
}

static void test_a_huge_window_is_refused(void **state)
{
    /* One segment of 1 GiB, as its header says. */
    static const uint8_t segment[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0,  0x40,
                                      0,    0,    0,    0,    0x09, 0, 0, 'x'};
    uint8_t *data = fake_bytes(2000, 3);
    struct text plain = TEXT_INIT;
    struct text huge = frame_with_window(27, data, 2000);
    struct text most = frame_with_window(23, data, 2000);

    (void)state;
    assert_corrupt(&pairs[ZSTD], (const uint8_t *)huge.data, huge.len);
    assert_corrupt(&pairs[ZSTD], segment, sizeof segment);
    assert_true(decodes(&pairs[ZSTD], (const uint8_t *)most.data, most.len, SIZE_MAX, &plain));
    assert_int_equal(plain.len, 2000);
    text_fini(&huge);
    text_fini(&most);
    text_fini(&plain);
    free(data);
}

static void test_one_format_is_not_the_other(void **state)
{
    uint8_t *data = fake_bytes(1000, 3);
    struct text gzip = encode(&pairs[GZIP], data, 1000, SIZE_MAX, 65536);
    struct text zstd = encode(&pairs[ZSTD], data, 1000, SIZE_MAX, 65536);

    (void)state;
    assert_corrupt(&pairs[ZSTD], (const uint8_t *)gzip.data, gzip.len);
    assert_corrupt(&pairs[GZIP], (const uint8_t *)zstd.data, zstd.len);
    assert_corrupt(&pairs[ZSTD], data, 1000);
    assert_corrupt(&pairs[GZIP], data, 1000);
    text_fini(&gzip);
    text_fini(&zstd);
    free(data);
}

static void test_what_is_not_as_expected_is_named(void **state)
{
    struct digest_result wrong = {.bytes = 4};
    struct text plain = TEXT_INIT;
    struct err err = ERR_INIT;

    (void)state;
    memset(wrong.sha256, 'a', 64);
    assert_int_equal(
        run(digest_check_new(&wrong, "a.dump"), (const uint8_t *)"abc", 3, 1, 1, &plain, &err), -1);
    assert_string_equal(err.text, "a.dump has 3 bytes, the manifest says 4");
    wrong.bytes = 3;
    assert_int_equal(
        run(digest_check_new(&wrong, "a.dump"), (const uint8_t *)"abc", 3, 1, 1, &plain, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_string_equal(
        err.text,
        "a.dump has SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, the "
        "manifest says aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    text_fini(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_gives_the_same_bytes),
        cmocka_unit_test(test_workers_never_stall),
        cmocka_unit_test(test_a_stage_may_be_closed_early),
        cmocka_unit_test(test_stages_stand_in_the_order_of_their_phases),
        cmocka_unit_test(test_a_codec_that_is_not_known_is_refused),
        cmocka_unit_test(test_a_cut_stream_is_corrupt),
        cmocka_unit_test(test_a_flipped_bit_never_gives_other_bytes),
        cmocka_unit_test(test_bytes_after_the_end_are_corrupt),
        cmocka_unit_test(test_a_second_member_of_gzip_is_corrupt_a_second_frame_of_zstd_is_not),
        cmocka_unit_test(test_a_huge_window_is_refused),
        cmocka_unit_test(test_one_format_is_not_the_other),
        cmocka_unit_test(test_what_is_not_as_expected_is_named),
    };

    return cmocka_run_group_tests_name("stages", tests, NULL, NULL);
}
