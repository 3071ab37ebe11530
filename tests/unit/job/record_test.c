// SPDX-License-Identifier: Apache-2.0
// Job records: who lives, who is dead, and that nobody ever holds what somebody else holds.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record.h"

#include "file.h"
#include "text.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID    "20261123T071500Z-7f3a9c"
#define OTHER "20261123T071501Z-000001"

static char state_path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(state_path, sizeof state_path, "/tmp/lifeboat-record-XXXXXX");
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

/* The file of a record; lent until the next call. */
static const char *path_of(const char *id)
{
    static char path[160];

    snprintf(path, sizeof path, "%s/jobs/orders-db/%s.json", state_path, id);
    return path;
}

static bool there(const char *id)
{
    return access(path_of(id), F_OK) == 0;
}

static struct record *must_open(const char *id)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;

    if (record_open(state_path, "orders-db", id, "backup", &record, &err) < 0)
        fail_msg("%s", err.text);
    return record;
}

static struct record *take_over(const char *id)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;

    if (record_take_over(state_path, "orders-db", id, &record, &err) < 0)
        fail_msg("%s", err.text);
    return record;
}

/* A child that runs body; it tells that it is ready through *ready, and ends when killed. */
static pid_t start_child(void (*body)(void), int *ready)
{
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        if (write(ends[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    *ready = ends[0];
    return pid;
}

static void end_child(pid_t pid, int ready)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready);
}

static void hold_record(void)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;

    if (record_open(state_path, "orders-db", ID, "backup", &record, &err) < 0)
        _exit(1);
}

static void wait_until_ready(int ready)
{
    char c;

    assert_int_equal(read(ready, &c, 1), 1);
}

static void test_a_record_says_who(void **state)
{
    struct record *record = must_open(ID);
    struct err err = ERR_INIT;
    char *data = NULL;
    char *wanted =
        text_format("{\"job\": \"backup\", \"pid\": %ld, \"started\": \"20", (long)getpid());

    (void)state;
    assert_int_equal(file_read(path_of(ID), 1000, &data, NULL, &err), 0);
    assert_true(text_starts_with(data, wanted));
    free(data);
    free(wanted);
    record_finish(record);
    assert_false(there(ID));
    record_finish(NULL);
    record_abandon(NULL);
}

static void test_what_a_living_job_holds_is_refused(void **state)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;
    int ready;
    pid_t pid = start_child(hold_record, &ready);

    (void)state;
    wait_until_ready(ready);
    assert_null(take_over(ID));
    assert_int_equal(record_open(state_path, "orders-db", ID, "prune", &record, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_string_equal(err.text, "another job works on " ID);
    assert_null(record);
    assert_true(there(ID));
    end_child(pid, ready);
}

static void test_what_a_dead_job_held_is_taken_over(void **state)
{
    struct record *record;
    int ready;
    pid_t pid = start_child(hold_record, &ready);

    (void)state;
    wait_until_ready(ready);
    end_child(pid, ready);
    assert_true(there(ID));
    record = take_over(ID);
    assert_non_null(record);
    assert_null(take_over(ID)); /* now this one lives */
    record_abandon(record);
    assert_true(there(ID));
    record = must_open(ID);
    record_finish(record);
    assert_false(there(ID));
    assert_null(take_over(ID));
}

/* Its owner has made it and is about to lock it. */
static void test_an_empty_record_proves_nothing(void **state)
{
    (void)state;
    record_finish(must_open(OTHER)); /* makes the folder */
    fclose(fopen(path_of(ID), "we"));
    assert_null(take_over(ID));
    assert_true(there(ID));
    record_finish(must_open(ID));
    assert_false(there(ID));
}

/* Its owner died between making and locking it. */
static void test_an_old_empty_record_is_a_dead_mans(void **state)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct record *record = NULL;

    (void)state;
    record_finish(must_open(OTHER)); /* makes the folder */
    fclose(fopen(path_of(ID), "we"));
    assert_int_equal(utimensat(AT_FDCWD, path_of(ID), long_ago, 0), 0);
    record = take_over(ID);
    assert_non_null(record);
    record_finish(record);
    assert_false(there(ID));
}

