// SPDX-License-Identifier: Apache-2.0
// What outlives the collector: agents, components, and every report once. Writing happens in one
// batch at a time, which is durable (also over a loss of power) when state_commit returns 0.
#pragma once

#include "err.h"
#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

#define STATE_KEEP_REPORTS_MS ((int64_t)90 * 24 * 3600 * 1000)

struct state;

/* Opens or makes the state in this folder (made too), and brings an older one up to date. One
 * collector at a time: ERR_REFUSED names the folder that another one holds. ERR_CORRUPT: the file
 * is no state, or of a later version. */
int state_open(const char *folder, struct state **state, struct err *err);
/* What is not committed is lost. NULL is allowed. */
void state_close(struct state *state);

/* Fills an empty fleet. */
int state_load(struct state *state, struct fleet *fleet, struct err *err);
/* The highest sequence of the instance's reports, 0 when there are none. */
int state_last_sequence(struct state *state, const uint8_t instance[FLEET_INSTANCE_BYTES],
                        uint64_t *sequence, struct err *err);

/* Each of these joins the batch, and begins one when none is open. After a failure nothing but
 * state_rollback is right. */
/* is_new: false when a report of this instance and sequence is there; that one stays. */
int state_add_report(struct state *state, const struct fleet_agent *agent,
                     const lifeboat_v1_Report *report, int64_t received_ms, bool *is_new,
                     struct err *err);
/* What is dirty of the agents and their components, and removes what is gone. */
int state_put_fleet(struct state *state, const struct fleet *fleet, struct err *err);
/* Its reports stay. */
int state_remove_agent(struct state *state, const struct fleet_agent *agent, struct err *err);
/* Reports received before that moment. */
int state_prune(struct state *state, int64_t before_ms, struct err *err);
/* A write that changes nothing but a moment: can the state be written? */
int state_probe(struct state *state, int64_t now_ms, struct err *err);

/* Without a batch nothing happens. */
int state_commit(struct state *state, struct err *err);
void state_rollback(struct state *state);
