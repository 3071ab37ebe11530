// SPDX-License-Identifier: Apache-2.0
// The pruning that follows whatever brought a backup into its store.
#pragma once

struct target;

/* Logs what it removes. The backup stands whatever becomes of this, so a failure is logged too. */
void after_commit(const struct target *target);
