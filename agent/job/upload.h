// SPDX-License-Identifier: Apache-2.0
// From the fallback into the store where it belongs: a backup's bytes as they are, read back and
// compared, then its manifest; only then its copy on local disk goes. Killed at any instant, the
// next run ends the work.
#pragma once

#include "manifest.h"
#include "site.h"

struct upload_watcher {
    /* It is in its store, and gone from local disk. */
    void (*sent)(void *arg, const struct manifest *manifest, int64_t duration_ms);
    /* It stays where it is, and the next one is tried. */
    void (*failed)(void *arg, const char *id, const struct err *err);
    void *arg;
};

struct upload_result {
    size_t sent, failed;
    size_t busy; /* another job works on them */
};

/* Sends what waits, oldest first. What is wrong with one backup is told to the watcher; when the
 * store is away, it ends. */
int upload_run(struct site *from, struct site *to, const struct upload_watcher *watcher,
               struct upload_result *result, struct err *err);
