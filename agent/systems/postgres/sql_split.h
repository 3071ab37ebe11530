// SPDX-License-Identifier: Apache-2.0
// Statements out of SQL as pg_dump, pg_restore and pg_dumpall write it, pushed in pieces of any
// size. It knows what may hide a semicolon: comments, strings, quoted names, dollar quotes; and the
// lines of psql that begin with a backslash. Memory is bounded whatever comes.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sql_split;

/* Of each statement the first max_text bytes are kept. */
struct sql_split *sql_split_new(size_t max_text);
/* NULL is allowed. */
void sql_split_free(struct sql_split *split);

/* Reads until a statement has ended (*complete) or data is used up; *used counts what was read, the
 * semicolon included. ERR_CORRUPT for what no dump contains. */
int sql_split_feed(struct sql_split *split, const uint8_t *data, size_t len, size_t *used,
                   bool *complete, struct err *err);

/* The statement just completed, without leading blanks, comments and the semicolon; valid until the
 * next feed. cut may be NULL. */
const char *sql_split_text(const struct sql_split *split, bool *cut);
/* Whether what stands outside of quotes ends so; at most 16 bytes. */
bool sql_split_ends_with(const struct sql_split *split, const char *words);
/* Nothing has begun that is not finished. */
bool sql_split_between(const struct sql_split *split);
