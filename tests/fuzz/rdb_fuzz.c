// SPDX-License-Identifier: Apache-2.0
// Any bytes as an RDB file: the same keys, counts and refusal whole and cut into pieces. The last
// byte chooses the pieces.
#include "mem.h"
#include "rdb.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct result {
    int rc;
    struct err err;
    struct text text;
    uint64_t keys, names;
};

static void on_key(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                   size_t name_len, int64_t expire_ms)
{
    struct result *result = arg;

    result->keys++;
    result->names = result->names * 31 + database + type + name_len + (uint64_t)expire_ms;
    for (size_t i = 0; i < name_len && i < RDB_NAME_CAP; i++)
        result->names = result->names * 31 + name[i];
}

static void add_facts(struct result *result, const struct rdb_facts *facts)
{
    uint64_t keys = 0;

    text_add(&result->text, "%u %d %s %lld %s %lld %llu %d", facts->version, facts->valkey,
             facts->server_version, (long long)facts->ctime_unix, facts->replid,
             (long long)facts->repl_offset, (unsigned long long)facts->functions, facts->checksum);
    for (size_t i = 0; i < facts->database_count; i++) {
        const struct rdb_database *database = &facts->databases[i];
        uint64_t of_types = 0;

        if (i > 0 && database->number <= database[-1].number)
            abort();
        for (int type = 0; type < RDB_TYPES; type++)
            of_types += database->by_type[type];
        if (of_types != database->keys || database->expires > database->keys || of_types == 0)
            abort();
        keys += of_types;
    }
    if (keys != result->keys)
        abort();
}

static void run(const uint8_t *data, size_t len, uint32_t seed, struct result *result)
{
    struct rdb *rdb = rdb_new();

    rdb_on_key(rdb, on_key, result);
    for (size_t pos = 0; result->rc == 0 && pos < len;) {
        size_t piece = len;
        uint8_t *exact;

        if (seed != 0) {
            seed = seed * 1103515245 + 12345;
            piece = 1 + (seed >> 16) % 11;
        }
        piece = piece < len - pos ? piece : len - pos;
        exact = mem_calloc(piece, 1);
        memcpy(exact, data + pos, piece);
        result->rc = rdb_feed(rdb, exact, piece, &result->err);
        free(exact);
        pos += piece;
    }
    if (result->rc == 0)
        result->rc = rdb_finish(rdb, &result->err);
    if ((result->rc == 0) != (result->err.kind == ERR_NONE))
        abort();
    add_facts(result, rdb_facts(rdb));
    rdb_free(rdb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct result whole = {.text = TEXT_INIT}, cut = {.text = TEXT_INIT};

    run(data, len, 0, &whole);
    run(data, len, len == 0 ? 1 : data[len - 1] + 1U, &cut);
    if (whole.rc != cut.rc || whole.err.kind != cut.err.kind ||
        strcmp(whole.err.text, cut.err.text) != 0 || whole.keys != cut.keys ||
        whole.names != cut.names || strcmp(text_str(&whole.text), text_str(&cut.text)) != 0)
        abort();
    text_fini(&whole.text);
    text_fini(&cut.text);
    return 0;
}
