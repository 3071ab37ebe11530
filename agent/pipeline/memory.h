// SPDX-License-Identifier: Apache-2.0
// Ends in memory: so that even a manifest goes through the pump, and for tests.
#pragma once

#include "stream.h"
#include "text.h"

/* Gives the bytes of data (lent until close). */
struct source *memory_source_new(const void *data, size_t len);
/* Appends to text (lent until close); more than max_bytes is ERR_CORRUPT. */
struct sink *memory_sink_new(struct text *text, size_t max_bytes);
/* Takes everything and keeps nothing. */
struct sink *null_sink_new(void);
