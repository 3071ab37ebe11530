// SPDX-License-Identifier: Apache-2.0
// Two ends on one loop, and what each of them learns: bytes, names, and why it ended.
#include "tls.h"

#include "address.h"
#include "certs.h"
#include "file.h"
#include "mem.h"
#include "text.h"
#include "tls_internal.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum handler { NONE, OPENED, RECEIVED, CLOSED };

static char folder[] = "/tmp/lifeboat-tls-XXXXXX";
static struct ev_loop *loop;

struct end {
    struct tls_conn *conn;
    struct text got;
    size_t opened, closed;
    struct err err;
    enum handler closes_in; /* calls tls_conn_close inside this handler */
    bool gone;
    const char *answer; /* sent from opened() */
};

/* --- two ends --- */

static void close_end(struct end *end)
{
    tls_conn_close(end->conn);
    end->conn = NULL;
    end->gone = true;
}

static void on_opened(void *arg)
{
    struct end *end = arg;

    assert_false(end->gone);
    end->opened++;
    if (end->answer != NULL)
        tls_conn_send(end->conn, end->answer, strlen(end->answer));
    if (end->closes_in == OPENED)
        close_end(end);
}

static void on_received(void *arg, const uint8_t *data, size_t len)
{
    struct end *end = arg;

    assert_false(end->gone);
    assert_int_equal(end->opened, 1);
    text_add_bytes(&end->got, data, len);
    if (end->closes_in == RECEIVED)
        close_end(end);
}

static void on_closed(void *arg, const struct err *err)
{
    struct end *end = arg;

    assert_false(end->gone);
    end->closed++;
    end->err = *err;
    if (end->closes_in == CLOSED)
        close_end(end);
}

/* One that expired after the context was made, as a rotation that fails leaves it. */
static void put_expired(struct tls_context *made)
{
    char *cert_file = text_format("%s/expired.crt", folder);
    char *key_file = text_format("%s/expired.key", folder);

    assert_int_equal(SSL_CTX_use_certificate_chain_file(made->ssl, cert_file), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(made->ssl, key_file, SSL_FILETYPE_PEM), 1);
    free(cert_file);
    free(key_file);
}

static struct tls_context *context(const char *stem, const char *ca, bool server)
{
    bool expired = strcmp(stem, "expired") == 0;
    const char *own = expired ? "server" : stem;
    char *ca_file = text_format("%s/%s.crt", folder, ca);
    char *cert_file = text_format("%s/%s.crt", folder, own);
    char *key_file = text_format("%s/%s.key", folder, own);
    struct tls_files files = {.ca_file = ca_file, .cert_file = cert_file, .key_file = key_file};
    struct tls_context *made = NULL;
    struct err err = ERR_INIT;

    if (tls_context_new(&files, server, &made, &err) < 0)
        fail_msg("%s", err.text);
    if (expired)
        put_expired(made);
    free(ca_file);
    free(cert_file);
    free(key_file);
    return made;
}

static void begin(struct end *end, int fd, const char *stem, const char *ca, const char *name)
{
    struct tls_context *made = context(stem, ca, name == NULL);
    struct tls_handlers handlers = {
        .opened = on_opened, .received = on_received, .closed = on_closed, .arg = end};
    struct err err = ERR_INIT;

    assert_int_equal(fd_set_nonblocking(fd, &err), 0);
    end->conn = tls_conn_new(made, fd, name, loop, &handlers);
    tls_context_free(made); /* the connection keeps what it needs */
    assert_int_equal(end->opened + end->closed, 0);
}

static void finish(struct end *end)
{
    tls_conn_close(end->conn);
    text_fini(&end->got);
}

static void on_deadline(struct ev_loop *its, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(its, EVBREAK_ALL);
    fail_msg("nothing came in time");
}

static void run_until_bytes(const size_t *count, size_t want)
{
    ev_timer deadline;

    ev_timer_init(&deadline, on_deadline, 60, 0);
    ev_now_update(loop);
    ev_timer_start(loop, &deadline);
    while (*count < want)
        ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &deadline);
}

static void run_until(const size_t *count)
{
    run_until_bytes(count, 1);
}

static void make_pair(int *fds)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* Over TCP a close with bytes unread is a reset, which could run over what was sent before. */
static void make_tcp_pair(int *fds)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    struct err err = ERR_INIT;
    int listener = -1;

    assert_int_equal(address_listen("127.0.0.1:0", &listener, &err), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept(listener, NULL, NULL);
    assert_true(fds[0] >= 0);
    close(listener);
}

