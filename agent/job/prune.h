// SPDX-License-Identifier: Apache-2.0
// What may go from a site, and its removal: backups by the retention rule, and orphans (data and
// unfinished uploads that no manifest names) whose writer is dead.
#pragma once

#include "catalog.h"
#include "retention.h"
#include "site.h"

struct prune_result {
    size_t kept, removed; /* backups */
    uint64_t freed_bytes; /* of backups and orphans */
    size_t orphans_removed;
    bool held; /* in some lineage retention was held */
};

/* Hears of each backup as it is judged (dry_run), or once it is removed; NULL is allowed. */
struct prune_watcher {
    void (*judged)(void *arg, const struct backup *backup,
                   const struct retention_backup *judgement);
    void (*held)(void *arg, const char *lineage, const struct retention_hold *hold);
    void (*orphan)(void *arg, const char *key, uint64_t bytes);
    void *arg;
};

/* Refuses (ERR_REFUSED) when the local clock and the store's differ by 5 minutes or more. fallback
 * (NULL without one) is swept of orphans, no more. watcher may be NULL. */
int prune_run(struct site *site, struct site *fallback, bool dry_run,
              const struct prune_watcher *watcher, struct prune_result *result, struct err *err);

struct text;
/* The orphans of a site on local disk alone, whose clock is this machine's. seen as orphan_sweep.
 * watcher may be NULL. */
int prune_sweep(struct site *site, bool dry_run, const struct prune_watcher *watcher,
                struct prune_result *result, struct text *seen, struct err *err);

/* The hold of one lineage, as retention sees it now. lent from catalog. */
void prune_hold(const struct site *site, const struct catalog *catalog, const char *lineage,
                struct retention_hold *hold);
