// SPDX-License-Identifier: Apache-2.0
// Waiting for a child: its standard error is read along with whatever else is waited for, so that a
// talkative tool never stands still, and only the last 4 KiB of it are kept.
#include "child.h"

#include "cancel.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "spawn.h"
#include "text.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_BYTES   4096
#define SAID_BYTES   500 /* of the tail, in an error of 1 KiB */
#define END_GRACE_MS 300

struct child {
    char *name; /* last part of argv[0] */
    struct spawned process;
    int status; /* of waitpid; valid once reaped */
    bool reaped;
    char tail[TAIL_BYTES + 1];
    size_t tail_len;
    char said[3 * SAID_BYTES + 1]; /* a line end becomes " | " */
    ev_io watch_input, watch_output, watch_errors, watch_end;
    struct ev_loop *loop; /* not NULL while armed */
    struct waker waker;
};

int child_start(const struct child_spec *spec, struct child **child, struct err *err)
{
    struct child *started = mem_calloc(1, sizeof *started);
    const char *slash = strrchr(spec->argv[0], '/');

    started->name = mem_strdup(slash == NULL ? spec->argv[0] : slash + 1);
    if (spawn(spec, &started->process, err) < 0) {
        free(started->name);
        free(started);
        return -1;
    }
    *child = started;
    return 0;
}

static void keep_tail(struct child *child, const char *data, size_t len)
{
    size_t drop;

    if (len > TAIL_BYTES) {
        data += len - TAIL_BYTES;
        len = TAIL_BYTES;
    }
    drop = child->tail_len + len > TAIL_BYTES ? child->tail_len + len - TAIL_BYTES : 0;
    memmove(child->tail, child->tail + drop, child->tail_len - drop);
    memcpy(child->tail + child->tail_len - drop, data, len);
    child->tail_len += len - drop;
}

static void read_errors(struct child *child)
{
    char data[4096];
    ssize_t got;

    /* Bounded: a child that floods must not keep us here. */
    for (int i = 0; child->process.errors >= 0 && i < 16; i++) {
        got = read(child->process.errors, data, sizeof data);
        if (got < 0)
            return;
        if (got == 0) {
            if (child->loop != NULL)
                ev_io_stop(child->loop, &child->watch_errors);
            fd_close(&child->process.errors);
            return;
        }
        keep_tail(child, data, (size_t)got);
    }
}

static bool reap(struct child *child)
{
    pid_t got;

    if (child->reaped)
        return true;
    do
        got = waitpid(child->process.pid, &child->status, WNOHANG);
    while (got < 0 && errno == EINTR);
    child->reaped = got != 0;
    return child->reaped;
}

