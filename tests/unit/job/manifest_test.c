// SPDX-License-Identifier: Apache-2.0
// The golden manifest of format 1 reads and writes to the byte, the one in docs/FORMAT.md reads,
// and whatever is wrong is refused by the name of its field.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static char *read_source(const char *path)
{
    struct err err = ERR_INIT;
    const char *root = getenv("LIFEBOAT_SOURCE");
    char *full = text_format("%s/%s", root == NULL ? "." : root, path);
    char *data = NULL;

    if (file_read(full, MANIFEST_MAX_BYTES, &data, NULL, &err) < 0)
        fail_msg("%s", err.text);
    free(full);
    return data;
}

static int read_golden(void **state)
{
    *state = read_source("tests/data/manifest-1.json");
    return 0;
}

static int free_golden(void **state)
{
    free(*state);
    return 0;
}

/* A copy with the first from after the first occurrence of after replaced. */
static char *changed(const char *text, const char *after, const char *from, const char *to)
{
    const char *start = strstr(text, after);
    const char *at = start == NULL ? NULL : strstr(start, from);

    if (at == NULL)
        fail_msg("\"%s\" is not in the golden manifest", from);
    return text_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static struct manifest *parsed(const char *text)
{
    struct err err = ERR_INIT;
    struct manifest *manifest = NULL;

    if (manifest_parse(text, strlen(text), &manifest, &err) < 0)
        fail_msg("%s", err.text);
    return manifest;
}

static void refused(const char *text, size_t len, enum err_kind kind, const char *words)
{
    struct err err = ERR_INIT;
    struct manifest *manifest = NULL;

    if (manifest_parse(text, len, &manifest, &err) == 0)
        fail_msg("taken, although: %s", words);
    assert_null(manifest);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(err.kind, kind);
    assert_true(text_starts_with(err.text, "manifest: "));
}

static void test_golden_fields(void **state)
{
    struct manifest *manifest = parsed(*state);
    const struct manifest_object *object = manifest_object(manifest, "database.pgdump");

    assert_string_equal(manifest->id, "20261123T071500Z-7f3a9c");
    assert_string_equal(manifest->component, "orders-db");
    assert_string_equal(manifest->cluster, "prod-eu");
    assert_string_equal(manifest->namespace_, "aipx");
    assert_string_equal(manifest->workload, "postgresql");
    assert_null(manifest->pod);
    assert_string_equal(manifest->system, "postgres");
    assert_string_equal(manifest->system_version, "16.14");
    assert_string_equal(manifest->lineage, "7301829471120394857");
    assert_string_equal(manifest->agent_version, "0.1.0");
    assert_int_equal(manifest->started_ms, 1795418100120);
    assert_int_equal(manifest->recovery_point_ms, 1795418100412);
    assert_int_equal(manifest->ended_ms, 1795418321007);
    assert_int_equal(manifest->source_ms, 198310);
    assert_int_equal(manifest->lifeboat_ms, 6120);
    assert_int_equal(manifest->store_ms, 16150);
    assert_string_equal(manifest->restored_from_lineage, "7298112233445566778");
    assert_string_equal(manifest->restored_from_backup, "20261120T020000Z-00c4f1");
    assert_int_equal(manifest->object_count, 2);
    assert_non_null(object);
    assert_string_equal(object->format, "pg_dump custom archive");
    assert_string_equal(object->codec, "zstd");
    assert_int_equal(object->plain_bytes, 412316860416);
    assert_int_equal(object->piece_count, 2);
    assert_string_equal(object->pieces[1].name, "database.pgdump.zst.0001");
    assert_int_equal(object->pieces[1].bytes, UINT64_C(4) << 30);
    assert_true(text_starts_with(object->pieces[1].sha256, "fd61a03a"));
    assert_null(manifest_object(manifest, "database"));
    assert_int_equal(manifest_plain_bytes(manifest), 412316860416);
    assert_int_equal(manifest_stored_bytes(manifest), 73014444032);
    assert_string_equal(json_string_value(json_object_get(manifest->facts, "database")), "aipx");
    manifest_free(manifest);
}

static void test_round_trip_is_exact(void **state)
{
    struct manifest *manifest = parsed(*state);
    char *text = manifest_format(manifest);

    assert_string_equal(text, *state);
    free(text);
    manifest_free(manifest);
}

static void test_unknown_fields_are_allowed(void **state)
{
    static const char *const places[] = {"{",
                                         "\"identity\": {",
                                         "\"system\": {",
                                         "\"time\": {",
                                         "\"restored_from\": {",
                                         "\"objects\": [\n    {",
                                         "\"pieces\": [\n        {"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *with = text_format("%s\"since_1_1\": [1, {\"a\": null}],", places[i]);
        char *text = changed(*state, "", places[i], with);
        struct manifest *manifest = parsed(text);
        char *again = manifest_format(manifest);

        assert_string_equal(again, *state);
        free(again);
        manifest_free(manifest);
        free(text);
        free(with);
    }
}

static void test_null_where_allowed(void **state)
{
    char *no_workload = changed(*state, "", "\"postgresql\"", "null");
    char *start = strstr(no_workload, "\"restored_from\"");
    char *end = strstr(start, "}");
    char *text = text_format("%.*s\"restored_from\": null%s", (int)(start - no_workload),
                             no_workload, end + 1);
    struct manifest *manifest = parsed(text);
    char *again = manifest_format(manifest);

    assert_null(manifest->workload);
    assert_null(manifest->restored_from_lineage);
    assert_null(manifest->restored_from_backup);
    assert_string_equal(again, text);
    free(again);
    manifest_free(manifest);
    free(text);
    free(no_workload);
}

static void test_an_incremental_one(void **state)
{
    static const char parent[] = "20261123T071500Z-7f3a9c";
    char *kind = changed(*state, "", "\"full\"", "\"incremental\"");
    char *text = changed(kind, "", "\"parent\": null", "\"parent\": \"20261123T071500Z-7f3a9c\"");
    char *deep = changed(text, "", "globals.sql", "orders/0/00000000000000000000.log");
    struct manifest *manifest = parsed(deep);
    char *again = manifest_format(manifest);

    assert_string_equal(manifest->parent, parent);
    assert_string_equal(manifest->objects[0].name, "orders/0/00000000000000000000.log");
    assert_string_equal(again, deep);
    free(again);
    manifest_free(manifest);
    free(deep);
    free(text);
    free(kind);
}

struct wrong {
    const char *after, *from, *to, *words;
};

static void check_wrong(const char *golden, enum err_kind kind, const struct wrong *rows,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text = changed(golden, rows[i].after, rows[i].from, rows[i].to);

        refused(text, strlen(text), kind, rows[i].words);
        free(text);
    }
}

