// SPDX-License-Identifier: Apache-2.0
// Counts the rows of every COPY block in what `pg_restore -f -` writes, pushed in pieces of any
// size, with bounded memory. Text inside functions, comments or data that looks like a COPY block
// is not taken for one.
#pragma once

#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* table: as pg_table_key (names.h) makes it; lent. */
typedef void copy_table_fn(void *arg, const char *table, uint64_t rows);

struct copy_count;

struct copy_count *copy_count_new(copy_table_fn *table, void *arg);
/* NULL is allowed. */
void copy_count_free(struct copy_count *count);

/* ERR_CORRUPT for what no dump contains. */
int copy_count_feed(struct copy_count *count, const uint8_t *data, size_t len, struct err *err);
/* No more comes: ERR_CORRUPT when a statement or a COPY block is not finished. */
int copy_count_end(struct copy_count *count, struct err *err);
