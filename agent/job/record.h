// SPDX-License-Identifier: Apache-2.0
// The job record: a file in state.path that says which backup id a job writes or removes, locked
// (flock) while the job lives. The kernel drops the lock with the process, so a record whose lock
// is free proves that its owner is dead, and what it left can be removed without waiting for
// orphan_age (promise 2).
#pragma once

#include "err.h"

#include <stdbool.h>

struct record;

/* Makes the record of id and locks it, or takes over that of a dead owner. job: what it does, as
 * "backup" or "prune".
 * ERR_REFUSED when a living job holds it. */
int record_open(const char *state_path, const char *component, const char *id, const char *job,
                struct record **record, struct err *err);
/* Nothing is left behind: removes the record. NULL is allowed. */
void record_finish(struct record *record);
/* Something is left behind: the record stays, for the next prune. NULL is allowed. */
void record_abandon(struct record *record);

/* Takes over the record of id if it has one and its owner is dead; else *record is NULL. */
int record_take_over(const char *state_path, const char *component, const char *id,
                     struct record **record, struct err *err);
/* Whether a living job holds the record of id. What cannot be told counts as alive. */
bool record_alive(const char *state_path, const char *component, const char *id);
/* Calls each() for every id with a record of this component, owned or not. */
int record_each(const char *state_path, const char *component,
                int (*each)(void *arg, const char *id, struct err *err), void *arg,
                struct err *err);
