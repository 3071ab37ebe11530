// SPDX-License-Identifier: Apache-2.0
// Where keys come from, in order; and how they are fetched anew before they end. The services are
// one small HTTP server on the test's own loop, which gives keys only to who asks rightly.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/internal.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"

#include <arpa/inet.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOW_MS INT64_C(1795417200000) /* 2026-11-23T07:00:00Z */
#define MINUTE INT64_C(60000)

static int64_t now_ms;
static int64_t lifetime_ms; /* of keys that the services give */

static int64_t wall_ms(void)
{
    return now_ms;
}

static int64_t mono_us(void)
{
    return now_ms * 1000;
}

/* --- the services --- */

struct server {
    struct ev_loop *loop;
    ev_io listen;
    int port;
    int requests;
    bool fails; /* 503 to everybody */
};

static bool asks(const char *request, const char *line, const char *header)
{
    return text_starts_with(request, line) && strstr(request, header) != NULL;
}

/* The body of a 200, or NULL for 403. */
static char *answer_to(const char *request, int count)
{
    char end[CLOCK_TEXT_CAP];

    clock_format(now_ms + lifetime_ms, end);
    if (asks(request, "POST / ", "Action=AssumeRoleWithWebIdentity&") &&
        strstr(request, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fbackup&") != NULL &&
        strstr(request, "WebIdentityToken=web%2Ftoken%2B1") != NULL &&
        strstr(request, "Authorization:") == NULL)
        return text_format("<R><Q><Credentials><AccessKeyId>STS%d</AccessKeyId><SecretAccessKey>"
                           "sts-secret</SecretAccessKey><SessionToken>sts-token</SessionToken>"
                           "<Expiration>%s</Expiration></Credentials></Q></R>",
                           count, end);
    if (asks(request, "PUT /latest/api/token ", "X-aws-ec2-metadata-token-ttl-seconds: "))
        return text_format("imds-token");
    if (asks(request, "GET /latest/meta-data/iam/security-credentials/ ",
             "X-aws-ec2-metadata-token: imds-token\r\n"))
        return text_format("the-role\n");
    if (asks(request, "GET /latest/meta-data/iam/security-credentials/the-role ",
             "X-aws-ec2-metadata-token: imds-token\r\n") ||
        asks(request, "GET /container?id=7 ", "Authorization: web/token+1\r\n"))
        return text_format("{\"AccessKeyId\": \"JSON%d\", \"SecretAccessKey\": \"json-secret\", "
                           "\"Token\": \"json-token\", \"Expiration\": \"%s\"}",
                           count, end);
    return NULL;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    int fd = accept(io->fd, NULL, NULL);
    char request[8192];
    size_t len = 0;
    const char *body = NULL, *length = NULL;

    (void)loop;
    (void)events;
    /* A request of this test is small and comes at once. */
    do {
        ssize_t got = read(fd, request + len, sizeof request - 1 - len);

        if (got <= 0)
            break;
        len += (size_t)got;
        request[len] = '\0';
        body = strstr(request, "\r\n\r\n");
        length = strstr(request, "Content-Length: ");
    } while (body == NULL || (length != NULL && strlen(body + 4) < strtoul(length + 16, NULL, 10)));
    request[len] = '\0';
    server->requests++;
    char *text = server->fails ? NULL : answer_to(request, server->requests);
    char *answer = text_format("HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                               server->fails  ? "503 Busy"
                               : text == NULL ? "403 Forbidden"
                                              : "200 OK",
                               text == NULL ? 0 : strlen(text), text == NULL ? "" : text);
    struct err err = ERR_INIT;

    fd_write_all(fd, answer, strlen(answer), &err);
    close(fd);
    free(answer);
    free(text);
}

static void server_start(struct server *server, struct ev_loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    server->loop = loop;
    server->port = ntohs(address.sin_port);
    ev_io_init(&server->listen, on_connection, fd, EV_READ);
    server->listen.data = server;
    ev_io_start(loop, &server->listen);
}

/* --- a test's surroundings --- */

struct place {
    struct server server;
    struct http *http;
    struct s3_options options;
    struct s3_credentials *credentials;
    struct s3_waiter waiter;
    struct err woken_err;
    bool woken;
    char token_file[64];
    char url[128];
};

static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_ROLE_ARN",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                        "AWS_EC2_METADATA_DISABLED"};

static void on_wake(void *arg, const struct err *err)
{
    struct place *place = arg;

    place->woken = true;
    place->woken_err = err == NULL ? (struct err){.kind = ERR_NONE} : *err;
}

static int set_up(void **state)
{
    static const struct clock_ops ops = {.wall_ms = wall_ms, .mono_us = mono_us};
    struct place *place = mem_calloc(1, sizeof *place);
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    int fd;

    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    now_ms = NOW_MS;
    lifetime_ms = 60 * MINUTE;
    clock_replace(&ops);
    server_start(&place->server, loop);
    place->http = http_new(loop, &(struct http_options){.stall_timeout_ms = 5000});
    place->waiter = (struct s3_waiter){.wake = on_wake, .arg = place};
    snprintf(place->token_file, sizeof place->token_file, "/tmp/lifeboat-token-XXXXXX");
    fd = mkstemp(place->token_file);
    if (write(fd, "web/token+1\n", 12) != 12)
        return -1;
    close(fd);
    snprintf(place->url, sizeof place->url, "http://127.0.0.1:%d", place->server.port);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    s3_credentials_free(place->credentials);
    http_free(place->http);
    ev_io_stop(place->server.loop, &place->server.listen);
    close(place->server.listen.fd);
    ev_loop_destroy(place->server.loop);
    unlink(place->token_file);
    free(place);
    clock_replace(NULL);
    return 0;
}

static void open_credentials(struct place *place)
{
    struct err err = ERR_INIT;

    if (s3_credentials_new(&place->options, "eu-west-1", place->http, &place->credentials, &err) <
        0)
        fail_msg("%s", err.text);
}

static void wait_woken(struct place *place)
{
    while (!place->woken)
        ev_run(place->server.loop, EVRUN_ONCE);
    place->woken = false;
}

/* The access key that a call would get, waiting for it; "" when it fails, with woken_err set. */
static const char *get_key(struct place *place)
{
    const struct s3_keys *keys = NULL;
    enum step step =
        s3_credentials_get(place->credentials, &keys, &place->waiter, &place->woken_err);

    if (step == STEP_AGAIN) {
        wait_woken(place);
        if (place->woken_err.kind != ERR_NONE)
            return "";
        step = s3_credentials_get(place->credentials, &keys, &place->waiter, &place->woken_err);
    }
    return step == STEP_OK ? keys->access_key : "";
}

static void use_web_identity(const struct place *place)
{
    char *url = text_format("%s/", place->url);

    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup", 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", place->token_file, 1);
    setenv("AWS_ENDPOINT_URL_STS", url, 1);
    free(url);
}

