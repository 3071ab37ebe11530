// SPDX-License-Identifier: Apache-2.0
// Rows per table out of a restore script, fed whole, byte by byte, and cut at every place.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "copy_count.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* found: "table=rows;..." in order. NULL: ERR_CORRUPT, of the text or of its end. */
struct row {
    const char *name, *script, *found;
};

static const struct row rows[] = {
    {"nothing", "", ""},
    {"one row", "COPY public.t (a) FROM stdin;\n1\n\\.\n\n", "public.t=1;"},
    {"no row", "COPY public.t (a) FROM stdin;\n\\.\n", "public.t=0;"},
    {"empty rows", "COPY public.t (a) FROM stdin;\n\n\n\\.\n", "public.t=2;"},
    {"no columns", "COPY public.t  FROM stdin;\n\n\\.\n", "public.t=1;"},
    {"lines that only begin like the end",
     "COPY public.t (a) FROM stdin;\n\\.x\n\\\n\\\\.\nx\\.\n\\N\n\\.\n", "public.t=5;"},
    {"two tables with SQL around",
     "--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\nCREATE TABLE a.b (i int);\n"
     "-- Data for Name: b; Type: TABLE DATA\n\nCOPY a.b (i) FROM stdin;\n1\n2\n\\.\n\n\n"
     "COPY c.d (\"x y\", z) FROM stdin;\n3\t4\n\\.\n\nALTER TABLE a.b ADD PRIMARY KEY (i);\n",
     "a.b=2;c.d=1;"},
    {"quoted names",
     "COPY \"S\xc3\xa9 \"\"x\"\"\".\"a; (b) FROM stdin;\nCOPY x\" (\"; FROM stdin\") FROM stdin;\n"
     "1\n\\.\n",
     "\"S\xc3\xa9 \"\"x\"\"\".\"a; (b) FROM stdin;\nCOPY x\"=1;"},
    {"a keyword is not quoted in the key", "COPY public.\"select\" (a) FROM stdin;\n\\.\n",
     "public.select=0;"},
    {"not UTF-8", "COPY public.\"t\xfc\" (a) FROM stdin;\n\xff\n\\.\n", "public.\"t\\xfc\"=1;"},
    {"in a string", "SELECT '\nCOPY a.b (i) FROM stdin;\n1\n\\.\n';\n", ""},
    {"in a string with quotes", "SELECT 'it''s;\nCOPY a.b (i) FROM stdin;\n';\n", ""},
    {"a plain string may end in a backslash", "SELECT '\\';\nCOPY a.b (i) FROM stdin;\n1\n\\.\n",
     "a.b=1;"},
    {"an escape string", "SELECT E'\\';\nCOPY a.b (i) FROM stdin;\n1\n\\.\n';\n", ""},
    {"an escape string goes on after a doubled quote",
     "SELECT e'a''b\\';\nCOPY a.b (i) FROM stdin;\n1\n\\.\n';\n", ""},
    {"a name that ends in e is no escape", "SELECT date'\\';\nCOPY a.b (i) FROM stdin;\n\\.\n",
     "a.b=0;"},
    {"escapes everywhere with the old setting",
     "SET standard_conforming_strings = off;\nSELECT '\\';\nCOPY a.b (i) FROM stdin;\n\\.\n';\n",
     ""},
    {"and not with the new one",
     "SET standard_conforming_strings = off;\nSET standard_conforming_strings = on;\n"
     "SELECT '\\';\nCOPY a.b (i) FROM stdin;\n\\.\n",
     "a.b=0;"},
    {"in a dollar quote", "CREATE FUNCTION f() AS $$\nCOPY a.b (i) FROM stdin;\n1\n\\.\n$$;\n", ""},
    {"in a tagged one, which holds others",
     "CREATE FUNCTION f() AS $_$ $$; $x$ $_ $ $_$_$;\nCOPY a.b (i) FROM stdin;\n1\n\\.\n$_$;\n",
     NULL},
    {"in a tagged one, closed late",
     "CREATE FUNCTION f() AS $_X$ $$; $_$ $_;\nCOPY a.b (i) FROM stdin;\n1\n\\.\n$_$_X$;\n", ""},
    {"a dollar in a name opens nothing", "SELECT a$b$ FROM c;\nCOPY a.b (i) FROM stdin;\n\\.\n",
     "a.b=0;"},
    {"a parameter opens nothing", "SELECT $1, $2;\nCOPY a.b (i) FROM stdin;\n\\.\n", "a.b=0;"},
    {"in comments",
     "-- COPY a.b (i) FROM stdin;\n/* ' /* \" */ $$\nCOPY a.b (i) FROM stdin;\n1\n\\.\n*/\nSELECT "
     "1;\n",
     ""},
    {"quotes in comments open nothing",
     "-- it's; $$ \"\nCOPY a.b (i) FROM stdin;\n1\n\\.\n/*'*/SELECT 1 - -1 / 2 * 3;\n", "a.b=1;"},
    {"quotes in data open nothing",
     "COPY a.b (i) FROM stdin;\nit's $$ \" -- /*\n\\.\nCOPY c.d (i) FROM stdin;\n\\.\n",
     "a.b=1;c.d=0;"},
    {"lines for psql",
     "\\restrict abc'DEF\n\nCOPY a.b (i) FROM stdin;\n1\n\\.\n\n\\unrestrict abc'DEF\n\n",
     "a.b=1;"},
    {"a copy the other way", "COPY a.b (i) TO stdout;\nSELECT 1;\n", ""},
    {"cut in the data", "COPY a.b (i) FROM stdin;\n1\n2\n", NULL},
    {"cut in the end mark", "COPY a.b (i) FROM stdin;\n1\n\\.", NULL},
    {"cut in a statement", "SELECT 1", NULL},
    {"cut in a string", "SELECT 'a;\n", NULL},
    {"no name", "COPY  (i) FROM stdin;\n\\.\n", NULL},
    {"no schema", "COPY b (i) FROM stdin;\n\\.\n", NULL},
};

