// SPDX-License-Identifier: Apache-2.0
// What of a chain of backups goes where, from manifests written by hand: ranges that follow each
// other, a topic that was away for a while, a partition that came later, what cannot be; and the
// names of the topics.
#include "component_options.h"
#include "kafka_restoring.h"
#include "manifest.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#define MOST 3

/* "0-10 5-7": the partitions of a topic, each from and end; aborted: [[producer, first], ...]. */
static json_t *partitions(const char *ranges, const char *aborted)
{
    json_t *list = json_array();
    int from, end, used;

    for (; sscanf(ranges, " %d-%d%n", &from, &end, &used) == 2; ranges += used) {
        json_t *segments = json_array();

        if (from != end)
            json_array_append_new(segments,
                                  json_pack("{s:i, s:i, s:i, s:i, s:i}", "base", from, "end", end,
                                            "bytes", 100, "batches", 1, "records", end - from));
        json_array_append_new(
            list,
            json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:n, s:n, s:n, s:n, "
                      "s:s, s:o, s:o}",
                      "log_start", 0, "last_stable", end, "high_watermark", end, "from", from,
                      "end", end, "bytes", 100, "batches", 1, "records", end - from,
                      "control_batches", 0, "aborted_batches", 0, "missing_offsets", 0,
                      "first_offset", "last_offset", "first_timestamp", "max_timestamp",
                      "batches_sha256",
                      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "aborted",
                      json_loads(aborted, 0, NULL), "segments", segments));
    }
    return list;
}

struct backup {
    const char *topic, *id, *ranges, *aborted; /* topic NULL: it has another one only */
};

static struct manifest *make_manifest(const struct backup *backup)
{
    struct manifest *manifest = manifest_new();
    json_t *topics =
        json_pack("{s:{s:s, s:i, s:{}, s:o}}", "other", "id", "other-id", "replication_factor", 1,
                  "config", "partitions", partitions("0-1", "[]"));

    snprintf(manifest->id, sizeof manifest->id, "20261123T071500Z-7f3a9c");
    if (backup->topic != NULL)
        json_object_set_new(
            topics, backup->topic,
            json_pack(
                "{s:s, s:i, s:{}, s:o}", "id", backup->id, "replication_factor", 1, "config",
                "partitions",
                partitions(backup->ranges, backup->aborted == NULL ? "[]" : backup->aborted)));
    json_decref(manifest->facts);
    manifest->facts =
        json_pack("{s:{s:s, s:[]}, s:o, s:n, s:s, s:n, s:[]}", "cluster", "id", "c", "brokers",
                  "topics", topics, "groups", "authorizer", "none", "acls", "warnings");
    return manifest;
}

struct chain {
    struct manifest *manifests[MOST];
    struct component_options component;
    struct kafka_restoring restoring;
};

static int make_chain(struct chain *chain, const struct backup *backups, size_t count,
                      const char *topic, const char *to_topic, bool scratch, struct err *err)
{
    *chain = (struct chain){.component.name = (char *)(uintptr_t) "streams"};
    for (size_t i = 0; i < count; i++)
        chain->manifests[i] = make_manifest(&backups[i]);
    chain->restoring.request = (struct restore_request){
        .component = &chain->component,
        .manifest = chain->manifests[count - 1],
        .ancestry = chain->manifests,
        .ancestry_count = count,
        .topic = topic,
        .to_topic = to_topic,
        .scratch = scratch,
    };
    return kafka_targets_make(&chain->restoring, err);
}

static void free_chain(struct chain *chain)
{
    kafka_targets_free(&chain->restoring);
    kafka_facts_fini(&chain->restoring.facts);
    for (size_t i = 0; i < MOST; i++)
        manifest_free(chain->manifests[i]);
}

