// SPDX-License-Identifier: Apache-2.0
// Reading a small configuration by rows: every type, every error to the letter.
#include "option.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct thing {
    char *name, *note, *secret;
    bool flag;
    uint64_t count, bytes;
    int64_t wait_ms;
    int colour;
    struct option_list items;
};

static int check_short(const char *value, struct err *err)
{
    return strlen(value) < 8 ? 0 : err_set(err, ERR_CONFIG, "is long; use fewer than 8 letters");
}

static const char *const colours[] = {"red", "green", "blue", NULL};
static const char *const colours_not_yet[] = {"infrared", NULL};

static const struct option rows[] = {
    {.key = "name",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct thing, name),
     .check = check_short,
     .help = "What it is called."},
    {.key = "note",
     .type = OPT_TEXT,
     .flags = OPT_MAY_EMPTY,
     .offset = offsetof(struct thing, note),
     .def = "none",
     .help = "Anything."},
    {.key = "secret",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct thing, secret),
     .check = check_short,
     .help = "Hush."},
    {.key = "flag", .type = OPT_BOOL, .offset = offsetof(struct thing, flag), .help = "On or off."},
    {.key = "count",
     .type = OPT_NUMBER,
     .offset = offsetof(struct thing, count),
     .def = "3",
     .min = 1,
     .max = 10,
     .help = "How many."},
    {.key = "size",
     .type = OPT_SIZE,
     .flags = OPT_HIDDEN,
     .offset = offsetof(struct thing, bytes),
     .def = "8MiB",
     .min = 65536,
     .max = UINT64_C(64) << 30,
     .help = "How large."},
    {.key = "wait",
     .type = OPT_DURATION,
     .offset = offsetof(struct thing, wait_ms),
     .def = "1m",
     .min = 500,
     .max = 5400000,
     .help = "How long."},
    {.key = "colour",
     .type = OPT_CHOICE,
     .offset = offsetof(struct thing, colour),
     .def = "green",
     .choices = colours,
     .not_yet = colours_not_yet,
     .help = "Which."},
    {.key = "items",
     .type = OPT_LIST,
     .offset = offsetof(struct thing, items),
     .check = check_short,
     .help = "Several."},
    {.key = "later", .type = OPT_NOT_YET, .help = "it comes with the next"},
    OPTION_END,
};

static char folder[] = "/tmp/option_test.XXXXXX";

static int read_thing(const char *yaml, size_t len, struct thing *thing, struct err *err)
{
    static const char *const also[] = {"section", NULL};
    struct option_file *file = NULL;
    int rc;

    *thing = (struct thing){.name = NULL};
    if (option_file_parse("t.yaml", yaml, len, &file, err) < 0)
        return -1;
    rc = option_read(option_file_root(file), rows, also, thing, err);
    option_file_close(file);
    return rc;
}

static void expect_error(const char *yaml, size_t len, enum err_kind kind, const char *expected)
{
    struct thing thing;
    struct err err = ERR_INIT;

    assert_int_equal(read_thing(yaml, len, &thing, &err), -1);
    assert_string_equal(err.text, expected);
    assert_int_equal(err.kind, kind);
    option_free(rows, &thing);
}

static void test_defaults(void **state)
{
    struct thing thing;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(read_thing("name: x", 7, &thing, &err), 0);
    assert_string_equal(thing.name, "x");
    assert_string_equal(thing.note, "none");
    assert_null(thing.secret);
    assert_false(thing.flag);
    assert_true(thing.count == 3 && thing.bytes == UINT64_C(8) << 20 && thing.wait_ms == 60000);
    assert_int_equal(thing.colour, 1);
    assert_int_equal(thing.items.count, 0);
    option_free(rows, &thing);
    option_free(rows, &thing);
}

