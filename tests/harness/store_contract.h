// SPDX-License-Identifier: Apache-2.0
// What every store must do, as one suite over store.h. A test program opens its store, empty, and
// hands it over.
#pragma once

#include "store.h"

#include <stdbool.h>

struct store_contract {
    const char *name;
    struct ev_loop *loop;
    struct store *store;
    size_t part_bytes;  /* sizes around its multiples are tried */
    bool shows_uploads; /* list_uploads shows a put that was begun and has room for one part */
};

/* Runs the suite with cmocka; the number of tests that failed. */
int store_contract_run(struct store_contract *contract);

/* --- for other tests of stores --- */

/* Puts len bytes in writes of at most step; 0, or -1. Waits on the loop. */
int store_contract_put(struct ev_loop *loop, struct store *store, const char *key,
                       const uint8_t *data, size_t len, size_t step, struct err *err);
/* Reads all of it into *data (free() it), which is NULL on failure; 0, or -1. */
int store_contract_get(struct ev_loop *loop, struct store *store, const char *key, uint8_t **data,
                       size_t *len, struct err *err);
