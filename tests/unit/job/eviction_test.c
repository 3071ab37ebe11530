// SPDX-License-Identifier: Apache-2.0
// What goes from the fallback first, and what never does.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eviction.h"

#include "clock.h"
#include "fake_store.h"
#include "mem.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

#define A     "20261123T010000Z-00000a"
#define B     "20261123T020000Z-00000b"
#define C     "20261123T030000Z-00000c"
#define D     "20261123T040000Z-00000d"
#define E     "20261123T050000Z-00000e"
#define F     "20261123T060000Z-00000f"
#define OWN   "prod/aipx/orders-db"
#define OTHER "prod/aipx/orders-db-2" /* of no component that is configured */
#define HOUR  INT64_C(3600000)

static struct fake_site fake;
static int64_t now_ms;

static int setup(void **state)
{
    (void)state;
    if (clock_parse("2026-11-24T00:00Z", &now_ms) < 0)
        return 1;
    fake_site_init(&fake, now_ms);
    fake.options.components = &fake.component;
    fake.options.component_count = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_site_fini(&fake);
    return 0;
}

static void add_backup(const char *root, const char *lineage, const char *id, int64_t hours_ago)
{
    free(fake.site.root);
    fake.site.root = mem_strdup(root);
    fake_site_add_backup(&fake, lineage, id, now_ms - hours_ago * HOUR, 10);
}

static bool is_there(const char *root, const char *lineage, const char *id)
{
    char *key = text_format("%s/%s/manifests/%s.json", root, lineage, id);
    bool there = fake_store_find(&fake.store, key) != NULL;

    free(key);
    return there;
}

static struct eviction *open_all(void)
{
    struct eviction *eviction = NULL;
    struct err err = ERR_INIT;

    if (eviction_open(&fake.options, &fake.component, &fake.store.store, fake.site.loop, &eviction,
                      &err) < 0)
        fail_msg("%s", err.text);
    return eviction;
}

static bool evict(void)
{
    struct eviction *eviction = open_all();
    struct err err = ERR_INIT;
    bool gone = false;

    if (eviction_run(eviction, &gone, &err) < 0)
        fail_msg("%s", err.text);
    eviction_close(eviction);
    return gone;
}

static void test_the_oldest_that_is_replaced_goes_first(void **state)
{
    (void)state;
    add_backup(OWN, "73", A, 3);
    add_backup(OWN, "73", D, 1);
    add_backup(OTHER, "9", B, 4);
    add_backup(OTHER, "9", C, 2);
    add_backup(OWN, "74", B, 9); /* the only one of its lineage */
    assert_true(evict());
    assert_false(is_there(OTHER, "9", B));
    assert_true(evict());
    assert_false(is_there(OWN, "73", A));
    assert_false(evict());
    assert_true(is_there(OWN, "73", D));
    assert_true(is_there(OTHER, "9", C));
    assert_true(is_there(OWN, "74", B));
    assert_int_equal(fake.store.count, 6);
}

static void test_the_manifest_goes_before_its_data(void **state)
{
    (void)state;
    add_backup(OWN, "73", A, 3);
    add_backup(OWN, "73", B, 2);
    assert_true(evict());
    assert_string_equal(text_str(&fake.store.journal),
                        "remove " OWN "/73/manifests/" A ".json\n"
                        "remove " OWN "/73/data/" A "/database.pgdump\n");
}

static void test_what_is_not_complete_replaces_nothing(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    add_backup(OWN, "73", A, 4);
    add_backup(OWN, "73", B, 3);
    assert_int_equal(
        fake.store.store.ops->remove(&fake.store.store, OWN "/73/data/" B "/database.pgdump", &err),
        0);
    fake_store_add(&fake.store, OWN "/73/manifests/" C ".json", NULL, "{", 1, now_ms);
    fake_site_add_data(&fake, "73", D, 10, now_ms);
    assert_false(evict());
    assert_true(is_there(OWN, "73", A));
    /* With a good one after them, the incomplete one may go as well; the unreadable one stays. */
    fake_site_add_manifest(&fake, "73", D, now_ms - HOUR, 10);
    assert_true(evict());
    assert_true(evict());
    assert_false(evict());
    assert_false(is_there(OWN, "73", A));
    assert_false(is_there(OWN, "73", B));
    assert_true(is_there(OWN, "73", C));
    assert_true(is_there(OWN, "73", D));
}

