// SPDX-License-Identifier: Apache-2.0
// Logging in, and asking. hiredis only takes answers apart; it is given hooks that refuse an answer
// before memory is taken for what it announces.
#include "conn.h"

#include "dial.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGUMENTS 16
#define READ_BYTES    16384

struct redis_conn {
    struct dial dial;
    redisReader *reader;
    redisReplyObjectFunctions functions; /* hiredis' own, with bounds */
    bool logged_in;
};

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

/* A server that wants TLS, or a certificate, may say nothing but that. */
static int closed(const struct redis_conn *conn, struct err *err)
{
    const char *guess = conn->dial.link.ssl != NULL ? "; does it ask for a certificate (cert_file)?"
                                                    : "; does it ask for TLS (rediss://)?";

    return err_set(err, ERR_UNREACHABLE, "%s: the server closed the connection%s", conn->dial.place,
                   conn->logged_in ? "" : guess);
}

static int send_all(struct redis_conn *conn, const char *data, size_t len, struct err *err)
{
    enum step step = dial_send(&conn->dial, data, len, err);

    if (step == STEP_END)
        return closed(conn, err);
    return step == STEP_OK ? 0 : -1;
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
    enum step step = dial_receive(&conn->dial, data, sizeof data, &len, until_us, err);

    if (step == STEP_END)
        return closed(conn, err);
    if (step == STEP_ERROR)
        return -1;
    *fed += len;
    if (*fed > REDIS_REPLY_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "%s: an answer of more than %zu MiB", conn->dial.place,
                       REDIS_REPLY_MAX_BYTES >> 20);
    if (redisReaderFeed(conn->reader, data, len) != REDIS_OK)
        abort(); /* out of memory */
    return 0;
}

static int read_reply(struct redis_conn *conn, redisReply **reply, struct err *err)
{
    int64_t until_us = dial_patience(&conn->dial);
    size_t fed = 0;
    void *read = NULL;

    for (;;) {
        if (redisReaderGetReply(conn->reader, &read) != REDIS_OK)
            return err_set(err, ERR_CORRUPT, "%s does not answer as Redis does: %s",
                           conn->dial.place, conn->reader->errstr);
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

int redis_said(const char *said, const char *command, struct err *err)
{
    char line[320];

    snprintf(line, sizeof line, "%s", said);
    text_fix_utf8(line);
    log_mask(line);
    return err_set(err, kind_of(said), "%s: %s", command, line);
}

int redis_reply_check(const redisReply *reply, const char *command, struct err *err)
{
    return reply->type == REDIS_REPLY_ERROR ? redis_said(reply->str, command, err) : 0;
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
        return err_wrap(err, "%s", conn->dial.place);
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
        rc = err_set(err, ERR_CORRUPT, "%s does not answer as Redis does", conn->dial.place);
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

static int connect_to(struct redis_conn *conn, const struct redis_options *options, struct err *err)
{
    const struct tls_files files = {.ca_file = options->ca_file,
                                    .cert_file = options->cert_file,
                                    .key_file = options->key_file};
    struct redis_address address;

    if (redis_address_parse(options->url, &address, err) < 0)
        return -1;
    if (address.kind == REDIS_UNIX)
        return dial_unix(&conn->dial, address.path, err);
    return dial_host(&conn->dial, address.host, address.port,
                     address.kind == REDIS_TLS ? &files : NULL, err);
}

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

    dial_init(&opened->dial, deadline_mono_us, options->timeout_ms);
    new_reader(opened);
    if (connect_to(opened, options, err) < 0 || log_in(opened, options, err) < 0) {
        redis_conn_close(opened);
        return -1;
    }
    opened->logged_in = true;
    *conn = opened;
    return 0;
}

void redis_conn_close(struct redis_conn *conn)
{
    if (conn == NULL)
        return;
    dial_fini(&conn->dial);
    redisReaderFree(conn->reader);
    free(conn);
}

const char *redis_conn_place(const struct redis_conn *conn)
{
    return conn->dial.place;
}

int64_t redis_conn_deadline(const struct redis_conn *conn)
{
    return conn->dial.deadline_mono_us;
}

void redis_conn_set_deadline(struct redis_conn *conn, int64_t deadline_mono_us)
{
    conn->dial.deadline_mono_us = deadline_mono_us;
}

enum step redis_conn_read(struct redis_conn *conn, uint8_t *data, size_t cap, size_t *len,
                          struct err *err)
{
    enum step step = net_link_read(&conn->dial.link, data, cap, len, err);

    if (step == STEP_ERROR)
        err_wrap(err, "%s", conn->dial.place);
    return step;
}

int redis_conn_fd(const struct redis_conn *conn)
{
    return conn->dial.link.fd;
}

short redis_conn_events(const struct redis_conn *conn)
{
    return conn->dial.link.events;
}

int redis_conn_wait(struct redis_conn *conn, struct err *err)
{
    return dial_wait(&conn->dial, dial_patience(&conn->dial), err);
}

int redis_conn_pause(struct redis_conn *conn, int ms, struct err *err)
{
    return dial_pause(&conn->dial, ms, err);
}
