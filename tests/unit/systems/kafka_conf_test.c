// SPDX-License-Identifier: Apache-2.0
// What becomes of the options in librdkafka, and of errors in ours.
#include "handle.h"

#include "clock.h"
#include "log.h"
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct kafka_options plain_options(void)
{
    static char bootstrap[] = "127.0.0.1:9,[::1]:10";

    return (struct kafka_options){.bootstrap = bootstrap, .timeout_ms = 5000};
}

static void expect_property(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[256];
    size_t len = sizeof value;

    if (rd_kafka_conf_get(conf, name, value, &len) != RD_KAFKA_CONF_OK)
        value[0] = 0;
    assert_string_equal(value, expected);
}

static void test_plain(void **state)
{
    struct kafka_options options = plain_options();
    rd_kafka_conf_t *conf = NULL;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(kafka_conf_make(&options, NULL, &conf, &err), 0);
    expect_property(conf, "bootstrap.servers", "127.0.0.1:9,[::1]:10");
    expect_property(conf, "security.protocol", "plaintext");
    expect_property(conf, "client.id", "lifeboat");
    expect_property(conf, "socket.timeout.ms", "5000");
    expect_property(conf, "allow.auto.create.topics", "false");
    expect_property(conf, "ssl.ca.location", "");
    expect_property(conf, "sasl.username", "");
    rd_kafka_conf_destroy(conf);
    options.timeout_ms = 100;
    assert_int_equal(kafka_conf_make(&options, NULL, &conf, &err), 0);
    expect_property(conf, "socket.timeout.ms", "100");
    expect_property(conf, "socket.connection.setup.timeout.ms", "1000");
    rd_kafka_conf_destroy(conf);
    options.timeout_ms = INT64_C(3600000);
    assert_int_equal(kafka_conf_make(&options, NULL, &conf, &err), 0);
    expect_property(conf, "socket.timeout.ms", "300000");
    rd_kafka_conf_destroy(conf);
}

static void test_secured(void **state)
{
    static char user[] = "u", password[] = "geheim", ca[] = "/ca", cert[] = "/cert", key[] = "/key";
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    struct kafka_options options = plain_options();
    rd_kafka_conf_t *conf = NULL;
    struct err err = ERR_INIT;
    (void)state;

    options.security = KAFKA_SASL_SSL;
    options.user = user;
    options.password = password;
    options.ca_file = ca;
    options.cert_file = cert;
    options.key_file = key;
    for (int i = 0; i < (int)COUNT(mechanisms); i++) {
        options.mechanism = i;
        assert_int_equal(kafka_conf_make(&options, NULL, &conf, &err), 0);
        expect_property(conf, "security.protocol", "sasl_ssl");
        expect_property(conf, "sasl.mechanisms", mechanisms[i]);
        expect_property(conf, "sasl.username", "u");
        expect_property(conf, "sasl.password", "geheim");
        expect_property(conf, "ssl.ca.location", "/ca");
        expect_property(conf, "ssl.certificate.location", "/cert");
        expect_property(conf, "ssl.key.location", "/key");
        rd_kafka_conf_destroy(conf);
    }
}

static void test_users_properties_win(void **state)
{
    static const struct kafka_setting needed[] = {{"isolation.level", "read_uncommitted"},
                                                  {NULL, NULL}};
    static char *lines[] = {(char *)(uintptr_t) "client.id=mine",
                            (char *)(uintptr_t) "ssl.key.password=a=b",
                            (char *)(uintptr_t) "socket.timeout.ms=77"};
    struct kafka_options options = plain_options();
    rd_kafka_conf_t *conf = NULL;
    struct err err = ERR_INIT;
    char line[] = "it is a=b, not c";
    (void)state;

    options.rdkafka = (struct option_list){.items = lines, .count = COUNT(lines)};
    assert_int_equal(kafka_conf_make(&options, needed, &conf, &err), 0);
    expect_property(conf, "client.id", "mine");
    expect_property(conf, "ssl.key.password", "a=b");
    expect_property(conf, "socket.timeout.ms", "77");
    expect_property(conf, "isolation.level", "read_uncommitted");
    rd_kafka_conf_destroy(conf);
    log_mask(line); /* three bytes are too few to be hidden */
    assert_string_equal(line, "it is a=b, not c");
}

