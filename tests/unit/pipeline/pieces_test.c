// SPDX-License-Identifier: Apache-2.0
// One stream, several stored files: where it is cut, and what reading back notices.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pieces.h"

#include "digest.h"
#include "fakes.h"
#include "mem.h"
#include "memory.h"
#include "pump.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PIECES = 16, PIECE_BYTES = 1000 };

/* What the pieces are written to and read from. */
struct shelf {
    struct fake_plan plan;
    struct fake_sink sinks[MOST_PIECES];
    struct fake_source sources[MOST_PIECES];
    struct digest_result digests[MOST_PIECES];
    size_t opened, done, fail_open; /* fail_open: index + 1 */
    size_t read;
    char name[16];
};

static int open_sink(void *arg, size_t index, struct sink **sink, struct err *err)
{
    struct shelf *shelf = arg;

    assert_int_equal(index, shelf->opened);
    assert_int_equal(index, shelf->done); /* one after the other */
    assert_true(index < MOST_PIECES);
    if (index + 1 == shelf->fail_open)
        return err_set(err, ERR_DENIED, "piece %zu may not be opened", index);
    fake_sink_init(&shelf->sinks[index], &shelf->plan);
    *sink = &shelf->sinks[index].sink;
    shelf->opened++;
    return 0;
}

static void on_done(void *arg, size_t index, const struct digest_result *digest)
{
    struct shelf *shelf = arg;

    assert_int_equal(index, shelf->done);
    assert_true(shelf->sinks[index].committed);
    assert_int_equal(shelf->sinks[index].log.closes, 1);
    shelf->digests[index] = *digest;
    shelf->done++;
}

static int open_source(void *arg, size_t index, struct source **source, struct err *err)
{
    struct shelf *shelf = arg;

    assert_int_equal(index, shelf->read);
    if (index + 1 == shelf->fail_open)
        return err_set(err, ERR_NOT_FOUND, "piece %zu is not there", index);
    fake_source_init(&shelf->sources[index], &shelf->plan, text_str(&shelf->sinks[index].text),
                     shelf->sinks[index].text.len);
    *source = &shelf->sources[index].source;
    shelf->read++;
    return 0;
}

static const struct digest_result *expected(void *arg, size_t index)
{
    return &((struct shelf *)arg)->digests[index];
}

static const char *name(void *arg, size_t index)
{
    struct shelf *shelf = arg;

    snprintf(shelf->name, sizeof shelf->name, "a.%03u", (unsigned)index % 1000);
    return shelf->name;
}

static struct ev_loop *loop;

static int write_pieces(struct shelf *shelf, const uint8_t *data, size_t len, struct err *err)
{
    const struct piece_writer writer = {.open = open_sink, .done = on_done, .arg = shelf};

    return pump_move(memory_source_new(data, len), NULL, 0, pieces_sink_new(&writer, PIECE_BYTES),
                     loop, NULL, NULL, NULL, err);
}

static int read_pieces(struct shelf *shelf, size_t count, struct text *text, struct err *err)
{
    const struct piece_reader reader = {
        .open = open_source, .expected = expected, .name = name, .arg = shelf, .count = count};

    shelf->read = 0;
    text_clear(text);
    return pump_move(pieces_source_new(&reader), NULL, 0, memory_sink_new(text, 1 << 20), loop,
                     NULL, NULL, NULL, err);
}

static void shelf_fini(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->opened; i++) {
        assert_int_equal(shelf->sinks[i].log.closes, 1);
        fake_sink_fini(&shelf->sinks[i]);
    }
    for (size_t i = 0; i < shelf->read; i++)
        assert_int_equal(shelf->sources[i].log.closes, 1);
}

static void assert_sha256(const struct text *text, const char *hex)
{
    struct sha256 *sha = sha256_new();
    char wanted[SHA256_HEX_CAP];

    sha256_add(sha, text_str(text), text->len);
    sha256_hex(sha, wanted);
    assert_string_equal(hex, wanted);
    sha256_free(sha);
}

static void cut_and_read_back(size_t len, size_t pieces, const struct fake_plan *plan)
{
    uint8_t *data = fake_bytes(len, 1);
    struct shelf shelf = {.plan = *plan};
    struct text text = TEXT_INIT;
    struct err err = ERR_INIT;
    size_t at = 0;

    if (write_pieces(&shelf, data, len, &err) < 0)
        fail_msg("%zu bytes: %s", len, err.text);
    assert_int_equal(shelf.done, pieces);
    assert_int_equal(shelf.opened, pieces);
    for (size_t i = 0; i < pieces; i++) {
        assert_int_equal(shelf.sinks[i].text.len, shelf.digests[i].bytes);
        assert_true(i + 1 == pieces || shelf.digests[i].bytes == PIECE_BYTES);
        assert_sha256(&shelf.sinks[i].text, shelf.digests[i].sha256);
        if (shelf.digests[i].bytes > 0)
            assert_memory_equal(shelf.sinks[i].text.data, data + at, shelf.digests[i].bytes);
        at += shelf.digests[i].bytes;
    }
    assert_int_equal(at, len);
    if (read_pieces(&shelf, pieces, &text, &err) < 0)
        fail_msg("%zu bytes back: %s", len, err.text);
    assert_int_equal(text.len, len);
    if (len > 0)
        assert_memory_equal(text.data, data, len);
    shelf_fini(&shelf);
    text_fini(&text);
    free(data);
}

