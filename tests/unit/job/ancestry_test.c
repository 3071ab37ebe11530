// SPDX-License-Identifier: Apache-2.0
// What an incremental backup needs, what it is when that is not there, and what the next one goes
// on from.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ancestry.h"

#include "clock.h"
#include "fake_store.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define A    "20261123T010000Z-00000a"
#define B    "20261123T020000Z-00000b"
#define C    "20261123T030000Z-00000c"
#define D    "20261123T040000Z-00000d"
#define ROOT "prod/aipx/orders-db"
#define HOUR INT64_C(3600000)

static struct fake_site fake;
static struct catalog *catalog;
static struct system_ops system_;
static int64_t now_ms;

static int lineage_73(const struct component_options *component, char **lineage, struct err *err)
{
    (void)component;
    (void)err;
    *lineage = mem_strdup("73");
    return 0;
}

static int setup(void **state)
{
    (void)state;
    now_ms = clock_wall_ms();
    fake_site_init(&fake, now_ms);
    fake.component.full_every_ms = 24 * HOUR;
    system_ = (struct system_ops){.name = "postgres", .lineage = lineage_73, .incremental = true};
    fake.site.system = &system_;
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

/* The newest of what there is. */
static const struct backup *load(const char *id)
{
    struct err err = ERR_INIT;

    catalog_free(catalog);
    catalog = NULL;
    if (catalog_load(&fake.site, &catalog, &err) < 0)
        fail_msg("%s", err.text);
    return catalog_find(catalog, "73", id);
}

static void broken(const char *id, const char *words)
{
    struct ancestry ancestry;
    struct err err = ERR_INIT;

    assert_int_equal(ancestry_load(catalog, load(id), &ancestry, &err), -1);
    ancestry_fini(&ancestry);
    assert_int_equal(err.kind, ERR_CORRUPT);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s: not %s", err.text, words);
}

static void test_the_full_one_first(void **state)
{
    struct ancestry ancestry;
    struct err err = ERR_INIT;
    const struct backup *backup;
    (void)state;

    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_child(&fake, "73", B, A, now_ms - 8 * HOUR, 3);
    fake_site_add_child(&fake, "73", C, B, now_ms - 7 * HOUR, 1);
    backup = load(C);
    assert_int_equal(ancestry_load(catalog, backup, &ancestry, &err), 0);
    assert_int_equal(ancestry.count, 3);
    assert_string_equal(ancestry.manifests[0]->id, A);
    assert_string_equal(ancestry.manifests[1]->id, B);
    assert_string_equal(ancestry.manifests[2]->id, C);
    assert_ptr_equal(ancestry.sites[1], &fake.site);
    ancestry_fini(&ancestry);
    assert_true(ancestry_has(catalog, backup, C));
    assert_true(ancestry_has(catalog, backup, A));
    assert_false(ancestry_has(catalog, catalog_find(catalog, "73", A), C));
    assert_string_equal(ancestry_parent(catalog, backup)->id, B);
    assert_null(ancestry_parent(catalog, catalog_find(catalog, "73", A)));
}

static void test_what_is_broken(void **state)
{
    (void)state;
    fake_site_add_child(&fake, "73", B, A, now_ms - 8 * HOUR, 3);
    fake_site_add_backup(&fake, "12", A, now_ms - 9 * HOUR, 100); /* of another server */
    load(B);
    broken(B, B " goes on from " A ", which is not there");
    fake_store_add(&fake.store, ROOT "/73/manifests/" A ".json", NULL, "{", 1, now_ms);
    broken(B, "which cannot be read");
    /* A ring: what nobody honest writes. */
    fake_site_add_child(&fake, "73", C, D, now_ms - 7 * HOUR, 1);
    fake_site_add_child(&fake, "73", D, C, now_ms - 6 * HOUR, 1);
    broken(D, "no full one");
    assert_false(ancestry_has(catalog, load(D), A));
}

static void next(bool full, const char *parent, const char *because)
{
    struct manifest *found = NULL;
    char *why = NULL;
    struct err err = ERR_INIT;

    if (ancestry_next(&fake.site, full, &found, &why, &err) < 0)
        fail_msg("%s", err.text);
    if (parent != NULL)
        assert_string_equal(found->id, parent);
    else
        assert_null(found);
    if (because != NULL)
        assert_non_null(strstr(why, because));
    else
        assert_null(why);
    manifest_free(found);
    free(why);
}

static void test_what_the_next_one_goes_on_from(void **state)
{
    (void)state;
    next(false, NULL, "the first one");
    fake_site_add_backup(&fake, "12", D, now_ms - HOUR, 100);
    next(false, NULL, "the first one");
    fake_site_add_backup(&fake, "73", A, now_ms - 23 * HOUR, 100);
    next(false, A, NULL);
    fake_site_add_child(&fake, "73", B, A, now_ms - 8 * HOUR, 3);
    next(false, B, NULL);
    next(true, NULL, "asked for");
    fake.component.full_every_ms = 23 * HOUR;
    next(false, NULL, "full_every: the last full one is 23 h");
    fake.component.full_every_ms = 24 * HOUR;
    fake_site_add_child(&fake, "73", D, C, now_ms - 2 * HOUR, 3);
    next(false, NULL, D " goes on from " C ", which is not there");
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(test_the_full_one_first),
        AT_SITE(test_what_is_broken),
        AT_SITE(test_what_the_next_one_goes_on_from),
    };

    return cmocka_run_group_tests_name("ancestry", tests, NULL, NULL);
}
