// SPDX-License-Identifier: Apache-2.0
// The note of a restore: what is written is read again; what outlives a failure stays when the
// topics are settled; and what is no note is refused, not used.
#include "component_options.h"
#include "file.h"
#include "mem.h"
#include "note.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

static char folder[] = "/tmp/lifeboat-note-XXXXXX";
static struct component_options component = {.name = "streams"};

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s/kafka/streams.restoring", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/kafka", folder);
    rmdir(path);
    return rmdir(folder);
}

static void read_again(struct kafka_note *note)
{
    struct err err = ERR_INIT;

    kafka_note_fini(note);
    assert_int_equal(kafka_note_read(note, &component, folder, &err), 0);
}

static void test_what_is_written(void **state)
{
    struct err err = ERR_INIT;
    struct kafka_note note = {.count = 0};
    struct kafka_noted *noted;

    (void)state;
    read_again(&note);
    assert_int_equal(note.count, 0);
    note.cluster = mem_strdup("cluster");
    kafka_note_add(&note, "forgotten");
    noted = kafka_note_add(&note, "orders");
    noted->id = mem_strdup("id");
    noted->there = noted->append = true;
    noted->config = json_pack("{s:s}", "retention.ms", "1");
    kafka_note_forget(&note, "forgotten");
    json_array_append_new(note.kept, json_pack("{s:s, s:s}", "topic", "a", "scratch", "b"));
    json_array_append_new(note.appended, json_pack("{s:s}", "topic", "orders"));
    note.proven = true;
    assert_int_equal(kafka_note_write(&note, &err), 0);
    read_again(&note);
    assert_int_equal(note.count, 1);
    assert_true(note.proven);
    assert_string_equal(note.cluster, "cluster");
    assert_string_equal(note.topics[0].name, "orders");
    assert_string_equal(note.topics[0].id, "id");
    assert_true(note.topics[0].there && note.topics[0].append && !note.topics[0].filling);
    assert_string_equal(json_string_value(json_object_get(note.topics[0].config, "retention.ms")),
                        "1");
    assert_null(note.topics[0].settings);
    kafka_note_drop(note.appended, "orders");
    assert_int_equal(kafka_note_settle(&note, &err), 0);
    read_again(&note);
    assert_int_equal(note.count, 0);
    assert_false(note.proven);
    assert_non_null(kafka_note_find(note.kept, "a"));
    assert_null(kafka_note_find(note.appended, "orders"));
    kafka_note_drop(note.kept, "a");
    assert_int_equal(kafka_note_settle(&note, &err), 0);
    assert_int_equal(access(note.path, F_OK), -1);
    kafka_note_fini(&note);
}

static void test_what_is_no_note(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"topics\": 1}",
        "{\"topics\": [{}]}",
        "{\"topics\": [{\"name\": \"a/b\"}]}",
        "{\"topics\": [], \"kept\": [{\"topic\": \"a\"}]}",
        "{\"topics\": [], \"kept\": [{\"topic\": \"..\", \"scratch\": \"b\"}]}",
        "{\"topics\": [], \"appended\": [1]}",
    };
    struct kafka_note note = {.count = 0};

    (void)state;
    read_again(&note);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = ERR_INIT;
        struct kafka_note read;

        assert_int_equal(file_make_parents(note.path, &err), 0);
        assert_int_equal(file_replace(note.path, texts[i], strlen(texts[i]), &err), 0);
        assert_int_equal(kafka_note_read(&read, &component, folder, &err), -1);
        assert_int_equal(err.kind, ERR_IO);
        kafka_note_fini(&read);
    }
    kafka_note_fini(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_what_is_no_note),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
