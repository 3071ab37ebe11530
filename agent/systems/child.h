// SPDX-License-Identifier: Apache-2.0
// A child process of a system: the database's own tool, fed or read through non-blocking pipes. It
// dies with us (also by kill -9), its standard error is kept as a bounded tail, and it is reaped
// through a pidfd, so nothing here waits unless the name says so.
#pragma once

#include "stream.h"

#include <stdint.h>

struct child_spec {
    const char *const *argv; /* argv[0] is a path; NULL at the end. Never a secret: ps shows it */
    const char *const *env;  /* "NAME=value" over what is inherited; NULL at the end, or NULL */
    bool feeds;              /* its standard input is a pipe of ours; else /dev/null */
    bool reads;              /* its standard output is a pipe of ours; else /dev/null */
};

struct child;

/* Starts it. ERR_SOURCE when the program cannot be executed. Takes nothing. */
int child_start(const struct child_spec *spec, struct child **child, struct err *err);
/* Asks it to end (SIGTERM), after 300 ms kills it, reaps, frees. NULL is allowed. */
void child_free(struct child *child);

/* Non-blocking ends of its pipes; -1 when there is none or it is closed. */
int child_input(const struct child *child);
int child_output(const struct child *child);
void child_close_input(struct child *child);

/* AGAIN while it runs, END once it ended with status 0, else ERROR: ERR_SOURCE with program, status
 * or signal, and the last lines of its standard error. */
enum step child_ended(struct child *child, struct err *err);
/* Ended by itself with status 0, and said something on standard error: that, on one line; "" else.
 */
const char *child_said(struct child *child);

/* Keeps reading standard error while the caller waits; wakes once when one of the events asked for
 * has come. Nothing is asked for after a wake. */
enum child_event { CHILD_READABLE = 1, CHILD_WRITABLE = 2, CHILD_ENDED = 4 };
void child_arm(struct child *child, struct ev_loop *loop, unsigned events, struct waker waker);

/* Runs it to its end and takes its standard output, at most max_bytes; for tools that answer at
 * once. Ends early with ERR_TIMEOUT or ERR_CANCELLED. *output is terminated; free() it. */
int child_run(const struct child_spec *spec, size_t max_bytes, int64_t deadline_mono_us,
              char **output, struct err *err);

/* The child's standard output as a source: END means end of file and status 0. Takes child. */
struct source *child_source_new(struct child *child);
/* The child's standard input as a sink: commit closes it and waits for status 0. Takes child. */
struct sink *child_sink_new(struct child *child);