static void test_every_type_is_read(void **state)
{
    static const char yaml[] = "# a comment\n"
                               "name: ${OT_NAME}-${OT_EMPTY}b\n"
                               "note: \"a $${b} $c # \\u00e9\"\n"
                               "secret: 'it''s'\n"
                               "flag: \"true\"\n"
                               "count: 10\n"
                               "size: 64KiB\n"
                               "wait: 500ms\n"
                               "colour: blue\n"
                               "items: [a, \"b c\", '${OT_NAME}']\n"
                               "section: { x: [1, {y: z}] }\n";
    struct thing thing;
    struct err err = ERR_INIT;
    static const char *const items[] = {"a", "b c", "n${x}"};
    char masked[] = "<it's>";
    (void)state;

    assert_int_equal(read_thing(yaml, sizeof yaml - 1, &thing, &err), 0);
    assert_string_equal(thing.name, "n${x}-b"); /* what a variable holds is not read again */
    assert_string_equal(thing.note, "a ${b} $c # \xc3\xa9");
    assert_string_equal(thing.secret, "it's");
    assert_true(thing.flag);
    assert_true(thing.count == 10 && thing.bytes == 65536 && thing.wait_ms == 500);
    assert_int_equal(thing.colour, 2);
    assert_int_equal(thing.items.count, 3);
    for (size_t i = 0; i < COUNT(items) && i < thing.items.count; i++)
        assert_string_equal(thing.items.items[i], items[i]);
    log_mask(masked);
    assert_string_equal(masked, "<***>");
    option_free(rows, &thing);
}

static void test_an_explicit_empty_text_counts_as_absent(void **state)
{
    static const char yaml[] = "name: x\nnote: \"\"\n";
    struct thing thing;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(read_thing(yaml, sizeof yaml - 1, &thing, &err), 0);
    assert_string_equal(thing.note, "none");
    option_free(rows, &thing);
}

