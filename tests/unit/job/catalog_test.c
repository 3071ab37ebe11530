// SPDX-License-Identifier: Apache-2.0
// What lies at a site, sorted out; whatever lies there that should not; and what a person means.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog.h"

#include "clock.h"
#include "fake_store.h"
#include "fakes.h"
#include "file.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define A    "20261123T010000Z-00000a"
#define B    "20261123T020000Z-00000b"
#define C    "20261123T030000Z-00000c"
#define D    "20261123T040000Z-00000d"
#define ROOT "prod/aipx/orders-db"

static struct fake_site fake;
static struct catalog *catalog;

static int64_t at(const char *time)
{
    int64_t ms = 0;

    assert_int_equal(clock_parse(time, &ms), 0);
    return ms;
}

static int setup(void **state)
{
    (void)state;
    fake_site_init(&fake, at("2026-11-24T00:00Z"));
    catalog = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(catalog);
    fake_site_fini(&fake);
    return 0;
}

static void load(void)
{
    struct err err = ERR_INIT;

    catalog_free(catalog);
    catalog = NULL;
    if (catalog_load(&fake.site, &catalog, &err) < 0)
        fail_msg("%s", err.text);
}

static void add_object(const char *key, const char *text)
{
    fake_store_add(&fake.store, key, NULL, text, strlen(text), fake.store.now_ms);
}

static void assert_backups(const char *wanted)
{
    struct text text = TEXT_INIT;

    for (size_t i = 0; i < catalog->count; i++)
        text_add(&text, "%s@%s ", catalog->backups[i].lineage, catalog->backups[i].id);
    assert_string_equal(text_str(&text), wanted);
    text_fini(&text);
}

static void test_an_empty_site(void **state)
{
    (void)state;
    load();
    assert_int_equal(catalog->count, 0);
    assert_int_equal(catalog->file_count, 0);
    assert_null(catalog_newest(catalog, "73"));
}

static void test_backups_by_lineage_and_recovery_point(void **state)
{
    (void)state;
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T09:00Z"), 10); /* began first, froze last */
    fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 20);
    fake_site_add_backup(&fake, "12", D, at("2026-11-23T04:00Z"), 30);
    fake_site_add_backup(&fake, "73", C, at("2026-11-23T02:00Z"), 40);
    load();
    assert_backups("12@" D " 73@" B " 73@" C " 73@" A " ");
    assert_string_equal(catalog_newest(catalog, "73")->id, A);
    assert_null(catalog_newest(catalog, "7"));
    assert_int_equal(catalog_find(catalog, "73", C)->plain_bytes, 40);
    assert_int_equal(catalog_find(catalog, "73", C)->stored_bytes, 40);
    assert_null(catalog_find(catalog, "12", C));
    assert_int_equal(catalog->file_count, 4);
    assert_string_equal(catalog->files[1].key, ROOT "/73/data/" A "/database.pgdump");
    assert_string_equal(catalog->files[1].lineage, "73");
    assert_true(catalog->files[1].is_data);
    assert_int_equal(catalog->files[1].bytes, 10);
    assert_int_equal(catalog->files[1].modified_ms, at("2026-11-23T09:00Z"));
}

