// SPDX-License-Identifier: Apache-2.0
// RDB files written by hand: encodings that no server of today writes, keys as they are shown, and
// what must be refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "rdb.h"
#include "text.h"

#include <isa-l/crc64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* found: what on_key was told, "database type name(length) expiry;". error: part of its text. */
struct row {
    const char *name;
    const char *body; /* between version and 0xff */
    size_t len;
    const char *found, *error;
};

#define BODY(text) text, sizeof(text) - 1
#define LONG_MAX_8 "\x81\x80\0\0\0\0\0\0\0" /* 2^63 as a length */
#define ALL_ONES   "\x81\xff\xff\xff\xff\xff\xff\xff\xff"

static const struct row rows[] = {
    {"nothing", BODY(""), "", NULL},
    {"no database selected", BODY("\0\1k\1v"), "0 string k(1) -1;", NULL},
    {"lengths of 14 and 32 bits", BODY("\0\x40\1k\x80\0\0\0\1v"), "0 string k(1) -1;", NULL},
    {"a length of 64 bits", BODY("\0\x81\0\0\0\0\0\0\0\1k\1v"), "0 string k(1) -1;", NULL},
    {"keys that are integers", BODY("\0\xc0\xff\1v\0\xc1\x39\x30\1v\0\xc2\0\0\0\x80\1v"),
     "0 string -1(2) -1;0 string 12345(5) -1;0 string -2147483648(11) -1;", NULL},
    {"a packed key", BODY("\0\xc3\4\xa\0a\xe0\0\0"), "", "packed"},
    {"a packed key of a run", BODY("\0\xc3\5\xa\0a\xe0\0\0\1v"), "0 string aaaaaaaaaa(10) -1;",
     NULL},
    {"a packed key that refers to what it repeats", BODY("\0\xc3\6\7\2abc\x40\2\1v"),
     "0 string abcabca(7) -1;", NULL},
    {"a packed key that refers before its start", BODY("\0\xc3\6\7\2abc\x40\3\1v"), "",
     "at byte 18: a packed string"},
    {"a packed key that is too long", BODY("\0\xc3\6\6\2abc\x40\2\1v"), "", "packed string"},
    {"a packed key that is too short", BODY("\0\xc3\6\x8\2abc\x40\2\1v"), "", "too early"},
    {"a packed value is not unpacked", BODY("\0\1k\xc3\4\x10zzzz"), "0 string k(1) -1;", NULL},
    {"packed beyond what can be", BODY("\0\1k\xc3\1\x43\xe8z"), "0 string k(1) -1;",
     "1000 bytes cannot be packed into 1"},
    {"packed into more", BODY("\0\1k\xc3\5\2zzzzz"), "0 string k(1) -1;", "cannot be packed"},
    {"packed to nothing", BODY("\0\1k\xc3\0\0"), "0 string k(1) -1;", "cannot be packed"},
    {"a list of strings", BODY("\1\1k\2\1a\xc0\5"), "0 list k(1) -1;", NULL},
    {"an empty list", BODY("\1\1k\0"), "0 list k(1) -1;", NULL},
    {"scores as text",
     BODY("\3\1k\4\1a\3"
          "2.5\1b\xff\1c\xfe\1d\1"
          "0"),
     "0 zset k(1) -1;", NULL},
    {"a score of no characters", BODY("\3\1k\1\1a\0"), "0 zset k(1) -1;", "no number"},
    {"a score that is none", BODY("\3\1k\1\1a\xfd"), "0 zset k(1) -1;", "no number"},
    {"old encodings", BODY("\x9\1a\1z\xa\1b\1z\xb\1c\1z\xc\1d\1z\xd\1e\1z\xe\1f\2\1z\1z"),
     "0 hash a(1) -1;0 list b(1) -1;0 set c(1) -1;0 zset d(1) -1;0 hash e(1) -1;0 list f(1) -1;",
     NULL},
    {"hashes with expiries of 7.4's candidates", BODY("\x16\1a\1\5\1f\1v\x17\1b\1z"),
     "0 hash a(1) -1;0 hash b(1) -1;", NULL},
    {"hashes with expiries of 7.4",
     BODY("\x18\1a\0\0\0\0\0\0\0\0\1\5\1f\1v\x19\1b\0\0\0\0\0\0\0\0\1z"),
     "0 hash a(1) -1;0 hash b(1) -1;", NULL},
    {"expiries", BODY("\xfc\1\0\0\0\0\0\0\0\0\1a\1v\xfd\2\0\0\0\0\1b\1v\0\1c\1v"),
     "0 string a(1) 1;0 string b(1) 2000;0 string c(1) -1;", NULL},
    {"an expiry before 1970", BODY("\xfc\xff\xff\xff\xff\xff\xff\xff\xff\0\1a\1v"),
     "0 string a(1) 0;", NULL},
    {"use", BODY("\xf8\x40\1\0\1a\1v\xf9\x7\0\1b\1v"), "0 string a(1) -1;0 string b(1) -1;", NULL},
    {"databases, one of them twice, hints",
     BODY("\xfe\2\xfb\1\0\0\1a\1v\xfe\0\0\1b\1v\xfe\2\xf4\1\2\3\0\1c\1v"),
     "2 string a(1) -1;0 string b(1) -1;2 string c(1) -1;", NULL},
    {"the last database", BODY("\xfe\x43\xff\0\1a\1v"), "1023 string a(1) -1;", NULL},
    {"a database too many", BODY("\xfe\x44\0\0\1a\1v"), "",
     "at byte 12: a database of number 1024"},
    {"a module",
     BODY("\7\1k" ALL_ONES "\1\5\2\x43\xff\3"
          "ffff\4dddddddd\5\2st\5\xc0\1\0"),
     "0 module k(1) -1;", NULL},
    {"a module's opcode", BODY("\7\1k\1\6"), "0 module k(1) -1;", "unknown opcode 6"},
    {"a module that only it can read", BODY("\6\1k\1"), "", "at byte 9: a value of a module"},
    {"functions of a candidate", BODY("\xf6\1k\1"), "", "at byte 9: functions as a candidate"},
    {"data of modules", BODY("\xf7" ALL_ONES "\2\1\5\1z\1\3\0\0\1k\1v"), "0 string k(1) -1;", NULL},
    {"data of modules without a place", BODY("\xf7\1\1\1\0"), "", "without their place"},
    {"a stream of the first kind",
     BODY("\xf\1k\1\x10iiiiiiiiiiiiiiii\1z\1\2\3\1\1g\1\2\1iiiiiiiiiiiiiiiitttttttt\1"
          "\1\1ctttttttt\1iiiiiiiiiiiiiiii"),
     "0 stream k(1) -1;", NULL},
    {"a stream's ID", BODY("\xf\1k\1\xfiiiiiiiiiiiiiii\1z\1"), "0 stream k(1) -1;", "15 bytes"},
    {"a node of a list", BODY("\x12\1k\1\3\1z"), "0 list k(1) -1;", "unknown kind"},
    {"an opcode that is none", BODY("\xf2"), "", "at byte 9: 242 is neither"},
    {"a slot's import", BODY("\xf3\1s\1\1\2"), "", "243 is neither"},
    {"a type between", BODY("\x8\1k\1v"), "", "8 is neither"},
    {"a type of later versions", BODY("\x1a\1k\1v"), "", "26 is neither"},
    {"no length", BODY("\0\x82"), "", "at byte 10: no length begins with 82"},
    {"no encoding", BODY("\0\xc4"), "", "no length begins with c4"},
    {"a key of 2^63 bytes", BODY("\0" LONG_MAX_8), "", "a length of 9223372036854775808"},
    {"a value of all bits", BODY("\0\1k" ALL_ONES), "0 string k(1) -1;", "a length of 1844674"},
    {"a list of 2^63", BODY("\1\1k" LONG_MAX_8), "0 list k(1) -1;", "a length of"},
    {"2^63 packed bytes", BODY("\0\1k\xc3" LONG_MAX_8 "\5"), "0 string k(1) -1;", "a length of"},
    {"packed from 2^63 bytes", BODY("\0\1k\xc3\5" ALL_ONES), "0 string k(1) -1;", "a length of"},
    {"a value of 2^40 bytes is cut", BODY("\0\1k\x81\0\0\1\0\0\0\0\0zz"), "0 string k(1) -1;",
     "cut off after"},
    {"a list of 2^40 is cut", BODY("\1\1k\x81\0\0\1\0\0\0\0\0\1z"), "0 list k(1) -1;", ""},
};

