// SPDX-License-Identifier: Apache-2.0
// The collector's file: the example, the defaults, and what is said of a wrong one.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector_options.h"

#include "log.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define TLS "tls: { ca_file: /a, cert_file: /b, key_file: /c }\n"

static void test_the_example_is_right(void **state)
{
    const char *source = getenv("LIFEBOAT_SOURCE");
    char *path = text_format("%s/docs/collector.example.yaml", source == NULL ? "." : source);
    struct collector_options *options = NULL;
    struct err err = ERR_INIT;
    (void)state;

    if (collector_options_load(path, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(options->key_file, "/etc/lifeboat/tls/tls.key");
    collector_options_free(options);
    free(path);
}

static void test_the_defaults(void **state)
{
    struct collector_options *options = NULL;
    struct err err = ERR_INIT;
    (void)state;

    if (collector_options_parse("c.yaml", TLS, strlen(TLS), &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(options->listen, "0.0.0.0:7443");
    assert_string_equal(options->http_listen, "0.0.0.0:9465");
    assert_string_equal(options->state_path, "/var/lib/lifeboat/collector");
    assert_int_equal(options->retire_after_ms, INT64_C(7) * 86400000);
    assert_int_equal(options->log.level, LOG_INFO);
    assert_int_equal(options->log.format, 0);
    collector_options_free(options);
}

static void test_a_wrong_file_says_where_and_what(void **state)
{
    static const struct {
        const char *file, *says;
    } rows[] = {
        {"log: { level: info }\n", "tls.ca_file"},
        {TLS "lisen: \"1.2.3.4:5\"\n", "c.yaml:2"},
        {TLS "listen: somewhere\n", "c.yaml:2: listen"},
        {TLS "http: { listen: \":1\" }\n", "http.listen"},
        {TLS "state: { path: here }\n", "state.path"},
        {TLS "retire_after: 1s\n", "retire_after"},
        {TLS "log: { level: loud }\n", "log.level"},
        {"tls: { ca_file: a, cert_file: /b, key_file: /c }\n", "tls.ca_file"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct collector_options *options = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(
            collector_options_parse("c.yaml", rows[i].file, strlen(rows[i].file), &options, &err),
            -1);
        assert_null(options);
        assert_int_equal(err.kind, ERR_CONFIG);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_is_right),
        cmocka_unit_test(test_the_defaults),
        cmocka_unit_test(test_a_wrong_file_says_where_and_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