static void found_table(void *arg, const char *table, uint64_t count)
{
    text_add(arg, "%s=%llu;", table, (unsigned long long)count);
}

/* In pieces of `piece` bytes, the first one of `first`. Each is a copy of its own, so that a read
 * beyond it is seen. */
static bool run(const char *script, size_t first, size_t piece, struct text *found)
{
    struct copy_count *count = copy_count_new(found_table, found);
    struct err err = ERR_INIT;
    size_t len = strlen(script), pos = 0;
    bool good = true;

    while (good && pos < len) {
        size_t wanted = pos == 0 && first > 0 ? first : piece;
        size_t n = wanted < len - pos ? wanted : len - pos;
        char *copy = mem_strndup(script + pos, n);

        good = copy_count_feed(count, (const uint8_t *)copy, n, &err) == 0;
        free(copy);
        pos += n;
    }
    good = good && copy_count_end(count, &err) == 0;
    if (!good)
        assert_int_equal(err.kind, ERR_CORRUPT);
    copy_count_free(count);
    return good;
}

static void check(const struct row *row, size_t first, size_t piece)
{
    struct text found = TEXT_INIT;
    bool good = run(row->script, first, piece, &found);

    if (good != (row->found != NULL) || (good && strcmp(text_str(&found), row->found) != 0))
        fail_msg("%s (first %zu, pieces of %zu): %s \"%s\"", row->name, first, piece,
                 good ? "found" : "refused after", text_str(&found));
    text_fini(&found);
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check(&rows[i], 0, 1);
        check(&rows[i], 0, 3);
        for (size_t first = 1; first <= strlen(rows[i].script); first++)
            check(&rows[i], first, SIZE_MAX);
    }
}

static void test_long_lines_and_strings(void **state)
{
    const struct row row = {.name = "long", .script = NULL, .found = "a.b=2;"};
    struct row long_row = row;
    struct text script = TEXT_INIT;

    (void)state;
    text_add(&script, "SELECT '");
    for (size_t i = 0; i < 300000; i++)
        text_add_char(&script, (char)('a' + i % 26));
    text_add(&script, "';\nCOPY a.b (i) FROM stdin;\n");
    for (size_t i = 0; i < 300000; i++)
        text_add_char(&script, (char)('a' + i % 26));
    text_add(&script, "\n1\n\\.\n");
    long_row.script = text_str(&script);
    check(&long_row, 0, SIZE_MAX);
    check(&long_row, 0, 65536);
    check(&long_row, 0, 1);
    text_fini(&script);
}

static void test_endless_tag_is_refused(void **state)
{
    struct row row = {.name = "tag", .script = NULL, .found = NULL};
    struct text script = TEXT_INIT;

    (void)state;
    text_add(&script, "SELECT $");
    for (size_t i = 0; i < 5000; i++)
        text_add_char(&script, 'x');
    row.script = text_str(&script);
    check(&row, 0, SIZE_MAX);
    text_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_long_lines_and_strings),
        cmocka_unit_test(test_endless_tag_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
