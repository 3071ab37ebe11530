// SPDX-License-Identifier: Apache-2.0
// Lengths and strings of an RDB file: plain, as an integer of one, two or four bytes, or packed by
// LZF. A packed string is only unpacked as far as its beginning is wanted: nothing refers to more
// than 8 KiB before it, and what is beyond the beginning kept is counted, not stored.
#include "rdb_impl.h"

#include <stdio.h>

#define LZF_MOST_OF_THREE 264 /* bytes that a reference of three bytes can stand for */
#define LZF_LITERALS      32  /* bytes, at most, behind one that announces them */

static uint64_t big_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

enum pass rdb_pass_length(struct rdb *rdb, struct rdb_in *in, uint64_t *length, struct err *err)
{
    const uint8_t *at = rdb_peek(rdb, in, 1);
    size_t len = 1;

    if (at == NULL)
        return PASS_MORE;
    if (at[0] >> 6 == 1)
        len = 2;
    else if (at[0] == 0x80)
        len = 5;
    else if (at[0] == 0x81)
        len = 9;
    else if (at[0] >> 6 != 0)
        return rdb_wrong(rdb, in, err, "no length begins with %02x", at[0]);
    at = rdb_peek(rdb, in, len);
    if (at == NULL)
        return PASS_MORE;
    if (len <= 2)
        *length = big_endian(at, len) & (len == 1 ? 0x3f : 0x3fff);
    else
        *length = big_endian(at + 1, len - 1);
    rdb_drop(rdb, in, len);
    return PASS_DONE;
}

enum pass rdb_pass_count(struct rdb *rdb, struct rdb_in *in, uint64_t *count, struct err *err)
{
    enum pass pass = rdb_pass_length(rdb, in, count, err);

    if (pass == PASS_DONE && *count > RDB_MAX_LENGTH)
        return rdb_wrong(rdb, in, err, "a length of %llu", (unsigned long long)*count);
    return pass;
}

void rdb_string_start(struct rdb *rdb, bool keep)
{
    rdb->string.stage = STRING_HEAD;
    rdb->string.keep = keep;
}

static enum pass integer(struct rdb *rdb, struct rdb_in *in, size_t len)
{
    struct rdb_string *string = &rdb->string;
    const uint8_t *at = rdb_peek(rdb, in, 1 + len);
    char text[16];
    uint32_t bits = 0;
    int value;

    if (at == NULL)
        return PASS_MORE;
    for (size_t i = len; i > 0; i--)
        bits = bits << 8 | at[i];
    value = len == 1 ? (int8_t)bits : len == 2 ? (int16_t)bits : (int32_t)bits;
    string->len = (uint64_t)snprintf(text, sizeof text, "%d", value);
    if (string->keep)
        memcpy(string->head, text, string->len);
    rdb_drop(rdb, in, 1 + len);
    return PASS_DONE;
}

static enum pass head(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_string *string = &rdb->string;
    const uint8_t *at = rdb_peek(rdb, in, 1);
    enum pass pass;

    if (at == NULL)
        return PASS_MORE;
    if (at[0] >= 0xc0 && at[0] <= 0xc2)
        return integer(rdb, in, (size_t)1 << (at[0] & 3));
    string->packed = at[0] == 0xc3;
    if (string->packed) {
        rdb_drop(rdb, in, 1);
        string->stage = STRING_STORED_LEN;
        return PASS_MORE;
    }
    pass = rdb_pass_count(rdb, in, &string->len, err);
    if (pass != PASS_DONE)
        return pass;
    string->stored = string->len;
    string->out = 0;
    string->stage = STRING_BODY;
    return PASS_MORE;
}

