// SPDX-License-Identifier: Apache-2.0
// What the files of the local store share. A file that is being written is named
// "<file>.part-<8 hex digits>" beside its final place, so that the rename stays on one file system.
#pragma once

#include "store.h"

#define LOCAL_PART_MARK ".part-"
#define LOCAL_PART_TAIL 8 /* hexadecimal digits behind the mark */

struct local_store {
    struct store store;
    char *root;
};

/* The file of a key; free() it. ERR_INTERNAL for a key that would leave the root. */
int local_path(const struct local_store *local, const char *key, char **path, struct err *err);

/* Removes a file, and the folders that are empty without it; one that is not there is fine. path is
 * below the root, and cut down by the call. */
int local_remove_file(const struct local_store *local, char *path, struct err *err);

int local_put(struct store *store, const char *key, struct sink **sink, struct err *err);
int local_get(struct store *store, const char *key, struct source **source, struct err *err);
/* The first of list and list_uploads: parts only, or everything else. */
int local_walk(struct store *store, const char *prefix, bool parts, store_each_fn *each, void *arg,
               struct err *err);
