// SPDX-License-Identifier: Apache-2.0
// Kafka's primitive types, out of bytes and into them. A cursor never leaves its bytes: what does
// not fit makes it bad, and everything read from then on is zero or empty, so that a reader asks
// once, at the end.
#pragma once

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kafka_cursor {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct kafka_cursor kafka_cursor(const void *data, size_t len)
{
    const uint8_t *at = data;

    return (struct kafka_cursor){.at = at, .end = at + len};
}

static inline size_t kafka_left(const struct kafka_cursor *from)
{
    return (size_t)(from->end - from->at);
}

int8_t kafka_i8(struct kafka_cursor *from);
int16_t kafka_i16(struct kafka_cursor *from);
int32_t kafka_i32(struct kafka_cursor *from);
int64_t kafka_i64(struct kafka_cursor *from);
/* Zigzag, at most 5 and 10 bytes; one that does not fit its type is bad. */
int32_t kafka_varint(struct kafka_cursor *from);
int64_t kafka_varlong(struct kafka_cursor *from);
/* Plain, at most 5 bytes. */
uint32_t kafka_uvarint(struct kafka_cursor *from);
/* len bytes of these, lent; NULL when that many are not there. */
const uint8_t *kafka_take(struct kafka_cursor *from, size_t len);
/* STRING and BYTES, and their nullable kin: NULL and 0 for null, which *null tells (NULL: null is
 * bad). Lent, not terminated. */
const uint8_t *kafka_string(struct kafka_cursor *from, size_t *len, bool *null);
const uint8_t *kafka_bytes(struct kafka_cursor *from, size_t *len, bool *null);
/* The count of an ARRAY whose items have at least so many bytes each: never more than could be
 * there. Null counts as empty. */
size_t kafka_count(struct kafka_cursor *from, size_t item_bytes);

void kafka_put_i8(struct text *into, int8_t value);
void kafka_put_i16(struct text *into, int16_t value);
void kafka_put_i32(struct text *into, int32_t value);
void kafka_put_i64(struct text *into, int64_t value);
void kafka_put_uvarint(struct text *into, uint32_t value);
/* At most 32,767 bytes. */
void kafka_put_string(struct text *into, const char *string);
void kafka_put_bytes(struct text *into, const void *data, size_t len);
