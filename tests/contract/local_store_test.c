// SPDX-License-Identifier: Apache-2.0
// The store contract over a folder of the local disk, and what only a file system can do to a
// store. The full disk is a small tmpfs in a mount namespace of its own, which needs root.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_contract.h"

#include "fakes.h"
#include "local.h"
#include "mem.h"
#include "store_options.h"
#include "text.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct ev_loop *loop;
static char folder[64];
static struct store *store;

/* Stands in for that of libc, so that a file system without RENAME_NOREPLACE can be played. */
static int renameat2_errno;

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    if (renameat2_errno != 0) {
        errno = renameat2_errno;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static int setup(void **state)
{
    struct store_options options = {
        .name = (char *)"disk", .type = STORE_LOCAL, .local.path = folder};
    struct err err = ERR_INIT;

    (void)state;
    renameat2_errno = 0;
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return store_open(&options, loop, &store, &err);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    return 0;
}

static int put(const char *key, const void *data, size_t len, struct err *err)
{
    return store_contract_put(loop, store, key, data, len, 65536, err);
}

static void must_put(const char *key, const char *text)
{
    struct err err = ERR_INIT;

    if (put(key, text, strlen(text), &err) < 0)
        fail_msg("put %s: %s", key, err.text);
}

/* A path in the folder; lent until the next call. */
static const char *at(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t entries;

static int count_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)path;
    (void)info;
    (void)type;
    entries += walk->level > 0;
    return 0;
}

/* Files and folders below the root. */
static size_t count_entries(void)
{
    entries = 0;
    nftw(folder, count_one, 8, FTW_PHYS);
    return entries;
}

static int add_line(void *arg, const struct store_entry *entry, struct err *err)
{
    (void)err;
    text_add(arg, "%s%s%s\n", entry->key, entry->upload == NULL ? "" : " ",
             entry->upload == NULL ? "" : entry->upload);
    return 0;
}

static void assert_listed(const char *prefix, const char *objects, const char *uploads)
{
    struct text text = TEXT_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(store->ops->list(store, prefix, add_line, &text, &err), 0);
    assert_string_equal(text_str(&text), objects);
    text_clear(&text);
    assert_int_equal(store->ops->list_uploads(store, prefix, add_line, &text, &err), 0);
    assert_string_equal(text_str(&text), uploads);
    text_fini(&text);
}

