// SPDX-License-Identifier: Apache-2.0
// Orphans: data and unfinished uploads that no manifest names. They go when they are older than
// orphan_age by the store's own clock, or when a job record proves that their writer is dead.
#pragma once

#include "catalog.h"
#include "prune.h"
#include "site.h"

/* Counts into result. With dry_run nothing is removed. watcher may be NULL. */
int orphan_sweep(struct site *site, const struct catalog *catalog, int64_t store_ms, bool dry_run,
                 const struct prune_watcher *watcher, struct prune_result *result, struct err *err);