#define CHECK_WRONG(golden, kind, rows)                                                            \
    check_wrong(golden, kind, rows, sizeof(rows) / sizeof(rows)[0])

static void test_later_versions_are_refused_with_the_remedy(void **state)
{
    static const struct wrong rows[] = {
        {"", "\"format\": 1", "\"format\": 2", "format is not 1"},
        {"", "\"format\": 1", "\"format\": 2", "use the lifeboat that wrote it, or a newer one"},
        {"", "\"full\"", "\"differential\"", "kind is neither full nor incremental"},
        {"", "\"recipients\": []", "\"recipients\": [\"age1qqq\"]", "objects[0]: recipients is"},
    };

    CHECK_WRONG(*state, ERR_NOT_YET, rows);
}

static void test_names_and_texts(void **state)
{
    static const struct wrong rows[] = {
        {"", "orders-db", "", "component must be a name"},
        {"", "orders-db", ".", "component must be a name"},
        {"", "orders-db", "..", "component must be a name"},
        {"", "orders-db", "a/b", "component must be a name"},
        {"", "orders-db", "a\\u0007b", "component must be a name"},
        {"", "orders-db", "a\\u009bb", "component must be a name"},
        {"", "orders-db", "a\\u007fb", "component must be a name"},
        {"", "orders-db", "a\\u0000b", "must be JSON"},
        {"", "orders-db",
         "a\xff"
         "b",
         "must be JSON"},
        {"", "\"orders-db\"", "7", "component must be a name"},
        {"", "\"orders-db\"", "null", "component must be a name"},
        {"", "\"component\"", "\"x\"", "component is missing"},
        {"", "prod-eu", "../prod", "identity: cluster must be a name"},
        {"", "aipx", "", "identity: namespace must be a name"},
        {"", "\"pod\": null", "\"pod\": \"\"", "identity: pod must be null or a name"},
        {"", "\"pod\": null", "\"pod\": 5", "identity: pod must be null or a name"},
        {"", "\"identity\"", "\"x\"", "identity must be a JSON object"},
        {"", "16.14", "16\\n14", "system: version must be a text"},
        {"", "7301829471120394857", "..", "system: lineage must be a name"},
        {"\"restored_from\"", "7298112233445566778", "a/b", "restored_from: lineage must be"},
        {"\"restored_from\"", "\"backup\"", "\"x\"", "restored_from: backup is missing"},
        {"", "\"restored_from\"", "\"x\"", "restored_from: must be a JSON object"},
        {"", "\"full\"", "\"incremental\"", "kind must be full without a parent"},
        {"", "\"parent\": null", "\"parent\": \"20261123T071500Z-7f3a9c\"", "kind must be full"},
        {"", "\"parent\": null", "\"parent\": \"7f3a9c\"", "parent must be null or a backup id"},
        {"", "\"full\"", "7", "kind must be full or incremental"},
        {"", "globals.sql", "../globals.sql", "objects[0]: name must be names"},
        {"", "globals.sql", "/globals.sql", "objects[0]: name must be names"},
        {"", "globals.sql", "globals.sql/", "objects[0]: name must be names"},
        {"", "globals.sql", "a//globals.sql", "objects[0]: name must be names"},
        {"", "globals.sql", "a/./globals.sql", "objects[0]: name must be names"},
        {"\"pieces\"", "globals.sql", "..", "objects[0]: pieces[0]: name must be names"},
        {"", "database.pgdump\"", "globals.sql\"", "objects[1]: name must be unique"},
        {"\"pieces\"", "globals.sql", "database.pgdump.zst", "objects[1]: pieces[0]: must be one"},
        {"", "zst.0001", "zs", "pieces[1]: name must sort after the one before"},
        {"", "database.pgdump.zst.0001", "database.pgdump.zst", "must sort after"},
    };
    char *longest = mem_calloc(257, 1);
    char *text;

    CHECK_WRONG(*state, ERR_CORRUPT, rows);

    memset(longest, 'n', 256);
    text = changed(*state, "", "orders-db", longest);
    refused(text, strlen(text), ERR_CORRUPT, "component must be a name");
    free(text);
    longest[255] = '\0';
    text = changed(*state, "", "orders-db", longest);
    manifest_free(parsed(text));
    free(text);
    free(longest);
}

