// SPDX-License-Identifier: Apache-2.0
// The removal of one backup from a site: its manifest first, its data and records afterwards, so
// that what is cut short leaves an orphan and never a backup without its data.
#pragma once

#include "catalog.h"
#include "site.h"

#include <stdbool.h>

/* Under a job record of its own: one that is killed half-way leaves an orphan whose owner is
 * provably dead. job: "prune". *busy: another job works on this backup (it removes it too, or has
 * only just committed it), and it was left alone. */
int removal_run(struct site *site, const struct catalog *catalog, const struct backup *backup,
                const char *job, bool *busy, struct err *err);
/* The same by whoever holds the record already. */
int removal_of(struct site *site, const struct catalog *catalog, const struct backup *backup,
               struct err *err);
