// SPDX-License-Identifier: Apache-2.0
// Big endian throughout, but for the varints.
#include "cursor.h"

#include <string.h>

static uint64_t number(struct kafka_cursor *from, size_t len)
{
    const uint8_t *at = kafka_take(from, len);
    uint64_t value = 0;

    for (size_t i = 0; at != NULL && i < len; i++)
        value = value << 8 | at[i];
    return value;
}

int8_t kafka_i8(struct kafka_cursor *from)
{
    return (int8_t)number(from, 1);
}

int16_t kafka_i16(struct kafka_cursor *from)
{
    return (int16_t)number(from, 2);
}

int32_t kafka_i32(struct kafka_cursor *from)
{
    return (int32_t)number(from, 4);
}

int64_t kafka_i64(struct kafka_cursor *from)
{
    return (int64_t)number(from, 8);
}

/* The last of the bytes that a value of so many bits takes may not carry more than what is left. */
static uint64_t varying(struct kafka_cursor *from, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = (uint8_t)number(from, 1);

        if (from->bad)
            return 0;
        if (bits - shift < 7 && byte >> (bits - shift) != 0)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    from->bad = true;
    return 0;
}

int32_t kafka_varint(struct kafka_cursor *from)
{
    uint32_t value = (uint32_t)varying(from, 32);

    return (int32_t)(value >> 1 ^ (0 - (value & 1)));
}

int64_t kafka_varlong(struct kafka_cursor *from)
{
    uint64_t value = varying(from, 64);

    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

uint32_t kafka_uvarint(struct kafka_cursor *from)
{
    return (uint32_t)varying(from, 32);
}

const uint8_t *kafka_take(struct kafka_cursor *from, size_t len)
{
    const uint8_t *at = from->at;

    if (from->bad || len > kafka_left(from)) {
        from->bad = true;
        return NULL;
    }
    from->at += len;
    return at;
}

static const uint8_t *sized(struct kafka_cursor *from, int64_t size, size_t *len, bool *null)
{
    const uint8_t *at = NULL;

    *len = 0;
    if (null != NULL)
        *null = size == -1;
    if (size >= 0)
        at = kafka_take(from, (size_t)size);
    else if (size != -1 || null == NULL)
        from->bad = true;
    if (at != NULL)
        *len = (size_t)size;
    return at;
}

const uint8_t *kafka_string(struct kafka_cursor *from, size_t *len, bool *null)
{
    return sized(from, kafka_i16(from), len, null);
}

const uint8_t *kafka_bytes(struct kafka_cursor *from, size_t *len, bool *null)
{
    return sized(from, kafka_i32(from), len, null);
}

size_t kafka_count(struct kafka_cursor *from, size_t item_bytes)
{
    int32_t count = kafka_i32(from);

    if (count == -1)
        return 0;
    if (count < 0 || (size_t)count > kafka_left(from) / item_bytes) {
        from->bad = true;
        return 0;
    }
    return (size_t)count;
}

static void put(struct text *into, uint64_t value, size_t len)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> 8 * (len - 1 - i));
    text_add_bytes(into, bytes, len);
}

void kafka_put_i8(struct text *into, int8_t value)
{
    put(into, (uint8_t)value, 1);
}

void kafka_put_i16(struct text *into, int16_t value)
{
    put(into, (uint16_t)value, 2);
}

void kafka_put_i32(struct text *into, int32_t value)
{
    put(into, (uint32_t)value, 4);
}

void kafka_put_i64(struct text *into, int64_t value)
{
    put(into, (uint64_t)value, 8);
}

void kafka_put_uvarint(struct text *into, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        kafka_put_i8(into, (int8_t)(uint8_t)(value | 0x80));
    kafka_put_i8(into, (int8_t)value);
}

void kafka_put_string(struct text *into, const char *string)
{
    size_t len = strlen(string);

    kafka_put_i16(into, (int16_t)len);
    text_add_bytes(into, string, len);
}

void kafka_put_bytes(struct text *into, const void *data, size_t len)
{
    kafka_put_i32(into, (int32_t)len);
    text_add_bytes(into, data, len);
}