static void test_numbers_times_digests(void **state)
{
    static const struct wrong rows[] = {
        {"", "\"format\": 1", "\"format\": \"1\"", "format must be 1"},
        {"", "\"format\": 1", "\"format\": 1.0", "format must be 1"},
        {"", "\"format\": 1", "\"formal\": 1", "format is missing"},
        {"", "T071500Z-7f3a9c", "T071500Z-7F3A9C", "id must be a backup id"},
        {"", "20261123T071500Z-7f3a9c", "20261323T071500Z-7f3a9c", "id must be a backup id"},
        {"", "20261123T071500Z-7f3a9c", "../../etc/passwd", "id must be a backup id"},
        {"", "2026-11-23T07:15:00.120Z", "2026-11-23 07:15", "started must be a time"},
        {"", "2026-11-23T07:15:00.412Z", "1969-12-31T23:59:59.999Z", "recovery_point must be"},
        {"", "2026-11-23T07:18:41.007Z", "10000-01-01T00:00:00.000Z", "ended must be a time"},
        {"", "\"2026-11-23T07:15:00.120Z\"", "1795418100120", "started must be a time"},
        {"", "198310", "-1", "time: source_ms must be a whole number"},
        {"", "198310", "1.5", "time: source_ms must be a whole number"},
        {"", "198310", "\"198310\"", "time: source_ms must be a whole number"},
        {"", "198310", "9223372036854775808", "must be JSON"},
        {"", "e3b0c442", "E3B0C442", "objects[0]: plain_sha256 must be 64"},
        {"", "e3b0c442", "e3b0c4420", "objects[0]: plain_sha256 must be 64"},
        {"\"pieces\"", "e3b0c442", "", "objects[0]: pieces[0]: sha256 must be 64"},
        {"", "412316860416", "9223372036854775807", NULL},
        {"", "73014444032", "73014444033", "stored_bytes must be the sum of its pieces, 730144"},
        {"", "\"stored_bytes\"", "\"x\"", "stored_bytes must be the sum"},
        {"", "4294967296", "9223372036854775807", "objects[1]: pieces are impossibly large"},
        {"", "\"recipients\": []", "\"recipients\": null", "objects[0]: recipients must be []"},
        {"", "\"facts\"", "\"x\"", "facts must be a JSON object"},
        {"", "\"log\": [", "\"log\": [7, ", "log[0]: must be a text"},
        {"", "\"log\": [", "\"log\": {}, \"x\": [", "log must be an array"},
        {"", "\"objects\"", "\"x\"", "objects must be an array of 1 to 10000"},
        {"", "\"pieces\"", "\"x\"", "objects[0]: pieces must be an array of 1 to 10000"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].words != NULL) {
            check_wrong(*state, ERR_CORRUPT, &rows[i], 1);
        } else {
            char *text = changed(*state, rows[i].after, rows[i].from, rows[i].to);

            manifest_free(parsed(text));
            free(text);
        }
    }
}

