// SPDX-License-Identifier: Apache-2.0
// What is a request and what is not; and a server on a loop with clients of every kind.
#include "httpd.h"

#include "mem.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define HOST        "Host: x\r\n"
#define END         "\r\n"
#define LARGE_BYTES ((size_t)16 << 20) /* more than the system's buffers take */

/* --- the head --- */

struct head {
    const char *head;
    int status;
    const char *path;
    bool head_only;
};

static void check_head(const char *bytes, size_t len, const struct head *row)
{
    char *exact = mem_calloc(len == 0 ? 1 : len, 1);
    char *path = NULL;
    bool head_only = false;
    int status;

    memcpy(exact, bytes, len);
    status = httpd_parse(exact, len, &head_only, &path);
    if (status != row->status)
        fail_msg("%s: %d instead of %d", bytes, status, row->status);
    if (status == 0) {
        assert_string_equal(path, row->path);
        assert_int_equal(head_only, row->head_only);
    } else {
        assert_null(path);
    }
    free(path);
    free(exact);
}

static void test_heads(void **state)
{
    static const struct head rows[] = {
        {"GET / HTTP/1.1\r\n" HOST END, 0, "/", false},
        {"HEAD /metrics HTTP/1.1\r\nhost:x\r\nAccept: */*\r\n" END, 0, "/metrics", true},
        {"GET /x HTTP/1.0\r\n" END, 0, "/x", false},
        {"GET /x HTTP/1.9\r\n" HOST END, 0, "/x", false},
        {"GET /a?b=/c%zz HTTP/1.1\r\n" HOST END, 0, "/a", false},
        {"GET /%6detrics%2F%c3%A9 HTTP/1.1\r\n" HOST END, 0, "/metrics/\xc3\xa9", false},
        {"GET /%ff HTTP/1.1\r\n" HOST END, 0, "/?", false},
        {"GET //.. HTTP/1.1\r\n" HOST END, 0, "//..", false},
        {"GET http://x:1/y HTTP/1.1\r\n" HOST END, 0, "/y", false},
        {"GET HTTP://x HTTP/1.1\r\n" HOST END, 0, "/", false},
        {"GET http://x?y/z HTTP/1.1\r\n" HOST END, 0, "/", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nX: a\tb\xff\r\n" END, 0, "/", false},
        {"POST / HTTP/1.1\r\n" HOST END, 405, NULL, false},
        {"get / HTTP/1.1\r\n" HOST END, 405, NULL, false},
        {"OPTIONS * HTTP/1.1\r\n" HOST END, 405, NULL, false},
        {"CONNECT x:1 HTTP/1.1\r\n" HOST END, 405, NULL, false},
        {"PRI * HTTP/2.0\r\n" END, 505, NULL, false},
        {"GET / HTTP/0.9\r\n" END, 505, NULL, false},
        {"", 400, NULL, false},
        {END, 400, NULL, false},
        {"GET /\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1", 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST END "x", 400, NULL, false},
        {"GET / HTTP/1.1\n" HOST "\n", 400, NULL, false},
        {"GET / HTTP/1.1\r\nHost: x\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\nHost: x\r\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST HOST END, 400, NULL, false},
        {"GET / HTTP/1.0\r\n" HOST HOST END, 400, NULL, false},
        {"GET / HTTP/1.1\r\nHost : x\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST " folded\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST "no colon\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST ": no name\r\n" END, 400, NULL, false},
        {"GET / HTTP/1.1\r\n" HOST "X: \x01\r\n" END, 400, NULL, false},
        {"GET  / HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /  HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET / HTTP/1.1 \r\n" HOST END, 400, NULL, false},
        {" GET / HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET / http/1.1\r\n" HOST END, 400, NULL, false},
        {"GET / HTTP/11\r\n" HOST END, 400, NULL, false},
        {"GET\t/ HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET x HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET * HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET http:// HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET http:///x HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET https://x/ HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /# HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /\xc3\xa9 HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /%00 HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /%0a HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /%7F HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /% HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /%2 HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GET /%2g HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"GE{} / HTTP/1.1\r\n" HOST END, 400, NULL, false},
        {"\x16\x03\x01\x02\r\n" END, 400, NULL, false},
    };
    static const char nul[] = "GET /\0 HTTP/1.1\r\n" HOST END;
    static const char nul_field[] = "GET / HTTP/1.1\r\nHost: \0\r\n" END;
    static const struct head bad = {.status = 400};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        check_head(rows[i].head, strlen(rows[i].head), &rows[i]);
    check_head(nul, sizeof nul - 1, &bad);
    check_head(nul_field, sizeof nul_field - 1, &bad);
}

static void test_a_head_has_bounds(void **state)
{
    static const struct {
        int target_bytes, field_bytes, status;
    } rows[] = {{1024, 1, 0}, {1025, 1, 414}, {1, 4096, 431}, {1025, 4096, 431}, {1, 4000, 0}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *head = text_format("GET /%0*d HTTP/1.1\r\n" HOST "X: %0*d\r\n" END,
                                 rows[i].target_bytes - 1, 7, rows[i].field_bytes, 7);
        char *path = NULL;
        bool head_only;

        assert_int_equal(httpd_parse(head, strlen(head), &head_only, &path), rows[i].status);
        free(path);
        free(head);
    }
}

/* --- a server --- */

static struct ev_loop *loop;
static struct httpd *httpd;
static unsigned asked;

static void handle(void *arg, const char *path, struct httpd_answer *answer)
{
    assert_ptr_equal(arg, &asked);
    asked++;
    if (strcmp(path, "/metrics") == 0) {
        answer->content_type = "text/test";
        text_add(&answer->body, "up 1\n");
    } else if (strcmp(path, "/large") == 0) {
        text_reserve(&answer->body, LARGE_BYTES);
        memset(answer->body.data, 'x', LARGE_BYTES);
        answer->body.len = LARGE_BYTES;
        answer->body.data[answer->body.len] = '\0';
    } else {
        answer->status = 404;
    }
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    asked = 0;
    loop = ev_loop_new(EVFLAG_AUTO);
    if (httpd_open(loop, "127.0.0.1:0", handle, &asked, &httpd, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    httpd_close(httpd);
    ev_loop_destroy(loop);
    return 0;
}

static int reach(int receive_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)httpd_port(httpd))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (receive_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);

    assert_true(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

/* Reads what is there; true when the server has closed. */
static bool hear(int fd, struct text *got, size_t most)
{
    char data[4096];
    ssize_t n = recv(fd, data, most < sizeof data ? most : sizeof data, MSG_DONTWAIT);

    if (n > 0)
        text_add_bytes(got, data, (size_t)n);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* All that the server says until it closes, within some seconds. */
static void hear_all(int fd, struct text *got)
{
    double from = ev_time();

    while (!hear(fd, got, SIZE_MAX)) {
        turn();
        if (ev_time() - from > 8)
            fail_msg("the server does not close; it said: %s", text_str(got));
    }
    close(fd);
}

static void check_answer(const char *request, const char *expected)
{
    struct text got = TEXT_INIT;
    int fd = reach(0);

    say(fd, request);
    hear_all(fd, &got);
    assert_string_equal(text_str(&got), expected);
    text_fini(&got);
}

#define HEAD_OF(status, type, bytes, more)                                                         \
    "HTTP/1.1 " status "\r\nContent-Type: " type "\r\nContent-Length: " bytes                      \
    "\r\nConnection: close\r\n" more "\r\n"
#define PLAIN "text/plain; charset=utf-8"

static void test_answers(void **state)
{
    (void)state;
    check_answer("GET /metrics?x HTTP/1.1\r\n" HOST END,
                 HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    check_answer("HEAD /metrics HTTP/1.0\r\n" END, HEAD_OF("200 OK", "text/test", "5", ""));
    check_answer("GET /nothing HTTP/1.1\r\n" HOST END,
                 HEAD_OF("404 Not Found", PLAIN, "10", "") "Not Found\n");
    assert_int_equal(asked, 3);
    check_answer("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
                 HEAD_OF("405 Method Not Allowed", PLAIN, "19",
                         "Allow: GET, HEAD\r\n") "Method Not Allowed\n");
    check_answer("GET / HTTP/1.1\n\n", HEAD_OF("400 Bad Request", PLAIN, "12", "") "Bad Request\n");
    check_answer("GET / HTTP/1.1\r\n\n",
                 HEAD_OF("400 Bad Request", PLAIN, "12", "") "Bad Request\n");
    check_answer(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD_OF("505 HTTP Version Not Supported", PLAIN, "27", "") "HTTP Version Not Supported\n");
    /* A second request on the same connection is not heard. */
    check_answer("GET /metrics HTTP/1.1\r\n" HOST END "GET /metrics HTTP/1.1\r\n" HOST END,
                 HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    assert_int_equal(asked, 4);
}

static void test_a_head_without_end_is_refused(void **state)
{
    char *line = mem_calloc(70000, 1);
    char *request;
    (void)state;

    memset(line, 'a', 69999);
    check_answer(line, HEAD_OF("414 URI Too Long", PLAIN, "13", "") "URI Too Long\n");
    request = text_format("GET / HTTP/1.1\r\nX: %s", line);
    check_answer(request, HEAD_OF("431 Request Header Fields Too Large", PLAIN, "32",
                                  "") "Request Header Fields Too Large\n");
    free(request);
    free(line);
}

static void test_a_request_may_come_in_bytes(void **state)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\n" HOST END;
    struct text got = TEXT_INIT;
    int fd = reach(0);
    (void)state;

    for (size_t i = 0; i < sizeof request - 1; i++) {
        char byte[2] = {request[i], '\0'};

        say(fd, byte);
        turn();
    }
    hear_all(fd, &got);
    assert_string_equal(text_str(&got), HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    text_fini(&got);
}

static void test_a_slow_reader_gets_all_and_holds_up_nobody(void **state)
{
    struct text slow = TEXT_INIT;
    int fd = reach(4096);
    double from = ev_time();
    bool closed = false;
    (void)state;

    say(fd, "GET /large HTTP/1.1\r\n" HOST END);
    while (asked == 0)
        turn();
    check_answer("GET /metrics HTTP/1.1\r\n" HOST END,
                 HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    assert_true(ev_time() - from < 5);
    while (!closed) {
        turn();
        closed = hear(fd, &slow, 3000);
        if (ev_time() - from > 30)
            fail_msg("only %zu bytes came", slow.len);
    }
    assert_true(slow.len > LARGE_BYTES);
    assert_non_null(strstr(slow.data, "Content-Length: 16777216\r\n"));
    assert_int_equal(slow.data[slow.len - 1], 'x');
    text_fini(&slow);
    close(fd);
}

static void test_the_oldest_that_has_not_asked_makes_place(void **state)
{
    struct text got = TEXT_INIT;
    int answering = reach(4096);
    int idle[16];
    (void)state;

    say(answering, "GET /large HTTP/1.1\r\n" HOST END);
    while (asked == 0)
        turn();
    for (size_t i = 0; i < COUNT(idle); i++) {
        idle[i] = reach(0);
        say(idle[i], "GET /metrics HTTP/1.1\r\n");
        for (int j = 0; j < 5; j++)
            turn();
    }
    assert_true(hear(idle[0], &got, SIZE_MAX));
    assert_false(hear(idle[1], &got, SIZE_MAX));
    assert_int_equal(got.len, 0);
    check_answer("GET /metrics HTTP/1.1\r\n" HOST END,
                 HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    assert_true(hear(idle[1], &got, SIZE_MAX));
    assert_false(hear(idle[2], &got, SIZE_MAX));
    hear_all(answering, &got);
    assert_true(got.len > LARGE_BYTES);
    text_fini(&got);
    say(idle[2], HOST END);
    hear_all(idle[2], &got);
    assert_string_equal(text_str(&got), HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    for (size_t i = 0; i < COUNT(idle); i++)
        if (i != 2)
            close(idle[i]);
    text_fini(&got);
}

static void test_a_flood_leaves_it_answering(void **state)
{
    int flood[100];
    (void)state;

    for (size_t i = 0; i < COUNT(flood); i++) {
        flood[i] = reach(0);
        if (i % 2 == 0)
            turn();
    }
    while (ev_run(loop, EVRUN_NOWAIT), ev_pending_count(loop) > 0)
        ;
    check_answer("GET /metrics HTTP/1.1\r\n" HOST END,
                 HEAD_OF("200 OK", "text/test", "5", "") "up 1\n");
    for (size_t i = 0; i < COUNT(flood); i++)
        close(flood[i]);
}

/* The one that does not ask, the one that does not read, and the one that does not go: all wait
 * for the same ten seconds. */
static void test_deadlines_cut_whoever_dawdles(void **state)
{
    struct text got = TEXT_INIT;
    int asking = reach(0);
    int reading = reach(4096);
    int staying = reach(0);
    double from = ev_time();
    size_t heard;
    bool cut = false;
    (void)state;

    say(asking, "GET / HTT");
    say(reading, "GET /large HTTP/1.1\r\n" HOST END);
    say(staying, "GET /metrics HTTP/1.1\r\n" HOST END);
    while (!cut && ev_time() - from < 20) {
        ev_run(loop, EVRUN_ONCE);
        cut = hear(asking, &got, SIZE_MAX);
    }
    assert_true(cut);
    assert_int_equal(got.len, 0);
    assert_true(ev_time() - from > 9);
    for (int i = 0; i < 5; i++)
        turn();
    /* The rest of the large answer never comes; a reset says so. */
    while (!hear(reading, &got, SIZE_MAX) && ev_time() - from < 25)
        turn();
    assert_true(got.len < LARGE_BYTES);
    heard = got.len;
    while (!hear(staying, &got, SIZE_MAX) && ev_time() - from < 25)
        turn();
    assert_true(got.len > heard);
    assert_true(send(staying, "x", 1, MSG_NOSIGNAL) == 1);
    assert_true(send(staying, "x", 1, MSG_NOSIGNAL) < 0);
    close(asking);
    close(reading);
    close(staying);
    text_fini(&got);
}

static void test_opening_says_what_is_wrong(void **state)
{
    struct httpd *second = NULL;
    struct err err = ERR_INIT;
    char *address = text_format("127.0.0.1:%u", httpd_port(httpd));
    int fd;
    (void)state;

    assert_int_equal(httpd_open(loop, "9464", handle, NULL, &second, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_int_equal(httpd_open(loop, address, handle, NULL, &second, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_null(second);
    httpd_close(NULL);
    /* Closing with clients in every state leaves nothing. */
    fd = reach(0);
    say(fd, "GET /metrics HTTP/1.1\r\n" HOST END);
    turn();
    turn();
    close(fd);
    free(address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_a_head_has_bounds),
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_head_without_end_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_may_come_in_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_slow_reader_gets_all_and_holds_up_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_that_has_not_asked_makes_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_flood_leaves_it_answering, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadlines_cut_whoever_dawdles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opening_says_what_is_wrong, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
