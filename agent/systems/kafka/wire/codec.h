// SPDX-License-Identifier: Apache-2.0
// The records of one batch after the other, decompressed as a stream: what is held is a window, not
// the batch. Windows: gzip 32 KiB, lz4 4 MiB; zstd as large as its writer chose, up to 128 MiB, of
// which no more is touched than the batch decompresses to; snappy a block, at most 32 MiB.
#pragma once

#include "batch.h"
#include "step.h"

struct kafka_codec;

/* Keeps what it needs from one batch to the next. */
struct kafka_codec *kafka_codec_new(void);
/* NULL is allowed. */
void kafka_codec_free(struct kafka_codec *codec);
/* Begins with what follows the head of a batch; data is lent until the next begin. */
void kafka_codec_begin(struct kafka_codec *codec, enum kafka_codec_kind kind, const uint8_t *data,
                       size_t len);
/* OK: *got bytes, at least one. END: there are no more, and all input was used. ERROR: ERR_CORRUPT;
 * ERR_SOURCE for what is sound and too large. */
enum step kafka_codec_read(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                           struct err *err);
