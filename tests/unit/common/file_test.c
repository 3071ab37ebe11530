// SPDX-License-Identifier: Apache-2.0
// Whole reads and their bound, replacement that is atomic, folders, descriptors.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"
#include "mem.h"
#include "text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/lifeboat-file-test-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int remove_folder(void **state)
{
    char *command = text_format("rm -rf %s", folder);
    int rc = chdir("/");

    (void)state;
    rc = system(command) == 0 ? rc : -1;
    free(command);
    return rc;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static void replace(const char *path, const char *data, size_t len)
{
    struct err err = ERR_INIT;

    if (file_replace(path, data, len, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_read_up_to_its_bound(void **state)
{
    static const size_t sizes[] = {0, 1, 9, 10, 11, 100000};
    char *bytes = mem_calloc(100000, 1);

    (void)state;
    memset(bytes, 'x', 100000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct err err = ERR_INIT;
        char *data = NULL;
        size_t len = 12345;

        replace("sized", bytes, sizes[i]);
        if (sizes[i] <= 10) {
            assert_int_equal(file_read("sized", 10, &data, &len, &err), 0);
            assert_int_equal(len, sizes[i]);
            assert_int_equal(strlen(data), sizes[i]);
        } else {
            assert_int_equal(file_read("sized", 10, &data, &len, &err), -1);
            assert_string_equal(err.text, "read sized: larger than 10 bytes");
            assert_null(data);
            assert_int_equal(len, 12345);
        }
        free(data);
    }
    free(bytes);
}

static void test_read_keeps_every_byte(void **state)
{
    struct err err = ERR_INIT;
    char *data = NULL;
    size_t len = 0;

    (void)state;
    replace("bytes", "a\0b\n", 4);
    assert_int_equal(file_read("bytes", 100, &data, &len, &err), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "a\0b\n", 5);
    free(data);
    assert_int_equal(file_read("bytes", 100, &data, NULL, &err), 0);
    free(data);
}

static void test_read_names_what_is_wrong(void **state)
{
    struct err err = ERR_INIT;
    char *data = NULL;

    (void)state;
    assert_int_equal(file_read("missing", 10, &data, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_string_equal(err.text, "read missing: open: No such file or directory");
    assert_int_equal(file_read(".", 10, &data, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_string_equal(err.text, "read .: read: Is a directory");
    assert_null(data);
}

static void test_replace_leaves_only_the_file(void **state)
{
    struct err err = ERR_INIT;
    char *data = NULL;

    (void)state;
    umask(022);
    replace("target", "first", 5);
    assert_int_equal(mode_of("target"), 0600);
    replace("target.part", "left by a crash", 15);
    replace("target", "2nd", 3);
    assert_int_equal(file_read("target", 100, &data, NULL, &err), 0);
    assert_string_equal(data, "2nd");
    assert_false(exists("target.part"));
    free(data);
}

static void test_replace_that_fails_keeps_the_old(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(mkdir("occupied", 0700), 0);
    replace("occupied/inside", "x", 1);
    assert_int_equal(file_replace("occupied", "y", 1, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_true(text_starts_with(err.text, "replace occupied: rename occupied.part: "));
    assert_true(exists("occupied/inside"));
    assert_false(exists("occupied.part"));
    assert_int_equal(file_replace("no/such/folder", "y", 1, &err), -1);
    assert_true(text_starts_with(err.text, "replace no/such/folder: open "));
    assert_int_equal(file_replace("/dev/full/x", "y", 1, &err), -1);
}

/* One process replaces, another reads: it sees one of the two contents, whole. */
static void test_replace_is_atomic_for_readers(void **state)
{
    enum { LEN = 200000, TURNS = 50 };
    char *content = mem_calloc(LEN, 1);
    pid_t child;
    int status = 0;

    (void)state;
    memset(content, 'a', LEN);
    replace("atomic", content, LEN);
    child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        int rc = 0;

        for (int i = 0; i < TURNS && rc == 0; i++) {
            memset(content, i % 2 == 0 ? 'b' : 'a', LEN);
            rc = file_replace("atomic", content, LEN, &err);
        }
        _exit(rc == 0 ? 0 : 1);
    }
    assert_true(child > 0);
    while (waitpid(child, &status, WNOHANG) == 0) {
        struct err err = ERR_INIT;
        char *data = NULL;
        size_t len = 0;
        char ends[2] = "";

        assert_int_equal(file_read("atomic", LEN, &data, &len, &err), 0);
        assert_int_equal(len, LEN);
        ends[0] = data[0];
        assert_int_equal(strspn(data, ends), LEN);
        free(data);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(content);
}

static void test_folders(void **state)
{
    static const char *const paths[] = {"d1", "d1", "d2/e/f", "d2/e/f/", "d3//g", "./d4", "/", "."};
    struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (file_make_folders(paths[i], &err) < 0)
            fail_msg("%s", err.text);
        assert_true(exists(paths[i]));
    }
    assert_int_equal(mode_of("d2/e"), 0700);
    assert_int_equal(file_make_folders("", &err), 0);
    assert_int_equal(symlink("d1", "link"), 0);
    assert_int_equal(file_make_folders("link/h", &err), 0);
    assert_true(exists("d1/h"));
}

static void test_a_file_is_no_folder(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    replace("plain", "x", 1);
    assert_int_equal(file_make_folders("plain", &err), -1);
    assert_string_equal(err.text, "make folder plain: Not a directory");
    assert_int_equal(file_make_folders("plain/below", &err), -1);
    assert_string_equal(err.text, "make folder plain: Not a directory");
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(file_make_folders("dangling", &err), -1);
}

static void test_parents(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(file_make_parents("p/q/file", &err), 0);
    assert_true(exists("p/q"));
    assert_false(exists("p/q/file"));
    assert_int_equal(file_make_parents("file", &err), 0);
    assert_int_equal(file_make_parents("/file", &err), 0);
    assert_int_equal(file_sync_parent("p/q/file", &err), 0);
    assert_int_equal(file_sync_parent("file", &err), 0);
    assert_int_equal(file_sync_parent("/file", &err), 0);
    assert_int_equal(file_sync_parent("not/there/file", &err), -1);
    assert_string_equal(err.text, "sync folder of not/there/file: No such file or directory");
}

static void test_remove(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    replace("doomed", "x", 1);
    assert_int_equal(file_remove("doomed", &err), 0);
    assert_false(exists("doomed"));
    assert_int_equal(file_remove("doomed", &err), 0);
    assert_int_equal(file_remove(".", &err), -1);
    assert_true(text_starts_with(err.text, "remove .: "));
}

static void test_descriptors(void **state)
{
    struct err err = ERR_INIT;
    int ends[2];
    char byte;
    int none = -1;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fd_set_nonblocking(ends[0], &err), 0);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    assert_int_equal(fd_write_all(ends[1], "z", 1, &err), 0);
    assert_int_equal(fd_write_all(ends[1], "", 0, &err), 0);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'z');
    fd_close(&ends[0]);
    assert_int_equal(ends[0], -1);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    fd_close(&none);
    assert_int_equal(fd_set_nonblocking(-1, &err), -1);
    assert_int_equal(fd_write_all(-1, "z", 1, &err), -1);
    assert_string_equal(err.text, "write: Bad file descriptor");
}

/* More than a pipe holds, to a reader that takes it slowly; and a full disk. */
static void test_write_all_writes_all(void **state)
{
    enum { LEN = 1000000 };
    struct err err = ERR_INIT;
    char *data = mem_calloc(LEN, 1);
    int ends[2];
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int status = 0;
    pid_t child;

    (void)state;
    assert_int_equal(fd_write_all(full, "z", 1, &err), -1);
    assert_int_equal(err.kind, ERR_NO_SPACE);
    fd_close(&full);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        char piece[777];
        size_t sum = 0;
        ssize_t n;

        close(ends[1]);
        while ((n = read(ends[0], piece, sizeof piece)) > 0)
            sum += (size_t)n;
        _exit(sum == LEN ? 0 : 1);
    }
    assert_true(child > 0);
    fd_close(&ends[0]);
    assert_int_equal(fd_write_all(ends[1], data, LEN, &err), 0);
    fd_close(&ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_up_to_its_bound),
        cmocka_unit_test(test_read_keeps_every_byte),
        cmocka_unit_test(test_read_names_what_is_wrong),
        cmocka_unit_test(test_replace_leaves_only_the_file),
        cmocka_unit_test(test_replace_that_fails_keeps_the_old),
        cmocka_unit_test(test_replace_is_atomic_for_readers),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_a_file_is_no_folder),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_write_all_writes_all),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
