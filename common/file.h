// SPDX-License-Identifier: Apache-2.0
// Small files and folders: whole reads with a bound, replacement that is atomic and durable.
#pragma once

#include "err.h"

#include <stddef.h>

/* Reads the whole file; refuses one over max_bytes. *data is terminated; free() it. len may be
 * NULL. A missing file is ERR_NOT_FOUND. */
int file_read(const char *path, size_t max_bytes, char **data, size_t *len, struct err *err);

/* Replaces path with data so that a reader sees the old or the new content, never a mix, and a
 * crash afterwards finds the new. Mode 0600. */
int file_replace(const char *path, const void *data, size_t len, struct err *err);

/* Makes the folder and its parents (mode 0700); one that is there is fine. */
int file_make_folders(const char *path, struct err *err);
/* The same for the folder that path lies in. */
int file_make_parents(const char *path, struct err *err);

/* fsync of the folder that path lies in: a rename or unlink there is durable afterwards. */
int file_sync_parent(const char *path, struct err *err);

/* Removes the file; one that is not there is fine. */
int file_remove(const char *path, struct err *err);

/* Closes *fd if it is one, and sets it to -1. */
void fd_close(int *fd);
int fd_set_nonblocking(int fd, struct err *err);
/* Writes all of it to a blocking descriptor. */
int fd_write_all(int fd, const void *data, size_t len, struct err *err);
