// SPDX-License-Identifier: Apache-2.0
// The inside of the reader of RDB files. Every part of the format is passed by a function that
// either is done with it, or has taken all there is and goes on when more comes.
#pragma once

#include "rdb.h"

#include <string.h>

#define RDB_MAX_DEPTH  3  /* of repetitions in a value: groups, consumers, entries */
#define RDB_MAX_PART   16 /* bytes of the longest item that is looked at whole */
#define RDB_MAX_LENGTH (UINT64_C(1) << 40) /* of a string, and of a count: no server has that */

enum pass { PASS_ERROR = -1, PASS_MORE, PASS_DONE };

/* What one call of rdb_feed still has. */
struct rdb_in {
    const uint8_t *start, *at, *end;
};

enum rdb_string_stage { STRING_HEAD, STRING_STORED_LEN, STRING_LEN, STRING_BODY };
enum lzf_stage { LZF_CONTROL, LZF_LITERAL, LZF_LONG, LZF_OFFSET };

/* A string, of which the first bytes are kept when that was wanted. */
struct rdb_string {
    enum rdb_string_stage stage;
    bool keep, packed;
    uint64_t stored; /* bytes of it that are still to come */
    uint64_t len;    /* of the string itself */
    uint64_t out;    /* bytes of the string that are known, of a kept one */
    enum lzf_stage lzf_stage;
    uint32_t lzf_run, lzf_offset;
    uint8_t head[RDB_NAME_CAP];
};

/* A value that is being passed; see rdb_value.c for what a shape is. */
struct rdb_value {
    const char *at;   /* in the shape */
    char module_item; /* what follows an opcode of a module, as an item of a shape; 0 for none */
    size_t depth;
    struct {
        const char *start;
        uint64_t left;
    } loops[RDB_MAX_DEPTH];
};

enum rdb_state {
    RDB_MAGIC,
    RDB_OPCODE,
    RDB_SKIPPED, /* after an opcode: what is of no interest */
    RDB_DATABASE,
    RDB_EXPIRY,
    RDB_EXPIRY_SECONDS,
    RDB_AUX_NAME,
    RDB_AUX_VALUE,
    RDB_KEY,
    RDB_VALUE,
    RDB_TRAILER,
    RDB_END,
    RDB_BROKEN,
};

struct rdb {
    struct rdb_facts facts;
    size_t database_room;
    enum rdb_state state;
    uint64_t taken; /* bytes of earlier calls */
    uint64_t crc;   /* of them */
    uint8_t part[RDB_MAX_PART];
    size_t part_len; /* the beginning of an item that a call cut */
    struct rdb_string string;
    struct rdb_value value;
    uint8_t type;              /* of the key that is being read */
    bool expires;              /* and whether it has an expiry */
    int64_t expire_ms;         /* -1 without one */
    uint64_t database;         /* its number */
    struct rdb_database *home; /* where its keys are counted; NULL before the first */
    char aux_name[16];
    rdb_key_fn *on_key;
    void *arg;
};

/* The next len bytes, at most RDB_MAX_PART, in one piece, to be ended by rdb_drop; NULL when there
 * are fewer, and then they are kept for the next call. */
static inline const uint8_t *rdb_peek(struct rdb *rdb, struct rdb_in *in, size_t len)
{
    if (rdb->part_len == 0 && (size_t)(in->end - in->at) >= len)
        return in->at;
    while (rdb->part_len < len && in->at < in->end)
        rdb->part[rdb->part_len++] = *in->at++;
    return rdb->part_len < len ? NULL : rdb->part;
}

static inline void rdb_drop(struct rdb *rdb, struct rdb_in *in, size_t len)
{
    if (rdb->part_len == 0)
        in->at += len;
    else
        rdb->part_len = 0;
}

/* ERR_CORRUPT, "at byte N: what", N being where the item at hand begins, or how far it was read. */
enum pass rdb_wrong(const struct rdb *rdb, const struct rdb_in *in, struct err *err,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A number that is written as a length is. */
enum pass rdb_pass_length(struct rdb *rdb, struct rdb_in *in, uint64_t *length, struct err *err);
/* The same, of something that must fit into a server. */
enum pass rdb_pass_count(struct rdb *rdb, struct rdb_in *in, uint64_t *count, struct err *err);
/* keep: string.head then has its first bytes; string.len is its length. */
void rdb_string_start(struct rdb *rdb, bool keep);
enum pass rdb_pass_string(struct rdb *rdb, struct rdb_in *in, struct err *err);
/* Bytes of a compressed string, of which the beginning is kept. */
enum pass rdb_unpack(struct rdb *rdb, struct rdb_in *in, size_t len, struct err *err);

/* The shape of a type's value, and what kind of value that is; NULL for a type that is none. */
const char *rdb_type_shape(const struct rdb *rdb, uint8_t type, enum rdb_type *kind);
/* What follows an opcode that is only passed over; NULL for others. */
const char *rdb_opcode_shape(const struct rdb *rdb, uint8_t opcode);
void rdb_value_start(struct rdb *rdb, const char *shape);
enum pass rdb_pass_value(struct rdb *rdb, struct rdb_in *in, struct err *err);

/* Counts the key whose name was read. */
void rdb_found_key(struct rdb *rdb, enum rdb_type kind);
/* The auxiliary field aux_name, whose value was read. */
int rdb_found_aux(struct rdb *rdb, struct err *err);
