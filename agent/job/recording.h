// SPDX-License-Identifier: Apache-2.0
// What a job leaves behind whether it succeeds or not: its log, its report, the new state of its
// component, and word to the daemon. Also the lock that keeps the jobs of a component apart. A
// journal that cannot be written is a warning: at three in the morning a restore must not fail for
// it.
#pragma once

#include "job.h"
#include "manifest.h"
#include "wire.h"

/* Begins the recording of a target's job; a command that leaves nothing behind (list, check, ...)
 * has none. ERR_REFUSED when another job of the component runs: then nothing was begun. */
int recording_begin(struct job *job, const struct target *target, struct err *err);
/* err: why it failed, NULL for a success. The target's sites are open, or were never. */
void recording_end(struct job *job, const struct target *target, const struct err *err);

/* The report so far, for what only the command knows; never NULL. Lent until recording_end. */
lifeboat_v1_Report *recording_report(const struct job *job);
/* The backup stands in the fallback store only; why its own store does not have it. */
void recording_in_part(const struct job *job, const struct target *target, const struct err *why);
/* The backup that the job is about. */
void recording_describe(const struct job *job, const struct manifest *manifest);