static void test_wrong_values(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        {"flag: true", "t.yaml:1: name: is required: What it is called."},
        {"\n\nname:\n  far-too-long", "t.yaml:3: name: \"far-too-long\" is long; use fewer than 8 "
                                      "letters"},
        {"name: \"\"", "t.yaml:1: name: is empty; give a value, or remove the key"},
        {"name: ${OT_EMPTY}", "t.yaml:1: name: is empty; give a value, or remove the key"},
        {"name:", "t.yaml:1: name: has no value; give one, or remove the key"},
        {"name: ~", "t.yaml:1: name: has no value; give one, or remove the key"},
        {"name: [x]", "t.yaml:1: name: must be one value, not a list or a mapping"},
        {"name: ${OT_MISSING}", "t.yaml:1: name: environment variable OT_MISSING is not set; "
                                "export it, or write the value here"},
        {"name: ${}", "t.yaml:1: name: \"${\" begins no variable; write ${NAME}, or $${ for a "
                      "plain ${"},
        {"name: ${OT_NAME",
         "t.yaml:1: name: \"${\" begins no variable; write ${NAME}, or $${ for a "
         "plain ${"},
        {"name: ${1X}", "t.yaml:1: name: \"${\" begins no variable; write ${NAME}, or $${ for a "
                        "plain ${"},
        {"name: ${OT NAME}", "t.yaml:1: name: \"${\" begins no variable; write ${NAME}, or $${ for "
                             "a plain ${"},
        {"name: x\nflag: yes", "t.yaml:2: flag: \"yes\" is neither true nor false"},
        {"name: x\ncount: many", "t.yaml:2: count: \"many\" is not a whole number"},
        {"name: x\ncount: -1", "t.yaml:2: count: \"-1\" is not a whole number"},
        {"name: x\ncount: 0", "t.yaml:2: count: \"0\" is out of range; use 1 to 10"},
        {"name: x\ncount: 11", "t.yaml:2: count: \"11\" is out of range; use 1 to 10"},
        {"name: x\nsize: 8 MB", "t.yaml:2: size: \"8 MB\" is not a size; write it like 512KiB, "
                                "8MiB or 20GiB"},
        {"name: x\nsize: 1", "t.yaml:2: size: \"1\" is out of range; use 64KiB to 64GiB"},
        {"name: x\nwait: 15", "t.yaml:2: wait: \"15\" is not a duration; write it like 90s, 15m, "
                              "12h or 30d"},
        {"name: x\nwait: 2h", "t.yaml:2: wait: \"2h\" is out of range; use 500ms to 90m"},
        {"name: x\ncolour: pink",
         "t.yaml:2: colour: \"pink\" is not known; use red, green or blue"},
        {"name: x\nitems: a", "t.yaml:2: items: must be a list; write [ITEM, ITEM]"},
        {"name: x\nitems: [a, [b]]", "t.yaml:2: items[1]: must be one value, not a list or a "
                                     "mapping"},
        {"name: x\nitems:\n  - a\n  - bbbbbbbbb\n",
         "t.yaml:4: items[1]: \"bbbbbbbbb\" is long; use "
         "fewer than 8 letters"},
        {"name: x\nitems: [\"\"]", "t.yaml:2: items[0]: is empty; give a value, or remove the key"},
        {"nam: x", "t.yaml:1: nam: unknown key; did you mean name?"},
        {"lat: x", "t.yaml:1: lat: unknown key; known here: name, note, secret, flag, count, wait, "
                   "colour, items, section"},
        {"latr: x", "t.yaml:1: latr: unknown key; did you mean later?"},
        {"name_file: x", "t.yaml:1: name_file: unknown key; known here: name, note, secret, flag, "
                         "count, wait, colour, items, section"},
        {"- name", "t.yaml:1: must be a mapping of keys to values"},
        {"name", "t.yaml:1: must be a mapping of keys to values"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        expect_error(cases[i].yaml, strlen(cases[i].yaml), ERR_CONFIG, cases[i].expected);
}

static void test_what_comes_later_is_refused(void **state)
{
    static const char key[] = "name: x\nlater: {a: b}";
    static const char value[] = "name: x\ncolour: infrared";
    (void)state;

    expect_error(key, sizeof key - 1, ERR_NOT_YET,
                 "t.yaml:2: later: not in this version yet: it comes with the next; remove the key "
                 "for now");
    expect_error(value, sizeof value - 1, ERR_NOT_YET,
                 "t.yaml:2: colour: \"infrared\" is not in this version yet; use red, green or "
                 "blue");
}

static void test_what_is_no_yaml(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        {"", "t.yaml:1: there is nothing in it; the examples in docs/ show what belongs in a "
             "configuration"},
        {"# only\n", "t.yaml:1: there is nothing in it; the examples in docs/ show what belongs "
                     "in a configuration"},
        {"---\n", "t.yaml:1: there is nothing in it; the examples in docs/ show what belongs in "
                  "a configuration"},
        {"name: a\nflag: true\nname: b", "t.yaml:1: name: is given twice, here and on line 3; keep "
                                         "one"},
        {"section:\n  - {a: 1,\n     a: 2}", "t.yaml:2: section[0].a: is given twice, here and on "
                                             "line 3; keep one"},
        {"name: a\n---\nname: b",
         "t.yaml:2: a second document begins here; a configuration is one"},
        {"section:\n\tname: a", "t.yaml:2: not valid YAML: found character that cannot start any "
                                "token; a tab cannot indent; use spaces"},
        {"section:\n  a: b\n\tc: d",
         "t.yaml:3: not valid YAML: found a tab character that violates indentation, while "
         "scanning a plain scalar that began on line 2; a tab cannot indent; use spaces"},
        {"a: b: c",
         "t.yaml:1: not valid YAML: mapping values are not allowed in this context; look "
         "at indentation and quotes"},
        {"a: [1\nb: 2", "t.yaml:2: not valid YAML: did not find expected ',' or ']', while parsing "
                        "a flow sequence that began on line 1; look at indentation and quotes"},
        {"a: \"x\n", "t.yaml:2: not valid YAML: found unexpected end of stream, while scanning a "
                     "quoted scalar that began on line 1; look at indentation and quotes"},
        {"section: {a: ${OT_NAME}}",
         "t.yaml:1: not valid YAML: did not find expected ',' or '}'; inside {...} and [...] write "
         "\"${VAR}\" with its quotes"},
        {"a: &x b", "t.yaml:1: anchors (&) and aliases (*) are not supported; write the value out, "
                    "or put it in quotes if it begins with & or *"},
        {"a: b\nc: *x", "t.yaml:2: anchors (&) and aliases (*) are not supported; write the value "
                        "out, or put it in quotes if it begins with & or *"},
        {"a: &x [b]", "t.yaml:1: anchors (&) and aliases (*) are not supported; write the value "
                      "out, or put it in quotes if it begins with & or *"},
        {"a: !!str b",
         "t.yaml:1: tags (!) are not supported; remove it, or put the value in quotes "
         "if it begins with !"},
        {"a: !x {b: c}", "t.yaml:1: tags (!) are not supported; remove it, or put the value in "
                         "quotes if it begins with !"},
        {"? [a]\n: b", "t.yaml:1: a key must be a name of letters, digits, '_' and '-'"},
        {"\n<<: b", "t.yaml:2: a key must be a name of letters, digits, '_' and '-'"},
        {"\"a b\": c", "t.yaml:1: a key must be a name of letters, digits, '_' and '-'"},
        {"name: \"a\\0b\"", "t.yaml:1: a value must not hold a NUL character"},
        {"a: b\nname: caf\xe9 au lait\n",
         "t.yaml:2: invalid trailing UTF-8 octet; save the file as UTF-8 "
         "without control characters"},
        {"a: b\nname: \x01\n", "t.yaml:2: control characters are not allowed; save the file as "
                               "UTF-8 without control characters"},
        {"\xff\xfe"
         "a",
         "t.yaml:1: invalid leading UTF-8 octet; save the file as UTF-8 without control "
         "characters"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        expect_error(cases[i].yaml, strlen(cases[i].yaml), ERR_CONFIG, cases[i].expected);
    expect_error("a\0:\0", 4, ERR_CONFIG,
                 "t.yaml:1: control characters are not allowed; save the file as UTF-8 without "
                 "control characters");
}

static void test_the_mark_of_utf8_is_no_harm(void **state)
{
    static const char yaml[] = "\xef\xbb\xbfname: x";
    struct thing thing;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(read_thing(yaml, sizeof yaml - 1, &thing, &err), 0);
    option_free(rows, &thing);
}

static void repeat(struct text *text, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_add(text, "%s", piece);
}

static void test_everything_is_bounded(void **state)
{
    struct text text = TEXT_INIT;
    (void)state;

    repeat(&text, "[", 40);
    expect_error(text.data, text.len, ERR_CONFIG, "t.yaml:1: nested more than 32 deep");
    text_clear(&text);
    text_add(&text, "items: [");
    repeat(&text, "a,", 20001);
    text_add(&text, "a]");
    expect_error(text.data, text.len, ERR_CONFIG, "t.yaml:1: more than 20000 values in one file");
    text_clear(&text);
    for (int i = 0; i < 257; i++)
        text_add(&text, "k%d: x\n", i);
    expect_error(text.data, text.len, ERR_CONFIG, "t.yaml:257: more than 256 keys in one mapping");
    text_clear(&text);
    text_add(&text, "name: ");
    repeat(&text, "x", 1 << 20);
    expect_error(text.data, text.len, ERR_CONFIG, "t.yaml: larger than 1048576 bytes");
    text_clear(&text);
    text_add(&text, "name: ");
    repeat(&text, "${OT_LONG}", 100);
    expect_error(text.data, text.len, ERR_CONFIG, "t.yaml:1: name: is longer than 65536 bytes");
    text_clear(&text);
    text_add(&text, "name: ");
    repeat(&text, "x", 300);
    expect_error(text.data, text.len, ERR_CONFIG,
                 "t.yaml:1: name: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "xxxxxxxxxxxxxxxxxxxxxxxx...\" is long; use fewer than 8 letters");
    text_fini(&text);
}

static void test_errors_never_quote_a_secret(void **state)
{
    static const char value[] = "name: x\nsecret: sekrit-marker";
    static const char missing[] = "name: x\nsecret: ${OT_MISSING}";
    (void)state;

    expect_error(value, sizeof value - 1, ERR_CONFIG,
                 "t.yaml:2: secret: the value is long; use fewer than 8 letters");
    expect_error(missing, sizeof missing - 1, ERR_CONFIG,
                 "t.yaml:2: secret: environment variable OT_MISSING is not set; export it, or use "
                 "secret_file");
}

static void test_quoting_is_bounded_and_clean(void **state)
{
    char quote[OPTION_QUOTE_CAP];
    char value[300];
    (void)state;

    assert_string_equal(option_quote("a\nb\x7f", quote), "\"a?b?\"");
    assert_string_equal(option_quote("http://user:pass@word@host/x", quote),
                        "\"http://***@host/x\"");
    for (size_t len = 0; len < sizeof value - 20; len++) {
        memset(value, 'x', len);
        memcpy(value + len, "://secret@h", 12);
        assert_null(strstr(option_quote(value, quote), "secret"));
        assert_true(strlen(quote) < sizeof quote);
    }
}

/* Writes content into a file of the folder and reads a thing whose secret is there. */
static int read_secret(const char *content, size_t len, struct thing *thing, struct err *err)
{
    char *path = text_format("%s/secret", folder);
    char *yaml = text_format("name: x\nsecret_file: %s\n", path);
    int rc = file_replace(path, content, len, err);

    assert_int_equal(rc, 0);
    rc = read_thing(yaml, strlen(yaml), thing, err);
    free(path);
    free(yaml);
    return rc;
}

static void test_a_secret_comes_from_a_file(void **state)
{
    static const struct {
        const char *content, *secret;
    } good[] = {
        {"s3cret", "s3cret"}, {"s3cret\n", "s3cret"}, {"two\n\n", "two\n"}, {"${A}", "${A}"}};
    struct thing thing;
    struct err err = ERR_INIT;
    char masked[] = "s3cret";
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(read_secret(good[i].content, strlen(good[i].content), &thing, &err), 0);
        assert_string_equal(thing.secret, good[i].secret);
        option_free(rows, &thing);
    }
    log_mask(masked);
    assert_string_equal(masked, "***");
}

static void expect_secret_error(const char *content, size_t len, const char *format)
{
    struct thing thing;
    struct err err = ERR_INIT;
    char *expected = text_format("t.yaml:2: secret_file: %s", format);
    char *place = strstr(expected, "PATH");

    if (place != NULL) {
        char *filled =
            text_format("%.*s%s/secret%s", (int)(place - expected), expected, folder, place + 4);

        free(expected);
        expected = filled;
    }
    assert_int_equal(read_secret(content, len, &thing, &err), -1);
    assert_string_equal(err.text, expected);
    assert_int_equal(err.kind, ERR_CONFIG);
    option_free(rows, &thing);
    free(expected);
}

static void test_secret_files_that_are_wrong(void **state)
{
    static const char both[] = "secret_file: /x\nname: x\nsecret: y";
    static const char relative[] = "name: x\nsecret_file: here";
    static const char absent[] = "name: x\nsecret_file: /nonexistent/secret";
    char *large = mem_calloc(70000, 1);
    (void)state;

    memset(large, 'x', 69999);
    expect_secret_error("", 0, "\"PATH\" is empty; put the secret into it");
    expect_secret_error("\n", 1, "\"PATH\" is empty; put the secret into it");
    expect_secret_error("a\0b", 3, "\"PATH\" holds a NUL character; it must be text");
    expect_secret_error(
        large, 69999,
        "read PATH: larger than 65536 bytes; mount the secret there, or correct the "
        "path");
    expect_error(both, sizeof both - 1, ERR_CONFIG,
                 "t.yaml:3: secret: is given, and so is secret_file on line 1; keep one");
    expect_error(relative, sizeof relative - 1, ERR_CONFIG,
                 "t.yaml:2: secret_file: \"here\" is not an absolute path; begin it with /");
    expect_error(
        absent, sizeof absent - 1, ERR_CONFIG,
        "t.yaml:2: secret_file: read /nonexistent/secret: open: No such file or directory; "
        "mount the secret there, or correct the path");
    free(large);
}

static void test_files_that_cannot_be_opened(void **state)
{
    struct option_file *file = NULL;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(option_file_open("/nonexistent.yaml", &file, &err), -1);
    assert_string_equal(err.text,
                        "read /nonexistent.yaml: open: No such file or directory; -c names "
                        "the configuration file");
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_int_equal(option_file_open(folder, &file, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_null(file);
}

static void test_an_absent_section_stands_where_its_parent_does(void **state)
{
    struct option_file *file = NULL;
    struct thing thing = {.name = NULL};
    struct err err = ERR_INIT;
    const struct option_node *section;
    (void)state;

    assert_int_equal(option_file_parse("t.yaml", "a:\n  - b: c\n", 12, &file, &err), 0);
    section = option_node_item(option_node_child(option_file_root(file), "a"), 0);
    section = option_node_section(section, "thing");
    assert_int_equal(option_read(section, rows, NULL, &thing, &err), -1);
    assert_string_equal(err.text, "t.yaml:2: a[0].thing.name: is required: What it is called.");
    option_free(rows, &thing);
    option_file_close(file);
    option_file_close(NULL);
}

static void test_the_reference(void **state)
{
    struct text page = TEXT_INIT;
    (void)state;

    option_describe(rows, &page);
    assert_string_equal(page.data, "| key | type | default | what |\n"
                                   "|---|---|---|---|\n"
                                   "| `name` | text | required | What it is called. |\n"
                                   "| `note` | text | `none` | Anything. |\n"
                                   "| `secret` or `secret_file` | text |  | Hush. |\n"
                                   "| `flag` | `true` or `false` |  | On or off. |\n"
                                   "| `count` | number, 1 to 10 | `3` | How many. |\n"
                                   "| `wait` | duration, 500ms to 90m | `1m` | How long. |\n"
                                   "| `colour` | `red`, `green`, `blue` | `green` | Which. |\n"
                                   "| `items` | list |  | Several. |\n"
                                   "| `later` | not yet |  | it comes with the next |\n");
    text_fini(&page);
}

static int setup(void **state)
{
    char *many = mem_calloc(1001, 1);
    (void)state;

    memset(many, 'x', 1000);
    setenv("OT_NAME", "n${x}", 1);
    setenv("OT_EMPTY", "", 1);
    setenv("OT_LONG", many, 1);
    unsetenv("OT_MISSING");
    free(many);
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct err err = ERR_INIT;
    char *path = text_format("%s/secret", folder);
    (void)state;

    file_remove(path, &err);
    free(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_type_is_read),
        cmocka_unit_test(test_an_explicit_empty_text_counts_as_absent),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_what_comes_later_is_refused),
        cmocka_unit_test(test_what_is_no_yaml),
        cmocka_unit_test(test_the_mark_of_utf8_is_no_harm),
        cmocka_unit_test(test_everything_is_bounded),
        cmocka_unit_test(test_errors_never_quote_a_secret),
        cmocka_unit_test(test_quoting_is_bounded_and_clean),
        cmocka_unit_test(test_a_secret_comes_from_a_file),
        cmocka_unit_test(test_secret_files_that_are_wrong),
        cmocka_unit_test(test_files_that_cannot_be_opened),
        cmocka_unit_test(test_an_absent_section_stands_where_its_parent_does),
        cmocka_unit_test(test_the_reference),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
