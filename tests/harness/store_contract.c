// SPDX-License-Identifier: Apache-2.0
// The suite of store_contract.h. Each test works below a folder of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_contract.h"

#include "clock.h"
#include "mem.h"
#include "text.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_BYTES = 65536, MOST_KEYS = 64 };

/* --- driving the two ends --- */

static void on_wake(void *arg)
{
    *(bool *)arg = true;
}

static void wait_for(struct ev_loop *loop, const bool *woken)
{
    while (!*woken)
        ev_run(loop, EVRUN_ONCE);
}

static int write_all(struct ev_loop *loop, struct sink *sink, const uint8_t *data, size_t len,
                     size_t step, struct err *err)
{
    size_t done = 0;

    while (done < len) {
        struct span_in in = {.data = data + done, .len = len - done < step ? len - done : step};
        enum step said = sink->ops->write(sink, &in, err);
        bool woken = false;

        if (said == STEP_ERROR)
            return -1;
        done += in.pos;
        if (said == STEP_AGAIN) {
            assert_int_equal(in.pos, 0);
            sink->ops->arm(sink, loop, (struct waker){.wake = on_wake, .arg = &woken});
            wait_for(loop, &woken);
        } else {
            assert_int_equal(said, STEP_OK);
            assert_true(in.pos > 0);
        }
    }
    return 0;
}

static int commit(struct ev_loop *loop, struct sink *sink, struct err *err)
{
    for (;;) {
        enum step said = sink->ops->commit(sink, err);
        bool woken = false;

        if (said != STEP_AGAIN)
            return said == STEP_END ? 0 : -1;
        sink->ops->arm(sink, loop, (struct waker){.wake = on_wake, .arg = &woken});
        wait_for(loop, &woken);
    }
}

int store_contract_put(struct ev_loop *loop, struct store *store, const char *key,
                       const uint8_t *data, size_t len, size_t step, struct err *err)
{
    struct sink *sink = NULL;
    int rc = store->ops->put(store, key, &sink, err);

    if (rc == 0)
        rc = write_all(loop, sink, data, len, step, err);
    if (rc == 0)
        rc = commit(loop, sink, err);
    sink_close(sink);
    return rc;
}

int store_contract_get(struct ev_loop *loop, struct store *store, const char *key, uint8_t **data,
                       size_t *len, struct err *err)
{
    struct source *source = NULL;
    struct text all = TEXT_INIT;
    uint8_t *chunk = mem_calloc(STEP_BYTES, 1);
    enum step said = STEP_OK;

    *data = NULL;
    if (store->ops->get(store, key, &source, err) < 0)
        said = STEP_ERROR;
    while (said == STEP_OK || said == STEP_AGAIN) {
        struct span_out out = {.data = chunk, .cap = STEP_BYTES};
        bool woken = false;

        said = source->ops->read(source, &out, err);
        assert_true(said != STEP_OK || out.len > 0);
        text_add_bytes(&all, chunk, out.len);
        if (said == STEP_AGAIN) {
            source->ops->arm(source, loop, (struct waker){.wake = on_wake, .arg = &woken});
            wait_for(loop, &woken);
        }
    }
    source_close(source);
    free(chunk);
    *len = all.len;
    if (said == STEP_END)
        *data = (uint8_t *)text_take(&all);
    text_fini(&all);
    return said == STEP_END ? 0 : -1;
}

/* --- helpers --- */

static uint8_t *make_bytes(size_t len, uint32_t seed)
{
    uint8_t *bytes = mem_calloc(len + 1, 1);

    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    return bytes;
}

#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, (err).text);                                                 \
    } while (0)

static void put_text(struct store_contract *at, const char *key, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(
        store_contract_put(at->loop, at->store, key, (const uint8_t *)text, strlen(text), 7, &err),
        err);
}