/* --- bytes --- */

static void send_chunks(struct tls_conn *conn, const uint8_t *data, size_t len)
{
    static const size_t sizes[] = {1, 16383, 16384, 16385, 0, 7, 100000, 3};
    size_t sent = 0;

    for (size_t i = 0; sent < len; i++) {
        size_t chunk = sizes[i % COUNT(sizes)];

        if (chunk > len - sent)
            chunk = len - sent;
        tls_conn_send(conn, data + sent, chunk);
        sent += chunk;
    }
}

static void test_bytes_go_both_ways_whole(void **state)
{
    const size_t len = (size_t)1 << 20;
    uint8_t *data = mem_calloc(len, 1);
    struct end server = {0}, client = {0};
    int fds[2];
    (void)state;

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 2654435761U >> 13);
    make_pair(fds);
    begin(&server, fds[0], "server", "ca", NULL);
    begin(&client, fds[1], "client", "ca", "collector.test");
    assert_string_equal(tls_conn_peer_name(client.conn), "");
    send_chunks(client.conn, data, len); /* before it is open */
    assert_int_equal(tls_conn_queued(client.conn), len);
    run_until(&server.opened);
    send_chunks(server.conn, data, len);
    run_until_bytes(&server.got.len, len);
    run_until_bytes(&client.got.len, len);
    assert_int_equal(client.got.len, len);
    assert_int_equal(server.got.len, len);
    assert_memory_equal(client.got.data, data, len);
    assert_memory_equal(server.got.data, data, len);
    assert_int_equal(tls_conn_queued(client.conn), 0);
    assert_string_equal(tls_conn_peer_name(client.conn), "the server");
    assert_string_equal(tls_conn_peer_name(server.conn), "the \xc3\xa9 client");
    close_end(&client);
    run_until(&server.closed);
    assert_int_equal(server.err.kind, ERR_UNREACHABLE);
    assert_string_equal(server.err.text, "the peer closed the connection");
    assert_int_equal(server.closed, 1);
    finish(&server);
    finish(&client);
    free(data);
}

static void test_what_is_queued_goes_before_the_close(void **state)
{
    struct end server = {0}, client = {0};
    int fds[2];
    (void)state;

    make_pair(fds);
    begin(&server, fds[0], "server", "ca", NULL);
    begin(&client, fds[1], "client", "ca", "collector.test");
    run_until(&client.opened);
    run_until(&server.opened);
    tls_conn_send(server.conn, "good bye", 8);
    close_end(&server);
    run_until(&client.closed);
    assert_string_equal(text_str(&client.got), "good bye");
    assert_string_equal(client.err.text, "the peer closed the connection");
    tls_conn_send(client.conn, "too late", 8);
    assert_int_equal(tls_conn_queued(client.conn), 0);
    finish(&server);
    finish(&client);
}

/* The server's loop stands still: what it does not take waits, and goes on later. */
static void test_a_peer_that_does_not_read_makes_bytes_wait(void **state)
{
    const size_t len = (size_t)8 << 20;
    uint8_t *data = mem_calloc(len, 1);
    struct ev_loop *client_loop = loop;
    struct ev_loop *server_loop = ev_loop_new(EVFLAG_AUTO);
    struct end server = {0}, client = {0};
    size_t queued = len + 1;
    int fds[2];
    (void)state;

    make_pair(fds);
    begin(&client, fds[1], "client", "ca", "collector.test");
    loop = server_loop;
    begin(&server, fds[0], "server", "ca", NULL);
    loop = client_loop;
    for (int i = 0; i < 1000 && server.opened + client.opened < 2; i++) {
        ev_run(client_loop, EVRUN_NOWAIT);
        ev_run(server_loop, EVRUN_NOWAIT);
    }
    tls_conn_send(client.conn, data, len);
    assert_int_equal(tls_conn_queued(client.conn), len);
    while (tls_conn_queued(client.conn) < queued) {
        queued = tls_conn_queued(client.conn);
        ev_run(client_loop, EVRUN_NOWAIT);
    }
    assert_true(queued > len / 2);
    for (int i = 0; i < 100000 && server.got.len < len; i++) {
        ev_run(server_loop, EVRUN_NOWAIT);
        ev_run(client_loop, EVRUN_NOWAIT);
    }
    assert_int_equal(server.got.len, len);
    assert_memory_equal(server.got.data, data, len);
    assert_int_equal(tls_conn_queued(client.conn), 0);
    finish(&client);
    finish(&server);
    ev_loop_destroy(server_loop);
    free(data);
}

