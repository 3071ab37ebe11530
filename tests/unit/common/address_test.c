// SPDX-License-Identifier: Apache-2.0
// Which addresses are of the form, and sockets from them.
#include "address.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define LABEL       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_addresses_come_apart(void **state)
{
    static const struct {
        const char *address, *host, *port;
    } rows[] = {
        {"name:443", "name", "443"},
        {"a.b-c_d.svc.:7443", "a.b-c_d.svc.", "7443"},
        {"10.0.0.1:0", "10.0.0.1", "0"},
        {"[::1]:65535", "::1", "65535"},
        {"[::]:9464", "::", "9464"},
        {"[fe80::1%eth0]:1", "fe80::1%eth0", "1"},
        {"[::ffff:10.0.0.1]:00080", "::ffff:10.0.0.1", "00080"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char host[64], port[6];
        struct err err = ERR_INIT;

        if (address_split(rows[i].address, host, sizeof host, port, &err) < 0)
            fail_msg("%s: %s", rows[i].address, err.text);
        assert_string_equal(host, rows[i].host);
        assert_string_equal(port, rows[i].port);
        assert_int_equal(address_check(rows[i].address, &err), 0);
    }
}

static void test_what_is_no_address(void **state)
{
    static const char *const wrong[] = {
        "",          "name",       ":443",        "name:",       "name:65536",   "name:123456",
        "name:4 4",  "name:-1",    "name:+1",     "name:http",   "na me:443",    "::1:443",
        "[::1]",     "[::1]443",   "[]:443",      "[name]:443",  "[10.0.0.1]:1", "[::1:443",
        "::1]:443",  "[::1%]:443", "[::1%a/b]:1", "http://x:80", "x/y:80",       "-x:80",
        "caf\xe9:1", "[:]:1",      "[::1]]:1",    ".:1",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        char host[64], port[6];
        struct err err = ERR_INIT;

        if (address_split(wrong[i], host, sizeof host, port, &err) == 0)
            fail_msg("%s was taken", wrong[i]);
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_string_equal(err.text, "is not HOST:PORT as in \"collector:7443\", "
                                      "\"10.0.0.1:7443\" or \"[::1]:7443\"");
    }
}

static void test_a_long_host_is_refused(void **state)
{
    char host[64], port[6];
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(address_split(LABEL ":1", host, sizeof host, port, &err), -1);
    assert_string_equal(err.text, "is too long: a host has at most 63 bytes");
    assert_int_equal(address_check(LABEL ":1", &err), 0);
    assert_int_equal(address_check(LABEL LABEL LABEL LABEL ":1", &err), -1);
}

static void test_listening(void **state)
{
    struct err err = ERR_INIT;
    struct sockaddr_storage where;
    socklen_t len = sizeof where;
    int fd = -1;
    int second = -1;
    char address[32];
    (void)state;

    assert_int_equal(address_listen("localhost:0", &fd, &err), 0);
    assert_true(accept(fd, NULL, NULL) < 0); /* does not wait */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    close(fd);
    assert_int_equal(address_listen("127.0.0.1:0", &fd, &err), 0);
    len = sizeof where;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u",
             ntohs(((struct sockaddr_in *)&where)->sin_port));
    assert_int_equal(address_listen(address, &second, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.text, ": Address already in use"));
    assert_int_equal(second, -1);
    close(fd);
    assert_int_equal(address_listen("nowhere.invalid:1", &second, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(address_listen("nowhere", &second, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_come_apart),
        cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_a_long_host_is_refused),
        cmocka_unit_test(test_listening),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
