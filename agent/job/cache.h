// SPDX-License-Identifier: Apache-2.0
// Copies of manifests in state.path, so that a listing of thousands of backups does not read
// thousands of objects again. A manifest is never overwritten, so a copy cannot go stale; what
// must know the truth of the store (verify, restore) does not read copies.
#pragma once

#include "site.h"

/* The copy, or else the manifest from the store, copied for the next time. */
int cache_get_manifest(struct site *site, const char *lineage, const char *id,
                       struct manifest **manifest, struct err *err);
/* The backup was removed. */
void cache_forget(const struct site *site, const char *lineage, const char *id);
