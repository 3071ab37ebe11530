// SPDX-License-Identifier: Apache-2.0
// What a prune removes, in which order, and above all what it leaves alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prune.h"

#include "cancel.h"
#include "clock.h"
#include "fake_store.h"
#include "fakes.h"
#include "record.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define A    "20261123T010000Z-00000a"
#define B    "20261123T020000Z-00000b"
#define C    "20261123T030000Z-00000c"
#define D    "20261123T040000Z-00000d"
#define E    "20261123T050000Z-00000e"
#define ROOT "prod/aipx/orders-db"
#define HOUR INT64_C(3600000)

#define MANIFEST(lineage, id) ROOT "/" lineage "/manifests/" id ".json"
#define DATA(lineage, id)     ROOT "/" lineage "/data/" id "/database.pgdump"

static struct fake_site fake;
static int64_t now_ms;

static int setup(void **state)
{
    (void)state;
    if (clock_parse("2026-11-24T00:00Z", &now_ms) < 0)
        return 1;
    fake_site_init(&fake, now_ms);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_site_fini(&fake);
    return 0;
}

static struct prune_result prune(bool dry_run)
{
    struct prune_result result;
    struct err err = ERR_INIT;

    if (prune_run(&fake.site, NULL, dry_run, NULL, &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

static void prune_fails(enum err_kind kind)
{
    struct prune_result result;
    struct err err = ERR_INIT;

    assert_int_equal(prune_run(&fake.site, NULL, false, NULL, &result, &err), -1);
    assert_int_equal(err.kind, kind);
}

static void assert_store(const char *wanted)
{
    char *there = fake_store_show(&fake.store);

    assert_string_equal(there, wanted);
    free(there);
}

static void assert_journal(const char *wanted)
{
    assert_string_equal(text_str(&fake.store.journal), wanted);
}

static int count_record(void *arg, const char *id, struct err *err)
{
    (void)id;
    (void)err;
    ++*(size_t *)arg;
    return 0;
}

static size_t count_records(void)
{
    struct err err = ERR_INIT;
    size_t count = 0;

    assert_int_equal(record_each(fake.state_path, "orders-db", count_record, &count, &err), 0);
    return count;
}

static struct record *hold(const char *id)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;

    if (record_open(fake.state_path, "orders-db", id, "backup", &record, &err) < 0)
        fail_msg("%s", err.text);
    return record;
}

/* A record of id whose owner is dead. */
static void die_holding(const char *id)
{
    record_abandon(hold(id));
}

/* --- by the rule --- */

static void on_judged(void *arg, const struct backup *backup,
                      const struct retention_backup *judgement)
{
    text_add(arg, "%s %s\n", backup->id, judgement->keep ? judgement->reason : "removed");
}

static void on_held(void *arg, const char *lineage, const struct retention_hold *hold_)
{
    text_add(arg, "held %s %s\n", lineage, hold_->id);
}

static void on_orphan(void *arg, const char *key, uint64_t bytes)
{
    text_add(arg, "orphan %s %llu\n", key, (unsigned long long)bytes);
}

static void test_retention_is_applied_and_manifests_go_first(void **state)
{
    struct text heard = TEXT_INIT;
    const struct prune_watcher watcher = {
        .judged = on_judged, .held = on_held, .orphan = on_orphan, .arg = &heard};
    struct prune_result result;
    struct err err = ERR_INIT;

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 2};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 101);
    fake_site_add_backup(&fake, "73", C, now_ms - 7 * HOUR, 102);
    fake_site_add_backup(&fake, "73", D, now_ms - 6 * HOUR, 103);
    fake_site_add_record(&fake, "verified", "73", B, "-20261123T050000Z-verify");
    fake_site_add_record(&fake, "adopted", "73", A, "");
    fake_site_add_backup(&fake, "12", A, now_ms - 9 * HOUR, 500); /* another server's newest */
    assert_int_equal(prune_run(&fake.site, NULL, false, &watcher, &result, &err), 0);
    assert_int_equal(result.kept, 4);
    assert_int_equal(result.removed, 1);
    assert_int_equal(result.freed_bytes, 100);
    assert_int_equal(result.orphans_removed, 0);
    assert_false(result.held);
    assert_journal("remove " MANIFEST("73", A) "\nremove " ROOT "/73/adopted/" A
                                               ".json\nremove " DATA("73", A) "\n");
    assert_string_equal(heard.data, A " newest\n" A " removed\n" B " newest verified\n" C
                                      " keep_last\n" D " newest\n");
    assert_null(fake_store_find(&fake.store, DATA("73", A)));
    assert_non_null(fake_store_find(&fake.store, DATA("12", A)));
    assert_int_equal(count_records(), 0);
    text_fini(&heard);
}

