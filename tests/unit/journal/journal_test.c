// SPDX-License-Identifier: Apache-2.0
// What jobs leave behind: states folded from reports, numbers that are never used twice, logs that
// age, and the lock of a component.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backup_id.h"
#include "clock.h"
#include "component_lock.h"
#include "file.h"
#include "folder.h"
#include "journal.h"
#include "queue.h"
#include "text.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "orders-db"

static char state_path[64];
static struct err err;

static int setup(void **state)
{
    (void)state;
    err_clear(&err);
    snprintf(state_path, sizeof state_path, "/tmp/lifeboat-journal-XXXXXX");
    return mkdtemp(state_path) == NULL;
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
    return nftw(state_path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static lifeboat_v1_Report a_report(lifeboat_v1_JobKind kind, lifeboat_v1_Outcome outcome,
                                   int64_t started_ms)
{
    lifeboat_v1_Report report = lifeboat_v1_Report_init_zero;

    backup_id_make(started_ms, report.job);
    report.fallback_counted = true;
    WIRE_SET(report.component, NAME);
    report.kind = kind;
    report.outcome = outcome;
    report.started_ms = started_ms;
    report.ended_ms = started_ms + 500;
    report.has_error = outcome != lifeboat_v1_Outcome_DONE;
    WIRE_SET(report.error.text, "why");
    return report;
}

static lifeboat_v1_Report a_backup(lifeboat_v1_Outcome outcome, int64_t started_ms)
{
    lifeboat_v1_Report report = a_report(lifeboat_v1_JobKind_BACKUP, outcome, started_ms);

    backup_id_make(started_ms, report.backup);
    report.recovery_point_ms = started_ms + 1;
    report.stored_bytes = 7;
    return report;
}

static void test_a_good_backup_is_the_newest(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report report = a_backup(lifeboat_v1_Outcome_DONE, 1000);

    (void)state;
    journal_fold(&known, &report);
    assert_true(known.good);
    assert_int_equal(known.backup.success_ms, 1500);
    assert_int_equal(known.backup.success_duration_ms, 500);
    assert_int_equal(known.backup.done, 1);
    assert_int_equal(known.recovery_point_ms, 1001);
    assert_string_equal(known.backup_id, report.backup);
    assert_false(known.backup.has_error);
}

static void test_a_failure_keeps_what_was_good(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report good = a_backup(lifeboat_v1_Outcome_DONE, 1000);
    lifeboat_v1_Report bad = a_backup(lifeboat_v1_Outcome_FAILED, 9000);

    (void)state;
    journal_fold(&known, &good);
    journal_fold(&known, &bad);
    assert_false(known.good);
    assert_int_equal(known.backup.success_ms, 1500);
    assert_int_equal(known.backup.started_ms, 9000);
    assert_int_equal(known.backup.failed, 1);
    assert_string_equal(known.backup_id, good.backup);
    assert_string_equal(known.backup.error.text, "why");
    journal_fold(&known, &good);
    assert_true(known.good);
    assert_false(known.backup.has_error);
}

static void test_on_local_disk_only_is_no_success(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report report = a_backup(lifeboat_v1_Outcome_IN_PART, 1000);

    (void)state;
    report.fallback_backups = 1;
    report.fallback_bytes = 70;
    journal_fold(&known, &report);
    assert_false(known.good);
    assert_int_equal(known.backup.success_ms, 0);
    assert_int_equal(known.backup.in_part, 1);
    assert_int_equal(known.fallback_backups, 1);
    assert_string_equal(known.backup_id, "");
}

static void test_an_upload_makes_it_good_as_of_then(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report kept = a_backup(lifeboat_v1_Outcome_IN_PART, 1000);
    lifeboat_v1_Report sent = a_report(lifeboat_v1_JobKind_UPLOAD, lifeboat_v1_Outcome_DONE, 90000);

    (void)state;
    kept.fallback_backups = 2;
    journal_fold(&known, &kept);
    WIRE_SET(sent.backup, kept.backup);
    sent.recovery_point_ms = kept.recovery_point_ms;
    sent.backup_ended_ms = kept.ended_ms;
    sent.fallback_backups = 1;
    journal_fold(&known, &sent);
    assert_false(known.good); /* a newer one still waits */
    assert_int_equal(known.backup.success_ms, 1500);
    sent.fallback_backups = 0;
    journal_fold(&known, &sent);
    assert_true(known.good);
    assert_int_equal(known.fallback_backups, 0);
    assert_int_equal(known.upload.done, 2);
}

static void test_an_upload_of_old_ones_changes_no_newest(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report good = a_backup(lifeboat_v1_Outcome_DONE, 5000);
    lifeboat_v1_Report sent = a_report(lifeboat_v1_JobKind_UPLOAD, lifeboat_v1_Outcome_DONE, 90000);

    (void)state;
    journal_fold(&known, &good);
    WIRE_SET(sent.backup, "20200101T000000Z-000000");
    sent.recovery_point_ms = 10;
    sent.backup_ended_ms = 20;
    journal_fold(&known, &sent);
    assert_string_equal(known.backup_id, good.backup);
    assert_int_equal(known.backup.success_ms, 5500);
    assert_true(known.good);
}

static void test_a_job_that_died_forgets_nothing_that_waits(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report kept = a_backup(lifeboat_v1_Outcome_IN_PART, 1000);
    lifeboat_v1_Report died = a_backup(lifeboat_v1_Outcome_FAILED, 2000);

    (void)state;
    kept.fallback_backups = 3;
    journal_fold(&known, &kept);
    died.fallback_counted = false;
    journal_fold(&known, &died);
    assert_int_equal(known.fallback_backups, 3);
}

static void test_skipped_and_unknown_change_nothing(void **state)
{
    lifeboat_v1_ComponentState known = lifeboat_v1_ComponentState_init_zero;
    lifeboat_v1_Report skipped = a_backup(lifeboat_v1_Outcome_SKIPPED, 1000);
    lifeboat_v1_Report unknown = a_report((lifeboat_v1_JobKind)99, lifeboat_v1_Outcome_DONE, 1000);

    (void)state;
    journal_fold(&known, &skipped);
    journal_fold(&known, &unknown);
    assert_int_equal(known.backup.started_ms, 0);
    assert_int_equal(known.backup.failed + known.backup.done, 0);
}

static void record(lifeboat_v1_Report *report, bool tell)
{
    if (journal_record(state_path, report, tell, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_a_record_is_kept_and_told(void **state)
{
    lifeboat_v1_ComponentState known;
    lifeboat_v1_Report report = a_backup(lifeboat_v1_Outcome_DONE, 1000);
    lifeboat_v1_Report read;
    char *path = text_format("%s/history/" NAME "/%s.report", state_path, report.job);

    (void)state;
    record(&report, true);
    assert_int_equal(report.sequence, 1);
    assert_true(report.has_state && report.state.good);
    assert_int_equal(journal_state(state_path, NAME, &known, &err), 0);
    assert_int_equal(known.backup.done, 1);
    assert_int_equal(queue_read(state_path, 1, &read, &err), 0);
    assert_string_equal(read.state.backup_id, known.backup_id);
    assert_int_equal(read.state.backup.success_ms, known.backup.success_ms);
    assert_string_equal(read.backup, report.backup);
    assert_int_equal(access(path, F_OK), 0);
    free(path);
    record(&report, false);
    assert_int_equal(queue_read(state_path, 2, &read, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_a_spoilt_state_counts_as_nothing(void **state)
{
    lifeboat_v1_ComponentState known;
    char *path = text_format("%s/components/" NAME, state_path);

    (void)state;
    assert_int_equal(file_make_parents(path, &err), 0);
    assert_int_equal(file_replace(path, "\xff\xff\xff", 3, &err), 0);
    assert_int_equal(journal_state(state_path, NAME, &known, &err), 0);
    assert_int_equal(known.backup.done, 0);
    free(path);
}

static size_t waiting(uint64_t after, uint64_t *sequences, size_t cap)
{
    size_t count = 0, total = 0;

    if (queue_list(state_path, after, sequences, cap, &count, &total, &err) < 0)
        fail_msg("%s", err.text);
    return count;
}

static void test_numbers_rise_and_are_never_used_twice(void **state)
{
    lifeboat_v1_Report report = a_backup(lifeboat_v1_Outcome_DONE, 1000);
    uint64_t sequences[3] = {0};
    char *last = text_format("%s/reports/last", state_path);

    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        record(&report, true);
        assert_int_equal(report.sequence, i);
    }
    assert_int_equal(waiting(0, sequences, 3), 3);
    assert_int_equal(sequences[0], 1);
    assert_int_equal(sequences[2], 3);
    assert_int_equal(waiting(3, sequences, 3), 2);
    assert_int_equal(sequences[0], 4);
    assert_int_equal(queue_forget(state_path, 5, &err), 0);
    assert_int_equal(waiting(0, sequences, 3), 0);
    record(&report, true);
    assert_int_equal(report.sequence, 6);
    /* Killed after the number was written down, before the report was. */
    assert_int_equal(file_replace(last, "9", 1, &err), 0);
    record(&report, true);
    assert_int_equal(report.sequence, 10);
    /* The number is gone, reports are not. */
    assert_int_equal(unlink(last), 0);
    record(&report, true);
    assert_int_equal(report.sequence, 11);
    free(last);
}

static void test_processes_number_at_once(void **state)
{
    uint64_t sequences[64];
    int status;

    (void)state;
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            lifeboat_v1_Report report = a_backup(lifeboat_v1_Outcome_DONE, 1000);
            struct err own = ERR_INIT;
            int rc = 0;

            for (int j = 0; j < 8 && rc == 0; j++)
                rc = journal_record(state_path, &report, true, &own);
            _exit(rc == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(waiting(0, sequences, 64), 32);
    for (uint64_t i = 0; i < 32; i++)
        assert_int_equal(sequences[i], i + 1);
}

static void test_the_instance_lasts(void **state)
{
    uint8_t first[QUEUE_INSTANCE_BYTES], again[QUEUE_INSTANCE_BYTES];
    char *path = text_format("%s/reports/instance", state_path);

    (void)state;
    assert_int_equal(queue_instance(state_path, first, &err), 0);
    assert_int_equal(queue_instance(state_path, again, &err), 0);
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(file_replace(path, "half", 4, &err), 0);
    assert_int_equal(queue_instance(state_path, again, &err), 0);
    assert_memory_not_equal(first, again, sizeof first);
    free(path);
}

static int count_names(void *arg, const char *name, struct err *unused)
{
    (void)name;
    (void)unused;
    ++*(size_t *)arg;
    return 0;
}

static void test_logs_go_after_a_week(void **state)
{
    int64_t now_ms = clock_wall_ms();
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    char *folder = text_format("%s/history/" NAME, state_path);
    size_t count = 0;

    (void)state;
    for (int days = 0; days < 10; days++) {
        char job[BACKUP_ID_CAP];
        int fd = -1;

        backup_id_make(now_ms - (9 - days) * day_ms + 60000, job);
        assert_int_equal(journal_open_log(state_path, NAME, job, &fd, &err), 0);
        close(fd);
    }
    assert_int_equal(folder_each(folder, count_names, &count, &err), 0);
    assert_int_equal(count, 8); /* the one of a week ago still has a minute */
    free(folder);
}

static void test_the_lock_names_its_holder(void **state)
{
    int first = -1, second = -1;

    (void)state;
    assert_false(component_locked(state_path, NAME));
    assert_int_equal(component_lock(state_path, NAME, "backup", &first, &err), 0);
    assert_true(component_locked(state_path, NAME));
    assert_false(component_locked(state_path, "other"));
    assert_int_equal(component_lock(state_path, NAME, "restore", &second, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(strstr(err.text, "another job of orders-db runs (backup, process "));
    assert_false(component_left(state_path, NAME));
    component_unlock(&first);
    assert_false(component_locked(state_path, NAME));
    assert_false(component_left(state_path, NAME));
    err_clear(&err);
    assert_int_equal(component_lock(state_path, NAME, "restore", &second, &err), 0);
    fd_close(&second); /* as a death does */
    assert_true(component_left(state_path, NAME));
    assert_int_equal(component_lock(state_path, NAME, "restore", &second, &err), 0);
    component_unlock(&second);
    assert_false(component_left(state_path, NAME));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_backup_is_the_newest),
        cmocka_unit_test(test_a_failure_keeps_what_was_good),
        cmocka_unit_test(test_on_local_disk_only_is_no_success),
        cmocka_unit_test(test_an_upload_makes_it_good_as_of_then),
        cmocka_unit_test(test_an_upload_of_old_ones_changes_no_newest),
        cmocka_unit_test(test_a_job_that_died_forgets_nothing_that_waits),
        cmocka_unit_test(test_skipped_and_unknown_change_nothing),
        cmocka_unit_test_setup_teardown(test_a_record_is_kept_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_spoilt_state_counts_as_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_rise_and_are_never_used_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_processes_number_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_instance_lasts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logs_go_after_a_week, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_lock_names_its_holder, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
