// SPDX-License-Identifier: Apache-2.0
// Connecting, logging in, and asking: every wait is one poll() over the socket and the wish to
// stop. hiredis only takes answers apart; it is given hooks that refuse an answer before memory is
// taken for what it announces.
#include "conn.h"

#include "cancel.h"
#include "clock.h"
#include "link.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAX_ARGUMENTS 16
#define READ_BYTES    16384

struct redis_conn {
    struct redis_link link;
    char *place;
    redisReader *reader;
    redisReplyObjectFunctions functions; /* hiredis' own, with bounds */
    int64_t deadline_mono_us;
    int64_t timeout_ms;
};

/* --- waiting --- */

/* Until the link is ready for its events, or until_us (which may lie behind the deadline). */
static int wait_until(struct redis_conn *conn, int64_t until_us, bool *ready, struct err *err)
{
    if (until_us > conn->deadline_mono_us)
        until_us = conn->deadline_mono_us;
    for (*ready = false;;) {
        int64_t left_ms = (until_us - clock_mono_us() + 999) / 1000;
        struct pollfd fds[2] = {{.fd = cancel_fd(), .events = POLLIN},
                                {.fd = conn->link.fd, .events = conn->link.events}};

        if (cancel_check(err) < 0)
            return -1;
        if (poll(fds, 2,
                 left_ms < 0       ? 0
                 : left_ms > 60000 ? 60000
                                   : (int)left_ms) < 0 &&
            errno != EINTR)
            return err_set_errno(err, errno, "poll");
        if (cancel_check(err) < 0)
            return -1;
        *ready = fds[1].revents != 0;
        if (*ready || left_ms <= 0)
            return 0;
    }
}

static int64_t patience(const struct redis_conn *conn)
{
    return clock_mono_us() + conn->timeout_ms * 1000;
}

static int wait_ready(struct redis_conn *conn, int64_t until_us, struct err *err)
{
    bool ready;

    if (wait_until(conn, until_us, &ready, err) < 0)
        return -1;
    if (ready)
        return 0;
    if (clock_mono_us() >= conn->deadline_mono_us)
        return err_set(err, ERR_TIMEOUT, "%s: no answer within the time given", conn->place);
    return err_set(err, ERR_UNREACHABLE, "%s: no answer within %lld ms (timeout)", conn->place,
                   (long long)conn->timeout_ms);
}

int redis_conn_pause(struct redis_conn *conn, int ms, struct err *err)
{
    struct pollfd stop = {.fd = cancel_fd(), .events = POLLIN};
    int64_t left_ms = (conn->deadline_mono_us - clock_mono_us()) / 1000;

    if (left_ms <= 0)
        return err_set(err, ERR_TIMEOUT, "the time given is over");
    if (poll(&stop, 1, left_ms < ms ? (int)left_ms : ms) < 0 && errno != EINTR)
        return err_set_errno(err, errno, "poll");
    return cancel_check(err);
}

/* --- connecting --- */

static int connect_to(struct redis_conn *conn, int family, const void *address, size_t len,
                      struct err *err)
{
    int result;

    redis_link_close(&conn->link);
    if (!redis_link_begin(&conn->link, family, address, len))
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", conn->place, strerror(errno));
    if (wait_ready(conn, patience(conn), err) < 0)
        return -1;
    result = redis_link_result(&conn->link);
    if (result != 0)
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", conn->place, strerror(result));
    return 0;
}

static int connect_unix(struct redis_conn *conn, const struct redis_address *address,
                        struct err *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    memcpy(name.sun_path, address->path, strlen(address->path) + 1);
    return connect_to(conn, AF_UNIX, &name, sizeof name, err);
}

static int connect_host(struct redis_conn *conn, const struct redis_address *address,
                        struct err *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(address->host, address->port, &hints, &found);
    int rc = -1;

    if (status != 0)
        return err_set(err, ERR_UNREACHABLE, "look up %s: %s", address->host, gai_strerror(status));
    for (struct addrinfo *at = found; at != NULL && rc < 0 && err->kind != ERR_CANCELLED;
         at = at->ai_next)
        rc = connect_to(conn, at->ai_family, at->ai_addr, at->ai_addrlen, err);
    freeaddrinfo(found);
    if (rc == 0)
        err_clear(err);
    return rc;
}

static int secure(struct redis_conn *conn, const struct redis_options *options, const char *host,
                  struct err *err)
{
    int64_t until_us = patience(conn);
    enum step step;

    if (redis_link_secure(&conn->link, options, host, err) < 0)
        return -1;
    while ((step = redis_link_shake(&conn->link, err)) == STEP_AGAIN)
        if (wait_ready(conn, until_us, err) < 0)
            return -1;
    return step == STEP_OK ? 0 : err_wrap(err, "%s", conn->place);
}