/* A full one, two that go on from it, another full one and one that goes on from that. */
static void test_what_a_kept_one_goes_on_from_is_kept(void **state)
{
    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 3};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_child(&fake, "73", B, A, now_ms - 8 * HOUR, 3);
    fake_site_add_child(&fake, "73", C, B, now_ms - 7 * HOUR, 1);
    fake_site_add_backup(&fake, "73", D, now_ms - 6 * HOUR, 103);
    fake_site_add_child(&fake, "73", E, D, now_ms - 5 * HOUR, 2);
    assert_int_equal(prune(false).removed, 0);
    fake.component.retention = (struct retention_options){.keep_last = 2};
    assert_int_equal(prune(false).removed, 3);
    assert_journal("remove " MANIFEST("73", C) "\nremove " DATA("73", C) "\nremove " MANIFEST(
        "73", B) "\nremove " DATA("73", B) "\nremove " MANIFEST("73", A) "\nremove " DATA("73",
                                                                                          A) "\n");
    fake.component.retention = (struct retention_options){.keep_last = 1};
    assert_int_equal(prune(false).removed, 0);
}

static void test_nothing_is_removed_twice(void **state)
{
    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    assert_int_equal(prune(false).removed, 1);
    assert_int_equal(prune(false).removed, 0);
    assert_store(DATA("73", B) "\n" MANIFEST("73", B) "\n");
}

static void test_a_backup_that_shrank_holds_retention(void **state)
{
    struct text heard = TEXT_INIT;
    const struct prune_watcher watcher = {
        .judged = on_judged, .held = on_held, .orphan = on_orphan, .arg = &heard};
    struct prune_result result;
    struct retention_hold seen;
    struct err err = ERR_INIT;
    struct catalog *catalog = NULL;

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 49);
    assert_int_equal(prune_run(&fake.site, NULL, false, &watcher, &result, &err), 0);
    assert_true(result.held);
    assert_int_equal(result.removed, 0);
    assert_string_equal(heard.data, "held 73 " B "\n" A " hold\n" B " newest\n");
    assert_int_equal(catalog_load(&fake.site, &catalog, &err), 0);
    prune_hold(&fake.site, catalog, "73", &seen);
    assert_true(seen.held);
    assert_string_equal(seen.id, B);
    prune_hold(&fake.site, catalog, "12", &seen);
    assert_false(seen.held);
    catalog_free(catalog);
    fake_site_add_record(&fake, "adopted", "73", B, "");
    assert_int_equal(prune(false).removed, 1);
    text_fini(&heard);
}

static void test_a_dry_run_removes_nothing(void **state)
{
    struct prune_result dry, real;
    char *before, *after;

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    fake_site_add_data(&fake, "73", C, 7, now_ms - 30 * HOUR);
    fake_store_add(&fake.store, DATA("73", D), "u1", "abc", 3, now_ms);
    die_holding(D);
    die_holding(A);
    before = fake_store_show(&fake.store);
    dry = prune(true);
    after = fake_store_show(&fake.store);
    assert_string_equal(after, before);
    assert_journal("");
    assert_int_equal(count_records(), 2);
    real = prune(false);
    assert_int_equal(dry.kept, 1);
    assert_int_equal(dry.removed, real.removed);
    assert_int_equal(dry.orphans_removed, real.orphans_removed);
    assert_int_equal(dry.freed_bytes, real.freed_bytes);
    assert_int_equal(real.removed, 1);
    assert_int_equal(real.orphans_removed, 2);
    assert_int_equal(real.freed_bytes, 110);
    assert_store(DATA("73", B) "\n" MANIFEST("73", B) "\n");
    assert_int_equal(count_records(), 0);
    free(before);
    free(after);
}

