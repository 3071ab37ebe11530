// SPDX-License-Identifier: Apache-2.0
// The wish to stop. SIGINT and SIGTERM set it; everything that waits, waits for it too. Whoever
// sees it cleans up and returns ERR_CANCELLED.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* Installs the handlers for SIGINT and SIGTERM (and ignores SIGPIPE). Call once, at the start. */
void cancel_install(void);
bool cancel_requested(void);
/* Readable once cancelled, for poll() and event loops; -1 before cancel_install. */
int cancel_fd(void);
/* 0, or -1 with ERR_CANCELLED. */
int cancel_check(struct err *err);

/* Waits until fd is ready for these events of poll(), or until_mono_us is over: *ready tells which.
 * -1 when a stop is wished for meanwhile (ERR_CANCELLED). fd -1: for the time alone. */
int cancel_poll(int fd, short events, int64_t until_mono_us, bool *ready, struct err *err);
/* So long. */
int cancel_wait(int ms, struct err *err);

/* Cleaning up after a stop gets this long, so that all is over within two seconds. */
#define CANCEL_GRACE_MS 1500
/* For the cleaning up itself: puts a wish that came off for so long, once; a second signal ends
 * that. Nothing happens when none came. */
void cancel_grace(unsigned ms);
