// SPDX-License-Identifier: Apache-2.0
// A stream of frames from a hostile peer. However it is split, the same messages come out; a
// message is refused or read, and what was read writes to bytes that read and write the same.
#include "frame.h"
#include "text.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX_BYTES = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_message(const pb_msgdesc_t *fields, const uint8_t *data, size_t len,
                          void *message)
{
    struct err err = ERR_INIT;
    struct text first = TEXT_INIT;
    struct text second = TEXT_INIT;

    if (wire_read(fields, data, len, message, &err) < 0) {
        if (err.kind != ERR_CORRUPT)
            abort();
        return;
    }
    wire_add(&first, fields, message);
    if (wire_read(fields, (const uint8_t *)first.data, first.len, message, &err) < 0)
        abort();
    wire_add(&second, fields, message);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    text_fini(&first);
    text_fini(&second);
}

static int take_message(void *arg, const uint8_t *message, size_t len, struct err *err)
{
    static lifeboat_v1_AgentMessage from_agent;
    static lifeboat_v1_CollectorMessage from_collector;

    (void)err;
    check_message(lifeboat_v1_AgentMessage_fields, message, len, &from_agent);
    check_message(lifeboat_v1_CollectorMessage_fields, message, len, &from_collector);
    text_add(arg, "%zu:", len);
    text_add_bytes(arg, message, len);
    return 0;
}

static int only_keep(void *arg, const uint8_t *message, size_t len, struct err *err)
{
    (void)err;
    text_add(arg, "%zu:", len);
    text_add_bytes(arg, message, len);
    return 0;
}

/* The first byte says how the rest is split. */
static int read_split(const uint8_t *data, size_t len, struct text *messages, struct err *err)
{
    struct frame_reader reader;
    size_t at = 1;
    uint32_t seed = data[0];
    int rc = 0;

    frame_reader_init(&reader, MESSAGE_MAX_BYTES);
    while (rc == 0 && at < len) {
        size_t part = 1 + (seed >> 8) % 17;

        if (part > len - at)
            part = len - at;
        rc = frame_reader_add(&reader, data + at, part, take_message, messages, err);
        at += part;
        seed = seed * 1103515245U + 12345U;
    }
    if (rc == 0 && reader.len > FRAME_HEAD_BYTES + MESSAGE_MAX_BYTES)
        abort();
    frame_reader_fini(&reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text split = TEXT_INIT;
    struct text whole = TEXT_INIT;
    struct err err = ERR_INIT;
    struct frame_reader reader;
    int rc;

    if (len == 0)
        return 0;
    rc = read_split(data, len, &split, &err);
    frame_reader_init(&reader, MESSAGE_MAX_BYTES);
    if (frame_reader_add(&reader, data + 1, len - 1, only_keep, &whole, &err) != rc)
        abort();
    if (rc < 0 && err.kind != ERR_CORRUPT)
        abort();
    if (split.len != whole.len || memcmp(text_str(&split), text_str(&whole), split.len) != 0)
        abort();
    frame_reader_fini(&reader);
    text_fini(&split);
    text_fini(&whole);
    return 0;
}