static void add_child(const char *id, const char *parent, int64_t hours_ago)
{
    fake_site_add_child(&fake, "73", id, parent, now_ms - hours_ago * HOUR, 10);
}

static void test_a_chain_goes_from_its_young_end(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    add_backup(OWN, "73", A, 9);
    add_child(B, A, 8);
    add_child(C, B, 7);
    assert_false(evict()); /* C needs both */
    add_backup(OWN, "73", D, 6);
    assert_true(evict());
    assert_false(is_there(OWN, "73", C));
    assert_true(evict());
    assert_false(is_there(OWN, "73", B));
    assert_true(is_there(OWN, "73", A));
    assert_true(evict());
    assert_false(is_there(OWN, "73", A));
    assert_false(evict());
    /* One whose parent is elsewhere replaces nothing. */
    add_child(E, A, 1);
    assert_false(evict());
    assert_int_equal(
        fake.store.store.ops->remove(&fake.store.store, OWN "/73/data/" D "/database.pgdump", &err),
        0);
    add_child(F, D, 1);
    assert_false(evict());
    assert_true(is_there(OWN, "73", D));
}

static void test_what_another_job_works_on_is_passed_over(void **state)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;
    (void)state;

    add_backup(OWN, "73", A, 4);
    add_backup(OWN, "73", B, 3);
    add_backup(OWN, "73", C, 2);
    assert_int_equal(record_open(fake.state_path, "orders-db", A, "upload", &record, &err), 0);
    assert_true(evict());
    assert_true(is_there(OWN, "73", A));
    assert_false(is_there(OWN, "73", B));
    assert_false(evict());
    record_finish(record);
    assert_true(evict());
}

static void test_orphans_of_the_dead_are_swept(void **state)
{
    struct eviction *eviction;
    struct record *record = NULL;
    struct err err = ERR_INIT;
    (void)state;

    add_backup(OWN, "73", A, 4);
    fake_site_add_data(&fake, "73", B, 10, now_ms - HOUR);
    fake_site_add_data(&fake, "73", C, 10, now_ms - HOUR);
    fake_store_add(&fake.store, OWN "/73/data/" B "/globals.sql", "part", "", 0, now_ms - HOUR);
    assert_int_equal(record_open(fake.state_path, "orders-db", B, "backup", &record, &err), 0);
    record_abandon(record);
    eviction = open_all();
    assert_int_equal(eviction_sweep(eviction, &err), 0);
    eviction_close(eviction);
    assert_null(fake_store_find(&fake.store, OWN "/73/data/" B "/database.pgdump"));
    assert_non_null(fake_store_find(&fake.store, OWN "/73/data/" C "/database.pgdump"));
    assert_int_equal(fake.store.count, 3);
}

static void test_what_is_not_ours_is_left_alone(void **state)
{
    static const char *const keys[] = {"lost+found", "a/b",         "a/b/c",   "a/b/c/d",
                                       "a/b/c/d/e",  "a/b/c/d/e/f", ".clock-x"};
    struct eviction *eviction;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        fake_store_add(&fake.store, keys[i], NULL, "x", 1, 0);
    assert_false(evict());
    eviction = open_all();
    assert_int_equal(eviction_sweep(eviction, &err), 0);
    eviction_close(eviction);
    assert_int_equal(fake.store.count, 7);
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(test_the_oldest_that_is_replaced_goes_first),
        AT_SITE(test_the_manifest_goes_before_its_data),
        AT_SITE(test_what_is_not_complete_replaces_nothing),
        AT_SITE(test_a_chain_goes_from_its_young_end),
        AT_SITE(test_what_another_job_works_on_is_passed_over),
        AT_SITE(test_orphans_of_the_dead_are_swept),
        AT_SITE(test_what_is_not_ours_is_left_alone),
    };

    return cmocka_run_group_tests_name("eviction", tests, NULL, NULL);
}