/* --- the tests --- */

static void test_options_come_first_then_variables(void **state)
{
    struct place *place = *state;
    const struct s3_keys *keys = NULL;
    struct err err = ERR_INIT;

    use_web_identity(place);
    setenv("AWS_ACCESS_KEY_ID", "VARIABLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "variable-secret", 1);
    setenv("AWS_SESSION_TOKEN", "variable-token", 1);
    open_credentials(place);
    assert_int_equal(s3_credentials_get(place->credentials, &keys, &place->waiter, &err), STEP_OK);
    assert_string_equal(keys->access_key, "VARIABLE");
    assert_string_equal(keys->session_token, "variable-token");
    assert_false(s3_credentials_expire(place->credentials));
    s3_credentials_free(place->credentials);
    place->options.access_key = (char *)"OPTION";
    place->options.secret_key = (char *)"option-secret";
    open_credentials(place);
    assert_string_equal(get_key(place), "OPTION");
    assert_int_equal(place->server.requests, 0);
}

static void test_half_a_pair_is_refused(void **state)
{
    struct place *place = *state;
    struct err err = ERR_INIT;

    setenv("AWS_ACCESS_KEY_ID", "VARIABLE", 1);
    assert_int_equal(
        s3_credentials_new(&place->options, "r", place->http, &place->credentials, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    assert_int_equal(
        s3_credentials_new(&place->options, "r", place->http, &place->credentials, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
}

static void test_a_web_identity(void **state)
{
    struct place *place = *state;
    char secret[] = "sts-secret sts-token web/token+1";

    use_web_identity(place);
    open_credentials(place);
    assert_string_equal(get_key(place), "STS1");
    assert_string_equal(get_key(place), "STS1");
    assert_int_equal(place->server.requests, 1);
    log_mask(secret);
    assert_string_equal(secret, "*** *** ***");
}

static void test_a_containers_service(void **state)
{
    struct place *place = *state;
    char *url = text_format("%s/container?id=7", place->url);
    struct err err = ERR_INIT;

    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", place->token_file, 1);
    open_credentials(place);
    assert_string_equal(get_key(place), "JSON1");
    s3_credentials_free(place->credentials);
    place->credentials = NULL;
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/", 1);
    assert_int_equal(
        s3_credentials_new(&place->options, "r", place->http, &place->credentials, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    free(url);
}

static void test_the_machines_metadata(void **state)
{
    struct place *place = *state;

    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", place->url, 1);
    open_credentials(place);
    assert_string_equal(get_key(place), "JSON3");
    assert_true(s3_credentials_expire(place->credentials));
    assert_string_equal(get_key(place), "JSON6");
}

static void test_keys_are_renewed_before_their_end(void **state)
{
    struct place *place = *state;

    use_web_identity(place);
    open_credentials(place);
    assert_string_equal(get_key(place), "STS1");
    now_ms = NOW_MS + 54 * MINUTE;
    assert_string_equal(get_key(place), "STS1");
    assert_int_equal(place->server.requests, 1);
    now_ms = NOW_MS + 56 * MINUTE; /* the old ones serve while new ones are fetched */
    assert_string_equal(get_key(place), "STS1");
    while (place->server.requests < 2)
        ev_run(place->server.loop, EVRUN_ONCE);
    while (strcmp(get_key(place), "STS1") == 0)
        ev_run(place->server.loop, EVRUN_ONCE);
    assert_string_equal(get_key(place), "STS2");
    now_ms += 59 * MINUTE + MINUTE / 2; /* too close to the end: the call waits */
    assert_string_equal(get_key(place), "STS3");
}

static void test_keys_that_are_old_at_once_are_used(void **state)
{
    struct place *place = *state;

    lifetime_ms = -5 * MINUTE; /* or this machine's clock is ahead */
    use_web_identity(place);
    open_credentials(place);
    assert_string_equal(get_key(place), "STS1");
    assert_string_equal(get_key(place), "STS1");
    now_ms += MINUTE;
    assert_string_equal(get_key(place), "STS2");
}

static void test_a_failed_renewal_is_tried_again(void **state)
{
    struct place *place = *state;

    use_web_identity(place);
    open_credentials(place);
    assert_string_equal(get_key(place), "STS1");
    place->server.fails = true;
    now_ms = NOW_MS + 56 * MINUTE;
    assert_string_equal(get_key(place), "STS1");
    while (place->server.requests < 2)
        ev_run(place->server.loop, EVRUN_ONCE);
    now_ms = NOW_MS + 60 * MINUTE;
    assert_string_equal(get_key(place), "");
    assert_int_equal(place->woken_err.kind, ERR_UNREACHABLE);
    place->server.fails = false;
    assert_string_equal(get_key(place), "STS3");
}

static void test_a_refusal_names_the_role(void **state)
{
    struct place *place = *state;

    use_web_identity(place);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/other", 1);
    open_credentials(place);
    assert_string_equal(get_key(place), "");
    assert_int_equal(place->woken_err.kind, ERR_DENIED);
    assert_non_null(strstr(place->woken_err.text, "role/other"));
    assert_null(strstr(place->woken_err.text, "web/token"));
}

static void test_a_token_file_that_is_gone(void **state)
{
    struct place *place = *state;

    use_web_identity(place);
    unlink(place->token_file);
    open_credentials(place);
    assert_string_equal(get_key(place), "");
    assert_non_null(strstr(place->woken_err.text, "AWS_WEB_IDENTITY_TOKEN_FILE"));
    assert_int_equal(place->server.requests, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_options_come_first_then_variables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_pair_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_web_identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_containers_service, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_machines_metadata, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_are_renewed_before_their_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_that_are_old_at_once_are_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failed_renewal_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_refusal_names_the_role, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_file_that_is_gone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
