// SPDX-License-Identifier: Apache-2.0
// Which backups of one lineage may go: a pure function of what is there, the rule and the time.
// Whatever the rule says, it keeps the newest backup and the newest one with a `verified` record,
// and it holds everything after a backup of less than half its predecessor's size until that one
// is adopted or the size comes back (of full ones: how much is new says nothing). What a kept one
// goes on from is kept.
#pragma once

#include "options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct retention_backup {
    const char *id;
    const char *parent; /* what it goes on from; NULL for a full one */
    int64_t recovery_point_ms;
    uint64_t plain_bytes;
    bool verified;
    bool adopted;
    /* the outcome */
    bool keep;
    const char *reason; /* static: "newest", "newest verified", "keep_last", "keep_within", ... */
};

struct retention_hold {
    bool held;
    const char *id;       /* the backup that shrank; lent from backups; NULL unless held */
    uint64_t bytes;       /* its size */
    uint64_t usual_bytes; /* the size it was expected to have */
};

/* backups: sorted by recovery point, oldest first. Sets keep and reason of each. */
void retention_apply(const struct retention_options *rule, int64_t now_ms,
                     struct retention_backup *backups, size_t count, struct retention_hold *hold);