static void test_what_is_of_no_backup_is_left_alone(void **state)
{
    static const char *const keys[] = {
        ROOT "/notes.txt",
        ROOT "/73/notes.txt",
        ROOT "/73/claims/20261123T010000Z.json",
        ROOT "/73/manifests/" A ".json.bak",
        ROOT "/73/manifests/" A,
        ROOT "/73/manifests/notes.json",
        ROOT "/73/manifests/" A "x.json",
        ROOT "/73/data/notes",
        ROOT "/73/data/20261123T010000Z-00000A/x",
        ROOT "/73/dat/" A "/x",
        ROOT "/73/dataa/" A "/x",
        "prod/aipx/orders-db2/73/data/" A "/x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        add_object(keys[i], "x");
    load();
    assert_int_equal(catalog->count, 0);
    assert_int_equal(catalog->file_count, 0);
}

static void test_records_count_only_under_their_own_names(void **state)
{
    static const char *const odd[] = {
        ROOT "/73/verified/" B ".json",
        ROOT "/73/verified/" B "/x",
        ROOT "/73/verified/" B "-",
        ROOT "/73/verified/" B "-never.json",
        ROOT "/73/verified/" B "-20261123T050000Z",
        ROOT "/73/verified/" B "-20261123T050000Z.json",
        ROOT "/73/verified/" B "-20261123T050000Z-wish.json",
        ROOT "/73/verified/" B "-20261123T050000Z-verify.json.part",
        ROOT "/73/verified/" B "-20261399T050000Z-verify.json",
        ROOT "/73/adopted/" B "-20261123T050000Z.json",
        ROOT "/73/adopted/" B "/x",
        ROOT "/73/adopted/" B,
        ROOT "/12/verified/" B "-20261123T050000Z-verify.json",
    };

    (void)state;
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
    fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 10);
    fake_site_add_record(&fake, "verified", "73", A, "-20261123T050000Z-verify");
    fake_site_add_record(&fake, "verified", "73", A, "-20261123T060000Z-drill");
    fake_site_add_record(&fake, "adopted", "73", A, "");
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        add_object(odd[i], "{}");
    load();
    assert_int_equal(catalog_find(catalog, "73", A)->verified_ms, at("2026-11-23T06:00Z"));
    assert_true(catalog_find(catalog, "73", A)->adopted);
    assert_int_equal(catalog_find(catalog, "73", B)->verified_ms, 0);
    assert_false(catalog_find(catalog, "73", B)->adopted);
}

static void test_a_manifest_that_cannot_be_read_is_kept(void **state)
{
    char *too_new;
    const struct fake_object *whole;
    const struct backup *backup = NULL;
    struct err err = ERR_INIT;

    (void)state;
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
    fake_site_add_data(&fake, "73", B, 10, at("2026-11-23T02:00Z"));
    add_object(ROOT "/73/manifests/" B ".json", "{\"format\": 1");
    add_object(ROOT "/73/manifests/" C ".json", "");
    whole = fake_store_find(&fake.store, ROOT "/73/manifests/" A ".json");
    too_new = mem_strndup((const char *)whole->data, whole->len);
    add_object(ROOT "/12/manifests/" A ".json", too_new); /* of another lineage */
    assert_non_null(strstr(too_new, "\"format\": 1"));
    strstr(too_new, "\"format\": 1")[10] = '2';
    add_object(ROOT "/73/manifests/" D ".json", too_new);
    free(too_new);
    load();
    assert_backups("12@" A " 73@" B " 73@" C " 73@" D " 73@" A " ");
    assert_int_equal(catalog->unreadable, 4);
    assert_null(catalog_find(catalog, "73", B)->manifest);
    assert_string_equal(catalog_newest(catalog, "73")->id, A);
    assert_null(catalog_newest(catalog, "12"));
    assert_int_equal(catalog_select(catalog, B, NULL, &backup, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_string_equal(err.text, "backup " B ": its manifest cannot be read");
    assert_int_equal(catalog_select(catalog, "latest", "73", &backup, &err), 0);
    assert_string_equal(backup->id, A);
    assert_int_equal(catalog_select(catalog, "latest", "12", &backup, &err), -1);
    assert_string_equal(err.text, "there is no readable backup");
}

static void test_a_store_that_fails_is_no_empty_store(void **state)
{
    static const struct {
        enum fake_op op;
        unsigned call;
    } cases[] = {{FAKE_LIST, 1}, {FAKE_GET, 1}, {FAKE_GET, 2}, {FAKE_READ, 1}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;

        teardown(state); /* without copies of manifests */
        setup(state);
        fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
        fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 10);
        fake_store_fail(&fake.store, cases[i].op, cases[i].call, ERR_UNREACHABLE);
        assert_int_equal(catalog_load(&fake.site, &catalog, &err), -1);
        assert_int_equal(err.kind, ERR_UNREACHABLE);
        assert_null(catalog);
    }
}

static void test_manifests_are_read_once(void **state)
{
    struct err err = ERR_INIT;
    char *copy;

    (void)state;
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
    fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 10);
    load();
    assert_int_equal(fake.store.ops[FAKE_GET].calls, 2);
    load();
    assert_int_equal(fake.store.ops[FAKE_GET].calls, 2);
    assert_backups("73@" A " 73@" B " ");
    /* A copy that is broken is read again from the store. */
    copy = text_format("%s/manifests/memory/" ROOT "/73/manifests/" A ".json", fake.state_path);
    assert_int_equal(file_replace(copy, "{}", 2, &err), 0);
    load();
    assert_int_equal(fake.store.ops[FAKE_GET].calls, 3);
    assert_int_equal(catalog->unreadable, 0);
    free(copy);
}

