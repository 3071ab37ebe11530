// SPDX-License-Identifier: Apache-2.0
// A job as a child process: started, listened to, and killed when it hangs. What it says comes over
// a pipe as frames of JobMessage; its log lines go to the daemon's own standard error.
#pragma once

#include "agenda.h"
#include "config.h"
#include "err.h"
#include "wire.h"

#include <stdbool.h>

struct ev_loop;
struct job_child;

struct child_handlers {
    void (*progress)(void *arg, const lifeboat_v1_Progress *progress);
    /* Once; the child is gone, and freed after the call. report: what became of the errand, by the
     * job's own word, or (recorded: false) as the daemon sees it: killed, timed out, no word. */
    void (*ended)(void *arg, lifeboat_v1_Report *report, bool recorded);
    void *arg;
};

/* Starts lifeboat-job for the errand. config is lent for the call. */
int child_start(struct ev_loop *loop, const struct config *config, const struct errand *errand,
                const struct child_handlers *handlers, struct job_child **child, struct err *err);
/* Asks it to stop (SIGTERM), or with force ends it (SIGKILL); ended() follows. why is lent: what
 * the report says of it. */
void child_stop(struct job_child *child, bool force, const char *why);