static void test_what_another_job_works_on_is_left_alone(void **state)
{
    struct record *record = hold(A);

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    fake_site_add_backup(&fake, "73", C, now_ms - 7 * HOUR, 100);
    assert_int_equal(prune(false).removed, 1);
    assert_non_null(fake_store_find(&fake.store, MANIFEST("73", A)));
    record_finish(record);
    assert_int_equal(prune(false).removed, 1);
}

/* --- a prune that did not end --- */

static void test_a_prune_that_failed_between_is_ended_by_the_next(void **state)
{
    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    fake_store_fail(&fake.store, FAKE_REMOVE, 2, ERR_UNREACHABLE);
    prune_fails(ERR_UNREACHABLE);
    assert_null(fake_store_find(&fake.store, MANIFEST("73", A)));
    assert_non_null(fake_store_find(&fake.store, DATA("73", A)));
    assert_int_equal(count_records(), 1);
    assert_int_equal(prune(false).orphans_removed, 1);
    assert_store(DATA("73", B) "\n" MANIFEST("73", B) "\n");
    assert_int_equal(count_records(), 0);
}

static void die_at_second_remove(void *arg, struct fake_store *store, enum fake_op op,
                                 const char *key)
{
    (void)arg;
    (void)key;
    if (op == FAKE_REMOVE && store->ops[op].calls == 1)
        raise(SIGKILL);
}

static void test_a_prune_that_was_killed_between_is_ended_by_the_next(void **state)
{
    struct err err = ERR_INIT;
    int status = 0;
    pid_t pid;

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    pid = fork();
    if (pid == 0) {
        fake.store.before = die_at_second_remove;
        prune(false);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(count_records(), 1);
    /* The memory of the child is gone; what it had done to the store is done here. */
    assert_int_equal(fake.store.store.ops->remove(&fake.store.store, MANIFEST("73", A), &err), 0);
    assert_int_equal(prune(false).orphans_removed, 1);
    assert_store(DATA("73", B) "\n" MANIFEST("73", B) "\n");
    assert_int_equal(count_records(), 0);
}

static void test_an_orphan_that_cannot_be_removed_stays_known(void **state)
{
    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms);
    die_holding(A);
    fake_store_fail(&fake.store, FAKE_REMOVE, 1, ERR_UNREACHABLE);
    prune_fails(ERR_UNREACHABLE);
    assert_int_equal(count_records(), 1);
    assert_int_equal(prune(false).orphans_removed, 1);
    assert_int_equal(count_records(), 0);
}

/* --- orphans --- */

static void test_the_data_of_a_living_owner_stays(void **state)
{
    struct record *record = hold(A);

    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms - HOUR);
    fake_store_add(&fake.store, DATA("73", A) ".001", "u1", "abc", 3, now_ms);
    assert_int_equal(prune(false).orphans_removed, 0);
    assert_journal("");
    assert_int_equal(count_records(), 1);
    record_finish(record);
}

static void test_the_data_of_a_dead_owner_goes(void **state)
{
    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms);
    fake_store_add(&fake.store, DATA("73", A) ".001", "u1", "abc", 3, now_ms);
    fake_store_add(&fake.store, DATA("73", A) ".001", "u2", "abc", 3, now_ms);
    fake_site_add_data(&fake, "73", B, 100, now_ms);
    die_holding(A);
    assert_int_equal(prune(false).orphans_removed, 3);
    assert_store(DATA("73", B) "\n");
    assert_int_equal(count_records(), 0);
}