static void assert_not_there(struct store_contract *at, const char *key)
{
    struct store_entry entry = {.bytes = 0};
    struct err err = ERR_INIT;
    uint8_t *data = NULL;
    size_t len = 0;

    assert_int_equal(at->store->ops->stat(at->store, key, &entry, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    err_clear(&err);
    assert_int_equal(store_contract_get(at->loop, at->store, key, &data, &len, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

struct keys {
    char *keys[MOST_KEYS];
    char *uploads[MOST_KEYS];
    size_t count;
};

static int add_key(void *arg, const struct store_entry *entry, struct err *err)
{
    struct keys *keys = arg;

    (void)err;
    assert_true(keys->count < MOST_KEYS);
    assert_true(entry->modified_ms > INT64_C(1700000000000));
    keys->uploads[keys->count] = entry->upload == NULL ? NULL : mem_strdup(entry->upload);
    keys->keys[keys->count++] = mem_strdup(entry->key);
    return 0;
}

static void free_keys(struct keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->keys[i]);
        free(keys->uploads[i]);
    }
    keys->count = 0;
}

static void list_keys(struct store_contract *at, const char *prefix, struct keys *keys)
{
    struct err err = ERR_INIT;

    *keys = (struct keys){.count = 0};
    assert_ok(at->store->ops->list(at->store, prefix, add_key, keys, &err), err);
}

static void list_uploads(struct store_contract *at, const char *prefix, struct keys *keys)
{
    struct err err = ERR_INIT;

    *keys = (struct keys){.count = 0};
    assert_ok(at->store->ops->list_uploads(at->store, prefix, add_key, keys, &err), err);
}

/* --- the suite --- */

static void round_trip(struct store_contract *at, size_t len, size_t step)
{
    char *key = text_format("trip/%zu-by-%zu", len, step);
    uint8_t *data = make_bytes(len, (uint32_t)len + 1);
    struct store_entry entry = {.bytes = 1};
    struct err err = ERR_INIT;
    uint8_t *back = NULL;
    size_t back_len = 0;

    assert_ok(store_contract_put(at->loop, at->store, key, data, len, step, &err), err);
    assert_ok(at->store->ops->stat(at->store, key, &entry, &err), err);
    assert_int_equal(entry.bytes, len);
    assert_null(entry.upload);
    assert_ok(store_contract_get(at->loop, at->store, key, &back, &back_len, &err), err);
    assert_int_equal(back_len, len);
    if (len > 0)
        assert_memory_equal(back, data, len);
    assert_ok(at->store->ops->remove(at->store, key, &err), err);
    assert_not_there(at, key);
    free(back);
    free(data);
    free(key);
}

static void test_round_trips_at_odd_sizes(void **state)
{
    struct store_contract *at = *state;
    const size_t part = at->part_bytes;
    const size_t sizes[] = {0, 1, part - 1, part, part + 1, 2 * part + part / 2};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        round_trip(at, sizes[i], STEP_BYTES);
    round_trip(at, 3 * part, 3 * part);
    round_trip(at, 300001, 777);
}

static void test_nothing_is_overwritten(void **state)
{
    struct store_contract *at = *state;
    const size_t sizes[] = {0, 5, at->part_bytes, at->part_bytes + 9};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *key = text_format("once/%zu", sizes[i]);
        uint8_t *data = make_bytes(sizes[i] + 1, 7);
        uint8_t *back = NULL;
        size_t len = 0;
        struct err err = ERR_INIT;

        assert_ok(store_contract_put(at->loop, at->store, key, data, sizes[i], STEP_BYTES, &err),
                  err);
        assert_ok(store_contract_put(at->loop, at->store, key, data, sizes[i], STEP_BYTES, &err),
                  err);
        assert_int_equal(
            store_contract_put(at->loop, at->store, key, data, sizes[i] + 1, STEP_BYTES, &err), -1);
        assert_int_equal(err.kind, ERR_EXISTS);
        if (sizes[i] > 0) {
            data[sizes[i] - 1] ^= 1;
            err_clear(&err);
            assert_int_equal(
                store_contract_put(at->loop, at->store, key, data, sizes[i], STEP_BYTES, &err), -1);
            assert_int_equal(err.kind, ERR_EXISTS);
            data[sizes[i] - 1] ^= 1;
        }
        assert_ok(store_contract_get(at->loop, at->store, key, &back, &len, &err), err);
        assert_int_equal(len, sizes[i]);
        if (len > 0)
            assert_memory_equal(back, data, len);
        free(back);
        free(data);
        free(key);
    }
}

static void test_close_before_commit_leaves_nothing(void **state)
{
    struct store_contract *at = *state;
    const size_t sizes[] = {0, 3, at->part_bytes, 2 * at->part_bytes + 5, 6 * at->part_bytes};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *data = make_bytes(sizes[i], 3);
        struct sink *sink = NULL;
        struct keys keys;
        struct err err = ERR_INIT;

        assert_ok(at->store->ops->put(at->store, "left/object", &sink, &err), err);
        assert_ok(write_all(at->loop, sink, data, sizes[i], STEP_BYTES, &err), err);
        assert_not_there(at, "left/object");
        sink_close(sink);
        list_keys(at, "left/", &keys);
        assert_int_equal(keys.count, 0);
        list_uploads(at, "left/", &keys);
        assert_int_equal(keys.count, 0);
        free(data);
    }
}

static void test_list_is_in_byte_order_below_its_prefix(void **state)
{
    static const char *const put[] = {"o/b", "o/a/2", "o/a/1", "o/a-1", "o/B", "o/a", "ox/1"};
    static const char *const wanted[] = {"o/B", "o/a", "o/a-1", "o/a/1", "o/a/2", "o/b"};
    struct store_contract *at = *state;
    struct keys keys;

    /* An object "o/a" beside "o/a/1" is more than a file system can hold. */
    for (size_t i = 0; i < sizeof put / sizeof put[0]; i++)
        if (strcmp(put[i], "o/a") != 0)
            put_text(at, put[i], put[i]);
    list_keys(at, "o/", &keys);
    for (size_t i = 0, found = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strcmp(wanted[i], "o/a") != 0)
            assert_string_equal(keys.keys[found++], wanted[i]);
    assert_int_equal(keys.count, 5);
    free_keys(&keys);
    list_keys(at, "o/a", &keys); /* a prefix, not a folder */
    assert_int_equal(keys.count, 3);
    assert_string_equal(keys.keys[0], "o/a-1");
    free_keys(&keys);
    list_keys(at, "nothing/here", &keys);
    assert_int_equal(keys.count, 0);
}

static int stop_listing(void *arg, const struct store_entry *entry, struct err *err)
{
    (void)entry;
    ++*(int *)arg;
    return err_set(err, ERR_REFUSED, "enough");
}

static void test_list_stops_when_told(void **state)
{
    struct store_contract *at = *state;
    struct err err = ERR_INIT;
    int calls = 0;

    put_text(at, "stop/1", "1");
    put_text(at, "stop/2", "2");
    assert_int_equal(at->store->ops->list(at->store, "stop/", stop_listing, &calls, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_int_equal(calls, 1);
}

static void test_an_upload_is_listed_and_aborted(void **state)
{
    struct store_contract *at = *state;
    uint8_t *data = make_bytes(6 * at->part_bytes, 5);
    struct sink *sink = NULL;
    struct keys keys;
    struct err err = ERR_INIT;

    if (!at->shows_uploads) {
        free(data);
        skip();
    }
    assert_ok(at->store->ops->put(at->store, "begun/a b+c", &sink, &err), err);
    assert_ok(write_all(at->loop, sink, data, 6 * at->part_bytes, STEP_BYTES, &err), err);
    list_uploads(at, "begun/", &keys);
    assert_int_equal(keys.count, 1);
    assert_string_equal(keys.keys[0], "begun/a b+c");
    assert_non_null(keys.uploads[0]);
    for (int i = 0; i < 2; i++)
        assert_ok(at->store->ops->abort_upload(at->store, keys.keys[0], keys.uploads[0], &err),
                  err);
    free_keys(&keys);
    assert_int_equal(commit(at->loop, sink, &err), -1);
    sink_close(sink);
    if (err.kind != ERR_CONFLICT)
        fail_msg("%s", err.text);
    list_uploads(at, "begun/", &keys);
    assert_int_equal(keys.count, 0);
    free(data);
}

static void test_remove_twice(void **state)
{
    struct store_contract *at = *state;
    struct err err = ERR_INIT;

    put_text(at, "gone/x", "x");
    for (int i = 0; i < 2; i++)
        assert_ok(at->store->ops->remove(at->store, "gone/x", &err), err);
    assert_ok(at->store->ops->remove(at->store, "never/was/here", &err), err);
    assert_not_there(at, "gone/x");
}

static void test_odd_keys(void **state)
{
    static const char *const odd[] = {
        "odd/ space and+plus",         "odd/100%25",         "odd/\xc3\xa4\xe2\x82\xac.json",
        "odd/a:b=c@d&e;f,g$h'i(j)!*~", "odd/quotes\"<and>&", "odd/20261123T071500Z-7f3a9c"};
    struct store_contract *at = *state;
    struct keys keys;

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        put_text(at, odd[i], odd[i]);
    list_keys(at, "odd/", &keys);
    assert_int_equal(keys.count, sizeof odd / sizeof odd[0]);
    for (size_t i = 0; i < keys.count; i++) {
        struct err err = ERR_INIT;
        uint8_t *data = NULL;
        size_t len = 0;

        assert_ok(store_contract_get(at->loop, at->store, keys.keys[i], &data, &len, &err), err);
        assert_int_equal(len, strlen(keys.keys[i]));
        assert_memory_equal(data, keys.keys[i], len);
        assert_ok(at->store->ops->remove(at->store, keys.keys[i], &err), err);
        free(data);
    }
    free_keys(&keys);
    list_keys(at, "odd/", &keys);
    assert_int_equal(keys.count, 0);
}

static void test_a_source_may_be_closed_early(void **state)
{
    struct store_contract *at = *state;
    size_t len = 2 * at->part_bytes;
    uint8_t *data = make_bytes(len, 9);
    uint8_t chunk[100];
    struct span_out out = {.data = chunk, .cap = sizeof chunk};
    struct source *source = NULL;
    struct err err = ERR_INIT;
    bool woken = false;

    assert_ok(store_contract_put(at->loop, at->store, "early", data, len, STEP_BYTES, &err), err);
    assert_ok(at->store->ops->get(at->store, "early", &source, &err), err);
    source_close(source);
    assert_ok(at->store->ops->get(at->store, "early", &source, &err), err);
    if (source->ops->read(source, &out, &err) == STEP_AGAIN) {
        source->ops->arm(source, at->loop, (struct waker){.wake = on_wake, .arg = &woken});
        wait_for(at->loop, &woken);
        assert_int_equal(source->ops->read(source, &out, &err), STEP_OK);
    }
    assert_memory_equal(chunk, data, out.len);
    source_close(source);
    free(data);
}

static void test_the_clock_is_near(void **state)
{
    struct store_contract *at = *state;
    struct err err = ERR_INIT;
    int64_t wall_ms = 0;

    assert_ok(at->store->ops->clock(at->store, &wall_ms, &err), err);
    assert_true(llabs(wall_ms - clock_wall_ms()) < 5000);
}

int store_contract_run(struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_round_trips_at_odd_sizes, contract),
        cmocka_unit_test_prestate(test_nothing_is_overwritten, contract),
        cmocka_unit_test_prestate(test_close_before_commit_leaves_nothing, contract),
        cmocka_unit_test_prestate(test_list_is_in_byte_order_below_its_prefix, contract),
        cmocka_unit_test_prestate(test_list_stops_when_told, contract),
        cmocka_unit_test_prestate(test_an_upload_is_listed_and_aborted, contract),
        cmocka_unit_test_prestate(test_remove_twice, contract),
        cmocka_unit_test_prestate(test_odd_keys, contract),
        cmocka_unit_test_prestate(test_a_source_may_be_closed_early, contract),
        cmocka_unit_test_prestate(test_the_clock_is_near, contract),
    };

    return cmocka_run_group_tests_name(contract->name, tests, NULL, NULL);
}