static void test_a_peer_that_goes_amid_bytes(void **state)
{
    const size_t len = (size_t)8 << 20;
    uint8_t *data = mem_calloc(len, 1);
    struct end server = {.closes_in = RECEIVED}, client = {0};
    int fds[2];
    (void)state;

    make_pair(fds);
    begin(&server, fds[0], "server", "ca", NULL);
    begin(&client, fds[1], "client", "ca", "collector.test");
    tls_conn_send(client.conn, data, len);
    run_until(&client.closed);
    assert_int_equal(client.err.kind, ERR_UNREACHABLE);
    assert_int_equal(tls_conn_queued(client.conn), 0);
    finish(&server);
    finish(&client);
    free(data);
}

/* --- whom they believe --- */

struct refusal {
    const char *server, *server_ca, *client, *client_ca, *name;
    const char *server_text, *client_text;
};

static void test_who_is_not_believed_is_denied_and_told_why(void **state)
{
    static const struct refusal rows[] = {
        {"server", "ca", "client", "other-ca", "collector.test",
         "the peer refused this side's certificate: unknown CA",
         "the peer's certificate is not accepted: unable to get local issuer certificate"},
        {"server", "other-ca", "client", "ca", "collector.test",
         "the peer's certificate is not accepted: unable to get local issuer certificate",
         "the peer refused this side's certificate: unknown CA"},
        {"server", "ca", "client", "ca", "other.test",
         "the peer refused this side's certificate: bad certificate",
         "the peer's certificate is not accepted: hostname mismatch"},
        {"server", "ca", "client", "ca", "10.1.2.4",
         "the peer refused this side's certificate: bad certificate",
         "the peer's certificate is not accepted: IP address mismatch"},
        {"future", "ca", "client", "ca", "collector.test",
         "the peer refused this side's certificate: bad certificate",
         "the peer's certificate is not accepted: certificate is not yet valid"},
        {"expired", "ca", "client", "ca", "collector.test",
         "the peer refused this side's certificate: certificate expired",
         "the peer's certificate is not accepted: certificate has expired"},
        {"server", "ca", "expired", "ca", "collector.test",
         "the peer's certificate is not accepted: certificate has expired",
         "the peer refused this side's certificate: certificate expired"},
        {"server", "ca", "future", "ca", "collector.test",
         "the peer's certificate is not accepted: certificate is not yet valid",
         "the peer refused this side's certificate: bad certificate"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct end server = {0}, client = {.answer = "hello"};
        int fds[2];

        make_tcp_pair(fds);
        begin(&server, fds[0], rows[i].server, rows[i].server_ca, NULL);
        begin(&client, fds[1], rows[i].client, rows[i].client_ca, rows[i].name);
        server.closes_in = CLOSED; /* as an owner would, at once */
        run_until(&server.closed);
        run_until(&client.closed);
        assert_string_equal(server.err.text, rows[i].server_text);
        assert_string_equal(client.err.text, rows[i].client_text);
        assert_int_equal(server.err.kind, ERR_DENIED);
        assert_int_equal(client.err.kind, ERR_DENIED);
        assert_int_equal(server.opened, 0);
        assert_int_equal(server.got.len, 0);
        finish(&server);
        finish(&client);
    }
}

static void test_names_and_addresses_that_fit(void **state)
{
    static const char *const names[] = {"collector.test", "collector.test.", "COLLECTOR.test",
                                        "a.wild.test",    "10.1.2.3",        "::1"};
    (void)state;

    for (size_t i = 0; i < COUNT(names); i++) {
        struct end server = {0}, client = {0};
        int fds[2];

        make_pair(fds);
        begin(&server, fds[0], "server", "ca", NULL);
        begin(&client, fds[1], "client", "ca", names[i]);
        run_until(&server.opened);
        assert_int_equal(client.opened, 1);
        finish(&server);
        finish(&client);
    }
}

/* A client as OpenSSL has it, with other rules than this project's. */
static void meet_client(struct end *server, SSL_CTX *ssl)
{
    SSL *client = SSL_new(ssl);
    struct err err = ERR_INIT;
    int fds[2];

    make_pair(fds);
    assert_int_equal(fd_set_nonblocking(fds[1], &err), 0);
    begin(server, fds[0], "server", "ca", NULL);
    SSL_set_fd(client, fds[1]);
    SSL_set_connect_state(client);
    for (int i = 0; i < 1000 && server->closed == 0; i++) {
        SSL_do_handshake(client);
        ev_run(loop, EVRUN_NOWAIT);
    }
    assert_int_equal(server->closed, 1);
    assert_int_equal(server->opened, 0);
    SSL_free(client);
    close(fds[1]);
    SSL_CTX_free(ssl);
}

static void test_a_client_must_show_a_certificate(void **state)
{
    struct end server = {0};
    (void)state;

    meet_client(&server, SSL_CTX_new(TLS_client_method()));
    assert_string_equal(server.err.text, "the peer showed no certificate");
    assert_int_equal(server.err.kind, ERR_DENIED);
    finish(&server);
}

static void test_older_protocols_are_not_spoken(void **state)
{
    struct end server = {0};
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    (void)state;

    SSL_CTX_set_max_proto_version(ssl, TLS1_2_VERSION);
    meet_client(&server, ssl);
    assert_string_equal(server.err.text, "the peer does not speak TLS 1.3: unsupported protocol");
    assert_int_equal(server.err.kind, ERR_CORRUPT);
    finish(&server);
}

/* --- no TLS, and no peer --- */

static void test_garbage_is_no_tls(void **state)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char noise[] = "\x16\x03\x03\x00\x05\xff\xff\xff\xff\xff garbage";
    (void)state;

    for (int i = 0; i < 4; i++) {
        struct end end = {0};
        int fds[2];

        make_pair(fds);
        begin(&end, fds[0], i < 2 ? "server" : "client", "ca", i < 2 ? NULL : "collector.test");
        assert_true(write(fds[1], i % 2 == 0 ? garbage : noise, 18) == 18);
        run_until(&end.closed);
        assert_int_equal(end.err.kind, ERR_CORRUPT);
        assert_true(text_starts_with(end.err.text, "the peer does not speak TLS 1.3: "));
        finish(&end);
        close(fds[1]);
    }
}

