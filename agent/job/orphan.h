// SPDX-License-Identifier: Apache-2.0
// Orphans: data and unfinished uploads that no manifest names. They go when they are older than
// orphan_age by the store's own clock, or when a job record proves that their writer is dead.
#pragma once

#include "catalog.h"
#include "prune.h"
#include "site.h"

struct text;

/* Counts into result. With dry_run nothing is removed. watcher may be NULL. The ids of what looked
 * like an orphan are added to seen. */
int orphan_sweep(struct site *site, const struct catalog *catalog, int64_t store_ms, bool dry_run,
                 const struct prune_watcher *watcher, struct prune_result *result,
                 struct text *seen, struct err *err);
/* Removes the records of dead jobs that left nothing behind. seen: of the sweeps of every site that
 * the component writes to; with one of them missing, a record would go that its orphan needs. */
int orphan_forget_records(const struct site *site, const struct text *seen, struct err *err);
