// SPDX-License-Identifier: Apache-2.0
// One backup of one component: from the system's snapshot to the committed manifest.
#pragma once

#include "manifest.h"
#include "site.h"

struct pump_watcher;

/* Makes and commits a backup; retried as a whole, with a new id, where another attempt can help
 * (component.attempts). On failure nothing is visible as a backup, and what was written is removed,
 * or left to the next prune under a job record. watcher may be NULL. */
int snapshot_take(struct site *site, const struct pump_watcher *watcher, struct manifest **manifest,
                  struct err *err);
