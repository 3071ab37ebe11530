// SPDX-License-Identifier: Apache-2.0
// The proof of an RDB file: taken when it holds what the manifest says, refused by name otherwise.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"
#include "manifest.h"
#include "mem.h"
#include "redis_prove.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* What a server said of tests/data/rdb/redis70.rdb, with one number changed; error: NULL for good.
 */
struct row {
    const char *path[4];
    int64_t value;
    const char *error;
};

static const struct row rows[] = {
    {{NULL}, 0, NULL},
    {{"databases", "0", "types", "stream"}, 2, "database 0, type stream: the file has 3, its"},
    {{"databases", "15", "keys"}, 14, "database 15, keys: the file has 15"},
    {{"databases", "1", "expires"}, 0, "database 1, expires: the file has 1"},
    {{"databases", "16", "types", "hash"}, 1, "database 16, type hash: the file has 0"},
    {{"functions"}, 3, "libraries of functions: the file has 2"},
};

static char *read_source(const char *name, size_t *len)
{
    struct err err = ERR_INIT;
    const char *root = getenv("LIFEBOAT_SOURCE");
    char *path = text_format("%s/tests/data/rdb/%s", root == NULL ? "." : root, name);
    char *data = NULL;

    if (file_read(path, (size_t)1 << 20, &data, len, &err) < 0)
        fail_msg("%s", err.text);
    free(path);
    return data;
}

static void change(json_t *json, const struct row *row)
{
    int last = 0;

    while (last < 3 && row->path[last + 1] != NULL)
        last++;
    for (int i = 0; i < last; i++) {
        if (json_object_get(json, row->path[i]) == NULL)
            json_object_set_new(json, row->path[i], json_object());
        json = json_object_get(json, row->path[i]);
    }
    if (row->path[0] != NULL)
        json_object_set_new(json, row->path[last], json_integer(row->value));
}

/* The whole of data, or less, through the sink. */
static enum step prove(const struct manifest *manifest, const char *data, size_t len,
                       json_t *findings, struct err *err)
{
    struct sink *sink = NULL;
    struct span_in in = {.data = (const uint8_t *)data, .len = len};
    enum step step = STEP_OK;

    assert_int_equal(redis_prove(NULL, manifest, REDIS_OBJECT, findings, &sink, err), 0);
    while (step == STEP_OK && in.pos < in.len)
        step = sink->ops->write(sink, &in, err);
    if (step == STEP_OK)
        step = sink->ops->commit(sink, err);
    sink_close(sink);
    return step;
}

static void test_rows(void **state)
{
    size_t len, json_len;
    char *data = read_source("redis70.rdb", &len), *said = read_source("redis70.json", &json_len);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest *manifest = manifest_new();
        json_t *json = json_loadb(said, json_len, 0, NULL), *findings = json_object();
        struct err err = ERR_INIT;
        enum step step;

        change(json, &rows[i]);
        json_object_set_new(manifest->facts, "rdb", json);
        step = prove(manifest, data, len, findings, &err);
        if (rows[i].error == NULL) {
            assert_int_equal(step, STEP_END);
            assert_true(json_equal(json_object_get(findings, "databases"),
                                   json_object_get(json, "databases")));
            assert_int_equal(json_integer_value(json_object_get(findings, "functions")), 2);
        } else {
            assert_int_equal(step, STEP_ERROR);
            assert_int_equal(err.kind, ERR_CORRUPT);
            assert_non_null(strstr(err.text, rows[i].error));
            assert_int_equal(json_object_size(findings), 0);
        }
        json_decref(findings);
        manifest_free(manifest);
    }
    free(data);
    free(said);
}

static void test_refused(void **state)
{
    size_t len;
    char *data = read_source("redis70.rdb", &len);
    struct manifest *manifest = manifest_new();
    json_t *findings = json_object();
    struct sink *sink = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(prove(manifest, data, len, findings, &err), STEP_ERROR);
    assert_non_null(strstr(err.text, "facts.rdb"));
    assert_int_equal(prove(manifest, data, len - 1, findings, &err), STEP_ERROR);
    assert_non_null(strstr(err.text, "cut off"));
    data[100] ^= 1;
    assert_int_equal(prove(manifest, data, len, findings, &err), STEP_ERROR);
    assert_int_equal(redis_prove(NULL, manifest, "other", findings, &sink, &err), -1);
    assert_null(sink);
    json_decref(findings);
    manifest_free(manifest);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
