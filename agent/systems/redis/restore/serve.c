// SPDX-License-Identifier: Apache-2.0
// The states: listening, a handshake, the payload, waiting until it is loaded. Whatever connects
// and is not the server that was told to is shut out, and the listening goes on; that server tells
// itself apart by its address and by its replication id, 160 bits that only who may ask it knows.
// What it sends us besides, its password above all, is read past (replica_words.c).
#include "serve.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "net_link.h"
#include "replica_words.h"
#include "serve_link.h"
#include "text.h"
#include "wakeup.h"

#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES    4096
#define COME_TIME_US  INT64_C(30000000)
#define SPEAK_TIME_US INT64_C(10000000)
#define ANSWER_BYTES  256
#define LOOK_AGAIN_US 200000

struct redis_serving {
    struct sink sink;
    struct serve_listener listener;
    struct net_link link;
    enum { SERVE_LISTENING, SERVE_SHAKING, SERVE_GREETING, SERVE_PAYLOAD, SERVE_LOADED } state;
    const struct redis_options *options;
    bool tls;
    struct replica_words words;
    char answer[ANSWER_BYTES]; /* what is still to be sent before anything else */
    size_t answer_len;
    const char *replid; /* lent */
    uint64_t bytes, sent;
    int64_t until_us; /* for the server to come, and for who came to speak */
    uint64_t shut_out;
    struct wakeup wakeup;
};

/* --- who comes --- */

static void shut_out(struct redis_serving *serving, const char *why)
{
    net_link_close(&serving->link);
    serving->state = SERVE_LISTENING;
    if (serving->shut_out++ == 0)
        log_warn("a connection that is not the server's was shut out", LOG_TEXT("why", why));
}

static enum step listen_on(struct redis_serving *serving, struct err *err)
{
    int fd = -1;

    if (clock_mono_us() > serving->until_us) {
        err_set(err, ERR_UNREACHABLE,
                "the server did not come to %s port %s within %d s; does a network policy forbid "
                "it?",
                serving->listener.host, serving->listener.port, (int)(COME_TIME_US / 1000000));
        return STEP_ERROR;
    }
    switch (serve_listener_accept(&serving->listener, &fd, err)) {
    case STEP_OK:
        break;
    case STEP_AGAIN:
        return STEP_AGAIN;
    case STEP_END:
        shut_out(serving, "it comes from another address");
        return STEP_OK;
    default:
        return STEP_ERROR;
    }
    serving->link = (struct net_link){.fd = fd, .events = POLLIN};
    memset(&serving->words, 0, sizeof serving->words);
    serving->answer_len = 0;
    serving->state = serving->tls ? SERVE_SHAKING : SERVE_GREETING;
    if (serving->tls && serve_link_secure(&serving->link, serving->options, err) < 0)
        return STEP_ERROR;
    serving->listener.speak_until_us = clock_mono_us() + SPEAK_TIME_US;
    return STEP_OK;
}

static enum step shake(struct redis_serving *serving)
{
    struct err why = ERR_INIT;
    enum step step = net_link_shake(&serving->link, &why);

    if (step == STEP_OK)
        serving->state = SERVE_GREETING;
    else if (step == STEP_AGAIN && clock_mono_us() < serving->listener.speak_until_us)
        return STEP_AGAIN;
    else
        shut_out(serving, step == STEP_AGAIN ? "it says nothing" : why.text);
    return STEP_OK;
}

static void say(struct redis_serving *serving, const char *text)
{
    size_t len = strlen(text);

    /* Who asks for more answers than it takes gets none: it is no replica. */
    if (len > sizeof serving->answer - serving->answer_len) {
        shut_out(serving, "it does not read its answers");
        return;
    }
    memcpy(serving->answer + serving->answer_len, text, len);
    serving->answer_len += len;
}

