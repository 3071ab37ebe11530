// SPDX-License-Identifier: Apache-2.0
// The state on disk: what is committed is there after a crash, what is not is not, nothing is there
// twice, and a disk that is full or a file that is broken is an error and no more.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static struct state *opened;
static struct fleet fleet;
static struct err err;

static int setup(void **state)
{
    (void)state;
    err_clear(&err);
    opened = NULL;
    fleet_init(&fleet);
    snprintf(folder, sizeof folder, "/tmp/lifeboat-state-XXXXXX");
    return mkdtemp(folder) == NULL;
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
    state_close(opened);
    fleet_fini(&fleet);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static void close_state(void)
{
    state_close(opened);
    opened = NULL;
}

static void reopen(void)
{
    close_state();
    must(state_open(folder, &opened, &err));
}

static const char *database(void)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/collector.db", folder);
    return path;
}

static struct fleet_agent *add_agent(uint8_t number)
{
    const uint8_t instance[FLEET_INSTANCE_BYTES] = {number};
    struct fleet_agent *agent = fleet_add(&fleet, instance);

    WIRE_SET(agent->identity.cluster, "prod");
    WIRE_SET(agent->identity.pod, "postgresql-0");
    agent->dirty = true;
    return agent;
}

static bool add_report(const struct fleet_agent *agent, uint64_t sequence, int64_t received_ms)
{
    lifeboat_v1_Report report = {.sequence = sequence};
    bool is_new = false;

    WIRE_SET(report.component, "orders-db");
    must(state_add_report(opened, agent, &report, received_ms, &is_new, &err));
    return is_new;
}

static void commit(void)
{
    must(state_commit(opened, &err));
}

/* Read by somebody else, as a person would. */
static int count_reports(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    int count = -1;

    assert_int_equal(sqlite3_open_v2(database(), &db, SQLITE_OPEN_READONLY, NULL), 0);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM report", -1, &rows, NULL), 0);
    if (sqlite3_step(rows) == SQLITE_ROW)
        count = sqlite3_column_int(rows, 0);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return count;
}

static void test_what_is_put_is_there_again(void **state)
{
    struct fleet_agent *agent = add_agent(1);
    struct fleet_component *component;
    (void)state;

    reopen();
    agent->batch_sequence = 41;
    agent->heard = true;
    agent->fallback_bytes = UINT64_MAX;
    fleet_component_add(agent, "orders-db");
    fleet_component_add(agent, "users-db")->told.backup_interval_ms = 900000;
    must(state_put_fleet(opened, &fleet, &err));
    commit();
    fleet_committed(&fleet);
    component = fleet_component(agent, "orders-db");
    component->gone = component->dirty = agent->dirty = true;
    must(state_put_fleet(opened, &fleet, &err));
    commit();
    reopen();
    fleet_fini(&fleet);
    must(state_load(opened, &fleet, &err));
    assert_int_equal(fleet.agent_count, 1);
    agent = fleet.agents;
    assert_int_equal(agent->sequence, 41);
    assert_int_equal(agent->batch_sequence, 41);
    assert_true(agent->heard);
    assert_false(agent->dirty);
    assert_string_equal(agent->identity.pod, "postgresql-0");
    assert_null(fleet_component(agent, "orders-db"));
    assert_int_equal(fleet_component(agent, "users-db")->told.backup_interval_ms, 900000);
}

static void test_a_report_is_there_once(void **state)
{
    const struct fleet_agent *agent = add_agent(1);
    const struct fleet_agent *other = add_agent(2);
    uint64_t sequence = 0;
    (void)state;

    reopen();
    assert_true(add_report(agent, 1, 10));
    assert_true(add_report(agent, 7, 10));
    assert_false(add_report(agent, 7, 10));
    assert_true(add_report(other, 7, 10));
    commit();
    reopen();
    assert_false(add_report(agent, 1, 20));
    commit();
    assert_int_equal(count_reports(), 3);
    must(state_last_sequence(opened, agent->instance, &sequence, &err));
    assert_int_equal(sequence, 7);
    must(state_remove_agent(opened, agent, &err));
    commit();
    sequence = 0;
    must(state_last_sequence(opened, agent->instance, &sequence, &err));
    assert_int_equal(sequence, 7);
}