/* --- what a person means --- */

static const char *chosen(const char *wish, const char *own, struct err *err)
{
    const struct backup *backup = NULL;

    err_clear(err);
    return catalog_select(catalog, wish, own, &backup, err) < 0 ? NULL : backup->id;
}

static void assert_refused(const char *wish, const char *own, enum err_kind kind, const char *text)
{
    struct err err = ERR_INIT;

    assert_null(chosen(wish, own, &err));
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.text, text);
}

static void test_select_within_one_lineage(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    load();
    assert_refused(NULL, "73", ERR_NOT_FOUND, "there is no backup yet");
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
    fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 10);
    fake_site_add_backup(&fake, "73", C, at("2026-11-23T03:00Z"), 10);
    load();
    assert_string_equal(chosen(NULL, "73", &err), C);
    assert_string_equal(chosen("latest", NULL, &err), C);
    assert_string_equal(chosen(A, "73", &err), A);
    assert_string_equal(chosen("2026-11-23T02:30Z", "73", &err), B);
    assert_string_equal(chosen("2026-11-23T02:00:00Z", "73", &err), B);
    assert_string_equal(chosen("20261123T015959Z", "73", &err), A);
    assert_string_equal(chosen("2030-01-01T00:00Z", NULL, &err), C);
    assert_refused("2026-11-23T00:59Z", "73", ERR_NOT_FOUND,
                   "there is no readable backup at or before 2026-11-23T00:59Z");
    assert_refused(D, "73", ERR_NOT_FOUND, "there is no backup " D);
    assert_refused("yesterday", "73", ERR_USAGE,
                   "\"yesterday\" is neither a backup id, nor latest, nor a time such as "
                   "2026-11-23T07:00Z");
    assert_refused("", "73", ERR_USAGE,
                   "\"\" is neither a backup id, nor latest, nor a time such as 2026-11-23T07:00Z");
}

static void test_select_among_lineages(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    fake_site_add_backup(&fake, "73", A, at("2026-11-23T01:00Z"), 10);
    load();
    assert_string_equal(chosen("latest", "99", &err), A); /* the only other one */
    fake_site_add_backup(&fake, "73", B, at("2026-11-23T02:00Z"), 10);
    fake_site_add_backup(&fake, "12", C, at("2026-11-23T03:00Z"), 10);
    load();
    assert_string_equal(chosen("latest", "73", &err), B);
    assert_string_equal(chosen("latest", "12", &err), C);
    assert_string_equal(chosen("2026-11-23T05:00Z", "73", &err), B);
    assert_string_equal(chosen(C, "73", &err), C); /* an id says it all */
    assert_refused("latest", "99", ERR_REFUSED,
                   "these backups come from several servers, none of them this one; name one: @" C
                   " (server 12), @" B " (server 73)");
    assert_refused("2026-11-23T05:00Z", NULL, ERR_REFUSED,
                   "these backups come from several servers, none of them this one; name one: @" C
                   " (server 12), @" B " (server 73)");
}

static void test_the_place_of_a_key(void **state)
{
    struct catalog_place place;

    (void)state;
    assert_true(catalog_place(&fake.site, ROOT "/73/data/" A "/database.pgdump.zst.001", &place));
    assert_string_equal(place.id, A);
    assert_string_equal(place.lineage, "73");
    assert_true(catalog_place(&fake.site, ROOT "/73/manifests/" B ".json", &place));
    assert_string_equal(place.id, B);
    assert_false(catalog_place(&fake.site, ROOT "/73/data/x", &place));
    assert_false(catalog_place(&fake.site, ROOT "/73", &place));
    assert_false(catalog_place(&fake.site, ROOT "/", &place));
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(test_an_empty_site),
        AT_SITE(test_backups_by_lineage_and_recovery_point),
        AT_SITE(test_what_is_of_no_backup_is_left_alone),
        AT_SITE(test_records_count_only_under_their_own_names),
        AT_SITE(test_a_manifest_that_cannot_be_read_is_kept),
        AT_SITE(test_a_store_that_fails_is_no_empty_store),
        AT_SITE(test_manifests_are_read_once),
        AT_SITE(test_select_within_one_lineage),
        AT_SITE(test_select_among_lineages),
        AT_SITE(test_the_place_of_a_key),
    };

    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
