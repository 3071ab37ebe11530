// SPDX-License-Identifier: Apache-2.0
// Passing over values. What the value of each type consists of is written as a shape, a text in
// which a character is an item:
//   s string  i string of 16 bytes (an ID of a stream)  l number  k number, 1 or 2 (the kind of
//   a node)  u number 2 (an opcode of modules: unsigned)  1 4 8 g bytes: 1, 4, 8, 16  d number as
//   text  m items of a module, up to the end that it marks  [...] a count, and so many times this
#include "rdb_impl.h"

#define MODULE_ITEMS "\0ll48s" /* by the number of a module's opcode; the first ends the value */

struct type_row {
    const char *shape;
    enum rdb_type kind;
};

static const struct type_row types[] = {
    [0] = {"s", RDB_STRING},   [1] = {"[s]", RDB_LIST},
    [2] = {"[s]", RDB_SET},    [3] = {"[sd]", RDB_ZSET},
    [4] = {"[ss]", RDB_HASH},  [5] = {"[s8]", RDB_ZSET},
    [7] = {"lm", RDB_MODULE},  [9] = {"s", RDB_HASH},
    [10] = {"s", RDB_LIST},    [11] = {"s", RDB_SET},
    [12] = {"s", RDB_ZSET},    [13] = {"s", RDB_HASH},
    [14] = {"[s]", RDB_LIST},  [15] = {"[is]lll[sll[g8l][s8[g]]]", RDB_STREAM},
    [16] = {"s", RDB_HASH},    [17] = {"s", RDB_ZSET},
    [18] = {"[ks]", RDB_LIST}, [19] = {"[is]llllllll[slll[g8l][s8[g]]]", RDB_STREAM},
    [20] = {"s", RDB_SET},     [21] = {"[is]llllllll[slll[g8l][s88[g]]]", RDB_STREAM},
};

/* Hashes whose fields have expiries. The two kinds of servers use the same numbers. */
static const struct type_row redis_types[] = {
    {"[lss]", RDB_HASH},  /* 22 and 23: of candidates for release 7.4 */
    {"s", RDB_HASH},      /* 23 */
    {"8[lss]", RDB_HASH}, /* 24 */
    {"8s", RDB_HASH},     /* 25 */
};
static const struct type_row valkey_types[] = {
    {"[ss8]", RDB_HASH}, /* 22 */
};

#define COMMON_TYPES     (sizeof types / sizeof *types)
#define REDIS_TYPES_FROM 12 /* the version */

const char *rdb_type_shape(const struct rdb *rdb, uint8_t type, enum rdb_type *kind)
{
    const struct type_row *row = NULL;

    if (type < COMMON_TYPES)
        row = &types[type];
    else if (rdb->facts.valkey && type - COMMON_TYPES < sizeof valkey_types / sizeof *valkey_types)
        row = &valkey_types[type - COMMON_TYPES];
    else if (!rdb->facts.valkey && rdb->facts.version >= REDIS_TYPES_FROM &&
             type - COMMON_TYPES < sizeof redis_types / sizeof *redis_types)
        row = &redis_types[type - COMMON_TYPES];
    if (row == NULL)
        return NULL;
    *kind = row->kind;
    return row->shape;
}

const char *rdb_opcode_shape(const struct rdb *rdb, uint8_t opcode)
{
    switch (opcode) {
    case 243: /* a slot that is being imported */
        return rdb->facts.valkey ? "s[ll]" : NULL;
    case 244: /* sizes of a slot */
        return "lll";
    case 245: /* a library of functions */
        return "s";
    case 247: /* data of a module beside the keys */
        return "lulm";
    case 248: /* the next key's idle time */
        return "l";
    case 249: /* its frequency */
        return "1";
    case 251: /* sizes of a database */
        return "ll";
    default:
        return NULL;
    }
}

void rdb_value_start(struct rdb *rdb, const char *shape)
{
    rdb->value.at = shape;
    rdb->value.depth = 0;
    rdb->value.module_item = 0;
    rdb_string_start(rdb, false);
}

static enum pass pass_bytes(struct rdb *rdb, struct rdb_in *in, size_t len)
{
    if (rdb_peek(rdb, in, len) == NULL)
        return PASS_MORE;
    rdb_drop(rdb, in, len);
    return PASS_DONE;
}