static void on_key(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                   size_t name_len, int64_t expire_ms)
{
    text_add(arg, "%llu %s %.*s(%zu) %lld;", (unsigned long long)database, rdb_type_names[type],
             (int)(name_len < 20 ? name_len : 20), (const char *)name, name_len,
             (long long)expire_ms);
}

/* Feeds magic, body, 0xff and a checksum. */
static int run(const char *magic, const char *body, size_t len, size_t piece, struct text *found,
               struct rdb_facts *facts, struct err *err)
{
    size_t total = 9 + len + 1 + 8;
    uint8_t *data = mem_calloc(total, 1);
    struct rdb *rdb = rdb_new();
    uint64_t crc;
    int rc = 0;

    memcpy(data, magic, 9);
    memcpy(data + 9, body, len);
    data[9 + len] = 0xff;
    crc = ~crc64_jones_refl(~UINT64_C(0), data, 9 + len + 1);
    memcpy(data + 9 + len + 1, &crc, 8);
    rdb_on_key(rdb, on_key, found);
    for (size_t pos = 0; rc == 0 && pos < total; pos += piece) {
        size_t part = piece < total - pos ? piece : total - pos;
        uint8_t *exact = mem_calloc(part, 1); /* a read past its end is seen */

        memcpy(exact, data + pos, part);
        rc = rdb_feed(rdb, exact, part, err);
        free(exact);
    }
    if (rc == 0)
        rc = rdb_finish(rdb, err);
    if (facts != NULL) {
        *facts = *rdb_facts(rdb);
        facts->databases = NULL; /* not to be used after its end */
    }
    rdb_free(rdb);
    free(data);
    return rc;
}

