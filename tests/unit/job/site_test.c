// SPDX-License-Identifier: Apache-2.0
// The small files of a site, and the way of an object back to its plain bytes. And the shares of
// the time, as a person reads them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "site.h"

#include "chain.h"
#include "fake_store.h"
#include "fakes.h"
#include "mem.h"
#include "memory.h"
#include "pieces.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

#define ID   "20261123T010000Z-00000a"
#define ROOT "prod/aipx/orders-db"

static struct fake_site fake;

static int setup(void **state)
{
    (void)state;
    fake_site_init(&fake, INT64_C(1795478400000));
    fake.component.piece_bytes = 10000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_site_fini(&fake);
    return 0;
}

static void test_small_files(void **state)
{
    struct err err = ERR_INIT;
    char *data = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(site_put(&fake.site, ROOT "/73/x", "hello", 5, &err), 0);
    assert_int_equal(site_get(&fake.site, ROOT "/73/x", 5, &data, &len, &err), 0);
    assert_int_equal(len, 5);
    assert_string_equal(data, "hello");
    free(data);
    assert_int_equal(site_get(&fake.site, ROOT "/73/x", 4, &data, &len, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_string_equal(err.text, ROOT "/73/x: larger than 4 bytes");
    assert_int_equal(site_get(&fake.site, ROOT "/73/y", 4, &data, &len, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(site_put(&fake.site, ROOT "/73/x", "other", 5, &err), -1);
    assert_int_equal(err.kind, ERR_EXISTS);
    assert_int_equal(site_put(&fake.site, ROOT "/73/empty", "", 0, &err), 0);
    assert_int_equal(site_get(&fake.site, ROOT "/73/empty", 4, &data, &len, &err), 0);
    assert_int_equal(len, 0);
    free(data);
}

static void test_a_foreign_site_is_never_written(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    fake.site.foreign = true;
    assert_int_equal(site_put(&fake.site, "other/aipx/orders-db/73/x", "hello", 5, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_int_equal(fake.store.count, 0);
}

static void test_a_place_must_be_three_names(void **state)
{
    static const char *const wrong[] = {"",       "a/b",    "a/b/c/d", "/a/b/c",
                                        "a/b/",   "a//c",   "../b/c",  "a/../c",
                                        "a/b/..", "a/ b/c", "a/b/c ",  "a/b/\t"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct site *site = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(
            site_open(&fake.options, &fake.component, wrong[i], fake.site.loop, &site, &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

/* --- objects --- */

struct stored {
    struct manifest *manifest;
    struct manifest_object *object;
};

static int open_piece(void *arg, size_t index, struct sink **sink, struct err *err)
{
    char *name = text_format("a.%03zu", index);
    char *key = site_data_key(&fake.site, "73", ID, name);
    int rc = fake.site.store->ops->put(fake.site.store, key, sink, err);

    (void)arg;
    free(key);
    free(name);
    return rc;
}

static void piece_done(void *arg, size_t index, const struct digest_result *digest)
{
    struct stored *stored = arg;
    struct manifest_piece *piece;

    stored->object->pieces =
        mem_realloc(stored->object->pieces, (index + 1) * sizeof *stored->object->pieces);
    stored->object->piece_count = index + 1;
    piece = &stored->object->pieces[index];
    *piece = (struct manifest_piece){.name = text_format("a.%03zu", index), .bytes = digest->bytes};
    memcpy(piece->sha256, digest->sha256, sizeof piece->sha256);
}

static struct stored store_object(enum codec codec, const uint8_t *data, size_t len)
{
    struct stored stored = {.manifest = manifest_new()};
    struct digest_result plain;
    struct chain chain = chain_inwards(codec, 1, &plain);
    const struct piece_writer writer = {.open = open_piece, .done = piece_done, .arg = &stored};
    struct err err = ERR_INIT;

    memcpy(stored.manifest->id, ID, sizeof ID);
    stored.manifest->lineage = mem_strdup("73");
    stored.object = stored.manifest->objects = mem_calloc(1, sizeof *stored.object);
    stored.manifest->object_count = 1;
    stored.object->name = mem_strdup("a");
    stored.object->format = mem_strdup("bytes");
    stored.object->codec = mem_strdup(codec_name(codec));
    assert_int_equal(pump_move(memory_source_new(data, len), chain.stages, chain.count,
                               pieces_sink_new(&writer, fake.component.piece_bytes), fake.site.loop,
                               NULL, NULL, NULL, &err),
                     0);
    stored.object->plain_bytes = plain.bytes;
    memcpy(stored.object->plain_sha256, plain.sha256, sizeof plain.sha256);
    return stored;
}

static int read_back(const struct stored *stored, struct text *text, struct err *err)
{
    text_clear(text);
    return site_read_object(&fake.site, stored->manifest, stored->object,
                            memory_sink_new(text, 1 << 20), 0, NULL, NULL, err);
}

static void test_objects_come_back_whole_or_not_at_all(void **state)
{
    uint8_t *data = fake_bytes(100000, 1);
    struct text text = TEXT_INIT;

    for (enum codec codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        struct stored stored;
        struct err err = ERR_INIT;

        teardown(state);
        setup(state);
        stored = store_object(codec, data, 100000);
        assert_true(stored.object->piece_count > 3);
        assert_int_equal(read_back(&stored, &text, &err), 0);
        assert_int_equal(text.len, 100000);
        assert_memory_equal(text.data, data, 100000);

        stored.object->plain_sha256[5] ^= 1;
        assert_int_equal(read_back(&stored, &text, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        stored.object->plain_sha256[5] ^= 1;

        fake.store.objects[2].data[17] ^= 1;
        assert_int_equal(read_back(&stored, &text, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        fake.store.objects[2].data[17] ^= 1;

        assert_int_equal(
            fake_store_ops.remove(&fake.store.store, ROOT "/73/data/" ID "/a.001", &err), 0);
        assert_int_equal(read_back(&stored, &text, &err), -1);
        assert_int_equal(err.kind, ERR_NOT_FOUND);
        assert_true(text_starts_with(err.text, "a: "));
        manifest_free(stored.manifest);
    }
    text_fini(&text);
    free(data);
}

static void test_a_codec_that_is_not_known_reads_nothing(void **state)
{
    struct stored stored = store_object(CODEC_NONE, (const uint8_t *)"x", 1);
    const struct fake_plan plan = {.most_bytes = 0};
    struct fake_sink sink;
    struct err err = ERR_INIT;

    (void)state;
    stored.object->codec[0] = 'm';
    fake_sink_init(&sink, &plan);
    assert_int_equal(site_read_object(&fake.site, stored.manifest, stored.object, &sink.sink, 0,
                                      NULL, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_int_equal(sink.log.closes, 1);
    assert_int_equal(fake.store.ops[FAKE_GET].calls, 0);
    manifest_free(stored.manifest);
}

static void test_shares_of_the_time(void **state)
{
    char buffer[64];

    (void)state;
    assert_string_equal(progress_shares(910, 60, 30, buffer),
                        "source 91 %, store 6 %, lifeboat 3 %");
    assert_string_equal(progress_shares(0, 0, 0, buffer), "source 0 %, store 0 %, lifeboat 0 %");
    assert_string_equal(progress_shares(0, 7, 0, buffer), "source 0 %, store 100 %, lifeboat 0 %");
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(test_small_files),
        AT_SITE(test_a_foreign_site_is_never_written),
        AT_SITE(test_a_place_must_be_three_names),
        AT_SITE(test_objects_come_back_whole_or_not_at_all),
        AT_SITE(test_a_codec_that_is_not_known_reads_nothing),
        cmocka_unit_test(test_shares_of_the_time),
    };

    return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
