// SPDX-License-Identifier: Apache-2.0
// Collecting frames. The buffer grows to what the head announces, never beyond the maximum, and
// goes back when no frame is open: an idle connection holds nothing.
#include "frame.h"

#include "mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void frame_head(size_t len, uint8_t head[FRAME_HEAD_BYTES])
{
    assert(len <= FRAME_MAX_BYTES);
    head[0] = (uint8_t)(len >> 24);
    head[1] = (uint8_t)(len >> 16);
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
}

static size_t message_bytes(const uint8_t head[FRAME_HEAD_BYTES])
{
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

void frame_reader_init(struct frame_reader *reader, size_t max_bytes)
{
    assert(max_bytes <= FRAME_MAX_BYTES);
    *reader = (struct frame_reader){.max_bytes = max_bytes};
}

void frame_reader_fini(struct frame_reader *reader)
{
    free(reader->data);
    reader->data = NULL;
    reader->len = reader->cap = 0;
}

/* Takes bytes until reader->data holds want of them; false when they do not suffice. */
static bool gather(struct frame_reader *reader, size_t want, const uint8_t **data, size_t *len)
{
    size_t missing = want - reader->len;
    size_t take = missing < *len ? missing : *len;

    if (reader->cap < want) {
        reader->data = mem_realloc(reader->data, want);
        reader->cap = want;
    }
    if (take > 0)
        memcpy(reader->data + reader->len, *data, take);
    reader->len += take;
    *data += take;
    *len -= take;
    return reader->len == want;
}

int frame_reader_add(struct frame_reader *reader, const uint8_t *data, size_t len, frame_fn *each,
                     void *arg, struct err *err)
{
    while (len > 0) {
        size_t bytes;

        if (reader->len < FRAME_HEAD_BYTES && !gather(reader, FRAME_HEAD_BYTES, &data, &len))
            break;
        bytes = message_bytes(reader->data);
        if (bytes > reader->max_bytes)
            return err_set(err, ERR_CORRUPT, "a frame of %zu bytes; at most %zu are allowed", bytes,
                           reader->max_bytes);
        if (!gather(reader, FRAME_HEAD_BYTES + bytes, &data, &len))
            break;
        if (each(arg, reader->data + FRAME_HEAD_BYTES, bytes, err) < 0)
            return -1;
        frame_reader_fini(reader);
    }
    return 0;
}
