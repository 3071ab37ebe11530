// SPDX-License-Identifier: Apache-2.0
// Offsets before and after: runs, gaps, what groups ask for, and more runs than are kept. And the
// digest of records: nothing may move from one field into the next.
#include "offset_map.h"
#include "record_digest.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

static void expect_runs(struct kafka_offset_map *map, const char *expected)
{
    json_t *json = kafka_offset_map_json(map);
    char *text = json_dumps(json, JSON_COMPACT);

    assert_string_equal(text, expected);
    free(text);
    json_decref(json);
}

static void test_runs(void **state)
{
    struct kafka_offset_map map = {.runs = NULL};

    (void)state;
    for (int64_t i = 0; i < 5; i++)
        kafka_offset_map_add(&map, 10 + i, i);
    kafka_offset_map_add(&map, 20, 5);
    kafka_offset_map_add(&map, 21, 6);
    expect_runs(&map, "[[10,0,5],[20,5,2]]");
    assert_false(map.cut);
    kafka_offset_map_fini(&map);
    expect_runs(&map, "[]");
}

static void test_asked(void **state)
{
    static const struct {
        int64_t old_offset, new_offset;
    } rows[] = {{0, 0}, {10, 0}, {12, 2}, {15, 5}, {19, 5}, {20, 5}, {21, 6}, {22, 7}, {99, 7}};
    struct kafka_offset_map map = {.runs = NULL};

    (void)state;
    for (size_t i = sizeof rows / sizeof rows[0]; i > 0; i--)
        kafka_offset_map_ask(&map, rows[i - 1].old_offset);
    kafka_offset_map_ask(&map, 12);
    assert_int_equal(map.asked_count, 9);
    for (int64_t i = 0; i < 5; i++)
        kafka_offset_map_add(&map, 10 + i, i);
    kafka_offset_map_add(&map, 20, 5);
    kafka_offset_map_add(&map, 21, 6);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(kafka_offset_map_find(&map, rows[i].old_offset, 7), rows[i].new_offset);
    kafka_offset_map_fini(&map);
}

/* Every second offset: a run for each record. What is asked for is exact all the same. */
static void test_more_than_is_kept(void **state)
{
    struct kafka_offset_map map = {.runs = NULL};

    (void)state;
    kafka_offset_map_ask(&map, 9001);
    for (int64_t i = 0; i < 10000; i++)
        kafka_offset_map_add(&map, 2 * i, i);
    json_decref(kafka_offset_map_json(&map));
    assert_true(map.cut);
    assert_int_equal(map.run_count, KAFKA_MAX_RUNS);
    assert_int_equal(kafka_offset_map_find(&map, 9001, 10000), 4501);
    kafka_offset_map_fini(&map);
}

static void digest(const char *key, const char *value, int64_t timestamp, char sha256[65])
{
    struct kafka_record_digest *made = kafka_record_digest_new();
    const struct kafka_record record = {
        .key = (const uint8_t *)key,
        .key_len = key == NULL ? 0 : strlen(key),
        .value = (const uint8_t *)value,
        .value_len = value == NULL ? 0 : strlen(value),
    };

    kafka_record_digest_add(made, &record, timestamp);
    kafka_record_digest_end(made, sha256);
}

static void test_digests_differ(void **state)
{
    static const struct {
        const char *key, *value;
        int64_t timestamp;
    } rows[] = {{"ab", "c", 1}, {"a", "bc", 1},   {"", "abc", 1},   {NULL, "abc", 1},
                {"abc", "", 1}, {"abc", NULL, 1}, {"abc", NULL, 2}, {"abc", NULL, -1}};
    char found[sizeof rows / sizeof rows[0]][65];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        digest(rows[i].key, rows[i].value, rows[i].timestamp, found[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(found[i], found[j]);
    }
}

static void test_digest_of_nothing(void **state)
{
    char sha256[65];

    (void)state;
    kafka_record_digest_end(NULL, sha256);
    assert_string_equal(sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_more_than_is_kept),
        cmocka_unit_test(test_digests_differ),
        cmocka_unit_test(test_digest_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