/* The last bytes of the tail as one line, its lines joined by " | ". */
static const char *one_line(struct child *child)
{
    size_t start = child->tail_len > SAID_BYTES ? child->tail_len - SAID_BYTES : 0;
    size_t used = 0;
    bool line_ended = false;

    /* Begin at a whole line, or at least not within a UTF-8 character. */
    if (start > 0) {
        const char *newline = memchr(child->tail + start, '\n', child->tail_len - start);

        if (newline != NULL && newline + 1 < child->tail + child->tail_len)
            start = (size_t)(newline + 1 - child->tail);
        while (start < child->tail_len && (child->tail[start] & 0xc0) == 0x80)
            start++;
    }
    for (size_t i = start; i < child->tail_len; i++) {
        char c = child->tail[i];

        if (c == '\n' || c == '\r') {
            line_ended = used > 0;
            continue;
        }
        if (line_ended) {
            memcpy(child->said + used, " | ", 3);
            used += 3;
            line_ended = false;
        }
        child->said[used++] = (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
    }
    child->said[used] = '\0';
    log_mask(child->said);
    return child->said;
}

enum step child_ended(struct child *child, struct err *err)
{
    const char *said;

    if (!reap(child)) {
        read_errors(child);
        return STEP_AGAIN;
    }
    read_errors(child);
    if (WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0)
        return STEP_END;
    said = one_line(child);
    if (WIFSIGNALED(child->status))
        err_set(err, ERR_SOURCE, "%s was ended by signal %d (%s)%s%s", child->name,
                WTERMSIG(child->status), strsignal(WTERMSIG(child->status)),
                said[0] == '\0' ? "" : ": ", said);
    else
        err_set(err, ERR_SOURCE, "%s ended with status %d%s%s", child->name,
                WEXITSTATUS(child->status), said[0] == '\0' ? ", without a word" : ": ", said);
    return STEP_ERROR;
}

const char *child_said(struct child *child)
{
    return one_line(child);
}

static void disarm(struct child *child)
{
    if (child->loop == NULL)
        return;
    ev_io_stop(child->loop, &child->watch_input);
    ev_io_stop(child->loop, &child->watch_output);
    ev_io_stop(child->loop, &child->watch_errors);
    ev_io_stop(child->loop, &child->watch_end);
    child->loop = NULL;
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct child *child = io->data;

    (void)loop;
    (void)events;
    disarm(child);
    child->waker.wake(child->waker.arg);
}

static void on_errors(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    read_errors(io->data);
}

static void watch(struct child *child, ev_io *io, int fd, int events, bool wanted)
{
    ev_io_init(io, on_event, fd, events);
    io->data = child;
    if (wanted && fd >= 0)
        ev_io_start(child->loop, io);
}

void child_arm(struct child *child, struct ev_loop *loop, unsigned events, struct waker waker)
{
    disarm(child);
    child->loop = loop;
    child->waker = waker;
    watch(child, &child->watch_input, child->process.input, EV_WRITE,
          (events & CHILD_WRITABLE) != 0);
    watch(child, &child->watch_output, child->process.output, EV_READ,
          (events & CHILD_READABLE) != 0);
    watch(child, &child->watch_end, child->process.pidfd, EV_READ, (events & CHILD_ENDED) != 0);
    ev_io_init(&child->watch_errors, on_errors, child->process.errors, EV_READ);
    child->watch_errors.data = child;
    if (child->process.errors >= 0)
        ev_io_start(loop, &child->watch_errors);
}

static void wait_for_end(struct child *child, int timeout_ms)
{
    int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    struct pollfd fds[2];

    while (!reap(child)) {
        int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;

        if (left_ms <= 0)
            return;
        read_errors(child);
        fds[0] = (struct pollfd){.fd = child->process.pidfd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = child->process.errors, .events = POLLIN};
        poll(fds, 2, (int)left_ms);
    }
}

int child_input(const struct child *child)
{
    return child->process.input;
}

int child_output(const struct child *child)
{
    return child->process.output;
}

void child_close_input(struct child *child)
{
    if (child->loop != NULL)
        ev_io_stop(child->loop, &child->watch_input);
    fd_close(&child->process.input);
}

void child_free(struct child *child)
{
    if (child == NULL)
        return;
    disarm(child);
    if (!reap(child)) {
        kill(-child->process.pid, SIGTERM);
        wait_for_end(child, END_GRACE_MS);
    }
    if (!child->reaped) {
        kill(-child->process.pid, SIGKILL);
        kill(child->process.pid, SIGKILL);
        while (waitpid(child->process.pid, &child->status, 0) < 0 && errno == EINTR)
            continue;
    }
    fd_close(&child->process.input);
    fd_close(&child->process.output);
    fd_close(&child->process.errors);
    fd_close(&child->process.pidfd);
    free(child->name);
    free(child);
}

int child_run(const struct child_spec *spec, size_t max_bytes, int64_t deadline_mono_us,
              char **output, struct err *err)
{
    struct text text = TEXT_INIT;
    struct child *child = NULL;
    enum step step = STEP_AGAIN;
    char data[4096];

    if (child_start(spec, &child, err) < 0)
        return -1;
    while (step == STEP_AGAIN) {
        int64_t left_ms = (deadline_mono_us - clock_mono_us()) / 1000;
        struct pollfd fds[4] = {
            {.fd = child->process.output, .events = POLLIN},
            {.fd = child->process.errors, .events = POLLIN},
            {.fd = child->process.output < 0 ? child->process.pidfd : -1, .events = POLLIN},
            {.fd = cancel_fd(), .events = POLLIN}};
        ssize_t got;

        if (cancel_check(err) < 0)
            break;
        if (left_ms <= 0) {
            err_set(err, ERR_TIMEOUT, "%s did not answer in time", child->name);
            break;
        }
        if (child->process.output < 0 && (step = child_ended(child, err)) != STEP_AGAIN)
            break;
        poll(fds, 4, left_ms > 1000 ? 1000 : (int)left_ms);
        read_errors(child);
        got = child->process.output < 0 ? -1 : read(child->process.output, data, sizeof data);
        if (got == 0)
            fd_close(&child->process.output);
        if (got > 0 && text.len + (size_t)got <= max_bytes)
            text_add_bytes(&text, data, (size_t)got);
    }
    child_free(child);
    if (step == STEP_END) {
        text_add_bytes(&text, "", 0);
        *output = text_take(&text);
    }
    text_fini(&text);
    return step == STEP_END ? 0 : -1;
}