static void test_a_state_that_cannot_be_written_is_named(void **state)
{
    struct record *record = NULL;
    struct err err = ERR_INIT;
    char path[96];

    (void)state;
    snprintf(path, sizeof path, "%s/file", state_path);
    fclose(fopen(path, "we"));
    assert_int_equal(record_open(path, "orders-db", ID, "backup", &record, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_true(text_starts_with(err.text, "state.path: "));
}

static int collect(void *arg, const char *id, struct err *err)
{
    (void)err;
    text_add(arg, "%s\n", id);
    return 0;
}

static int stop(void *arg, const char *id, struct err *err)
{
    (void)id;
    ++*(int *)arg;
    return err_set(err, ERR_INTERNAL, "enough");
}

static void test_each_record_of_a_component(void **state)
{
    struct text ids = TEXT_INIT;
    struct err err = ERR_INIT;
    struct record *held;
    int calls = 0;

    (void)state;
    assert_int_equal(record_each(state_path, "orders-db", collect, &ids, &err), 0);
    assert_string_equal(text_str(&ids), "");
    held = must_open(ID);
    record_abandon(must_open(OTHER));
    fclose(fopen(path_of("no-id"), "we"));
    fclose(fopen(path_of("20261123T071500Z-7f3a9c-and-a-tail-that-is-too-long"), "we"));
    assert_int_equal(record_each(state_path, "orders-db", collect, &ids, &err), 0);
    assert_int_equal(ids.len, 2 * (strlen(ID) + 1));
    assert_non_null(strstr(ids.data, ID));
    assert_non_null(strstr(ids.data, OTHER));
    text_clear(&ids);
    assert_int_equal(record_each(state_path, "another", collect, &ids, &err), 0);
    assert_string_equal(text_str(&ids), "");
    assert_int_equal(record_each(state_path, "orders-db", stop, &calls, &err), -1);
    assert_int_equal(calls, 1);
    record_finish(held);
    text_fini(&ids);
}

/* --- races --- */

enum { ROUNDS = 60, RIVALS = 4 };

/* While it holds the record, no rival may: each makes and removes one file that must not be there.
 * Ends with 0 when that held. */
static void rival(void)
{
    char alone[96];

    snprintf(alone, sizeof alone, "%s/alone", state_path);
    for (int held = 0; held < ROUNDS;) {
        struct record *record = NULL;
        struct err err = ERR_INIT;
        int fd;

        if (record_open(state_path, "orders-db", ID, "backup", &record, &err) < 0) {
            if (err.kind != ERR_REFUSED)
                _exit(2);
            continue;
        }
        fd = open(alone, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || unlink(alone) < 0)
            _exit(3);
        close(fd);
        if (held++ % 3 == 0)
            record_abandon(record);
        else
            record_finish(record);
    }
    _exit(0);
}

static void test_two_never_hold_the_same_record(void **state)
{
    (void)state;
    for (int i = 0; i < RIVALS; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            rival();
    }
    for (int i = 0; i < RIVALS; i++) {
        int status = 0;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

static int forget(void *arg, const char *id, struct err *err)
{
    struct record *record = NULL;

    (void)arg;
    if (record_take_over(state_path, "orders-db", id, &record, err) < 0)
        return -1;
    record_finish(record);
    return 0;
}

/* What a prune does beside jobs that start; until it is killed. */
static void forget_for_ever(void)
{
    struct err err = ERR_INIT;

    while (record_each(state_path, "orders-db", forget, NULL, &err) == 0)
        continue;
    _exit(1);
}

static void test_a_job_that_starts_is_not_taken_for_dead(void **state)
{
    char id[32];
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when this test fails */
        forget_for_ever();
    }
    for (unsigned i = 0; i < 400; i++) {
        snprintf(id, sizeof id, "20261123T071500Z-%06x", i);
        record_finish(must_open(id));
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_record_says_who),
        IN_FOLDER(test_what_a_living_job_holds_is_refused),
        IN_FOLDER(test_what_a_dead_job_held_is_taken_over),
        IN_FOLDER(test_an_empty_record_proves_nothing),
        IN_FOLDER(test_an_old_empty_record_is_a_dead_mans),
        IN_FOLDER(test_a_state_that_cannot_be_written_is_named),
        IN_FOLDER(test_each_record_of_a_component),
        IN_FOLDER(test_two_never_hold_the_same_record),
        IN_FOLDER(test_a_job_that_starts_is_not_taken_for_dead),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