static void test_what_is_young_and_has_no_record_stays(void **state)
{
    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms - 24 * HOUR);
    fake_store_add(&fake.store, DATA("73", B), "u1", "abc", 3, now_ms - 24 * HOUR);
    assert_int_equal(prune(false).orphans_removed, 0);
    assert_journal("");
}

static void test_what_is_old_by_the_clock_of_the_store_goes(void **state)
{
    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms - 24 * HOUR - 60001);
    fake_site_add_data(&fake, "73", B, 100, now_ms - 24 * HOUR - 1);
    fake_store_add(&fake.store, DATA("73", C), "u1", "abc", 3, now_ms - 24 * HOUR - 60001);
    /* One old file and a young one: its writer may live. */
    fake_site_add_data(&fake, "73", D, 100, now_ms - 40 * HOUR);
    fake_store_add(&fake.store, DATA("73", D) ".001", "u2", "abc", 3, now_ms - HOUR);
    fake.store.now_ms = now_ms - 60000; /* a minute behind: what it says counts */
    assert_int_equal(prune(false).orphans_removed, 2);
    assert_store(DATA("73", B) "\n" DATA("73", D) "\n" DATA("73", D) ".001 u2\n");
}

static void test_an_upload_of_a_whole_backup_goes_alone(void **state)
{
    (void)state;
    fake_site_add_backup(&fake, "73", A, now_ms - 30 * HOUR, 100);
    fake_store_add(&fake.store, DATA("73", A), "u1", "abc", 3, now_ms - 30 * HOUR);
    fake_site_add_backup(&fake, "73", B, now_ms - HOUR, 100);
    fake_store_add(&fake.store, DATA("73", B), "u2", "abc", 3, now_ms - HOUR);
    die_holding(B);
    assert_int_equal(prune(false).orphans_removed, 2);
    assert_journal("abort " DATA("73", A) "\nabort " DATA("73", B) "\n");
    assert_int_equal(count_records(), 0);
}

static void test_uploads_elsewhere_are_not_touched(void **state)
{
    (void)state;
    fake_store_add(&fake.store, "prod/aipx/orders-db2/73/data/" A "/x", "u1", "abc", 3, 0);
    fake_store_add(&fake.store, ROOT "/73/notes/x", "u2", "abc", 3, 0);
    fake_store_add(&fake.store, "x", "u3", "abc", 3, 0);
    assert_int_equal(prune(false).orphans_removed, 0);
    assert_journal("");
}

static void test_the_data_of_a_manifest_that_cannot_be_read_stays(void **state)
{
    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_data(&fake, "73", A, 100, now_ms - 40 * HOUR);
    fake_store_add(&fake.store, MANIFEST("73", A), NULL, "{", 1, now_ms - 40 * HOUR);
    fake_site_add_backup(&fake, "73", B, now_ms - HOUR, 100);
    die_holding(A);
    assert_int_equal(prune(false).orphans_removed, 0);
    assert_journal("");
    assert_int_equal(count_records(), 0);
}

static void test_records_about_a_backup_that_is_gone_go_with_age(void **state)
{
    (void)state;
    fake.store.now_ms = now_ms - 30 * HOUR;
    fake_site_add_record(&fake, "verified", "73", A, "-20261123T050000Z-verify");
    fake.store.now_ms = now_ms;
    fake_site_add_record(&fake, "verified", "73", B, "-20261123T050000Z-verify");
    assert_int_equal(prune(false).orphans_removed, 1);
    assert_store(ROOT "/73/verified/" B "-20261123T050000Z-verify.json\n");
}

static void test_records_of_the_dead_that_left_nothing_are_forgotten(void **state)
{
    struct record *record = hold(B);

    (void)state;
    die_holding(A);
    die_holding(C);
    assert_int_equal(count_records(), 3);
    prune(false);
    assert_int_equal(count_records(), 1);
    record_finish(record);
}

/* --- a backup that is committed while the prune looks --- */

