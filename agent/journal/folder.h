// SPDX-License-Identifier: Apache-2.0
// Folders of small files that several processes share: a lock, and the names.
#pragma once

#include "err.h"

/* Waits for the lock <state_path>/<name>, which is held for moments only; close *fd to let go. */
int folder_lock(const char *state_path, const char *name, int *fd, struct err *err);

/* Calls each() for every name in the folder but those that begin with a dot; one that is not there
 * is empty. Files may come and go meanwhile. */
int folder_each(const char *folder, int (*each)(void *arg, const char *name, struct err *err),
                void *arg, struct err *err);