static void test_wrong_properties(void **state)
{
    static const struct kafka_setting needed[] = {{"isolation.level", "read_uncommitted"},
                                                  {NULL, NULL}};
    static const struct {
        const char *line, *expected;
    } rows[] = {
        {"no.such=1",
         "property no.such of librdkafka: No such configuration property: \"no.such\""},
        {"security.protocol=tls", "property security.protocol of librdkafka: Invalid value \"tls\" "
                                  "for configuration property \"security.protocol\""},
        {"isolation.level=read_committed",
         "property isolation.level of librdkafka: lifeboat needs its own value of it; remove it "
         "from rdkafka"},
        {"error_cb=x", "property error_cb of librdkafka: Property \"error_cb\" must be set through "
                       "dedicated .._set_..() function"},
    };
    struct kafka_options options = plain_options();
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *lines[] = {(char *)(uintptr_t)rows[i].line};
        rd_kafka_conf_t *conf = NULL;
        struct err err = ERR_INIT;

        options.rdkafka = (struct option_list){.items = lines, .count = 1};
        assert_int_equal(kafka_conf_make(&options, needed, &conf, &err), -1);
        assert_string_equal(err.text, rows[i].expected);
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_null(conf);
    }
}

/* What only librdkafka as a whole can refuse. */
static void test_wrong_together(void **state)
{
    static char *lines[] = {(char *)(uintptr_t) "fetch.max.bytes=99999999"};
    struct kafka_options options = plain_options();
    struct kafka_handle *handle = NULL;
    struct err err = ERR_INIT;
    (void)state;

    options.rdkafka = (struct option_list){.items = lines, .count = 1};
    assert_int_equal(kafka_handle_open(&options, RD_KAFKA_CONSUMER, NULL, INT64_MAX, &handle, &err),
                     -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_string_equal(err.text, "librdkafka: `receive.message.max.bytes` must be >= "
                                  "`fetch.max.bytes` + 512");
}

static rd_kafka_resp_err_t ask_nobody(rd_kafka_t *rk, int timeout_ms, void *arg)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);

    ++*(int *)arg;
    assert_int_not_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
    return code;
}

static void test_nobody_there(void **state)
{
    static char bootstrap[] = "127.0.0.1:9";
    struct kafka_options options = {.bootstrap = bootstrap, .timeout_ms = 60000};
    struct kafka_handle *handle = NULL;
    struct err err = ERR_INIT;
    int64_t begun_us = clock_mono_us();
    int calls = 0;
    (void)state;

    assert_int_equal(kafka_handle_open(&options, RD_KAFKA_CONSUMER, NULL,
                                       begun_us + INT64_C(60000000), &handle, &err),
                     0);
    assert_int_equal(kafka_handle_call(handle, "metadata", ask_nobody, &calls, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "metadata: "));
    assert_non_null(strstr(err.text, "Connection refused"));
    assert_true(calls > 1);
    assert_true(clock_mono_us() - begun_us < INT64_C(20000000));
    kafka_handle_close(handle);
}

/* A listener that never answers: the option timeout ends it, or the deadline. */
static void test_silence(void **state)
{
    static const struct {
        int64_t timeout_ms, deadline_ms;
        enum err_kind kind;
        const char *says;
    } rows[] = {
        {700, 60000, ERR_UNREACHABLE, "no answer within 700 ms (timeout)"},
        {60000, 700, ERR_TIMEOUT, "no answer within the time given"},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char *bootstrap;
    (void)state;

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    bootstrap = text_format("127.0.0.1:%d", ntohs(address.sin_port));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kafka_options options = {.bootstrap = bootstrap, .timeout_ms = rows[i].timeout_ms};
        struct kafka_handle *handle = NULL;
        struct err err = ERR_INIT;
        int calls = 0;

        assert_int_equal(kafka_handle_open(&options, RD_KAFKA_CONSUMER, NULL,
                                           clock_mono_us() + rows[i].deadline_ms * 1000, &handle,
                                           &err),
                         0);
        assert_int_equal(kafka_handle_call(handle, "metadata", ask_nobody, &calls, &err), -1);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s", err.text);
        assert_int_equal(err.kind, rows[i].kind);
        kafka_handle_close(handle);
    }
    free(bootstrap);
    close(fd);
}

static void test_kinds(void **state)
{
    static const struct {
        rd_kafka_resp_err_t code;
        enum err_kind kind;
    } rows[] = {
        {RD_KAFKA_RESP_ERR__TRANSPORT, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ERR_TIMEOUT},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, ERR_SOURCE},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(kafka_kind_of(rows[i].code), rows[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_secured),
        cmocka_unit_test(test_users_properties_win),
        cmocka_unit_test(test_wrong_properties),
        cmocka_unit_test(test_wrong_together),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