static void reveal_manifest(void *arg, struct fake_store *store, enum fake_op op, const char *key)
{
    (void)arg;
    if (op == FAKE_STAT && fake_store_find(store, key) == NULL)
        fake_site_add_manifest(&fake, "73", A, now_ms, 100);
}

static void test_a_manifest_committed_after_the_listing_saves_its_data(void **state)
{
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        teardown(state);
        setup(state);
        fake_site_add_data(&fake, "73", A, 100, now_ms - (dead == 1 ? 0 : 30 * HOUR));
        fake_store_add(&fake.store, DATA("73", A) ".001", "u1", "abc", 3, now_ms - 30 * HOUR);
        if (dead == 1)
            die_holding(A);
        fake.store.before = reveal_manifest;
        assert_int_equal(prune(false).orphans_removed, 1);
        assert_store(DATA("73", A) "\n" MANIFEST("73", A) "\n");
        assert_int_equal(count_records(), 0);
    }
}

static void test_what_cannot_be_asked_for_stays(void **state)
{
    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms - 30 * HOUR);
    die_holding(A);
    fake_store_fail(&fake.store, FAKE_STAT, 1, ERR_UNREACHABLE);
    prune_fails(ERR_UNREACHABLE);
    assert_journal("");
    assert_int_equal(count_records(), 1);
}

static void test_a_listing_that_fails_removes_nothing(void **state)
{
    static const enum fake_op ops[] = {FAKE_CLOCK, FAKE_LIST, FAKE_GET, FAKE_LIST_UPLOADS};

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        teardown(state);
        setup(state);
        fake_site_add_data(&fake, "73", A, 100, now_ms - 30 * HOUR);
        fake_site_add_backup(&fake, "73", B, now_ms - HOUR, 100);
        die_holding(A);
        fake_store_fail(&fake.store, ops[i], 1, ERR_DENIED);
        prune_fails(ERR_DENIED);
        assert_journal("");
        assert_int_equal(count_records(), 1);
    }
}

/* --- clocks --- */

static void test_clocks_that_differ_by_five_minutes_stop_it(void **state)
{
    static const struct {
        int64_t apart_ms;
        bool refused;
    } cases[] = {{299999, false},  {300000, true},  {3600000, true},
                 {-299999, false}, {-300000, true}, {-3600000, true}};
    struct prune_result result;

    (void)state;
    fake_site_add_data(&fake, "73", A, 100, now_ms - 25 * HOUR - 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        int rc;

        fake.store.now_ms = now_ms + cases[i].apart_ms;
        rc = prune_run(&fake.site, NULL, !cases[i].refused, NULL, &result, &err);
        assert_int_equal(rc, cases[i].refused ? -1 : 0);
        if (cases[i].refused)
            assert_int_equal(err.kind, ERR_REFUSED);
        if (cases[i].apart_ms == 300000)
            assert_string_equal(err.text,
                                "the clock here and that of store memory are 5 min 0 s apart; "
                                "nothing is removed while that is so");
    }
    assert_journal("");
}

/* --- the wish to stop --- */

static void stop_at_first_remove(void *arg, struct fake_store *store, enum fake_op op,
                                 const char *key)
{
    (void)arg;
    (void)key;
    if (op == FAKE_REMOVE && store->ops[op].calls == 0)
        raise(SIGTERM);
}

static void test_a_wish_to_stop_ends_it_between_two_backups(void **state)
{
    struct prune_result result;
    struct err err = ERR_INIT;
    int status = 0;
    pid_t pid;

    (void)state;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 100);
    fake_site_add_backup(&fake, "73", C, now_ms - 7 * HOUR, 100);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        cancel_install();
        fake.store.before = stop_at_first_remove;
        if (prune_run(&fake.site, NULL, false, NULL, &result, &err) == 0 ||
            err.kind != ERR_CANCELLED)
            _exit(1);
        if (fake_store_find(&fake.store, DATA("73", B)) != NULL ||
            fake_store_find(&fake.store, MANIFEST("73", A)) == NULL || count_records() != 0)
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* --- beside uploads and the fallback --- */

