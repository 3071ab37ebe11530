// SPDX-License-Identifier: Apache-2.0
// The connections of httpd. Each goes through three states: its request comes, its answer leaves,
// and its end is awaited (a close while bytes of the client lie unread would be a reset, which may
// destroy the answer on its way). One deadline for the request, one for all after it.
#include "httpd.h"

#include "address.h"
#include "file.h"
#include "mem.h"

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEADLINE_S 10.0
#define REST_S     1.0

enum { CLIENTS = 16 };

enum state { FREE, ASKING, ANSWERING, ENDING };

struct client {
    enum state state;
    struct httpd *httpd;
    uint64_t number; /* a lower one came earlier */
    ev_io io;
    ev_timer deadline;
    struct text head;   /* ASKING */
    struct text answer; /* ANSWERING */
    size_t sent;
};

struct httpd {
    struct ev_loop *loop;
    httpd_fn *handler;
    void *arg;
    int fd;
    unsigned port;
    ev_io accept;
    ev_timer rest; /* after an accept that failed for want of something */
    uint64_t accepted;
    struct client clients[CLIENTS];
};

static void drop(struct client *client)
{
    struct ev_loop *loop = client->httpd->loop;

    ev_io_stop(loop, &client->io);
    ev_timer_stop(loop, &client->deadline);
    fd_close(&client->io.fd);
    text_fini(&client->head);
    text_fini(&client->answer);
    client->state = FREE;
}

static void enter(struct client *client, enum state state)
{
    struct ev_loop *loop = client->httpd->loop;
    int fd = client->io.fd;

    client->state = state;
    ev_io_stop(loop, &client->io);
    ev_io_set(&client->io, fd, state == ANSWERING ? EV_WRITE : EV_READ);
    ev_io_start(loop, &client->io);
}

static void set_deadline(struct client *client)
{
    struct ev_loop *loop = client->httpd->loop;

    ev_now_update(loop); /* the handler may have taken its time */
    ev_timer_stop(loop, &client->deadline);
    ev_timer_set(&client->deadline, DEADLINE_S, 0);
    ev_timer_start(loop, &client->deadline);
}

/* --- the answer --- */

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static void compose(struct text *out, const struct httpd_answer *answer, bool head_only)
{
    text_add(out,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
             answer->status, status_text(answer->status), answer->content_type, answer->body.len);
    if (answer->status == 405)
        text_add(out, "Allow: GET, HEAD\r\n");
    text_add(out, "\r\n");
    if (!head_only)
        text_add_bytes(out, answer->body.data, answer->body.len);
}

/* status: of the refusal, or 0 to ask the handler. */
static void answer_with(struct client *client, int status, bool head_only, const char *path)
{
    struct httpd *httpd = client->httpd;
    struct httpd_answer answer = {.status = status == 0 ? 200 : status,
                                  .content_type = "text/plain; charset=utf-8"};

    if (status == 0)
        httpd->handler(httpd->arg, path, &answer);
    if (answer.status != 200 && answer.body.len == 0)
        text_add(&answer.body, "%s\n", status_text(answer.status));
    compose(&client->answer, &answer, head_only);
    text_fini(&answer.body);
    text_fini(&client->head);
    set_deadline(client);
    enter(client, ANSWERING);
}

/* --- what comes --- */

/* How many bytes the head has, or 0 while its empty line is not there. One of bare LFs ends it
 * too, so that it is refused now and not at the deadline. */
static size_t head_bytes(const struct text *head, size_t from)
{
    for (size_t i = from; i < head->len; i++) {
        size_t back = i > 0 && head->data[i - 1] == '\r' ? 2 : 1;

        if (head->data[i] == '\n' && i >= back && head->data[i - back] == '\n')
            return i + 1;
    }
    return 0;
}

