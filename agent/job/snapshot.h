// SPDX-License-Identifier: Apache-2.0
// One backup of one component: from the system's snapshot to the committed manifest, in its own
// store or, when that fails, in the fallback.
#pragma once

#include "manifest.h"
#include "site.h"

struct pump_watcher;

struct snapshot_wish {
    const struct pump_watcher *watcher;
    bool full; /* although an incremental one would do */
};

struct snapshot_taken {
    struct manifest *manifest;
    struct site *site; /* where it was committed: one of the two given */
    struct err away;   /* why it is in the fallback; ERR_NONE when it is not */
};

/* Makes and commits a backup; retried as a whole, with a new id, where another attempt can help
 * (component.attempts). When it was the store that failed, one more attempt goes to fallback (NULL
 * without one); a failure of the database never does. On failure nothing is visible as a backup,
 * and what was written is removed, or left to the next prune under a job record. watcher may be
 * NULL. */
int snapshot_take(struct site *site, struct site *fallback, const struct snapshot_wish *wish,
                  struct snapshot_taken *taken, struct err *err);