static void test_sum_of_objects_does_not_overflow(void **state)
{
    char *first = changed(*state, "", "\"plain_bytes\": 0", "\"plain_bytes\": 9223372036854775807");

    refused(first, strlen(first), ERR_CORRUPT, "objects are impossibly large");
    free(first);
}

static void test_not_json(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "null",
        "[]",
        "{} {}",
        "{}x",
        "\"\\",
        "{\"a\":1,}",
        "\xff",
        "{\"a\":1",
        "{\"format\": 1, \"format\": 1}",
    };
    size_t len = strlen(*state);
    char *twice = changed(*state, "", "\"format\": 1", "\"format\": 1, \"id\": \"x\"");
    struct err err = ERR_INIT;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refused(texts[i], strlen(texts[i]), ERR_CORRUPT, "must be ");
    refused("{}\0{}", 5, ERR_CORRUPT, "must be JSON");
    refused(twice, strlen(twice), ERR_CORRUPT, "must be JSON; it is not at line 3");
    free(twice);
    for (size_t cut = 0; cut < len - 2; cut++) {
        struct manifest *manifest = NULL;

        assert_int_equal(manifest_parse(*state, cut, &manifest, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

/* "{facts: FACTS}" in the golden, with count times unit between. */
static char *with_facts(const char *golden, const char *open, const char *unit, size_t count,
                        const char *close)
{
    struct text facts = TEXT_INIT;
    char *text;

    text_add(&facts, "\"facts\": {\"x\": %s", open);
    for (size_t i = 0; i < count; i++)
        text_add(&facts, "%s", unit);
    text_add(&facts, "%s,", close);
    text = changed(golden, "", "\"facts\": {", text_str(&facts));
    text_fini(&facts);
    return text;
}

static void test_bounds_of_depth_count_and_size(void **state)
{
    char *deep = with_facts(*state, "", "[", 30, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    char *deeper = with_facts(*state, "", "[", 31, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    char *many = with_facts(*state, "[0", ",0", 240000, "]");
    char *more = with_facts(*state, "[0", ",0", 260000, "]");
    char *brackets = with_facts(*state, "\"", "[{,", 260000, "\"");
    size_t len = MANIFEST_MAX_BYTES + 1;
    char *large = mem_calloc(len, 1);

    manifest_free(parsed(deep));
    refused(deeper, strlen(deeper), ERR_CORRUPT, "must be at most 32 deep");
    manifest_free(parsed(many));
    refused(more, strlen(more), ERR_CORRUPT, "at most 250000 values");
    manifest_free(parsed(brackets));
    memset(large, ' ', len);
    refused(large, len, ERR_CORRUPT, "must be at most 16777216 bytes");
    free(deep);
    free(deeper);
    free(many);
    free(more);
    free(brackets);
    free(large);
}

static void fill(struct manifest *manifest, size_t objects, size_t pieces)
{
    manifest->objects = mem_calloc(objects, sizeof *manifest->objects);
    manifest->object_count = objects;
    for (size_t i = 0; i < objects; i++) {
        struct manifest_object *object = &manifest->objects[i];

        *object = (struct manifest_object){.name = text_format("o%05zu", i),
                                           .format = mem_strdup("SQL"),
                                           .codec = mem_strdup("none"),
                                           .pieces = mem_calloc(pieces, sizeof *object->pieces),
                                           .piece_count = pieces};
        memset(object->plain_sha256, '0', 64);
        for (size_t j = 0; j < pieces; j++) {
            object->pieces[j].name = text_format("o%05zu.%05zu", i, j);
            memset(object->pieces[j].sha256, 'f', 64);
        }
    }
}

static void test_bounds_of_objects_and_pieces(void **state)
{
    static const struct {
        size_t objects, pieces;
        const char *words; /* NULL: taken */
    } rows[] = {
        {1, 10000, NULL}, {1, 10001, "pieces must be an array of 1 to 10000"},
        {2, 5000, NULL},  {2, 5001, "objects[1]: pieces[4999]: must be one of at most 10000"},
        {10000, 1, NULL}, {10001, 1, "objects must be an array of 1 to 10000"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct manifest *manifest = parsed(*state);
        char *head = manifest_format(manifest);
        struct manifest *large = manifest_new();
        char *text;

        manifest_free(manifest);
        manifest = parsed(head);
        large->objects = manifest->objects; /* swapped out, to be freed with large */
        large->object_count = manifest->object_count;
        fill(manifest, rows[i].objects, rows[i].pieces);
        text = manifest_format(manifest);
        if (rows[i].words == NULL)
            manifest_free(parsed(text));
        else
            refused(text, strlen(text), ERR_CORRUPT, rows[i].words);
        manifest_free(large);
        manifest_free(manifest);
        free(text);
        free(head);
    }
}

static void test_format_document_shows_a_manifest(void **state)
{
    static const char fence[] = "```json manifest\n";
    char *document = read_source("docs/FORMAT.md");
    char *start = strstr(document, fence);
    char *end = start == NULL ? NULL : strstr(start + strlen(fence), "```");
    char *example;
    char *again;
    struct manifest *manifest;

    (void)state;
    if (end == NULL) {
        fail_msg("no JSON after \"%s\"", fence);
        return;
    }
    *end = '\0';
    example = start + strlen(fence);
    manifest = parsed(example);
    again = manifest_format(manifest);
    assert_string_equal(again, example);
    free(again);
    manifest_free(manifest);
    free(document);
}

static void test_new_is_empty_and_free_takes_null(void **state)
{
    struct manifest *manifest = manifest_new();

    (void)state;
    assert_int_equal(json_object_size(manifest->facts), 0);
    assert_int_equal(manifest_plain_bytes(manifest), 0);
    assert_int_equal(manifest_stored_bytes(manifest), 0);
    manifest_free(manifest);
    manifest_free(NULL);
}

static void test_what_cannot_be_written_is_not_read(void **state)
{
    struct manifest *manifest = parsed(*state);
    char *text;

    free(manifest->system_version);
    manifest->system_version = mem_strdup("16\xff");
    text = manifest_format(manifest);
    refused(text, strlen(text), ERR_CORRUPT, "version is missing");
    free(text);
    manifest_free(manifest);
    manifest = manifest_new();
    text = manifest_format(manifest);
    refused(text, strlen(text), ERR_CORRUPT, "id must be");
    free(text);
    manifest_free(manifest);
}

static void test_backup_ids(void **state)
{
    static const struct {
        const char *id;
        bool valid;
    } rows[] = {
        {"20261123T071500Z-7f3a9c", true},    {"19700101T000000Z-000000", true},
        {"99991231T235959Z-ffffff", true},    {"", false},
        {"20261123T071500Z-7f3a9", false},    {"20261123T071500Z-7f3a9c0", false},
        {"20261123T071500Z-7f3a9g", false},   {"20261123T071500Z-7F3A9C", false},
        {"20261123T071500Z_7f3a9c", false},   {"20261123T071500-07f3a9c", false},
        {"20260230T071500Z-7f3a9c", false},   {"20261123T241500Z-7f3a9c", false},
        {"2026112 T071500Z-7f3a9c", false},   {"20261123T071500Z-7f3a/c", false},
        {"19691231T235959Z-7f3a9c", false},   {"2026-11-23T07:15Z-7f3a9", false},
        {"20261123T071500Z-7f3a9c\n", false}, {"2026-11-23T07:1Z-7f3a9c", false},
    };
    char first[BACKUP_ID_CAP];
    char second[BACKUP_ID_CAP];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (backup_id_valid(rows[i].id) != rows[i].valid)
            fail_msg("\"%s\"", rows[i].id);

    backup_id_make(1795418100120, first);
    assert_true(backup_id_valid(first) && text_starts_with(first, "20261123T071500Z-078"));
    backup_id_make(1795418100121, second);
    assert_true(backup_id_valid(second) && strcmp(first, second) < 0);
    for (int i = 0; i < 100 && strcmp(first + 20, second + 20) == 0; i++)
        backup_id_make(1795418100121, second);
    assert_string_not_equal(first + 20, second + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_fields),
        cmocka_unit_test(test_round_trip_is_exact),
        cmocka_unit_test(test_unknown_fields_are_allowed),
        cmocka_unit_test(test_null_where_allowed),
        cmocka_unit_test(test_an_incremental_one),
        cmocka_unit_test(test_later_versions_are_refused_with_the_remedy),
        cmocka_unit_test(test_names_and_texts),
        cmocka_unit_test(test_numbers_times_digests),
        cmocka_unit_test(test_sum_of_objects_does_not_overflow),
        cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_bounds_of_depth_count_and_size),
        cmocka_unit_test(test_bounds_of_objects_and_pieces),
        cmocka_unit_test(test_format_document_shows_a_manifest),
        cmocka_unit_test(test_new_is_empty_and_free_takes_null),
        cmocka_unit_test(test_what_cannot_be_written_is_not_read),
        cmocka_unit_test(test_backup_ids),
    };

    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