static void check_row(const struct row *row, size_t piece)
{
    struct text found = TEXT_INIT;
    struct err err = ERR_INIT;
    int rc = run("REDIS0012", row->body, row->len, piece, &found, NULL, &err);

    if (row->error == NULL && rc < 0)
        fail_msg("%s, by %zu: %s", row->name, piece, err.text);
    if (row->error != NULL && rc == 0)
        fail_msg("%s, by %zu: taken", row->name, piece);
    if (row->error != NULL && strstr(err.text, row->error) == NULL)
        fail_msg("%s, by %zu: \"%s\" does not say \"%s\"", row->name, piece, err.text, row->error);
    if (strcmp(text_str(&found), row->found) != 0)
        fail_msg("%s, by %zu: %s", row->name, piece, text_str(&found));
    text_fini(&found);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 100; piece++)
            check_row(&rows[i], piece);
}

static void versions(const char *magic, int rc, enum err_kind kind, const char *body, size_t len)
{
    struct text found = TEXT_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(run(magic, body, len, 4, &found, NULL, &err), rc);
    assert_int_equal(err.kind, kind);
    text_fini(&found);
}

static void test_versions(void **state)
{
    (void)state;
    versions("REDIS0008", -1, ERR_NOT_YET, BODY(""));
    versions("REDIS0009", 0, ERR_NONE, BODY("\xfe\0"));
    versions("REDIS0011", 0, ERR_NONE, BODY("\xfe\0"));
    versions("REDIS0013", -1, ERR_NOT_YET, BODY(""));
    versions("VALKEY080", 0, ERR_NONE, BODY("\xfe\0"));
    versions("VALKEY081", -1, ERR_NOT_YET, BODY(""));
    versions("VALKEY08x", -1, ERR_CORRUPT, BODY(""));
    versions("REDIS 012", -1, ERR_CORRUPT, BODY(""));
    versions("PGDMP\1\16\0", -1, ERR_CORRUPT, BODY(""));
    versions("REDIS0012", -1, ERR_NOT_YET, BODY("\6\1k"));
    /* what only some know */
    versions("REDIS0011", -1, ERR_CORRUPT, BODY("\x18\1a\0\0\0\0\0\0\0\0\1\5\1f\1v"));
    versions("VALKEY080", 0, ERR_NONE, BODY("\x16\1a\1\1f\1vtttttttt\xf3\1s\2\1\2\3\4"));
    versions("VALKEY080", -1, ERR_CORRUPT, BODY("\x17\1a\1v"));
}

