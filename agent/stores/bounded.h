// SPDX-License-Identifier: Apache-2.0
// A store whose writes ask for room first: a shell around another store, so that who writes need
// not know that there is a bound. Everything but put passes through.
#pragma once

#include "store.h"

#include <stdint.h>

struct bound {
    /* Before the first byte of a put (bytes 0), and before each write of so many. 0, or -1 with
     * err: then nothing is written. */
    int (*make_room)(void *arg, uint64_t bytes, struct err *err);
    /* So many bytes are there now, or (negative) are not there any more. */
    void (*moved)(void *arg, int64_t bytes);
    /* The store is closed. */
    void (*close)(void *arg);
    void *arg;
};

/* Takes inner, which must be open. */
struct store *bounded_store_new(struct store *inner, const struct bound *bound);
/* What was given. Lent. */
const struct bound *bounded_store_bound(const struct store *store);
