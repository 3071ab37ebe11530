// SPDX-License-Identifier: Apache-2.0
// The pruning that follows whatever brought a backup into its store.
#pragma once

#include <stdbool.h>

struct target;

/* Logs what it removes. The backup stands whatever becomes of this, so a failure is logged too.
 * Returns whether retention is held. */
bool after_commit(const struct target *target);
