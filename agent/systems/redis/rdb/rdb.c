// SPDX-License-Identifier: Apache-2.0
// The opcodes of an RDB file, one after the other, and the checksum over all of them.
#include "rdb_impl.h"

#include "mem.h"

#include <isa-l/crc64.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum opcode {
    OPCODE_MODULE_1 = 6, /* a type: a module's value that only the module can read */
    OPCODE_FUNCTION = 245,
    OPCODE_FUNCTION_OLD = 246, /* the same, of a candidate for a release */
    OPCODE_AUX = 250,
    OPCODE_EXPIRY_MS = 252,
    OPCODE_EXPIRY_SECONDS = 253,
    OPCODE_DATABASE = 254,
    OPCODE_END = 255,
};

#define MAGIC_LEN      9
#define REDIS_VERSIONS "9 to 12"
#define REDIS_FIRST    9
#define REDIS_LAST     12
#define VALKEY_VERSION 80

struct rdb *rdb_new(void)
{
    struct rdb *rdb = mem_calloc(1, sizeof *rdb);

    rdb->facts.repl_offset = -1;
    return rdb;
}

void rdb_free(struct rdb *rdb)
{
    if (rdb == NULL)
        return;
    free(rdb->facts.databases);
    free(rdb);
}

void rdb_on_key(struct rdb *rdb, rdb_key_fn *on_key, void *arg)
{
    rdb->on_key = on_key;
    rdb->arg = arg;
}

const struct rdb_facts *rdb_facts(const struct rdb *rdb)
{
    return &rdb->facts;
}

static unsigned long long position(const struct rdb *rdb, const struct rdb_in *in)
{
    return (unsigned long long)(rdb->taken + (uint64_t)(in->at - in->start) - rdb->part_len);
}

enum pass rdb_wrong(const struct rdb *rdb, const struct rdb_in *in, struct err *err,
                    const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(err, ERR_CORRUPT, "at byte %llu: %s", position(rdb, in), text);
    return PASS_ERROR;
}

static enum pass unsupported(const struct rdb *rdb, const struct rdb_in *in, const char *what,
                             struct err *err)
{
    err_set(err, ERR_NOT_YET, "at byte %llu: %s", position(rdb, in), what);
    return PASS_ERROR;
}

/* CRC-64 of Jones as Redis has it: ISA-L's without the inversions before and after. */
static uint64_t add_crc(uint64_t crc, const uint8_t *data, size_t len)
{
    return ~crc64_jones_refl(~crc, data, len);
}

static uint64_t little_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = len; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

static bool all_digits(const uint8_t *at, size_t len, unsigned *number)
{
    *number = 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *number = *number * 10 + (at[i] - '0');
    }
    return true;
}

static enum pass magic(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct rdb_facts *facts = &rdb->facts;
    const uint8_t *at = rdb_peek(rdb, in, MAGIC_LEN);
    bool known;

    if (at == NULL)
        return PASS_MORE;
    facts->valkey = memcmp(at, "VALKEY", 6) == 0;
    if (facts->valkey)
        known = all_digits(at + 6, 3, &facts->version);
    else
        known = memcmp(at, "REDIS", 5) == 0 && all_digits(at + 5, 4, &facts->version);
    if (!known)
        return rdb_wrong(rdb, in, err, "this is no RDB file");
    if (facts->valkey ? facts->version != VALKEY_VERSION
                      : facts->version < REDIS_FIRST || facts->version > REDIS_LAST) {
        err_set(err, ERR_NOT_YET,
                "an RDB file of version %u of %s; known are " REDIS_VERSIONS
                " of Redis and %d of Valkey",
                facts->version, facts->valkey ? "Valkey" : "Redis", VALKEY_VERSION);
        return PASS_ERROR;
    }
    rdb_drop(rdb, in, MAGIC_LEN);
    rdb->state = RDB_OPCODE;
    return PASS_DONE;
}

static void begin_string(struct rdb *rdb, enum rdb_state state)
{
    rdb_string_start(rdb, true);
    rdb->state = state;
}

static enum pass end_opcode(struct rdb *rdb, struct rdb_in *in)
{
    rdb_drop(rdb, in, 1);
    rdb->crc = add_crc(rdb->crc, in->start, (size_t)(in->at - in->start));
    rdb->state = RDB_TRAILER;
    return PASS_DONE;
}

/* The type of a value, or an opcode that is passed over. */
static enum pass other_opcode(struct rdb *rdb, struct rdb_in *in, uint8_t opcode, struct err *err)
{
    enum rdb_type kind;
    const char *shape = rdb_opcode_shape(rdb, opcode);

    if (shape != NULL) {
        rdb->facts.functions += opcode == OPCODE_FUNCTION;
        rdb_value_start(rdb, shape);
        rdb->state = RDB_SKIPPED;
    } else if (rdb_type_shape(rdb, opcode, &kind) != NULL) {
        rdb->type = opcode;
        begin_string(rdb, RDB_KEY);
    } else {
        return rdb_wrong(rdb, in, err, "%u is neither an opcode nor a type of value", opcode);
    }
    rdb_drop(rdb, in, 1);
    return PASS_DONE;
}

