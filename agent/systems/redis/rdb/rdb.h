// SPDX-License-Identifier: Apache-2.0
// The structure of an RDB file, followed as its bytes stream by: opcodes, keys, expiries,
// functions, auxiliary fields, the checksum at its end. Values are passed over, never loaded, so
// memory does not grow with them. Versions 9 to 12 of Redis ("REDIS0009") and Valkey's
// ("VALKEY080"); the format is described by their rdb.h and rdb.c.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RDB_MAX_DATABASES 1024 /* with a higher number a file is refused */
#define RDB_NAME_CAP      1024 /* bytes of a key's name that on_key is shown */

/* What kind of value a key has, whatever its encoding. */
enum rdb_type {
    RDB_STRING,
    RDB_LIST,
    RDB_SET,
    RDB_ZSET,
    RDB_HASH,
    RDB_STREAM,
    RDB_MODULE,
    RDB_TYPES
};
extern const char *const rdb_type_names[RDB_TYPES]; /* "string", ... */

struct rdb_database {
    uint64_t number;
    uint64_t keys, expires; /* expires: keys that have an expiry */
    uint64_t by_type[RDB_TYPES];
};

struct rdb_facts {
    unsigned version; /* 11 of "REDIS0011", 80 of "VALKEY080" */
    bool valkey;
    char server_version[32];        /* aux redis-ver or valkey-ver; "" without one */
    int64_t ctime_unix;             /* aux ctime: the moment whose data it holds; 0 without one */
    char replid[41];                /* aux repl-id; "" without one */
    int64_t repl_offset;            /* aux repl-offset; -1 without one */
    uint64_t functions;             /* libraries */
    bool checksum;                  /* false: the server wrote zero, it has none */
    struct rdb_database *databases; /* those that hold keys, by number */
    size_t database_count;
};

/* A key whose header was read, before its value. name: its first bytes, at most RDB_NAME_CAP
 * (lent); name_len: its full length. expire_ms: -1 without one. */
typedef void rdb_key_fn(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                        size_t name_len, int64_t expire_ms);

struct rdb;

struct rdb *rdb_new(void);
/* NULL is allowed. */
void rdb_free(struct rdb *rdb);
void rdb_on_key(struct rdb *rdb, rdb_key_fn *on_key, void *arg);
/* Any split of a file into calls gives the same result. ERR_CORRUPT says what is wrong and at
 * which byte; ERR_NOT_YET: of a version that is not known, or with a value that only its module can
 * read. After an error the parser is of no more use. Bytes after the end are corrupt too. */
int rdb_feed(struct rdb *rdb, const uint8_t *data, size_t len, struct err *err);
/* The end of the bytes: the file must be whole, its checksum right. */
int rdb_finish(struct rdb *rdb, struct err *err);
/* So far; whole after rdb_finish. Lent. */
const struct rdb_facts *rdb_facts(const struct rdb *rdb);
