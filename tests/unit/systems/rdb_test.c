// SPDX-License-Identifier: Apache-2.0
// Files that real servers wrote (tests/data/rdb/make.py): what is found in them is what the server
// said it held, however they are cut; no damage gets past the checksum, and none does harm without.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"
#include "mem.h"
#include "rdb.h"
#include "rdb_facts.h"
#include "text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 20)
#define FLIPS     10000
#define SPLITS    100

struct file {
    char *name;
    uint8_t *data;
    size_t len;
};

/* most: bytes in one piece; 0: all. finish: before each piece, to be told that it is not whole.
 * quick: without the facts. */
struct way {
    size_t most;
    bool finish, quick;
    uint32_t seed;
};

struct result {
    int rc;
    char *facts; /* JSON; NULL for quick */
    uint64_t names;
    char text[sizeof((struct err *)0)->text];
};

static struct file *files;
static size_t file_count;

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static char *source_path(const char *name)
{
    const char *root = getenv("LIFEBOAT_SOURCE");

    return text_format("%s/tests/data/rdb/%s", root == NULL ? "." : root, name);
}

static int read_files(void **state)
{
    char *folder = source_path("");
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, alphasort);

    (void)state;
    files = mem_calloc(count > 0 ? (size_t)count : 1, sizeof *files);
    for (int i = 0; i < count; i++) {
        struct err err = ERR_INIT;
        struct file *file = &files[file_count];
        size_t len = strlen(names[i]->d_name);

        if (len > 4 && strcmp(names[i]->d_name + len - 4, ".rdb") == 0) {
            char *path = source_path(names[i]->d_name);

            if (file_read(path, MAX_BYTES, (char **)&file->data, &file->len, &err) < 0)
                fail_msg("%s", err.text);
            file->name = mem_strndup(names[i]->d_name, len - 4);
            file_count++;
            free(path);
        }
        free(names[i]);
    }
    free(names);
    free(folder);
    return file_count >= 20 ? 0 : -1;
}

static int free_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].name);
        free(files[i].data);
    }
    free(files);
    return 0;
}

static void add_name(uint64_t *hash, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ data[i]) * UINT64_C(0x100000001b3);
}

static void on_key(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                   size_t name_len, int64_t expire_ms)
{
    struct result *result = arg;
    uint8_t head[3] = {(uint8_t)database, (uint8_t)(name_len >> 8), (uint8_t)name_len};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    assert_true(type < RDB_TYPES && expire_ms >= -1);
    add_name(&hash, head, sizeof head);
    add_name(&hash, name, name_len < RDB_NAME_CAP ? name_len : RDB_NAME_CAP);
    result->names += hash;
}

static struct result run(const uint8_t *data, size_t len, struct way way)
{
    struct result result = {.rc = 0};
    struct rdb *rdb = rdb_new();
    struct err err = ERR_INIT;

    rdb_on_key(rdb, on_key, &result);
    for (size_t pos = 0; result.rc == 0 && pos < len;) {
        size_t piece = way.most == 0 ? len : 1 + next_random(&way.seed) % way.most;

        piece = piece < len - pos ? piece : len - pos;
        if (way.finish) {
            assert_int_equal(rdb_finish(rdb, &err), -1);
            assert_int_equal(err.kind, ERR_CORRUPT);
            err_clear(&err);
        }
        result.rc = rdb_feed(rdb, data + pos, piece, &err);
        pos += piece;
    }
    if (result.rc == 0)
        result.rc = rdb_finish(rdb, &err);
    assert_int_equal(result.rc == 0, err.kind == ERR_NONE);
    memcpy(result.text, err.text, sizeof result.text);
    if (!way.quick) {
        json_t *json = redis_facts_json(rdb_facts(rdb));

        result.facts = json_dumps(json, JSON_SORT_KEYS);
        json_decref(json);
    }
    rdb_free(rdb);
    return result;
}

