// SPDX-License-Identifier: Apache-2.0
// A full backup stands alone; an incremental one needs its parent, that one its own, back to the
// full one. All of one ancestry are of one lineage. Within a store it is never broken by us:
// retention keeps what a kept backup needs, and what goes goes from the young end.
#pragma once

#include "catalog.h"

/* Longer ones are taken for broken: each step is a manifest to read. */
#define ANCESTRY_MAX 10000

/* All that a restore reads: the full backup first, the one that is meant last. */
struct ancestry {
    struct site **sites; /* where each lies; lent */
    struct manifest **manifests;
    size_t count;
};

/* Whether all that backup needs is there, and can be read: 0, or ERR_CORRUPT. */
int ancestry_check(const struct catalog *catalog, const struct backup *backup, struct err *err);

/* backup (of catalog) with its facts, and what it needs. ERR_CORRUPT names what is missing. */
int ancestry_load(const struct catalog *catalog, const struct backup *backup,
                  struct ancestry *ancestry, struct err *err);
/* After a failure too. */
void ancestry_fini(struct ancestry *ancestry);

/* What backup goes on from; NULL for a full one, and where it is missing or cannot be read. */
const struct backup *ancestry_parent(const struct catalog *catalog, const struct backup *backup);
/* Whether backup is, or needs, the one called id. */
bool ancestry_has(const struct catalog *catalog, const struct backup *backup, const char *id);

/* What the next backup at site goes on from: the newest one there of the server's own lineage. NULL
 * and the reason (free both) for a full one: none is there, its ancestry is broken, full_every has
 * passed since its full one, or full is true. */
int ancestry_next(struct site *site, bool full, struct manifest **parent, char **full_because,
                  struct err *err);
