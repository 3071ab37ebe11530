// SPDX-License-Identifier: Apache-2.0
// What may go from the fallback store so that a newer backup has room: orphans of dead jobs, then
// the oldest backup that a newer complete one of the same component and lineage replaces. The
// newest complete one of each never goes, nor does what cannot be read.
#pragma once

#include "catalog.h"
#include "options.h"
#include "store.h"

/* Everything that lies in the fallback store, component by component, those included that the
 * configuration does not have any more. */
struct eviction;

/* like: stands for components that the configuration does not have. All lent, until the end. */
int eviction_open(const struct agent_options *options, const struct component_options *like,
                  struct store *store, struct ev_loop *loop, struct eviction **eviction,
                  struct err *err);
/* NULL is allowed. */
void eviction_close(struct eviction *eviction);

/* Removes orphans whose writer is dead. */
int eviction_sweep(struct eviction *eviction, struct err *err);
/* Removes the backup that goes first; *gone is false when none may. What another job works on is
 * passed over. */
int eviction_run(struct eviction *eviction, bool *gone, struct err *err);

/* Whether a newer complete backup of its lineage, which does not need it, stands in the catalog. */
bool eviction_replaced(const struct catalog *catalog, const struct backup *backup);