static void test_a_peer_that_goes_in_the_handshake(void **state)
{
    (void)state;

    for (int i = 0; i < 3; i++) {
        struct end end = {.closes_in = i == 2 ? CLOSED : NONE};
        int fds[2];

        make_pair(fds);
        begin(&end, fds[0], i == 0 ? "server" : "client", "ca", i == 0 ? NULL : "collector.test");
        close(fds[1]);
        run_until(&end.closed);
        assert_int_equal(end.err.kind, ERR_UNREACHABLE);
        finish(&end);
    }
}

static void test_nobody_listens(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct end end = {0};
    int reserved = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)state;

    /* Bound, but not listening: nobody else can take the port meanwhile. */
    assert_int_equal(bind(reserved, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(reserved, (struct sockaddr *)&address, &len), 0);
    connect(fd, (struct sockaddr *)&address, sizeof address);
    begin(&end, fd, "client", "ca", "collector.test");
    run_until(&end.closed);
    assert_int_equal(end.err.kind, ERR_UNREACHABLE);
    assert_string_equal(end.err.text, "Connection refused");
    finish(&end);
    close(reserved);
}

/* --- closing inside of handlers --- */

static void test_closing_is_legal_in_every_handler(void **state)
{
    static const enum handler handlers[] = {OPENED, RECEIVED, CLOSED};
    (void)state;

    for (size_t i = 0; i < COUNT(handlers) * 2; i++) {
        struct end ends[2] = {0};
        struct end *closer = &ends[i % 2];
        struct end *other = &ends[1 - i % 2];
        int fds[2];

        make_pair(fds);
        ends[0].answer = ends[1].answer = "hello";
        closer->closes_in = handlers[i / 2];
        begin(&ends[0], fds[0], "server", "ca", NULL);
        begin(&ends[1], fds[1], "client", "ca", "collector.test");
        if (closer->closes_in == CLOSED) {
            run_until(&ends[0].opened);
            run_until(&ends[1].opened);
            close_end(other);
            run_until(&closer->closed);
        } else {
            run_until(&other->closed);
            assert_int_equal(closer->closed, 0);
            assert_int_equal(other->closed, 1);
            assert_int_equal(other->err.kind, ERR_UNREACHABLE);
        }
        assert_true(closer->gone);
        finish(&ends[0]);
        finish(&ends[1]);
    }
}

/* --- files --- */

static void write_part(const char *name, const char *content)
{
    char *path = text_format("%s/%s", folder, name);
    struct err err = ERR_INIT;

    assert_int_equal(file_replace(path, content, strlen(content), &err), 0);
    free(path);
}

