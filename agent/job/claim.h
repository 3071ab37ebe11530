// SPDX-License-Identifier: Apache-2.0
// Several agents, one component (run_on: one): who works on a slot of the schedule. A claim is a
// create-only file in the component's own store, so that exactly one wins; its owner gives signs of
// life while it works, and says how it ended. One that was silent for stall_timeout, by the store's
// own clock, or that failed, is taken over by the next who looks.
//
//   claims/20261125T020000Z.json            the first who claims the slot
//   claims/20261125T020000Z-alive-3.json    its third sign of life; the one before is removed then
//   claims/20261125T020000Z-done.json       it is backed up; or -failed
//   claims/20261125T020000Z-2.json          the second who claims it, and so on
#pragma once

#include "catalog.h"
#include "pump.h"
#include "site.h"

struct claim;

/* Claims the slot; lineage is the server's own. ERR_CLAIMED: another works on it, look again later;
 * ERR_ELSEWHERE: it is done. */
int claim_take(struct site *site, const char *lineage, int64_t slot_ms, struct claim **claim,
               struct err *err);
/* A watcher to give to the pump that does the work: signs of life, and next's progress (lent; may
 * be NULL). */
struct pump_watcher claim_watcher(struct claim *claim, const struct pump_watcher *next);
/* Says how it ended, and frees. That it cannot be said is logged: then the claim runs out. */
void claim_end(struct claim *claim, bool done);

/* Removes those of the catalog, which is site's, whose slot is older than orphan_age. */
int claim_sweep(struct site *site, const struct catalog *catalog, int64_t store_ms,
                struct err *err);