static void test_fields(void **state)
{
    static const char body[] = "\xfa\x9redis-ver\7"
                               "7.4.1 x\xfa\5"
                               "ctime\xc2\x15\xcd\x5b\x07\xfa\xbrepl-offset\xb"
                               "12345678901\xfa\7repl-id\x28"
                               "0123456789abcdef0123456789abcdef01234567\xfa\x6other!\1z"
                               "\xf5\3lib\xf5\4lib2";
    struct text found = TEXT_INIT;
    struct err err = ERR_INIT;
    struct rdb_facts facts;

    (void)state;
    for (size_t piece = 1; piece < 200; piece += 7) {
        assert_int_equal(run("REDIS0012", BODY(body), piece, &found, &facts, &err), 0);
        assert_string_equal(facts.server_version, "7.4.1?x");
        assert_int_equal(facts.ctime_unix, 123456789);
        assert_true(facts.repl_offset == INT64_C(12345678901));
        assert_string_equal(facts.replid, "0123456789abcdef0123456789abcdef01234567");
        assert_int_equal(facts.functions, 2);
        assert_true(facts.checksum && !facts.valkey && facts.version == 12);
    }
    versions("REDIS0012", -1, ERR_CORRUPT,
             BODY("\xfa\5"
                  "ctime\3"
                  "abc"));
    versions("REDIS0012", -1, ERR_CORRUPT,
             BODY("\xfa\5"
                  "ctime\x14"
                  "99999999999999999999"));
    text_fini(&found);
}

static void found_long(void *arg, uint64_t database, enum rdb_type type, const uint8_t *name,
                       size_t name_len, int64_t expire_ms)
{
    (void)database;
    (void)type;
    (void)expire_ms;
    for (size_t i = 0; i < RDB_NAME_CAP; i++)
        assert_int_equal(name[i], 'n');
    *(size_t *)arg = name_len;
}

static long peak_memory_kb(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[128];
    long kb = -1;

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (status != NULL)
        fclose(status);
    return kb;
}

static void feed_many(struct rdb *rdb, const uint8_t *data, size_t len, uint64_t total)
{
    struct err err = ERR_INIT;

    for (uint64_t pos = 0; pos < total; pos += len)
        if (rdb_feed(rdb, data, len < total - pos ? len : (size_t)(total - pos), &err) < 0)
            fail_msg("%s", err.text);
}

/* A key of 1 MiB and a value of 512 MiB, of which nothing is kept. */
static void test_large(void **state)
{
    static const uint8_t start[] = "REDIS0012\0\x80\0\x10\0\0", middle[] = "\x80\x20\0\0\0";
    static const uint8_t end[9] = {0xff};
    static uint8_t piece[65536];
    struct rdb *rdb = rdb_new();
    struct err err = ERR_INIT;
    size_t name_len = 0;
    long before;

    (void)state;
    memset(piece, 'n', sizeof piece);
    rdb_on_key(rdb, found_long, &name_len);
    feed_many(rdb, start, sizeof start - 1, sizeof start - 1);
    before = peak_memory_kb();
    feed_many(rdb, piece, sizeof piece, (1 << 20) - 1);
    assert_int_equal(name_len, 0);
    feed_many(rdb, piece, sizeof piece, 1);
    assert_int_equal(name_len, 1 << 20);
    feed_many(rdb, middle, sizeof middle - 1, sizeof middle - 1);
    feed_many(rdb, piece, sizeof piece, 512 << 20);
    feed_many(rdb, end, sizeof end, sizeof end);
    assert_int_equal(rdb_finish(rdb, &err), 0);
    assert_true(before > 0 && peak_memory_kb() - before < 1024);
    assert_false(rdb_facts(rdb)->checksum);
    rdb_free(rdb);
}

/* What the format's description gives as an example. */
static void test_checksum(void **state)
{
    (void)state;
    assert_true(~crc64_jones_refl(~UINT64_C(0), (const uint8_t *)"123456789", 9) ==
                UINT64_C(0xe9c6d914c4b8d9ca));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_versions),
        cmocka_unit_test(test_fields),   cmocka_unit_test(test_large),
        cmocka_unit_test(test_checksum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