static void test_a_chain(void **state)
{
    static const struct backup backups[] = {{"t", "a", "0-10", "[[7, 3], [8, 5]]"},
                                            {"t", "a", "10-20 0-5", "[[8, 5], [9, 12]]"},
                                            {"t", "a", "20-20 5-6", NULL}};
    struct chain chain;
    struct err err = ERR_INIT;
    const struct kafka_target *target;

    (void)state;
    if (make_chain(&chain, backups, 3, "t", NULL, false, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(chain.restoring.target_count, 1);
    assert_null(kafka_target_of(&chain.restoring, "other"));
    target = kafka_target_of(&chain.restoring, "t");
    assert_string_equal(target->name, "t");
    assert_int_equal(target->records, 26);
    assert_int_equal(target->partitions[0].first, 0);
    assert_int_equal(target->partitions[0].segments, 2);
    assert_int_equal(target->partitions[0].transactions.count, 3);
    assert_int_equal(target->partitions[0].transactions.aborted[2].producer_id, 9);
    assert_int_equal(target->partitions[1].first, 1);
    assert_int_equal(target->partitions[1].end, 6);
    free_chain(&chain);
}

/* What was there before the topic was away, or another one, is no part of it. */
static void test_a_topic_that_was_away(void **state)
{
    static const struct backup rows[][3] = {
        {{"t", "a", "0-10", NULL}, {NULL, NULL, NULL, NULL}, {"t", "b", "0-5", NULL}},
        {{"t", "a", "0-10", NULL}, {"t", "b", "0-3", NULL}, {"t", "b", "3-5", NULL}}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct chain chain;
        struct err err = ERR_INIT;

        if (make_chain(&chain, rows[i], 3, "t", NULL, false, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(kafka_target_of(&chain.restoring, "t")->partitions[0].first, 2 - i);
        assert_int_equal(kafka_target_of(&chain.restoring, "t")->records, 5);
        free_chain(&chain);
    }
}

static void test_what_cannot_be(void **state)
{
    static const struct {
        struct backup backups[2];
        const char *says;
    } rows[] = {
        {{{"t", "a", "0-10", NULL}, {"t", "a", "11-20", NULL}}, "its parent ends at 10"},
        {{{"t", "a", "0-10", NULL}, {"t", "a", "9-20", NULL}}, "its parent ends at 10"},
        {{{"t", "a", "0-10 0-1", NULL}, {"t", "a", "10-20", NULL}}, "has 2 partitions"},
        {{{"t", "a", "0-10", NULL}, {"t", "a", "10-9", NULL}}, ""},
        {{{"t", "a", "0-10", NULL}, {"t", "a", "10-20", "[[1, 5], [1, 5]]"}}, "aborted[1]"},
        {{{"t", "a", "0-10", NULL}, {"t", "a", "10-20", "{}"}}, "aborted"},
        {{{"t", "a", "0-10", NULL}, {"a/b", "a", "10-20", NULL}}, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct chain chain;
        struct err err = ERR_INIT;

        assert_int_equal(
            make_chain(&chain, rows[i].backups, 2, rows[i].backups[1].topic, NULL, false, &err),
            -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].says, err.text);
        free_chain(&chain);
    }
}

static void test_names(void **state)
{
    static const struct backup backup = {"t", "a", "0-10", NULL};
    static const struct {
        const char *topic, *pattern, *name; /* NULL: refused */
    } rows[] = {{NULL, "restored-*", "restored-t"},
                {NULL, "*.again", "t.again"},
                {"t", "one", "one"},
                {NULL, "one", NULL},
                {"t", "*-*", NULL},
                {"t", "a/*", NULL},
                {"t", "", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct chain chain;
        struct err err = ERR_INIT;
        int rc = make_chain(&chain, &backup, 1, rows[i].topic, rows[i].pattern, false, &err);

        assert_int_equal(rc, rows[i].name == NULL ? -1 : 0);
        if (rc == 0)
            assert_string_equal(kafka_target_of(&chain.restoring, "t")->name, rows[i].name);
        else
            assert_int_equal(err.kind, ERR_USAGE);
        free_chain(&chain);
    }
}

/* As long as a name may be, and still one for each. */
static void test_names_of_a_drill(void **state)
{
    char longest[250];
    const struct backup backup = {longest, "a", "0-10", NULL};
    struct chain chain;
    struct err err = ERR_INIT;
    const char *name;

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    if (make_chain(&chain, &backup, 1, NULL, NULL, true, &err) < 0)
        fail_msg("%s", err.text);
    name = kafka_target_of(&chain.restoring, longest)->name;
    assert_true(strlen(name) <= 249 && strlen(name) > 200);
    assert_memory_equal(name, "lifeboat-drill-streams-", 23);
    assert_memory_equal(kafka_target_of(&chain.restoring, "other")->name, "lifeboat-drill-streams-",
                        23);
    free_chain(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain),          cmocka_unit_test(test_a_topic_that_was_away),
        cmocka_unit_test(test_what_cannot_be),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_of_a_drill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
