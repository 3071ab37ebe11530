// SPDX-License-Identifier: Apache-2.0
// A flag and an eventfd, both safe to set in a signal handler.
#include "cancel.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t caught_signal; /* 0: none, or put off */
static volatile sig_atomic_t put_off_signal;
static int event_fd = -1;

static void on_signal(int number)
{
    int kept_errno = errno;
    uint64_t one = 1;

    if (number == SIGALRM)
        number = put_off_signal;
    if (number == 0)
        return;
    caught_signal = number;
    if (write(event_fd, &one, sizeof one) < 0)
        errno = kept_errno;
    errno = kept_errno;
}

void cancel_install(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGALRM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool cancel_requested(void)
{
    return caught_signal != 0;
}

int cancel_fd(void)
{
    return event_fd;
}

int cancel_check(struct err *err)
{
    if (caught_signal == 0)
        return 0;
    return err_set(err, ERR_CANCELLED, "stopped by %s",
                   caught_signal == SIGINT ? "SIGINT" : "SIGTERM");
}

int cancel_poll(int fd, short events, int64_t until_mono_us, bool *ready, struct err *err)
{
    for (*ready = false;;) {
        int64_t left_ms = (until_mono_us - clock_mono_us() + 999) / 1000;
        struct pollfd fds[2] = {{.fd = event_fd, .events = POLLIN}, {.fd = fd, .events = events}};

        if (cancel_check(err) < 0)
            return -1;
        if (poll(fds, 2,
                 left_ms < 0       ? 0
                 : left_ms > 60000 ? 60000
                                   : (int)left_ms) < 0 &&
            errno != EINTR)
            return err_set_errno(err, errno, "poll");
        if (cancel_check(err) < 0)
            return -1;
        *ready = fds[1].revents != 0;
        if (*ready || left_ms <= 0)
            return 0;
    }
}

int cancel_wait(int ms, struct err *err)
{
    bool ready;

    return cancel_poll(-1, 0, clock_mono_us() + (int64_t)ms * 1000, &ready, err);
}

void cancel_grace(unsigned ms)
{
    const struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
    uint64_t count;

    if (caught_signal == 0 || put_off_signal != 0)
        return;
    put_off_signal = caught_signal;
    caught_signal = 0;
    while (read(event_fd, &count, sizeof count) > 0)
        continue;
    /* A second signal may have come between the two lines above. */
    count = 1;
    if (caught_signal != 0 && write(event_fd, &count, sizeof count) < 0)
        return;
    setitimer(ITIMER_REAL, &timer, NULL);
}