static void test_cut_sizes(void **state)
{
    static const struct {
        size_t len, pieces;
    } cases[] = {
        {0, 1},
        {1, 1},
        {PIECE_BYTES - 1, 1},
        {PIECE_BYTES, 1},
        {PIECE_BYTES + 1, 2},
        {3 * PIECE_BYTES, 3},
        {3 * PIECE_BYTES + 1, 4},
    };
    static const struct fake_plan plans[] = {
        {.most_bytes = 0},
        {.most_bytes = 7},
        {.most_bytes = 333, .again_every = 2, .wake = FAKE_WAKE_ASYNC, .slow_commits = 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t j = 0; j < sizeof plans / sizeof plans[0]; j++)
            cut_and_read_back(cases[i].len, cases[i].pieces, &plans[j]);
}

static void test_a_piece_that_fails_ends_the_stream(void **state)
{
    static const struct {
        size_t fail_open;
        struct fake_plan plan;
        enum err_kind kind;
        size_t done;
    } cases[] = {
        {.fail_open = 1, .kind = ERR_DENIED, .done = 0},
        {.fail_open = 3, .kind = ERR_DENIED, .done = 2},
        {.plan = {.fail_at = 1}, .kind = ERR_STORE, .done = 0},
        {.plan = {.fail_commit = true}, .kind = ERR_STORE, .done = 0},
    };
    uint8_t *data = fake_bytes(5000, 1);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shelf shelf = {.plan = cases[i].plan, .fail_open = cases[i].fail_open};
        struct err err = ERR_INIT;

        assert_int_equal(write_pieces(&shelf, data, 5000, &err), -1);
        assert_int_equal(err.kind, cases[i].kind);
        assert_int_equal(shelf.done, cases[i].done);
        shelf_fini(&shelf);
    }
    free(data);
}

/* A shelf with three pieces, the last of 500 bytes. */
static void fill(struct shelf *shelf)
{
    uint8_t *data = fake_bytes(2500, 1);
    struct err err = ERR_INIT;

    *shelf = (struct shelf){.fail_open = 0};
    assert_int_equal(write_pieces(shelf, data, 2500, &err), 0);
    free(data);
}

static void assert_reading_fails(struct shelf *shelf, enum err_kind kind, const char *wanted)
{
    struct text text = TEXT_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(read_pieces(shelf, 3, &text, &err), -1);
    assert_int_equal(err.kind, kind);
    if (strstr(err.text, wanted) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, wanted);
    shelf_fini(shelf);
    text_fini(&text);
}

static void test_a_wrong_byte_is_noticed_in_any_piece(void **state)
{
    static const char *const wanted[] = {"stored a.000 has SHA-256 ", "stored a.001 has SHA-256 ",
                                         "stored a.002 has SHA-256 "};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct shelf shelf;

        fill(&shelf);
        shelf.sinks[i].text.data[i * 100] ^= 1;
        assert_reading_fails(&shelf, ERR_CORRUPT, wanted[i]);
    }
}

static void test_a_wrong_length_is_noticed_in_any_piece(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct shelf shelf;

        fill(&shelf);
        shelf.sinks[i].text.len--;
        assert_reading_fails(&shelf, ERR_CORRUPT,
                             i < 2 ? "has 999 bytes, the manifest says 1000"
                                   : "stored a.002 has 499 bytes, the manifest says 500");
        fill(&shelf);
        text_add_char(&shelf.sinks[i].text, 'x');
        assert_reading_fails(&shelf, ERR_CORRUPT,
                             i < 2 ? "has 1001 bytes, the manifest says 1000"
                                   : "stored a.002 has 501 bytes, the manifest says 500");
    }
}

static void test_an_empty_piece_among_full_ones_is_noticed(void **state)
{
    struct shelf shelf;

    (void)state;
    fill(&shelf);
    shelf.sinks[1].text.len = 0;
    assert_reading_fails(&shelf, ERR_CORRUPT, "stored a.001 has 0 bytes");
}

static void test_a_missing_piece_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct shelf shelf;

        fill(&shelf);
        shelf.fail_open = i + 1;
        assert_reading_fails(&shelf, ERR_NOT_FOUND, "is not there");
    }
}

static void test_pieces_out_of_order_are_noticed(void **state)
{
    struct shelf shelf;
    struct text first;

    (void)state;
    fill(&shelf);
    first = shelf.sinks[0].text;
    shelf.sinks[0].text = shelf.sinks[1].text;
    shelf.sinks[1].text = first;
    assert_reading_fails(&shelf, ERR_CORRUPT, "stored a.000 has SHA-256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_sizes),
        cmocka_unit_test(test_a_piece_that_fails_ends_the_stream),
        cmocka_unit_test(test_a_wrong_byte_is_noticed_in_any_piece),
        cmocka_unit_test(test_a_wrong_length_is_noticed_in_any_piece),
        cmocka_unit_test(test_an_empty_piece_among_full_ones_is_noticed),
        cmocka_unit_test(test_a_missing_piece_is_noticed),
        cmocka_unit_test(test_pieces_out_of_order_are_noticed),
    };
    int failed;

    loop = ev_loop_new(EVFLAG_AUTO);
    failed = cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
    ev_loop_destroy(loop);
    return failed;
}