static void test_old_data_of_a_living_job_stays(void **state)
{
    struct record *record = hold(A);

    (void)state;
    fake_site_add_data(&fake, "73", A, 10, now_ms - 100 * HOUR);
    assert_int_equal(prune(false).orphans_removed, 0);
    record_finish(record);
    assert_int_equal(prune(false).orphans_removed, 1);
}

static void test_the_fallback_is_swept_and_keeps_its_backups(void **state)
{
    struct fake_store disk = {.store = {.ops = &fake_store_ops, .name = "disk"}, .now_ms = now_ms};
    struct site fallback = fake.site;
    struct fake_store main_store = fake.store;
    struct prune_result result;
    struct err err = ERR_INIT;

    (void)state;
    fallback.store = &disk.store;
    fake.component.retention = (struct retention_options){.keep_last = 1};
    /* Filled through the one store that the helpers know, then moved over. */
    fake_site_add_backup(&fake, "73", A, now_ms - 9 * HOUR, 100);
    fake_site_add_backup(&fake, "73", B, now_ms - 8 * HOUR, 101);
    fake_site_add_data(&fake, "73", C, 10, now_ms - HOUR);
    disk.objects = fake.store.objects;
    disk.count = fake.store.count;
    fake.store = main_store;
    fake_site_add_data(&fake, "73", D, 10, now_ms - HOUR);
    die_holding(C);
    die_holding(D);
    /* Without the fallback in sight its orphan's record would be the only proof there is. */
    assert_int_equal(prune_run(&fake.site, &fallback, true, NULL, &result, &err), 0);
    assert_int_equal(result.orphans_removed, 2);
    assert_int_equal(count_records(), 2);
    assert_int_equal(prune_run(&fake.site, &fallback, false, NULL, &result, &err), 0);
    assert_int_equal(result.orphans_removed, 2);
    assert_int_equal(result.removed, 0);
    assert_int_equal(count_records(), 0);
    assert_int_equal(disk.count, 4);
    store_close(&disk.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(test_retention_is_applied_and_manifests_go_first),
        AT_SITE(test_what_a_kept_one_goes_on_from_is_kept),
        AT_SITE(test_nothing_is_removed_twice),
        AT_SITE(test_a_backup_that_shrank_holds_retention),
        AT_SITE(test_a_dry_run_removes_nothing),
        AT_SITE(test_what_another_job_works_on_is_left_alone),
        AT_SITE(test_a_prune_that_failed_between_is_ended_by_the_next),
        AT_SITE(test_a_prune_that_was_killed_between_is_ended_by_the_next),
        AT_SITE(test_an_orphan_that_cannot_be_removed_stays_known),
        AT_SITE(test_the_data_of_a_living_owner_stays),
        AT_SITE(test_the_data_of_a_dead_owner_goes),
        AT_SITE(test_what_is_young_and_has_no_record_stays),
        AT_SITE(test_what_is_old_by_the_clock_of_the_store_goes),
        AT_SITE(test_an_upload_of_a_whole_backup_goes_alone),
        AT_SITE(test_uploads_elsewhere_are_not_touched),
        AT_SITE(test_the_data_of_a_manifest_that_cannot_be_read_stays),
        AT_SITE(test_records_about_a_backup_that_is_gone_go_with_age),
        AT_SITE(test_records_of_the_dead_that_left_nothing_are_forgotten),
        AT_SITE(test_a_manifest_committed_after_the_listing_saves_its_data),
        AT_SITE(test_what_cannot_be_asked_for_stays),
        AT_SITE(test_a_listing_that_fails_removes_nothing),
        AT_SITE(test_clocks_that_differ_by_five_minutes_stop_it),
        AT_SITE(test_a_wish_to_stop_ends_it_between_two_backups),
        AT_SITE(test_old_data_of_a_living_job_stays),
        AT_SITE(test_the_fallback_is_swept_and_keeps_its_backups),
    };

    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