static void read_request(struct client *client)
{
    char data[HTTPD_HEAD_MAX_BYTES];
    struct text *head = &client->head;
    size_t before = head->len;
    ssize_t n = recv(client->io.fd, data, sizeof data - before, 0);
    bool head_only = false;
    char *path = NULL;
    size_t bytes;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(client);
        return;
    }
    text_add_bytes(head, data, (size_t)n);
    bytes = head_bytes(head, before);
    if (bytes > 0) {
        int status = httpd_parse(head->data, bytes, &head_only, &path);

        answer_with(client, status, head_only, path);
        free(path);
    } else if (head->len == sizeof data) {
        answer_with(client, memchr(head->data, '\n', head->len) == NULL ? 414 : 431, false, NULL);
    }
}

static void write_answer(struct client *client)
{
    struct text *answer = &client->answer;
    ssize_t n =
        send(client->io.fd, answer->data + client->sent, answer->len - client->sent, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        drop(client);
        return;
    }
    client->sent += (size_t)n;
    if (client->sent < answer->len)
        return;
    text_fini(answer);
    shutdown(client->io.fd, SHUT_WR);
    enter(client, ENDING);
}

static void await_end(struct client *client)
{
    char data[HTTPD_HEAD_MAX_BYTES];
    ssize_t n = recv(client->io.fd, data, sizeof data, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        drop(client);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *client = io->data;

    (void)loop;
    (void)events;
    if (client->state == ASKING)
        read_request(client);
    else if (client->state == ANSWERING)
        write_answer(client);
    else
        await_end(client);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    drop(timer->data);
}

/* --- who comes --- */

/* A free place. When there is none the one goes that waits longest without having asked, or else
 * has its answer longest. */
static struct client *make_place(struct httpd *httpd)
{
    struct client *chosen = NULL;

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &httpd->clients[i];

        if (client->state == FREE)
            return client;
        if (chosen == NULL || (client->state == ANSWERING) < (chosen->state == ANSWERING) ||
            ((client->state == ANSWERING) == (chosen->state == ANSWERING) &&
             client->number < chosen->number))
            chosen = client;
    }
    drop(chosen);
    return chosen;
}

static void admit(struct httpd *httpd, int fd)
{
    struct client *client = make_place(httpd);

    client->number = httpd->accepted++;
    client->sent = 0;
    ev_io_set(&client->io, fd, EV_READ);
    set_deadline(client);
    enter(client, ASKING);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    struct httpd *httpd = io->data;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (fd >= 0) {
        admit(httpd, fd);
        return;
    }
    /* Out of descriptors: the client stays in the queue, and would wake the loop without end. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        ev_io_stop(loop, io);
        ev_timer_set(&httpd->rest, REST_S, 0);
        ev_timer_start(loop, &httpd->rest);
    }
}

static void on_rested(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct httpd *httpd = timer->data;

    (void)events;
    ev_io_start(loop, &httpd->accept);
}

/* --- for owners --- */

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof address;

    getsockname(fd, &address.any, &len);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int httpd_open(struct ev_loop *loop, const char *address, httpd_fn *handler, void *arg,
               struct httpd **httpd, struct err *err)
{
    int fd = -1;
    struct httpd *made;

    if (address_listen(address, &fd, err) < 0)
        return -1;
    made = mem_calloc(1, sizeof *made);
    made->loop = loop;
    made->handler = handler;
    made->arg = arg;
    made->fd = fd;
    made->port = bound_port(fd);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &made->clients[i];

        client->httpd = made;
        ev_init(&client->io, on_io);
        ev_io_set(&client->io, -1, EV_READ);
        ev_init(&client->deadline, on_deadline);
        client->io.data = client->deadline.data = client;
    }
    ev_init(&made->rest, on_rested);
    ev_init(&made->accept, on_accept);
    ev_io_set(&made->accept, fd, EV_READ);
    made->accept.data = made->rest.data = made;
    ev_io_start(loop, &made->accept);
    *httpd = made;
    return 0;
}

void httpd_close(struct httpd *httpd)
{
    if (httpd == NULL)
        return;
    for (size_t i = 0; i < CLIENTS; i++)
        if (httpd->clients[i].state != FREE)
            drop(&httpd->clients[i]);
    ev_io_stop(httpd->loop, &httpd->accept);
    ev_timer_stop(httpd->loop, &httpd->rest);
    fd_close(&httpd->fd);
    free(httpd);
}

unsigned httpd_port(const struct httpd *httpd)
{
    return httpd->port;
}