static int reach(struct redis_conn *conn, const struct redis_options *options, struct err *err)
{
    struct redis_address address;

    if (redis_address_parse(options->url, &address, err) < 0)
        return -1;
    if (address.kind == REDIS_UNIX) {
        conn->place = mem_strdup(address.path);
        return connect_unix(conn, &address, err);
    }
    conn->place = text_format(strchr(address.host, ':') == NULL ? "%s:%s" : "[%s]:%s", address.host,
                              address.port);
    if (connect_host(conn, &address, err) < 0)
        return -1;
    return address.kind == REDIS_TLS ? secure(conn, options, address.host, err) : 0;
}

/* --- asking --- */

static const redisReplyObjectFunctions *own_functions; /* of hiredis; every reader has the same */

static void *create_array(const redisReadTask *task, int count)
{
    return count > REDIS_REPLY_MAX_ITEMS ? NULL : own_functions->createArray(task, count);
}

static void new_reader(struct redis_conn *conn)
{
    conn->reader = redisReaderCreate();
    if (conn->reader == NULL)
        abort(); /* out of memory */
    own_functions = conn->reader->fn;
    conn->functions = *own_functions;
    conn->functions.createArray = create_array;
    conn->reader->fn = &conn->functions;
}

static int closed(const struct redis_conn *conn, struct err *err)
{
    return err_set(err, ERR_UNREACHABLE, "%s: the server closed the connection", conn->place);
}

static int send_all(struct redis_conn *conn, const char *data, size_t len, struct err *err)
{
    int64_t until_us = patience(conn);

    while (len > 0) {
        size_t done = 0;
        enum step step = redis_link_write(&conn->link, data, len, &done, err);

        if (step == STEP_ERROR)
            return err_wrap(err, "%s", conn->place);
        if (step == STEP_END)
            return closed(conn, err);
        if (step == STEP_AGAIN && wait_ready(conn, until_us, err) < 0)
            return -1;
        data += done;
        len -= done;
    }
    return 0;
}

static int send_command(struct redis_conn *conn, size_t argc, const char *const *argv,
                        const size_t *lens, struct err *err)
{
    struct text request = TEXT_INIT;
    int rc;

    text_add(&request, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        size_t len = lens == NULL ? strlen(argv[i]) : lens[i];

        text_add(&request, "$%zu\r\n", len);
        text_add_bytes(&request, argv[i], len);
        text_add(&request, "\r\n");
    }
    rc = send_all(conn, request.data, request.len, err);
    text_fini(&request);
    return rc;
}

/* One bite of an answer. */
static int feed_reader(struct redis_conn *conn, int64_t until_us, size_t *fed, struct err *err)
{
    char data[READ_BYTES];
    size_t len = 0;
    enum step step = redis_link_read(&conn->link, data, sizeof data, &len, err);

    if (step == STEP_AGAIN)
        return wait_ready(conn, until_us, err);
    if (step == STEP_END)
        return closed(conn, err);
    if (step == STEP_ERROR)
        return err_wrap(err, "%s", conn->place);
    *fed += len;
    if (*fed > REDIS_REPLY_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "%s: an answer of more than %zu MiB", conn->place,
                       REDIS_REPLY_MAX_BYTES >> 20);
    if (redisReaderFeed(conn->reader, data, len) != REDIS_OK)
        abort(); /* out of memory */
    return 0;
}

static int read_reply(struct redis_conn *conn, redisReply **reply, struct err *err)
{
    int64_t until_us = patience(conn);
    size_t fed = 0;
    void *read = NULL;

    for (;;) {
        if (redisReaderGetReply(conn->reader, &read) != REDIS_OK)
            return err_set(err, ERR_CORRUPT, "%s does not answer as Redis does: %s", conn->place,
                           conn->reader->errstr);
        if (read != NULL)
            break;
        if (feed_reader(conn, until_us, &fed, err) < 0)
            return -1;
    }
    *reply = read;
    return 0;
}

int redis_conn_ask(struct redis_conn *conn, size_t argc, const char *const *argv,
                   const size_t *lens, redisReply **reply, struct err *err)
{
    if (send_command(conn, argc, argv, lens, err) < 0)
        return -1;
    return read_reply(conn, reply, err);
}