static void test_a_wrong_file_is_named(void **state)
{
    static const struct {
        const char *ca, *cert, *key, *expected;
    } rows[] = {
        {"none.crt", "server.crt", "server.key", "read /none.crt: open: No such file or directory"},
        {"ca.crt", "none.crt", "server.key", "read /none.crt: open: No such file or directory"},
        {"ca.crt", "server.crt", "none.key", "read /none.key: open: No such file or directory"},
        {".", "server.crt", "server.key", "read /.: read: Is a directory"},
        {"noise", "server.crt", "server.key", "/noise: holds no certificate in PEM form"},
        {"empty", "server.crt", "server.key", "/empty: holds no certificate in PEM form"},
        {"ca.crt", "server.key", "server.key", "/server.key: holds no certificate in PEM form"},
        {"ca.crt", "broken", "server.key", "/broken: certificate 1: bad base64 decode"},
        {"ca.crt", "server.crt", "server.crt",
         "/server.crt: holds no private key in PEM form without a passphrase"},
        {"ca.crt", "server.crt", "client.key", "/client.key: is not the key of the certificate"},
        {"ca.crt", "expired.crt", "expired.key", "/expired.crt: the certificate has expired"},
    };
    (void)state;

    write_part("noise", "these are no certificates\n");
    write_part("empty", "");
    write_part("broken", "-----BEGIN CERTIFICATE-----\n@@@@\n-----END CERTIFICATE-----\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *ca_file = text_format("%s/%s", folder, rows[i].ca);
        char *cert_file = text_format("%s/%s", folder, rows[i].cert);
        char *key_file = text_format("%s/%s", folder, rows[i].key);
        struct tls_files files = {.ca_file = ca_file, .cert_file = cert_file, .key_file = key_file};
        struct tls_context *made = NULL;
        struct err err = ERR_INIT;
        char *at;

        assert_int_equal(tls_context_new(&files, true, &made, &err), -1);
        assert_int_equal(err.kind, ERR_CONFIG);
        at = strstr(err.text, folder);
        assert_non_null(at);
        memmove(at, at + strlen(folder), strlen(at + strlen(folder)) + 1);
        assert_string_equal(err.text, rows[i].expected);
        free(ca_file);
        free(cert_file);
        free(key_file);
    }
    tls_context_free(NULL);
    tls_conn_close(NULL);
}

static int set_up(void **state)
{
    static const struct {
        const char *stem;
        struct cert_ask ask;
    } certs[] = {
        {"ca", {.name = "authority", .from_s = -3600, .to_s = 86400}},
        {"other-ca", {.name = "other authority", .from_s = -3600, .to_s = 86400}},
        {"server",
         {.name = "the server",
          .alt = "DNS:collector.test,DNS:*.wild.test,IP:10.1.2.3,IP:::1",
          .issuer = "ca",
          .from_s = -3600,
          .to_s = 86400}},
        {"client", {.name = "the \xc3\xa9 client", .issuer = "ca", .from_s = -3600, .to_s = 86400}},
        {"future",
         {.name = "later",
          .alt = "DNS:collector.test",
          .issuer = "ca",
          .from_s = 3600,
          .to_s = 86400}},
        {"expired",
         {.name = "the old",
          .alt = "DNS:collector.test",
          .issuer = "ca",
          .from_s = -7200,
          .to_s = -3600}},
    };
    (void)state;

    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(folder) == NULL)
        return -1;
    loop = ev_loop_new(EVFLAG_AUTO);
    for (size_t i = 0; i < COUNT(certs); i++)
        certs_make(folder, certs[i].stem, &certs[i].ask);
    return 0;
}

static int tear_down(void **state)
{
    char *command = text_format("rm -r '%s'", folder);
    int rc = system(command); // NOLINT(cert-env33-c): a test's folder
    (void)state;

    free(command);
    ev_loop_destroy(loop);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_go_both_ways_whole),
        cmocka_unit_test(test_what_is_queued_goes_before_the_close),
        cmocka_unit_test(test_a_peer_that_does_not_read_makes_bytes_wait),
        cmocka_unit_test(test_a_peer_that_goes_amid_bytes),
        cmocka_unit_test(test_who_is_not_believed_is_denied_and_told_why),
        cmocka_unit_test(test_names_and_addresses_that_fit),
        cmocka_unit_test(test_a_client_must_show_a_certificate),
        cmocka_unit_test(test_older_protocols_are_not_spoken),
        cmocka_unit_test(test_garbage_is_no_tls),
        cmocka_unit_test(test_a_peer_that_goes_in_the_handshake),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_closing_is_legal_in_every_handler),
        cmocka_unit_test(test_a_wrong_file_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