static void test_only_what_is_committed_counts(void **state)
{
    const struct fleet_agent *agent = add_agent(1);
    (void)state;

    reopen();
    add_report(agent, 1, 10);
    commit();
    add_report(agent, 2, 10);
    assert_int_equal(count_reports(), 1);
    state_rollback(opened);
    add_report(agent, 3, 10);
    reopen();
    assert_int_equal(count_reports(), 1);
    commit(); /* nothing is open */
}

static void test_old_reports_go(void **state)
{
    const struct fleet_agent *agent = add_agent(1);
    (void)state;

    reopen();
    for (uint64_t i = 1; i <= 10; i++)
        add_report(agent, i, (int64_t)i * 100);
    must(state_prune(opened, 500, &err));
    commit();
    assert_int_equal(count_reports(), 6);
}

static void test_a_second_collector_is_kept_out(void **state)
{
    struct state *second = NULL;
    (void)state;

    reopen();
    assert_int_equal(state_open(folder, &second, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_null(second);
    reopen();
}

/* Bytes over a part of the database. */
static void scribble(off_t at, size_t len)
{
    int fd = open(database(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
    close(fd);
}

static void test_a_file_that_is_none_is_refused(void **state)
{
    (void)state;
    scribble(0, 20000);
    assert_int_equal(state_open(folder, &opened, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "collector.db"));
}

static void test_a_file_that_breaks_is_an_error(void **state)
{
    const struct fleet_agent agent = *add_agent(1);
    lifeboat_v1_Report report = {.sequence = 5};
    bool is_new;
    (void)state;

    reopen();
    for (uint64_t i = 1; i <= 2000; i++)
        add_report(&agent, i, 10);
    must(state_put_fleet(opened, &fleet, &err));
    commit();
    close_state(); /* what was in the log is in the file now */
    scribble(4096, 100000);
    if (state_open(folder, &opened, &err) == 0) {
        fleet_fini(&fleet);
        assert_true(state_load(opened, &fleet, &err) < 0 ||
                    state_add_report(opened, &agent, &report, 10, &is_new, &err) < 0);
        state_rollback(opened);
    }
    assert_int_equal(err.kind, ERR_CORRUPT);
}

static void test_a_later_version_is_refused(void **state)
{
    sqlite3 *db = NULL;
    (void)state;

    reopen();
    close_state();
    assert_int_equal(sqlite3_open(database(), &db), 0);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    assert_int_equal(state_open(folder, &opened, &err), -1);
    assert_non_null(strstr(err.text, "version 99"));
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_full_disk_is_an_error_and_passes(void **state)
{
    const struct fleet_agent *agent = add_agent(1);
    lifeboat_v1_Report report = {.sequence = 0};
    int committed = 0;
    bool is_new;
    (void)state;

    signal(SIGXFSZ, SIG_IGN);
    reopen();
    set_file_limit((rlim_t)256 << 10);
    for (;; committed++) {
        report.sequence++;
        if (state_add_report(opened, agent, &report, 10, &is_new, &err) < 0 ||
            state_commit(opened, &err) < 0)
            break;
        assert_true(committed < 10000);
    }
    assert_true(err.kind == ERR_NO_SPACE || err.kind == ERR_IO);
    state_rollback(opened);
    assert_int_equal(count_reports(), committed);
    set_file_limit(RLIM_INFINITY);
    add_report(agent, 99999, 10);
    commit();
    assert_int_equal(count_reports(), committed + 1);
}

static void write_and_die(void)
{
    const struct fleet_agent *agent = add_agent(1);

    if (state_open(folder, &opened, &err) < 0)
        _exit(1);
    for (uint64_t i = 1; i <= 100; i++) {
        add_report(agent, i, 10);
        if (i % 10 == 0 && state_commit(opened, &err) < 0)
            _exit(1);
    }
    add_report(agent, 101, 10);
    kill(getpid(), SIGKILL);
}

static void test_what_is_committed_outlives_a_kill(void **state)
{
    int status = 0;
    pid_t child = fork();
    (void)state;

    if (child == 0)
        write_and_die();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    reopen();
    assert_int_equal(count_reports(), 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_put_is_there_again),         TEST(test_a_report_is_there_once),
        TEST(test_only_what_is_committed_counts),      TEST(test_old_reports_go),
        TEST(test_a_second_collector_is_kept_out),     TEST(test_a_file_that_is_none_is_refused),
        TEST(test_a_file_that_breaks_is_an_error),     TEST(test_a_later_version_is_refused),
        TEST(test_a_full_disk_is_an_error_and_passes), TEST(test_what_is_committed_outlives_a_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