static enum pass pass_text_number(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    enum { LONGEST = 252, NAN_MARK = 253 }; /* 253 to 255: what is no number, the infinities */
    const uint8_t *at;

    if (rdb->string.stage == STRING_HEAD) {
        at = rdb_peek(rdb, in, 1);
        if (at == NULL)
            return PASS_MORE;
        if (at[0] == 0 || at[0] == NAN_MARK)
            return rdb_wrong(rdb, in, err, "a score that is no number");
        rdb->string.packed = false;
        rdb->string.stored = rdb->string.len = at[0] > LONGEST ? 0 : at[0];
        rdb->string.stage = STRING_BODY;
        rdb_drop(rdb, in, 1);
    }
    return rdb_pass_string(rdb, in, err);
}

static enum pass pass_string(struct rdb *rdb, struct rdb_in *in, bool stream_id, struct err *err)
{
    enum pass pass = rdb_pass_string(rdb, in, err);

    if (pass == PASS_DONE && stream_id && rdb->string.len != 16)
        return rdb_wrong(rdb, in, err, "an ID of a stream with %llu bytes",
                         (unsigned long long)rdb->string.len);
    return pass;
}

static enum pass pass_number(struct rdb *rdb, struct rdb_in *in, char item, struct err *err)
{
    uint64_t value;
    enum pass pass = rdb_pass_length(rdb, in, &value, err);

    if (pass != PASS_DONE)
        return pass;
    if (item == 'k' && value != 1 && value != 2)
        return rdb_wrong(rdb, in, err, "a node of an unknown kind in a list");
    if (item == 'u' && value != 2)
        return rdb_wrong(rdb, in, err, "data of a module without their place");
    return PASS_DONE;
}

static enum pass pass_item(struct rdb *rdb, struct rdb_in *in, char item, struct err *err)
{
    switch (item) {
    case 's':
    case 'i':
        return pass_string(rdb, in, item == 'i', err);
    case 'd':
        return pass_text_number(rdb, in, err);
    case '1':
        return pass_bytes(rdb, in, 1);
    case '4':
        return pass_bytes(rdb, in, 4);
    case '8':
        return pass_bytes(rdb, in, 8);
    case 'g':
        return pass_bytes(rdb, in, 16);
    default:
        return pass_number(rdb, in, item, err);
    }
}

/* An opcode of a module, and the item that it announces. */
static enum pass pass_module(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_value *value = &rdb->value;
    uint64_t opcode;
    enum pass pass;

    for (;;) {
        if (value->module_item == 0) {
            pass = rdb_pass_length(rdb, in, &opcode, err);
            if (pass != PASS_DONE || opcode == 0)
                return pass;
            if (opcode >= sizeof MODULE_ITEMS - 1)
                return rdb_wrong(rdb, in, err, "an unknown opcode %llu in the data of a module",
                                 (unsigned long long)opcode);
            value->module_item = MODULE_ITEMS[opcode];
        }
        pass = pass_item(rdb, in, value->module_item, err);
        if (pass != PASS_DONE)
            return pass;
        value->module_item = 0;
        rdb_string_start(rdb, false);
    }
}

/* The end of the loop that begins here. */
static const char *loop_end(const char *at)
{
    int depth = 0;

    do {
        if (*at == '[')
            depth++;
        else if (*at == ']')
            depth--;
        at++;
    } while (depth > 0);
    return at;
}

static enum pass begin_loop(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_value *value = &rdb->value;
    uint64_t count;
    enum pass pass = rdb_pass_count(rdb, in, &count, err);

    if (pass != PASS_DONE)
        return pass;
    if (count == 0) {
        value->at = loop_end(value->at);
        return PASS_DONE;
    }
    value->at++;
    value->loops[value->depth].start = value->at;
    value->loops[value->depth++].left = count;
    return PASS_DONE;
}

static void turn_loop(struct rdb_value *value)
{
    if (--value->loops[value->depth - 1].left > 0) {
        value->at = value->loops[value->depth - 1].start;
        return;
    }
    value->depth--;
    value->at++;
}

enum pass rdb_pass_value(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_value *value = &rdb->value;

    while (*value->at != '\0') {
        enum pass pass;

        if (*value->at == ']') {
            turn_loop(value);
            continue;
        }
        if (*value->at == '[') {
            pass = begin_loop(rdb, in, err);
        } else {
            pass =
                *value->at == 'm' ? pass_module(rdb, in, err) : pass_item(rdb, in, *value->at, err);
            if (pass == PASS_DONE) {
                value->at++;
                rdb->string.stage = STRING_HEAD;
            }
        }
        if (pass != PASS_DONE)
            return pass;
    }
    return PASS_DONE;
}