static void begin_payload(struct redis_serving *serving)
{
    uint8_t random[20];
    char id[41];
    char *line;

    if (RAND_bytes(random, sizeof random) != 1)
        abort();
    text_hex(random, sizeof random, id);
    line = text_format("+FULLRESYNC %s 0\r\n$%llu\r\n", id, (unsigned long long)serving->bytes);
    say(serving, line);
    free(line);
    serving->state = SERVE_PAYLOAD;
    serve_listener_close(&serving->listener);
}

static void answer(struct redis_serving *serving, const struct replica_command *command)
{
    if (command->said == REPLICA_PING)
        say(serving, "+PONG\r\n");
    else if (command->said == REPLICA_CONF || command->said == REPLICA_AUTH)
        say(serving, "+OK\r\n");
    else if (command->said == REPLICA_PSYNC && strcmp(command->replid, serving->replid) == 0)
        begin_payload(serving);
    else
        shut_out(serving, "it is not the server that was told to come");
}

static enum step greet(struct redis_serving *serving)
{
    uint8_t data[READ_BYTES];
    struct replica_command command;
    struct err why = ERR_INIT;
    size_t len = 0, pos = 0;
    enum step step = net_link_read(&serving->link, data, sizeof data, &len, &why);

    while (step == STEP_OK && serving->state == SERVE_GREETING && pos < len) {
        size_t used = 0;
        enum step read =
            replica_words_read(&serving->words, data + pos, len - pos, &used, &command, &why);

        pos += used;
        if (read == STEP_OK)
            answer(serving, &command);
        else if (read == STEP_ERROR)
            step = STEP_ERROR;
    }
    OPENSSL_cleanse(data, sizeof data);
    if (step == STEP_AGAIN && clock_mono_us() < serving->listener.speak_until_us)
        return STEP_AGAIN;
    if (step != STEP_OK && serving->state == SERVE_GREETING)
        shut_out(serving, step == STEP_AGAIN ? "it says nothing"
                          : step == STEP_END ? "it closed the connection"
                                             : why.text);
    return STEP_OK;
}

/* --- what is sent --- */

static enum step send_some(struct redis_serving *serving, const void *data, size_t len,
                           size_t *done, struct err *err)
{
    enum step step = net_link_write(&serving->link, data, len, done, err);

    if (step != STEP_END)
        return step;
    err_set(err, ERR_UNREACHABLE,
            "the server closed the connection after %llu of %llu bytes of the file",
            (unsigned long long)serving->sent, (unsigned long long)serving->bytes);
    return STEP_ERROR;
}

static enum step send_answer(struct redis_serving *serving, struct err *err)
{
    size_t done = 0;
    enum step step;

    if (serving->answer_len == 0)
        return STEP_OK;
    step = send_some(serving, serving->answer, serving->answer_len, &done, err);
    if (step != STEP_OK)
        return step;
    memmove(serving->answer, serving->answer + done, serving->answer_len - done);
    serving->answer_len -= done;
    return serving->answer_len == 0 ? STEP_OK : STEP_AGAIN;
}

/* Until the payload may be sent: OK. */
static enum step await_server(struct redis_serving *serving, struct err *err)
{
    enum step step = STEP_OK;

    while (step == STEP_OK && serving->state < SERVE_PAYLOAD) {
        if (serving->state == SERVE_LISTENING)
            step = listen_on(serving, err);
        else if (serving->state == SERVE_SHAKING)
            step = shake(serving);
        else
            step = greet(serving);
        if (step != STEP_ERROR && serving->state == SERVE_GREETING && serving->answer_len > 0 &&
            send_answer(serving, err) == STEP_ERROR) {
            err_clear(err);
            shut_out(serving, "it closed the connection");
            step = STEP_OK;
        }
    }
    return step == STEP_OK ? send_answer(serving, err) : step;
}

