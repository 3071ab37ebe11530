// SPDX-License-Identifier: Apache-2.0
// The wish to stop: by either signal, seen by who asks and by who polls; put off for a while, once,
// and not for a second signal. Each test is a process of its own, for the wish is for ever.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cancel.h"
#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* For what must come; and for what must not, after it would have come. */
enum { DEADLINE_MS = 20000 };

static int readable(int timeout_ms)
{
    struct pollfd poll_fd = {.fd = cancel_fd(), .events = POLLIN};
    int64_t end_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    int rc;

    do
        rc = poll(&poll_fd, 1, timeout_ms);
    while (rc < 0 && clock_mono_us() < end_us);
    return rc == 1;
}

/* Runs in a child: a line that does not hold is its exit status. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 200 + 1;                                                             \
    } while (0)

static void in_child(int (*body)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(body());
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("line %d (modulo 200) does not hold", WEXITSTATUS(status) - 1);
}

static int nothing_came(void)
{
    struct err err = ERR_INIT;

    HOLDS(cancel_fd() == -1);
    HOLDS(!cancel_requested());
    cancel_install();
    HOLDS(cancel_fd() >= 0);
    HOLDS(!cancel_requested());
    HOLDS(cancel_check(&err) == 0);
    HOLDS(!readable(0));
    cancel_grace(1);
    HOLDS(!readable(50) && !cancel_requested());
    return 0;
}

static int came(int number, const char *text)
{
    struct err err = ERR_INIT;

    cancel_install();
    HOLDS(raise(number) == 0);
    HOLDS(cancel_requested());
    HOLDS(cancel_check(&err) == -1);
    HOLDS(err.kind == ERR_CANCELLED);
    HOLDS(strcmp(err.text, text) == 0);
    HOLDS(readable(0) && readable(0));
    return 0;
}

static int interrupt_came(void)
{
    return came(SIGINT, "stopped by SIGINT");
}

static int terminate_came(void)
{
    return came(SIGTERM, "stopped by SIGTERM");
}

static int many_came(void)
{
    cancel_install();
    for (int i = 0; i < 1000; i++)
        HOLDS(raise(SIGTERM) == 0);
    HOLDS(cancel_requested() && readable(0));
    return 0;
}

static int wakes_who_polls(void)
{
    pid_t parent = getpid();
    pid_t child;

    cancel_install();
    child = fork();
    if (child == 0) {
        kill(parent, SIGTERM);
        _exit(0);
    }
    HOLDS(readable(DEADLINE_MS));
    HOLDS(cancel_requested());
    waitpid(child, NULL, 0);
    return 0;
}

static int broken_pipe_is_no_death(void)
{
    int ends[2];

    cancel_install();
    HOLDS(pipe(ends) == 0);
    close(ends[0]);
    HOLDS(write(ends[1], "x", 1) == -1);
    HOLDS(!cancel_requested());
    return 0;
}

static int errno_survives(void)
{
    cancel_install();
    errno = 4711;
    HOLDS(raise(SIGINT) == 0);
    HOLDS(errno == 4711);
    return 0;
}

static int grace_ends_by_itself(void)
{
    struct err err = ERR_INIT;
    int64_t began_us;

    cancel_install();
    raise(SIGINT);
    began_us = clock_mono_us();
    cancel_grace(100);
    HOLDS(!cancel_requested());
    HOLDS(cancel_check(&err) == 0);
    HOLDS(readable(DEADLINE_MS));
    HOLDS(clock_mono_us() - began_us >= 90000);
    HOLDS(cancel_check(&err) == -1);
    HOLDS(strcmp(err.text, "stopped by SIGINT") == 0);
    return 0;
}

static int grace_is_given_once(void)
{
    cancel_install();
    raise(SIGTERM);
    cancel_grace(1);
    HOLDS(readable(DEADLINE_MS));
    cancel_grace(60000);
    HOLDS(cancel_requested());
    HOLDS(readable(0));
    return 0;
}

static int second_signal_ends_grace(void)
{
    struct err err = ERR_INIT;

    cancel_install();
    raise(SIGTERM);
    cancel_grace(60000);
    HOLDS(!cancel_requested() && !readable(0));
    raise(SIGINT);
    HOLDS(cancel_requested() && readable(0));
    HOLDS(cancel_check(&err) == -1);
    HOLDS(strcmp(err.text, "stopped by SIGINT") == 0);
    return 0;
}

static int alarm_alone_is_no_wish(void)
{
    cancel_install();
    raise(SIGALRM);
    HOLDS(!cancel_requested());
    HOLDS(!readable(0));
    return 0;
}

#define CHILD_TEST(body)                                                                           \
    static void test_##body(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        in_child(body);                                                                            \
    }

CHILD_TEST(nothing_came)
CHILD_TEST(interrupt_came)
CHILD_TEST(terminate_came)
CHILD_TEST(many_came)
CHILD_TEST(wakes_who_polls)
CHILD_TEST(broken_pipe_is_no_death)
CHILD_TEST(errno_survives)
CHILD_TEST(grace_ends_by_itself)
CHILD_TEST(grace_is_given_once)
CHILD_TEST(second_signal_ends_grace)
CHILD_TEST(alarm_alone_is_no_wish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_came),
        cmocka_unit_test(test_interrupt_came),
        cmocka_unit_test(test_terminate_came),
        cmocka_unit_test(test_many_came),
        cmocka_unit_test(test_wakes_who_polls),
        cmocka_unit_test(test_broken_pipe_is_no_death),
        cmocka_unit_test(test_errno_survives),
        cmocka_unit_test(test_grace_ends_by_itself),
        cmocka_unit_test(test_grace_is_given_once),
        cmocka_unit_test(test_second_signal_ends_grace),
        cmocka_unit_test(test_alarm_alone_is_no_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