static void same(const struct result *a, const struct result *b)
{
    assert_int_equal(a->rc, b->rc);
    assert_string_equal(a->text, b->text);
    if (a->facts != NULL && b->facts != NULL)
        assert_string_equal(a->facts, b->facts);
    assert_true(a->names == b->names);
}

static void test_what_the_server_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        struct result found = run(files[i].data, files[i].len, (struct way){.most = 0});
        char *name = text_format("%s.json", files[i].name);
        char *path = source_path(name), *expected;
        char names[20];
        json_t *json = json_load_file(path, 0, NULL);

        if (found.rc < 0)
            fail_msg("%s: %s", files[i].name, found.text);
        snprintf(names, sizeof names, "%016llx", (unsigned long long)found.names);
        assert_string_equal(json_string_value(json_object_get(json, "names")), names);
        json_object_del(json, "names");
        expected = json_dumps(json, JSON_SORT_KEYS);
        assert_string_equal(found.facts, expected);
        json_decref(json);
        free(expected);
        free(found.facts);
        free(path);
        free(name);
    }
}

static void test_any_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        struct result whole = run(files[i].data, files[i].len, (struct way){.most = 0});
        struct result bytes =
            run(files[i].data, files[i].len, (struct way){.most = 1, .finish = true, .seed = 1});

        same(&whole, &bytes);
        free(bytes.facts);
        for (uint32_t seed = 1; seed <= SPLITS; seed++) {
            struct result split =
                run(files[i].data, files[i].len, (struct way){.most = 1 + 13 * seed, .seed = seed});

            same(&whole, &split);
            free(split.facts);
        }
        free(whole.facts);
    }
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        size_t step = files[i].len > 1000 ? 97 : 1;

        for (size_t len = 0; len < files[i].len; len += step) {
            struct result cut = run(files[i].data, len, (struct way){.quick = true});

            assert_int_equal(cut.rc, -1);
        }
    }
}

/* The file with one byte changed; whether it passes. */
static bool passes(const struct file *file, size_t at, uint8_t change, bool split)
{
    struct result whole;

    file->data[at] ^= change;
    whole = run(file->data, file->len, (struct way){.quick = true});
    if (split) {
        struct result pieces =
            run(file->data, file->len, (struct way){.most = 31, .quick = true, .seed = 1});

        same(&whole, &pieces);
    }
    file->data[at] ^= change;
    return whole.rc == 0;
}

/* Where there is a checksum, a changed byte never passes; where not, it does no harm. */
static void test_flips(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        bool plain = strstr(files[i].name, "-plain") != NULL;
        uint32_t seed = (uint32_t)i + 1;
        int passed = 0;

        for (int flip = 0; flip < FLIPS; flip++) {
            size_t at = next_random(&seed) % files[i].len;
            uint8_t change = (uint8_t)(1 + next_random(&seed) % 255);
            bool pass = passes(&files[i], at, change, flip % 50 == 0);

            if (pass && !plain)
                fail_msg("%s: byte %zu, changed by %02x, passed", files[i].name, at, change);
            passed += pass;
        }
        if (plain)
            print_message("%s: %d of %d changes pass without a checksum\n", files[i].name, passed,
                          FLIPS);
    }
}

static void test_more_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        uint8_t *longer = mem_calloc(files[i].len + 1, 1);
        struct result whole, bytes;

        memcpy(longer, files[i].data, files[i].len);
        whole = run(longer, files[i].len + 1, (struct way){.most = 0});
        bytes = run(longer, files[i].len + 1, (struct way){.most = 1, .seed = 1});
        assert_int_equal(whole.rc, -1);
        assert_non_null(strstr(whole.text, "after the end"));
        same(&whole, &bytes);
        free(whole.facts);
        free(bytes.facts);
        free(longer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_server_said), cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_every_prefix),         cmocka_unit_test(test_flips),
        cmocka_unit_test(test_more_behind),
    };

    return cmocka_run_group_tests(tests, read_files, free_files);
}