static enum step serving_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct redis_serving *serving = (struct redis_serving *)sink;
    enum step step = await_server(serving, err);
    size_t done = 0;

    if (step != STEP_OK)
        return step;
    if (in->len - in->pos > serving->bytes - serving->sent) {
        err_set(err, ERR_CORRUPT, "the file is longer than the manifest says");
        return STEP_ERROR;
    }
    step = send_some(serving, in->data + in->pos, in->len - in->pos, &done, err);
    if (step == STEP_OK) {
        in->pos += done;
        serving->sent += done;
    }
    return step;
}

/* What the server says after the payload: newlines while it loads, then what it has. */
static enum step await_load(struct redis_serving *serving, struct err *err)
{
    uint8_t data[READ_BYTES];
    struct replica_command command;
    size_t len = 0;
    enum step step = net_link_read(&serving->link, data, sizeof data, &len, err);

    for (size_t pos = 0, used = 0; step == STEP_OK && pos < len; pos += used) {
        enum step read =
            replica_words_read(&serving->words, data + pos, len - pos, &used, &command, err);

        if (read == STEP_ERROR)
            return STEP_ERROR;
        if (read == STEP_OK && command.said == REPLICA_ACK)
            serving->state = SERVE_LOADED;
    }
    if (step == STEP_END) {
        err_set(err, ERR_UNREACHABLE,
                "the server closed the connection while it loaded; its own log says why");
        return STEP_ERROR;
    }
    return step;
}

static enum step serving_commit(struct sink *sink, struct err *err)
{
    struct redis_serving *serving = (struct redis_serving *)sink;
    enum step step = await_server(serving, err);

    if (step != STEP_OK)
        return step;
    if (serving->sent != serving->bytes) {
        err_set(err, ERR_CORRUPT, "the file is shorter than the manifest says");
        return STEP_ERROR;
    }
    while (step == STEP_OK && serving->state != SERVE_LOADED)
        step = await_load(serving, err);
    return step == STEP_OK ? STEP_END : step;
}

/* --- the ends of a sink --- */

static void serving_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct redis_serving *serving = (struct redis_serving *)sink;
    bool listening = serving->state == SERVE_LISTENING;

    /* Until the payload goes, time is limited by our own clock. */
    wakeup_arm(&serving->wakeup, loop, waker, listening ? serving->listener.fd : serving->link.fd,
               listening ? POLLIN : serving->link.events,
               serving->state < SERVE_PAYLOAD ? LOOK_AGAIN_US : -1);
}

static void serving_close(struct sink *sink)
{
    wakeup_disarm(&((struct redis_serving *)sink)->wakeup);
}

static const struct sink_ops serving_ops = {
    .name = "server",
    .write = serving_write,
    .commit = serving_commit,
    .arm = serving_arm,
    .close = serving_close,
};

int redis_serving_open(const struct redis_conn *conn, const struct redis_options *options, bool tls,
                       struct redis_serving **opened, struct err *err)
{
    struct redis_serving *serving = mem_calloc(1, sizeof *serving);

    serving->sink.ops = &serving_ops;
    serving->link.fd = -1;
    serving->options = options;
    serving->tls = tls;
    if (serve_listener_open(&serving->listener, redis_conn_fd(conn), err) < 0) {
        free(serving);
        return -1;
    }
    *opened = serving;
    return 0;
}

void redis_serving_close(struct redis_serving *serving)
{
    if (serving == NULL)
        return;
    wakeup_disarm(&serving->wakeup);
    net_link_close(&serving->link);
    serve_listener_close(&serving->listener);
    free(serving);
}

const char *redis_serving_host(const struct redis_serving *serving)
{
    return serving->listener.host;
}

const char *redis_serving_port(const struct redis_serving *serving)
{
    return serving->listener.port;
}

struct sink *redis_serving_sink(struct redis_serving *serving, const char *replid, uint64_t bytes)
{
    serving->replid = replid;
    serving->bytes = bytes;
    serving->until_us = clock_mono_us() + COME_TIME_US;
    return &serving->sink;
}
