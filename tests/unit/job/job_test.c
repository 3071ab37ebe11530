// SPDX-License-Identifier: Apache-2.0
// A backup is looked for in two places, and the place it is found in is the one it is read from.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job.h"

#include "clock.h"
#include "fake_store.h"
#include "record.h"

#include <string.h>

#define A    "20261123T010000Z-00000a"
#define B    "20261123T020000Z-00000b"
#define C    "20261123T030000Z-00000c"
#define HOUR INT64_C(3600000)

/* One site of the harness, seen over two stores. */
static struct fake_site fake;
static struct fake_store disk;
static struct site fallback;
static struct target target;
static struct catalog *catalog;
static int64_t now_ms;

static int setup(void **state)
{
    (void)state;
    if (clock_parse("2026-11-24T00:00Z", &now_ms) < 0)
        return 1;
    fake_site_init(&fake, now_ms);
    disk = (struct fake_store){.store = {.ops = &fake_store_ops, .name = "disk"}, .now_ms = now_ms};
    fallback = fake.site;
    fallback.store = &disk.store;
    target =
        (struct target){.component = &fake.component, .site = &fake.site, .fallback = &fallback};
    catalog = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(catalog);
    store_close(&disk.store);
    fake_site_fini(&fake);
    return 0;
}

static void exchange_stores(void)
{
    struct fake_store kept = fake.store;

    fake.store.objects = disk.objects;
    fake.store.count = disk.count;
    disk.objects = kept.objects;
    disk.count = kept.count;
}

static void add_on_disk(const char *lineage, const char *id, int64_t hours_ago)
{
    exchange_stores();
    fake_site_add_backup(&fake, lineage, id, now_ms - hours_ago * HOUR, 10);
    exchange_stores();
}

static bool load(void)
{
    struct err err = ERR_INIT;
    bool away = false;

    if (job_catalog(&target, &catalog, &away, &err) < 0)
        fail_msg("%s", err.text);
    return away;
}

static void assert_catalog(const char *wanted)
{
    struct text text = TEXT_INIT;

    for (size_t i = 0; i < catalog->count; i++)
        text_add(&text, "%s@%s in %s\n", catalog->backups[i].lineage, catalog->backups[i].id,
                 catalog->backups[i].site->store->name);
    assert_string_equal(text_str(&text), wanted);
    text_fini(&text);
}

static void test_both_places_are_one_list(void **state)
{
    (void)state;
    fake_site_add_backup(&fake, "73", A, now_ms - 3 * HOUR, 10);
    fake_site_add_backup(&fake, "73", C, now_ms - HOUR, 10);
    add_on_disk("73", B, 2);
    add_on_disk("73", C, 1); /* sent, and not yet gone from here */
    add_on_disk("72", C, 1);
    assert_false(load());
    assert_catalog("72@" C " in disk\n73@" A " in memory\n73@" B " in disk\n73@" C " in memory\n");
}

static void test_one_alone(void **state)
{
    (void)state;
    add_on_disk("73", B, 2);
    assert_false(load());
    assert_catalog("73@" B " in disk\n");
    catalog_free(catalog);
    catalog = NULL;
    target.fallback = NULL;
    assert_false(load());
    assert_catalog("");
}

static void test_the_store_is_away(void **state)
{
    struct err err = ERR_INIT;
    bool away = false;
    (void)state;

    fake_store_fail(&fake.store, FAKE_LIST, 1, ERR_UNREACHABLE);
    assert_int_equal(job_catalog(&target, &catalog, &away, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    add_on_disk("73", B, 2);
    fake_store_fail(&fake.store, FAKE_LIST, 1, ERR_DENIED);
    assert_true(load());
    assert_catalog("73@" B " in disk\n");
}

static void test_a_stop_is_no_store_that_is_away(void **state)
{
    struct err err = ERR_INIT;
    bool away = false;
    (void)state;

    add_on_disk("73", B, 2);
    fake_store_fail(&fake.store, FAKE_LIST, 1, ERR_CANCELLED);
    assert_int_equal(job_catalog(&target, &catalog, &away, &err), -1);
    assert_int_equal(err.kind, ERR_CANCELLED);
}

static void test_the_disk_fails_and_the_store_does_not(void **state)
{
    (void)state;
    fake_site_add_backup(&fake, "73", A, now_ms - 3 * HOUR, 10);
    fake_store_fail(&disk, FAKE_LIST, 1, ERR_IO);
    assert_false(load());
    assert_catalog("73@" A " in memory\n");
}

static void test_what_is_chosen_knows_its_place(void **state)
{
    struct chosen chosen;
    struct err err = ERR_INIT;
    (void)state;

    fake_site_add_backup(&fake, "73", A, now_ms - 3 * HOUR, 10);
    add_on_disk("73", B, 2);
    target.wish = B;
    assert_int_equal(job_choose(&target, &chosen, &err), 0);
    assert_ptr_equal(chosen.site, &fallback);
    assert_string_equal(chosen.manifest->id, B);
    chosen_fini(&chosen);
    target.wish = A;
    assert_int_equal(job_choose(&target, &chosen, &err), 0);
    assert_ptr_equal(chosen.site, &fake.site);
    assert_false(chosen.away);
    chosen_fini(&chosen);
    fake_store_fail(&fake.store, FAKE_LIST, 1, ERR_UNREACHABLE);
    assert_int_equal(job_choose(&target, &chosen, &err), -1);
    assert_null(chosen.manifest);
    assert_non_null(strstr(err.text, "in store disk, for its own is away"));
    chosen_fini(&chosen);
}

static void test_what_is_read_on_local_disk_is_held(void **state)
{
    struct store_options options = {.name = disk.store.name};
    struct chosen chosen, again;
    struct err err = ERR_INIT;
    (void)state;

    fake.options.fallback_store = &options;
    fake_site_add_backup(&fake, "73", A, now_ms - 3 * HOUR, 10);
    add_on_disk("73", B, 2);
    target.wish = B;
    assert_int_equal(job_choose(&target, &chosen, &err), 0);
    assert_true(record_alive(fake.state_path, "orders-db", B));
    /* A second reader is not turned away. */
    assert_int_equal(job_choose(&target, &again, &err), 0);
    chosen_fini(&again);
    assert_true(record_alive(fake.state_path, "orders-db", B));
    chosen_fini(&chosen);
    assert_false(record_alive(fake.state_path, "orders-db", B));
    target.wish = A;
    assert_int_equal(job_choose(&target, &chosen, &err), 0);
    assert_false(record_alive(fake.state_path, "orders-db", A));
    chosen_fini(&chosen);
}

#define AT_SITES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITES(test_both_places_are_one_list),
        AT_SITES(test_one_alone),
        AT_SITES(test_the_store_is_away),
        AT_SITES(test_a_stop_is_no_store_that_is_away),
        AT_SITES(test_the_disk_fails_and_the_store_does_not),
        AT_SITES(test_what_is_chosen_knows_its_place),
        AT_SITES(test_what_is_read_on_local_disk_is_held),
    };

    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
