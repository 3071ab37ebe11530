// SPDX-License-Identifier: Apache-2.0
// What a reader of RDB files remembers of what it passed: keys by database and kind, and some of
// the auxiliary fields.
#include "rdb_impl.h"

#include "mem.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>

const char *const rdb_type_names[RDB_TYPES] = {
    [RDB_STRING] = "string", [RDB_LIST] = "list",     [RDB_SET] = "set",       [RDB_ZSET] = "zset",
    [RDB_HASH] = "hash",     [RDB_STREAM] = "stream", [RDB_MODULE] = "module",
};

/* The counters of the database of that number, made when it is a new one. */
static struct rdb_database *database(struct rdb *rdb)
{
    struct rdb_facts *facts = &rdb->facts;
    size_t at = 0;

    while (at < facts->database_count && facts->databases[at].number < rdb->database)
        at++;
    if (at < facts->database_count && facts->databases[at].number == rdb->database)
        return &facts->databases[at];
    if (facts->database_count == rdb->database_room) {
        rdb->database_room = rdb->database_room == 0 ? 16 : 2 * rdb->database_room;
        facts->databases =
            mem_realloc(facts->databases, rdb->database_room * sizeof *facts->databases);
    }
    memmove(facts->databases + at + 1, facts->databases + at,
            (facts->database_count - at) * sizeof *facts->databases);
    facts->database_count++;
    memset(&facts->databases[at], 0, sizeof facts->databases[at]);
    facts->databases[at].number = rdb->database;
    return &facts->databases[at];
}

void rdb_found_key(struct rdb *rdb, enum rdb_type kind)
{
    const struct rdb_string *name = &rdb->string;

    if (rdb->home == NULL)
        rdb->home = database(rdb);
    rdb->home->keys++;
    rdb->home->by_type[kind]++;
    if (rdb->expires)
        rdb->home->expires++;
    if (rdb->on_key != NULL)
        rdb->on_key(rdb->arg, rdb->database, kind, name->head, (size_t)name->len,
                    rdb->expires ? rdb->expire_ms : -1);
    rdb->expires = false;
}

/* What can be shown: printable characters, as many as there is room for. */
static void found_version(struct rdb *rdb)
{
    char *to = rdb->facts.server_version;
    size_t len = rdb->string.len < sizeof rdb->facts.server_version
                     ? (size_t)rdb->string.len
                     : sizeof rdb->facts.server_version - 1;

    for (size_t i = 0; i < len; i++)
        to[i] = isgraph(rdb->string.head[i]) ? (char)rdb->string.head[i] : '?';
    to[len] = '\0';
}

static int found_number(struct rdb *rdb, int64_t *number, struct err *err)
{
    char text[24];
    uint64_t value;
    size_t len = rdb->string.len < sizeof text ? (size_t)rdb->string.len : sizeof text - 1;

    memcpy(text, rdb->string.head, len);
    text[len] = '\0';
    if (strlen(text) != rdb->string.len || text_parse_u64(text, &value) < 0 || value > INT64_MAX)
        return err_set(err, ERR_CORRUPT, "the field %s is no number", rdb->aux_name);
    *number = (int64_t)value;
    return 0;
}

int rdb_found_aux(struct rdb *rdb, struct err *err)
{
    if (strcmp(rdb->aux_name, "ctime") == 0)
        return found_number(rdb, &rdb->facts.ctime_unix, err);
    if (strcmp(rdb->aux_name, "repl-offset") == 0)
        return found_number(rdb, &rdb->facts.repl_offset, err);
    if (strcmp(rdb->aux_name, "redis-ver") == 0 || strcmp(rdb->aux_name, "valkey-ver") == 0)
        found_version(rdb);
    if (strcmp(rdb->aux_name, "repl-id") == 0 && rdb->string.len == sizeof rdb->facts.replid - 1) {
        for (size_t i = 0; i < sizeof rdb->facts.replid - 1; i++)
            rdb->facts.replid[i] = isxdigit(rdb->string.head[i]) ? (char)rdb->string.head[i] : '?';
    }
    return 0;
}