static enum pass unpacked_length(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_string *string = &rdb->string;
    enum pass pass = rdb_pass_count(rdb, in, &string->len, err);

    if (pass != PASS_DONE)
        return pass;
    if (string->len == 0 || string->stored == 0 ||
        string->len / LZF_MOST_OF_THREE > string->stored ||
        string->stored > string->len + string->len / LZF_LITERALS + 1)
        return rdb_wrong(rdb, in, err, "%llu bytes cannot be packed into %llu",
                         (unsigned long long)string->len, (unsigned long long)string->stored);
    string->out = 0;
    string->lzf_stage = LZF_CONTROL;
    string->stage = STRING_BODY;
    return PASS_MORE;
}

static void keep_plain(struct rdb_string *string, const uint8_t *data, size_t len)
{
    size_t room = string->out < RDB_NAME_CAP ? RDB_NAME_CAP - (size_t)string->out : 0;

    if (room > 0)
        memcpy(string->head + string->out, data, len < room ? len : room);
    string->out += len;
}

static enum pass body(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_string *string = &rdb->string;
    size_t len = (size_t)(in->end - in->at);

    if (len > string->stored)
        len = (size_t)string->stored;
    if (string->keep && string->packed && rdb_unpack(rdb, in, len, err) == PASS_ERROR)
        return PASS_ERROR;
    if (string->keep && !string->packed)
        keep_plain(string, in->at, len);
    in->at += len;
    string->stored -= len;
    if (string->stored > 0)
        return PASS_MORE;
    if (string->keep && string->packed &&
        (string->out != string->len || string->lzf_stage != LZF_CONTROL))
        return rdb_wrong(rdb, in, err, "a packed string that ends too early");
    return PASS_DONE;
}

enum pass rdb_pass_string(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_string *string = &rdb->string;
    enum pass pass = PASS_MORE;

    if (string->stage == STRING_HEAD)
        pass = head(rdb, in, err);
    if (string->stage == STRING_STORED_LEN) {
        pass = rdb_pass_count(rdb, in, &string->stored, err);
        if (pass == PASS_DONE)
            string->stage = STRING_LEN;
    }
    if (string->stage == STRING_LEN && pass != PASS_ERROR)
        pass = unpacked_length(rdb, in, err);
    if (string->stage == STRING_BODY && pass != PASS_ERROR)
        pass = body(rdb, in, err);
    return pass;
}

/* One byte of the packed string; false when it refers to what is before the beginning. */
static bool unpack_byte(struct rdb_string *string, uint8_t byte)
{
    switch (string->lzf_stage) {
    case LZF_CONTROL:
        string->lzf_run = byte < LZF_LITERALS ? byte + 1U : byte >> 5;
        string->lzf_offset = byte & 0x1fU;
        if (byte < LZF_LITERALS)
            string->lzf_stage = LZF_LITERAL;
        else
            string->lzf_stage = string->lzf_run == 7 ? LZF_LONG : LZF_OFFSET;
        return true;
    case LZF_LITERAL:
        if (string->out < RDB_NAME_CAP)
            string->head[string->out] = byte;
        string->out++;
        if (--string->lzf_run == 0)
            string->lzf_stage = LZF_CONTROL;
        return true;
    case LZF_LONG:
        string->lzf_run += byte;
        string->lzf_stage = LZF_OFFSET;
        return true;
    default:
        string->lzf_offset = (string->lzf_offset << 8 | byte) + 1;
        string->lzf_stage = LZF_CONTROL;
        if (string->lzf_offset > string->out)
            return false;
        for (uint64_t i = string->out; i < string->out + string->lzf_run + 2; i++)
            if (i < RDB_NAME_CAP)
                string->head[i] = string->head[i - string->lzf_offset];
        string->out += string->lzf_run + 2;
        return true;
    }
}

enum pass rdb_unpack(struct rdb *rdb, struct rdb_in *in, size_t len, struct err *err)
{
    for (size_t i = 0; i < len; i++)
        if (!unpack_byte(&rdb->string, in->at[i]) || rdb->string.out > rdb->string.len) {
            in->at += i;
            return rdb_wrong(rdb, in, err, "a packed string that unpacks to something else");
        }
    return PASS_DONE;
}
