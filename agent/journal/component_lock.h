// SPDX-License-Identifier: Apache-2.0
// The lock that keeps jobs of one component apart, those of the daemon and those of a command line
// alike: a locked file, so that the kernel lets go of it when the job ends, however it ends.
#pragma once

#include "err.h"

#include <stdbool.h>

/* Takes the lock; component_unlock lets go. what: "backup" and so on, for whoever finds it taken.
 * ERR_REFUSED names who holds it. */
int component_lock(const char *state_path, const char *component, const char *what, int *fd,
                   struct err *err);
/* NULL is not allowed; -1 is. */
void component_unlock(int *fd);
/* Somebody holds it now. */
bool component_locked(const char *state_path, const char *component);
/* The last one who held it died: nobody let go of it. */
bool component_left(const char *state_path, const char *component);