static enum pass opcode(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    const uint8_t *at = rdb_peek(rdb, in, 1);

    if (at == NULL)
        return PASS_MORE;
    switch (at[0]) {
    case OPCODE_MODULE_1:
        return unsupported(rdb, in, "a value of a module, of a kind only the module can read", err);
    case OPCODE_FUNCTION_OLD:
        return unsupported(rdb, in, "functions as a candidate for release 7.0 wrote them", err);
    case OPCODE_AUX:
        begin_string(rdb, RDB_AUX_NAME);
        break;
    case OPCODE_EXPIRY_MS:
        rdb->state = RDB_EXPIRY;
        break;
    case OPCODE_EXPIRY_SECONDS:
        rdb->state = RDB_EXPIRY_SECONDS;
        break;
    case OPCODE_DATABASE:
        rdb->state = RDB_DATABASE;
        break;
    case OPCODE_END:
        return end_opcode(rdb, in);
    default:
        return other_opcode(rdb, in, at[0], err);
    }
    rdb_drop(rdb, in, 1);
    return PASS_DONE;
}

static enum pass skipped(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    enum pass pass = rdb_pass_value(rdb, in, err);

    if (pass == PASS_DONE)
        rdb->state = RDB_OPCODE;
    return pass;
}

static enum pass select_database(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    enum pass pass = rdb_pass_length(rdb, in, &rdb->database, err);

    if (pass != PASS_DONE)
        return pass;
    if (rdb->database >= RDB_MAX_DATABASES)
        return rdb_wrong(rdb, in, err, "a database of number %llu",
                         (unsigned long long)rdb->database);
    rdb->home = NULL;
    rdb->state = RDB_OPCODE;
    return PASS_DONE;
}

static enum pass expiry(struct rdb *rdb, struct rdb_in *in)
{
    bool seconds = rdb->state == RDB_EXPIRY_SECONDS;
    size_t len = seconds ? 4 : 8;
    const uint8_t *at = rdb_peek(rdb, in, len);

    if (at == NULL)
        return PASS_MORE;
    if (seconds)
        rdb->expire_ms = INT64_C(1000) * (int32_t)little_endian(at, len);
    else
        rdb->expire_ms = (int64_t)little_endian(at, len);
    if (rdb->expire_ms < 0) /* as past as 0, and cannot be taken for none */
        rdb->expire_ms = 0;
    rdb->expires = true;
    rdb_drop(rdb, in, len);
    rdb->state = RDB_OPCODE;
    return PASS_DONE;
}

static enum pass aux(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    struct err cause = ERR_INIT;
    enum pass pass = rdb_pass_string(rdb, in, err);
    size_t len = rdb->string.len < sizeof rdb->aux_name ? (size_t)rdb->string.len : 0;

    if (pass != PASS_DONE)
        return pass;
    if (rdb->state == RDB_AUX_NAME) {
        memcpy(rdb->aux_name, rdb->string.head, len);
        rdb->aux_name[len] = '\0';
        begin_string(rdb, RDB_AUX_VALUE);
        return PASS_DONE;
    }
    if (rdb_found_aux(rdb, &cause) < 0)
        return rdb_wrong(rdb, in, err, "%s", cause.text);
    rdb->state = RDB_OPCODE;
    return PASS_DONE;
}

static enum pass key(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    enum rdb_type kind;
    enum pass pass = rdb_pass_string(rdb, in, err);

    if (pass != PASS_DONE)
        return pass;
    rdb_value_start(rdb, rdb_type_shape(rdb, rdb->type, &kind));
    rdb_found_key(rdb, kind);
    rdb->state = RDB_VALUE;
    return PASS_DONE;
}

static enum pass trailer(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    const uint8_t *at = rdb_peek(rdb, in, 8);
    uint64_t stored;

    if (at == NULL)
        return PASS_MORE;
    stored = little_endian(at, 8);
    rdb->facts.checksum = stored != 0;
    if (stored != 0 && stored != rdb->crc)
        return rdb_wrong(rdb, in, err, "the checksum is %016llx, the bytes before have %016llx",
                         (unsigned long long)stored, (unsigned long long)rdb->crc);
    rdb_drop(rdb, in, 8);
    rdb->state = RDB_END;
    return PASS_DONE;
}

static enum pass step(struct rdb *rdb, struct rdb_in *in, struct err *err)
{
    switch (rdb->state) {
    case RDB_MAGIC:
        return magic(rdb, in, err);
    case RDB_OPCODE:
        return opcode(rdb, in, err);
    case RDB_SKIPPED:
    case RDB_VALUE:
        return skipped(rdb, in, err);
    case RDB_DATABASE:
        return select_database(rdb, in, err);
    case RDB_EXPIRY:
    case RDB_EXPIRY_SECONDS:
        return expiry(rdb, in);
    case RDB_AUX_NAME:
    case RDB_AUX_VALUE:
        return aux(rdb, in, err);
    case RDB_KEY:
        return key(rdb, in, err);
    case RDB_TRAILER:
        return trailer(rdb, in, err);
    default:
        if (in->at == in->end)
            return PASS_MORE;
        return rdb_wrong(rdb, in, err, "bytes after the end");
    }
}

int rdb_feed(struct rdb *rdb, const uint8_t *data, size_t len, struct err *err)
{
    struct rdb_in in = {.start = data, .at = data, .end = data + len};
    enum pass pass;

    if (len == 0)
        return 0;
    do
        pass = step(rdb, &in, err);
    while (pass == PASS_DONE);
    if (pass == PASS_ERROR) {
        rdb->state = RDB_BROKEN;
        return -1;
    }
    if (rdb->state < RDB_TRAILER)
        rdb->crc = add_crc(rdb->crc, data, len);
    rdb->taken += len;
    return 0;
}

int rdb_finish(struct rdb *rdb, struct err *err)
{
    if (rdb->state == RDB_END)
        return 0;
    return err_set(err, ERR_CORRUPT, "the RDB file is cut off after %llu bytes",
                   (unsigned long long)rdb->taken);
}
