// SPDX-License-Identifier: Apache-2.0
// Real children through the real pump: only the exit status makes a stream whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "child.h"
#include "clock.h"
#include "mem.h"
#include "memory.h"
#include "pump.h"
#include "text.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY (1 << 20)

static struct child *start(const char *script, bool feeds, bool reads)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    const char *env[] = {"MARKED=secret value", NULL};
    const struct child_spec spec = {.argv = argv, .env = env, .feeds = feeds, .reads = reads};
    struct child *child = NULL;
    struct err err = ERR_INIT;

    if (child_start(&spec, &child, &err) < 0)
        fail_msg("%s", err.text);
    return child;
}

static int move(struct source *source, struct sink *sink, struct err *err)
{
    const struct pump_limits limits = {.deadline_mono_us = clock_mono_us() + INT64_C(20000000)};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    int rc = pump_move(source, NULL, 0, sink, loop, &limits, NULL, NULL, err);

    ev_loop_destroy(loop);
    return rc;
}

/* error: a part of the error's text, NULL for success. */
struct row {
    const char *script;
    size_t bytes;
    const char *error;
};

static const struct row sources[] = {
    {"printf abc", 3, NULL},
    {"exit 0", 0, NULL},
    {"printf '%s' \"$MARKED\"", 12, NULL},
    {"head -c 1048576 /dev/zero", MANY, NULL},
    {"printf abc; exec >&-; sleep 0.2; printf late >&2; exit 0", 3, NULL},
    {"printf abc; exec >&-; sleep 0.2; exit 1", 3, "sh ended with status 1"},
    {"printf abc; echo one >&2; echo two >&2; exit 3", 3, "status 3: one | two"},
    {"printf abc; kill -9 $$", 3, "signal 9"},
    {"kill -TERM $$", 0, "signal 15"},
    {"head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo last >&2; exit 1", 1, "last"},
    {"i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", 0, "| line 2999"},
};

static void test_source_ends_with_the_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const struct row *row = &sources[i];
        struct text got = TEXT_INIT;
        struct err err = ERR_INIT;
        int rc = move(child_source_new(start(row->script, false, true)),
                      memory_sink_new(&got, (size_t)4 << 20), &err);

        if ((rc < 0) != (row->error != NULL))
            fail_msg("%s: %s", row->script, rc < 0 ? err.text : "no error");
        if (rc == 0)
            assert_int_equal(got.len, row->bytes);
        else if (err.kind != ERR_SOURCE || strstr(err.text, row->error) == NULL ||
                 strchr(err.text, '\n') != NULL)
            fail_msg("%s: %s", row->script, err.text);
        text_fini(&got);
    }
}

static const struct row sinks[] = {
    {"test $(wc -c) = 3", 3, NULL},
    {"test $(wc -c) = 0", 0, NULL},
    {"test $(wc -c) = 1048576", MANY, NULL},
    {"cat >/dev/null; exit 5", 3, "sh ended with status 5"},
    {"echo full >&2; exit 2", 4 * MANY, "status 2: full"},
    {"exit 0", 4 * MANY, "before it had read everything"},
    {"head -c 1000 >/dev/null; kill -9 $$", 4 * MANY, "signal 9"},
};

static void test_sink_commits_with_the_status(void **state)
{
    char *data = mem_calloc(4, MANY);

    (void)state;
    for (size_t i = 0; i < sizeof sinks / sizeof sinks[0]; i++) {
        const struct row *row = &sinks[i];
        struct err err = ERR_INIT;
        int rc = move(memory_source_new(data, row->bytes),
                      child_sink_new(start(row->script, true, false)), &err);

        if ((rc < 0) != (row->error != NULL))
            fail_msg("%s: %s", row->script, rc < 0 ? err.text : "no error");
        if (rc < 0 && (err.kind != ERR_SOURCE || strstr(err.text, row->error) == NULL))
            fail_msg("%s: %s", row->script, err.text);
    }
    free(data);
}

static void test_close_ends_whatever_it_started(void **state)
{
    char pid_text[32] = "";
    struct child *child = start("sleep 1000 & echo $!; wait", false, true);
    int64_t began_us = clock_mono_us();
    ssize_t got = -1;
    pid_t pid;

    (void)state;
    while (got < 0 && clock_mono_us() - began_us < INT64_C(10000000))
        got = read(child_output(child), pid_text, sizeof pid_text - 1);
    pid = (pid_t)strtol(pid_text, NULL, 10);
    assert_true(pid > 1);
    child_free(child);
    began_us = clock_mono_us();
    while (kill(pid, 0) == 0 && clock_mono_us() - began_us < INT64_C(10000000))
        usleep(1000);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void test_program_that_is_not_there(void **state)
{
    const char *argv[] = {"/nonexistent/pg_dump", NULL};
    const struct child_spec spec = {.argv = argv, .reads = true};
    struct child *child = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(child_start(&spec, &child, &err), -1);
    assert_int_equal(err.kind, ERR_SOURCE);
    assert_non_null(strstr(err.text, "/nonexistent/pg_dump"));
    assert_null(child);
}

static void test_run_takes_the_answer(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "echo hello; sleep \"$0\"", "0", NULL};
    const struct child_spec spec = {.argv = argv, .reads = true};
    struct err err = ERR_INIT;
    char *output = NULL;

    (void)state;
    assert_int_equal(child_run(&spec, 100, clock_mono_us() + INT64_C(10000000), &output, &err), 0);
    assert_string_equal(output, "hello\n");
    free(output);
    argv[3] = "100";
    assert_int_equal(child_run(&spec, 100, clock_mono_us() + INT64_C(200000), &output, &err), -1);
    assert_int_equal(err.kind, ERR_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_ends_with_the_status),
        cmocka_unit_test(test_sink_commits_with_the_status),
        cmocka_unit_test(test_close_ends_whatever_it_started),
        cmocka_unit_test(test_program_that_is_not_there),
        cmocka_unit_test(test_run_takes_the_answer),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
