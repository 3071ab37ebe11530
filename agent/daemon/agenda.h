// SPDX-License-Identifier: Apache-2.0
// What the daemon has to do: for each component its scheduled backups, verifies and drills, the
// upload of what waits on local disk, and the cleaning after jobs that died. One job
// at a time runs in an agent, so that the memory promise holds (docs/decisions/0007).
#pragma once

#include "err.h"
#include "options.h"
#include "wire.h"

#include <stdbool.h>

struct agenda;

struct errand {
    const struct component_options *component; /* lent from the options */
    lifeboat_v1_JobKind kind;
    lifeboat_v1_Trigger trigger;
    int64_t slot_ms; /* 0: of no slot */
};

/* options are lent. began_ms: the daemon's start, by the wall clock. earlier: an agenda of the
 * options before a change, whose memory of what ran is taken over; NULL at the start. */
struct agenda *agenda_new(const struct agent_options *options, int64_t began_ms,
                          const struct agenda *earlier);
/* NULL is allowed. */
void agenda_free(struct agenda *agenda);

/* Reads what is known of the components: jobs of a command line count too. */
void agenda_refresh(struct agenda *agenda);
/* The most urgent errand that is due and whose component no other job works on; false: none. */
bool agenda_due(struct agenda *agenda, struct errand *errand);
/* The errand begins. */
void agenda_started(struct agenda *agenda, const struct errand *errand);
/* It ended: refreshes, decides when an upload is tried again, and warns of a backup that fills its
 * interval. died: without a word, so that what it left is to be cleaned. */
void agenda_ended(struct agenda *agenda, const struct errand *errand,
                  const lifeboat_v1_Report *report, bool died);

size_t agenda_count(const struct agenda *agenda);
/* As configured, and what is known; for the inventory and metrics. Index below the count. */
const struct component_options *agenda_component(const struct agenda *agenda, size_t index);
const lifeboat_v1_ComponentState *agenda_state(const struct agenda *agenda, size_t index);
/* The longest time between two slots, and the next start (0: none); kind: BACKUP, VERIFY, DRILL. */
int64_t agenda_interval_ms(const struct agenda *agenda, size_t index, lifeboat_v1_JobKind kind);
int64_t agenda_next_ms(const struct agenda *agenda, size_t index, lifeboat_v1_JobKind kind);