static enum err_kind kind_of(const char *said)
{
    static const struct {
        const char *prefix;
        enum err_kind kind;
    } kinds[] = {
        {"NOAUTH", ERR_DENIED},
        {"WRONGPASS", ERR_DENIED},
        {"NOPERM", ERR_DENIED},
        {"DENIED", ERR_DENIED},
        {"ERR AUTH", ERR_DENIED},
        {"ERR invalid password", ERR_DENIED},
        {"LOADING", ERR_UNREACHABLE},
        {"MASTERDOWN", ERR_UNREACHABLE},
        {"NOMASTERLINK", ERR_UNREACHABLE},
        {"BUSY ", ERR_UNREACHABLE},
        {"ERR max number of clients", ERR_UNREACHABLE},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (text_starts_with(said, kinds[i].prefix))
            return kinds[i].kind;
    return ERR_SOURCE;
}

int redis_reply_check(const redisReply *reply, const char *command, struct err *err)
{
    char line[320];

    if (reply->type != REDIS_REPLY_ERROR)
        return 0;
    snprintf(line, sizeof line, "%s", reply->str);
    text_fix_utf8(line);
    log_mask(line);
    return err_set(err, kind_of(reply->str), "%s: %s", command, line);
}

/* Fills argv from args; the count. */
static size_t collect(const char **argv, va_list args)
{
    size_t argc = 0;

    for (const char *arg = va_arg(args, const char *); arg != NULL;
         arg = va_arg(args, const char *)) {
        if (argc == MAX_ARGUMENTS)
            abort();
        argv[argc++] = arg;
    }
    return argc;
}

static int call(struct redis_conn *conn, redisReply **reply, va_list args, struct err *err)
{
    const char *argv[MAX_ARGUMENTS];
    size_t argc = collect(argv, args);
    redisReply *answer = NULL;

    if (redis_conn_ask(conn, argc, argv, NULL, &answer, err) < 0)
        return -1;
    if (redis_reply_check(answer, argv[0], err) < 0) {
        freeReplyObject(answer);
        return err_wrap(err, "%s", conn->place);
    }
    if (reply == NULL)
        freeReplyObject(answer);
    else
        *reply = answer;
    return 0;
}

int redis_conn_call(struct redis_conn *conn, redisReply **reply, struct err *err, ...)
{
    va_list args;
    int rc;

    va_start(args, err);
    rc = call(conn, reply, args, err);
    va_end(args);
    return rc;
}

int redis_conn_text(struct redis_conn *conn, char **text, struct err *err, ...)
{
    redisReply *reply = NULL;
    va_list args;
    int rc;

    va_start(args, err);
    rc = call(conn, &reply, args, err);
    va_end(args);
    if (rc < 0)
        return -1;
    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
        *text = mem_strndup(reply->str, (size_t)reply->len);
    else
        rc = err_set(err, ERR_CORRUPT, "%s does not answer as Redis does", conn->place);
    freeReplyObject(reply);
    return rc;
}

int redis_conn_send(struct redis_conn *conn, struct err *err, ...)
{
    const char *argv[MAX_ARGUMENTS];
    va_list args;
    size_t argc;

    va_start(args, err);
    argc = collect(argv, args);
    va_end(args);
    return send_command(conn, argc, argv, NULL, err);
}

/* --- for owners --- */

static int log_in(struct redis_conn *conn, const struct redis_options *options, struct err *err)
{
    if (options->user != NULL) {
        if (redis_conn_call(conn, NULL, err, "AUTH", options->user, options->password, NULL) < 0)
            return -1;
    } else if (options->password != NULL &&
               redis_conn_call(conn, NULL, err, "AUTH", options->password, NULL) < 0) {
        return -1;
    }
    return redis_conn_call(conn, NULL, err, "PING", NULL);
}

int redis_conn_open(const struct redis_options *options, int64_t deadline_mono_us,
                    struct redis_conn **conn, struct err *err)
{
    struct redis_conn *opened = mem_calloc(1, sizeof *opened);

    opened->link.fd = -1;
    opened->deadline_mono_us = deadline_mono_us;
    opened->timeout_ms = options->timeout_ms;
    new_reader(opened);
    if (reach(opened, options, err) < 0 || log_in(opened, options, err) < 0) {
        redis_conn_close(opened);
        return -1;
    }
    *conn = opened;
    return 0;
}

void redis_conn_close(struct redis_conn *conn)
{
    if (conn == NULL)
        return;
    redis_link_close(&conn->link);
    redisReaderFree(conn->reader);
    free(conn->place);
    free(conn);
}

const char *redis_conn_place(const struct redis_conn *conn)
{
    return conn->place;
}

int64_t redis_conn_deadline(const struct redis_conn *conn)
{
    return conn->deadline_mono_us;
}

void redis_conn_set_deadline(struct redis_conn *conn, int64_t deadline_mono_us)
{
    conn->deadline_mono_us = deadline_mono_us;
}

enum step redis_conn_read(struct redis_conn *conn, uint8_t *data, size_t cap, size_t *len,
                          struct err *err)
{
    enum step step = redis_link_read(&conn->link, data, cap, len, err);

    if (step == STEP_ERROR)
        err_wrap(err, "%s", conn->place);
    return step;
}

int redis_conn_fd(const struct redis_conn *conn)
{
    return conn->link.fd;
}

short redis_conn_events(const struct redis_conn *conn)
{
    return conn->link.events;
}
