// SPDX-License-Identifier: Apache-2.0
// The bound of the fallback, on a real folder.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fallback.h"

#include "clock.h"
#include "fake_store.h"
#include "fakes.h"
#include "file.h"
#include "memory.h"
#include "pump.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT "prod/aipx/orders-db"
#define KIB  ((size_t)1024)

static struct fake_site fake;
static struct store_options store;
static char folder[64];
static struct site *site;

static int setup(void **state)
{
    (void)state;
    fake_site_init(&fake, INT64_C(1800000000000));
    snprintf(folder, sizeof folder, "/tmp/lifeboat-fallback-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    store = (struct store_options){.name = (char *)"disk", .local = {.path = folder}};
    fake.options.identity =
        (struct identity_options){.cluster = (char *)"prod", .namespace_ = (char *)"aipx"};
    fake.options.components = &fake.component;
    fake.options.component_count = 1;
    fake.options.fallback_store = &store;
    fake.options.fallback_name = store.name;
    fake.options.fallback_max_bytes = 100 * KIB;
    fake.component.deadline_ms = 1000;
    site = fallback_open(&fake.options, &fake.component, fake.site.loop);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    site_close(site);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    fake_site_fini(&fake);
    return 0;
}

static int put(struct site *at, const char *key, size_t bytes, struct err *err)
{
    uint8_t *data = fake_bytes(bytes, 1);
    int rc = site_put(at, key, data, bytes, err);

    free(data);
    return rc;
}

static void must_put(const char *key, size_t bytes)
{
    struct err err = ERR_INIT;

    if (put(site, key, bytes, &err) < 0)
        fail_msg("%s", err.text);
}

static void refuses(const char *key, size_t bytes)
{
    struct err err = ERR_INIT;

    assert_int_equal(put(site, key, bytes, &err), -1);
    assert_int_equal(err.kind, ERR_NO_SPACE);
    assert_non_null(strstr(err.text, "fallback.max_bytes (100 KiB)"));
}

static uint64_t used(void)
{
    struct fallback_usage usage;
    struct err err = ERR_INIT;

    if (fallback_usage(site, &usage, &err) < 0)
        fail_msg("%s", err.text);
    return usage.used_bytes;
}

static void test_no_byte_more_than_the_bound(void **state)
{
    (void)state;
    must_put(ROOT "/73/data/x/a", 60 * KIB);
    refuses(ROOT "/73/data/x/b", 40 * KIB + 1);
    assert_true(used() == 60 * KIB);
    must_put(ROOT "/73/data/x/b", 40 * KIB);
    assert_true(used() == 100 * KIB);
    must_put(ROOT "/73/data/x/empty", 0);
    refuses(ROOT "/73/data/x/c", 1);
}

static void test_what_was_there_before_counts(void **state)
{
    struct err err = ERR_INIT;
    char *path = text_format("%s/a/stranger", folder);
    uint8_t *data = fake_bytes(90 * KIB, 2);

    (void)state;
    assert_int_equal(file_make_parents(path, &err), 0);
    assert_int_equal(file_replace(path, data, 90 * KIB, &err), 0);
    refuses(ROOT "/73/data/x/a", 11 * KIB);
    must_put(ROOT "/73/data/x/a", 10 * KIB);
    /* An upload beside us gives room without a word. */
    unlink(path);
    must_put(ROOT "/73/data/x/b", 90 * KIB);
    free(data);
    free(path);
}

static void test_what_is_given_up_is_room_again(void **state)
{
    struct err err = ERR_INIT;
    struct sink *sink = NULL;
    uint8_t *data = fake_bytes(80 * KIB, 2);
    struct span_in in = {.data = data, .len = 80 * KIB};

    (void)state;
    assert_int_equal(site->store->ops->put(site->store, ROOT "/73/data/x/a", &sink, &err), 0);
    assert_int_equal(sink->ops->write(sink, &in, &err), STEP_OK);
    assert_true(used() == 80 * KIB);
    refuses(ROOT "/73/data/x/b", 30 * KIB);
    sink_close(sink);
    assert_true(used() == 0);
    must_put(ROOT "/73/data/x/b", 100 * KIB);
    free(data);
}

static void test_only_one_job_counts_on_the_room(void **state)
{
    struct site *other = fallback_open(&fake.options, &fake.component, fake.site.loop);
    struct err err = ERR_INIT;

    (void)state;
    step_clock_end();
    must_put(ROOT "/73/data/x/a", 1);
    assert_int_equal(fallback_begin(other, clock_mono_us() + 200000, &err), -1);
    assert_int_equal(err.kind, ERR_TIMEOUT);
    site_close(site);
    site = other;
    assert_int_equal(fallback_begin(site, clock_mono_us(), &err), 0);
    must_put(ROOT "/73/data/x/b", 1);
}

static void test_one_that_cannot_be_opened_says_so_at_its_first_use(void **state)
{
    struct err err = ERR_INIT;
    struct site *broken;

    (void)state;
    store.local.path = (char *)"/proc/nothing/here";
    broken = fallback_open(&fake.options, &fake.component, fake.site.loop);
    assert_int_equal(fallback_begin(broken, clock_mono_us(), &err), -1);
    assert_non_null(strstr(err.text, "/proc/nothing"));
    assert_int_equal(put(broken, ROOT "/73/data/x/b", 1, &err), -1);
    site_close(broken);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(test_no_byte_more_than_the_bound),
        ON_DISK(test_what_was_there_before_counts),
        ON_DISK(test_what_is_given_up_is_room_again),
        ON_DISK(test_only_one_job_counts_on_the_room),
        ON_DISK(test_one_that_cannot_be_opened_says_so_at_its_first_use),
    };

    return cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
}
