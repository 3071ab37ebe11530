// SPDX-License-Identifier: Apache-2.0
// What outlives a job in state.path: what is known of its component, and for a week its report and
// its log. Whoever ends a job writes here: the job itself, or the daemon for one that was killed.
//
//   components/<name>             ComponentState (proto/lifeboat.proto)
//   history/<name>/<job>.report   Report
//   history/<name>/<job>.log      its log lines
//   reports/                      what waits for the collector: queue.h
//   locks/<name>                  who works on the component: component_lock.h
#pragma once

#include "err.h"
#include "wire.h"

#include <stdbool.h>

/* What is known of a component; nothing yet is a zeroed state. A file that cannot be understood is
 * logged and counts as nothing. */
int journal_state(const char *state_path, const char *component, lifeboat_v1_ComponentState *state,
                  struct err *err);

/* Folds the report of an ended job into the state of its component, fills report->state, and keeps
 * it. tell: also puts it into the queue for the collector, which sets report->sequence. Processes
 * may do this at the same time. */
int journal_record(const char *state_path, lifeboat_v1_Report *report, bool tell, struct err *err);

/* The descriptor of a new log file for a job; removes what is older than a week. */
int journal_open_log(const char *state_path, const char *component, const char *job, int *fd,
                     struct err *err);

/* state after report: a pure function. */
void journal_fold(lifeboat_v1_ComponentState *state, const lifeboat_v1_Report *report);

/* The part of a state about one kind of job; NULL for an unknown kind. Lent. */
lifeboat_v1_KindState *journal_kind(lifeboat_v1_ComponentState *state, lifeboat_v1_JobKind kind);
