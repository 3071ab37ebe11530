// SPDX-License-Identifier: Apache-2.0
// The pipe to the daemon that started this job: progress while it runs, its report at the end. In
// a command of a person nobody listens, and every call does nothing. Nothing here ever waits for
// the daemon to read, but the report for a second: it is on disk by then.
#pragma once

#include "wire.h"

#include <stdbool.h>

/* What the daemon puts into a job's environment. */
#define CHANNEL_FD_VARIABLE      "LIFEBOAT_CHANNEL_FD"
#define CHANNEL_TRIGGER_VARIABLE "LIFEBOAT_TRIGGER"     /* "schedule", "catch_up", "automatic" */
#define CHANNEL_SLOT_VARIABLE    "LIFEBOAT_SLOT"        /* of the schedule, in ms; 0: of none */
#define CHANNEL_CONFIG_VARIABLE  "LIFEBOAT_CONFIG_NAME" /* what -c stands for, in messages */

/* Takes the descriptor over from the environment. */
void channel_open(void);
/* TRIGGER_COMMAND without a daemon. */
lifeboat_v1_Trigger channel_trigger(void);
/* 0 without a daemon, and for a job of no slot. */
int64_t channel_slot_ms(void);
/* What messages call the configuration file; NULL: by the path that was given. */
const char *channel_config_name(void);
/* NULL: nothing moves now. */
void channel_progress(const lifeboat_v1_Progress *progress);
void channel_report(const lifeboat_v1_Report *report);
