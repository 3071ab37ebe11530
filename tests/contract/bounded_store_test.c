// SPDX-License-Identifier: Apache-2.0
// The store contract through the shell that asks for room, which counts right all the while; and
// what it does when there is none.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_contract.h"

#include "bounded.h"
#include "fakes.h"
#include "store_options.h"

#include <ev.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ev_loop *loop;
static char folder[64];
static struct store *store;
static int64_t there_bytes;
static uint64_t room_bytes;
static unsigned closed;

static int make_room(void *arg, uint64_t bytes, struct err *err)
{
    (void)arg;
    if (there_bytes < 0)
        return err_set(err, ERR_INTERNAL, "counted below nothing");
    return bytes <= room_bytes ? 0 : err_set(err, ERR_NO_SPACE, "no room");
}

static void moved(void *arg, int64_t bytes)
{
    (void)arg;
    there_bytes += bytes;
}

static void on_close(void *arg)
{
    (void)arg;
    closed++;
}

static int setup(void **state)
{
    struct store_options options = {
        .name = (char *)"disk", .type = STORE_LOCAL, .local.path = folder};
    const struct bound bound = {.make_room = make_room, .moved = moved, .close = on_close};
    struct store *inner = NULL;
    struct err err = ERR_INIT;

    (void)state;
    if (store_open(&options, loop, &inner, &err) < 0)
        return -1;
    store = bounded_store_new(inner, &bound);
    there_bytes = 0;
    room_bytes = UINT64_MAX;
    closed = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return closed == 1 ? 0 : -1;
}

static void test_without_room_nothing_is_written(void **state)
{
    uint8_t *data = fake_bytes(1000, 1);
    struct store_entry entry;
    struct err err = ERR_INIT;

    (void)state;
    room_bytes = 100;
    assert_int_equal(store_contract_put(loop, store, "a/b", data, 1000, 101, &err), -1);
    assert_int_equal(err.kind, ERR_NO_SPACE);
    assert_int_equal(store->ops->stat(store, "a/b", &entry, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_true(there_bytes == 0);
    err_clear(&err);
    assert_int_equal(store_contract_put(loop, store, "a/b", data, 1000, 100, &err), 0);
    assert_true(there_bytes == 1000);
    assert_string_equal(store->name, "disk");
    free(data);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_room_nothing_is_written, setup, teardown),
    };
    struct store_contract contract = {
        .name = "bounded store", .part_bytes = 65536, .shows_uploads = true};
    int failed = 1;

    snprintf(folder, sizeof folder, "/tmp/lifeboat-bounded-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    loop = ev_loop_new(EVFLAG_AUTO);
    contract.loop = loop;
    if (setup(NULL) == 0) {
        contract.store = store;
        failed = store_contract_run(&contract);
        failed += teardown(NULL) < 0;
        failed += cmocka_run_group_tests_name("bounded store, its own", tests, NULL, NULL);
    }
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    ev_loop_destroy(loop);
    return failed;
}