static void assert_no_object(const char *key)
{
    struct store_entry entry;
    struct source *source = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(store->ops->stat(store, key, &entry, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    err_clear(&err);
    assert_int_equal(store->ops->get(store, key, &source, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void make_file(const char *name, const char *content)
{
    FILE *file = fopen(at(name), "we");

    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void test_what_a_dead_writer_left_is_an_upload(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    must_put("a/b/object", "x");
    make_file("a/b/object.part-0123abcd", "half");
    make_file("a/b/other.part-deadbeef", "");
    make_file("a/b/no-mark.part-0123abc", "");
    make_file("a/b/no-hex.part-0123abcg", "");
    make_file("a/b/.part-0123abcd", "");
    assert_listed("a/", "a/b/no-hex.part-0123abcg\na/b/no-mark.part-0123abc\na/b/object\n",
                  "a/b/ 0123abcd\na/b/object 0123abcd\na/b/other deadbeef\n");
    assert_int_equal(store->ops->abort_upload(store, "a/b/object", "0123abcd", &err), 0);
    assert_int_equal(store->ops->abort_upload(store, "a/b/object", "0123abcd", &err), 0);
    assert_listed("a/b/o", "a/b/object\n", "a/b/other deadbeef\n");
}

static void test_links_and_the_like_are_no_objects(void **state)
{
    (void)state;
    must_put("a/object", "x");
    assert_int_equal(symlink("object", at("a/link")), 0);
    assert_int_equal(symlink("/nowhere", at("a/dangling")), 0);
    assert_int_equal(symlink("/etc", at("a/folder")), 0);
    assert_int_equal(mkdir(at("a/manifest.json"), 0700), 0);
    assert_int_equal(mkfifo(at("a/fifo"), 0600), 0);
    assert_listed("a/", "a/object\n", "");
    assert_no_object("a/link");
    assert_no_object("a/dangling");
    assert_no_object("a/folder");
    assert_no_object("a/manifest.json");
    assert_no_object("a/fifo");
    assert_no_object("a/object/below");
    assert_listed("a/object/", "", "");
}

static void test_a_link_in_the_place_of_an_object_is_not_written_through(void **state)
{
    struct err err = ERR_INIT;
    struct stat info;

    (void)state;
    assert_int_equal(symlink("elsewhere", at("link")), 0);
    assert_int_equal(put("link", "x", 1, &err), -1);
    assert_int_equal(stat(at("elsewhere"), &info), -1);
    assert_int_equal(count_entries(), 1);
}

static void test_a_folder_in_the_place_of_an_object_is_not_taken_for_it(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(mkdir(at("object"), 0700), 0);
    assert_int_equal(put("object", "", 0, &err), -1);
    assert_int_equal(count_entries(), 1);
}

static void test_keys_do_not_leave_the_root(void **state)
{
    static const char *const keys[] = {"",     "..",  "../x", "a/../../x", "/etc/passwd",
                                       "a//b", "a/.", "./a/", "a/",        "a/.."};

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct store_entry entry;
        struct source *source = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(put(keys[i], "x", 1, &err), -1);
        assert_int_equal(err.kind, ERR_INTERNAL);
        assert_int_equal(store->ops->get(store, keys[i], &source, &err), -1);
        assert_int_equal(err.kind, ERR_INTERNAL);
        assert_int_equal(store->ops->stat(store, keys[i], &entry, &err), -1);
        assert_int_equal(err.kind, ERR_INTERNAL);
        assert_int_equal(store->ops->remove(store, keys[i], &err), -1);
        assert_int_equal(err.kind, ERR_INTERNAL);
    }
    assert_int_equal(count_entries(), 0);
}

static void test_no_empty_folder_is_left(void **state)
{
    struct sink *sink = NULL;
    struct err err = ERR_INIT;
    int64_t wall_ms = 0;

    (void)state;
    assert_int_equal(store->ops->put(store, "a/b/c/object", &sink, &err), 0);
    assert_int_equal(count_entries(), 4);
    sink_close(sink);
    assert_int_equal(count_entries(), 0);
    must_put("a/b/one", "1");
    must_put("a/c/two", "2");
    assert_int_equal(store->ops->remove(store, "a/b/one", &err), 0);
    assert_int_equal(count_entries(), 3);
    assert_int_equal(store->ops->remove(store, "a/c/two", &err), 0);
    assert_int_equal(store->ops->clock(store, &wall_ms, &err), 0);
    assert_int_equal(count_entries(), 0);
    assert_int_equal(access(folder, F_OK), 0);
}

static void test_of_two_writers_of_one_key_the_second_fails(void **state)
{
    static const uint8_t one[] = "one", two[] = "two";
    struct sink *first = NULL, *second = NULL;
    struct span_in in_one = {.data = one, .len = 3}, in_two = {.data = two, .len = 3};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(store->ops->put(store, "key", &first, &err), 0);
    assert_int_equal(store->ops->put(store, "key", &second, &err), 0);
    assert_int_equal(first->ops->write(first, &in_one, &err), STEP_OK);
    assert_int_equal(second->ops->write(second, &in_two, &err), STEP_OK);
    assert_int_equal(second->ops->commit(second, &err), STEP_END);
    assert_int_equal(first->ops->commit(first, &err), STEP_ERROR);
    assert_int_equal(err.kind, ERR_EXISTS);
    sink_close(first);
    sink_close(second);
    assert_int_equal(count_entries(), 1);
}

static void test_without_a_rename_that_replaces_nothing(void **state)
{
    static const struct {
        int reason;
        const char *key;
    } cases[] = {{EINVAL, "a/one"}, {ENOSYS, "a/two"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        uint8_t *data = NULL;
        size_t len = 0;

        renameat2_errno = cases[i].reason;
        must_put(cases[i].key, "one");
        must_put(cases[i].key, "one");
        assert_int_equal(put(cases[i].key, "two", 3, &err), -1);
        assert_int_equal(err.kind, ERR_EXISTS);
        assert_int_equal(store_contract_get(loop, store, cases[i].key, &data, &len, &err), 0);
        assert_string_equal((char *)data, "one");
        free(data);
    }
    assert_listed("", "a/one\na/two\n", "");
}

static void test_a_rename_that_fails_leaves_nothing(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    renameat2_errno = EACCES;
    assert_int_equal(put("a/key", "one", 3, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(count_entries(), 0);
}

static void test_a_file_that_shrinks_while_it_is_read_is_noticed(void **state)
{
    struct source *source = NULL;
    struct err err = ERR_INIT;
    uint8_t chunk[16];
    struct span_out out = {.data = chunk, .cap = 4};

    (void)state;
    must_put("key", "0123456789");
    assert_int_equal(store->ops->get(store, "key", &source, &err), 0);
    assert_int_equal(source->ops->read(source, &out, &err), STEP_OK);
    assert_int_equal(truncate(at("key"), 6), 0);
    out = (struct span_out){.data = chunk, .cap = sizeof chunk};
    assert_int_equal(source->ops->read(source, &out, &err), STEP_OK);
    assert_int_equal(out.len, 2);
    assert_int_equal(source->ops->read(source, &out, &err), STEP_ERROR);
    assert_int_equal(err.kind, ERR_CORRUPT);
    source_close(source);
}

static void test_a_root_with_a_slash_at_its_end(void **state)
{
    char path[80];
    struct store_options options = {
        .name = (char *)"disk", .type = STORE_LOCAL, .local.path = path};
    struct err err = ERR_INIT;

    teardown(state);
    snprintf(path, sizeof path, "%s/", folder);
    assert_int_equal(store_open(&options, loop, &store, &err), 0);
    must_put("a/b/key", "x");
    assert_listed("a/", "a/b/key\n", "");
    assert_listed("", "a/b/key\n", "");
    assert_int_equal(store->ops->remove(store, "a/b/key", &err), 0);
    assert_int_equal(count_entries(), 0);
    assert_int_equal(access(folder, F_OK), 0);
}

/* --- a full disk --- */

static bool mounted;

static int setup_full(void **state)
{
    mounted = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
              mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount("tmpfs", folder, "tmpfs", 0, "size=1m,nr_inodes=16") == 0;
    if (!mounted)
        print_message("skipped: a small tmpfs cannot be mounted here: %s\n", strerror(errno));
    return setup(state);
}

static int teardown_full(void **state)
{
    teardown(state);
    if (mounted)
        umount(folder);
    return 0;
}

static void test_a_full_disk_leaves_nothing(void **state)
{
    uint8_t *data = fake_bytes((size_t)2 << 20, 1);
    struct err err = ERR_INIT;

    (void)state;
    if (!mounted) {
        free(data);
        skip();
    }
    must_put("a/kept", "x");
    assert_int_equal(put("a/b/object", data, (size_t)2 << 20, &err), -1);
    assert_int_equal(err.kind, ERR_NO_SPACE);
    assert_non_null(strstr(err.text, folder));
    assert_int_equal(count_entries(), 2);
    assert_int_equal(put("a/b/object", data, (size_t)1 << 18, &err), 0);
    free(data);
}

static void test_no_inode_left_leaves_nothing(void **state)
{
    struct err err = ERR_INIT;
    char name[16];
    size_t made = 0;

    (void)state;
    if (!mounted)
        skip();
    for (; made < 32; made++) {
        snprintf(name, sizeof name, "file-%zu", made);
        if (put(name, "x", 1, &err) < 0)
            break;
    }
    assert_true(made < 16);
    assert_int_equal(err.kind, ERR_NO_SPACE);
    assert_int_equal(count_entries(), made);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define IN_SMALL(test)  cmocka_unit_test_setup_teardown(test, setup_full, teardown_full)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_what_a_dead_writer_left_is_an_upload),
        IN_FOLDER(test_links_and_the_like_are_no_objects),
        IN_FOLDER(test_a_link_in_the_place_of_an_object_is_not_written_through),
        IN_FOLDER(test_a_folder_in_the_place_of_an_object_is_not_taken_for_it),
        IN_FOLDER(test_keys_do_not_leave_the_root),
        IN_FOLDER(test_no_empty_folder_is_left),
        IN_FOLDER(test_of_two_writers_of_one_key_the_second_fails),
        IN_FOLDER(test_without_a_rename_that_replaces_nothing),
        IN_FOLDER(test_a_rename_that_fails_leaves_nothing),
        IN_FOLDER(test_a_file_that_shrinks_while_it_is_read_is_noticed),
        IN_FOLDER(test_a_root_with_a_slash_at_its_end),
        IN_SMALL(test_a_full_disk_leaves_nothing),
        IN_SMALL(test_no_inode_left_leaves_nothing),
    };
    struct store_contract contract = {
        .name = "local store", .part_bytes = 65536, .shows_uploads = true};
    int failed = 1;

    snprintf(folder, sizeof folder, "/tmp/lifeboat-local-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    loop = ev_loop_new(EVFLAG_AUTO);
    contract.loop = loop;
    if (setup(NULL) == 0) {
        contract.store = store;
        failed = store_contract_run(&contract);
        teardown(NULL);
        failed += cmocka_run_group_tests_name("local store, its own", tests, NULL, NULL);
    }
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    rmdir(folder);
    ev_loop_destroy(loop);
    return failed;
}
