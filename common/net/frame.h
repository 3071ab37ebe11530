// SPDX-License-Identifier: Apache-2.0
// Frames of a stream: four bytes of length, big-endian, then so many bytes of a message. A reader
// takes bytes as they come and hands out whole messages; its memory is bounded by its maximum.
#pragma once

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD_BYTES 4
#define FRAME_MAX_BYTES  ((size_t)1 << 20)

struct frame_reader {
    size_t max_bytes; /* of a message; at most FRAME_MAX_BYTES */
    uint8_t *data;    /* an unfinished frame, head and all */
    size_t len, cap;
};

/* message is lent. 0 to go on, -1 with err set to stop. */
typedef int frame_fn(void *arg, const uint8_t *message, size_t len, struct err *err);

void frame_reader_init(struct frame_reader *reader, size_t max_bytes);
/* Hands each message that is whole now to each(). -1: a frame over the maximum (ERR_CORRUPT), or
 * each() failed; the reader is of no more use then. An empty message is legal. each() must not
 * touch the reader. */
int frame_reader_add(struct frame_reader *reader, const uint8_t *data, size_t len, frame_fn *each,
                     void *arg, struct err *err);
void frame_reader_fini(struct frame_reader *reader);

/* The head of a message of len bytes, at most FRAME_MAX_BYTES. */
void frame_head(size_t len, uint8_t head[FRAME_HEAD_BYTES]);
