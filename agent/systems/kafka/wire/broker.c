// SPDX-License-Identifier: Apache-2.0
// A request is [size] [api, version, correlation id, client id] body; an answer [size]
// [correlation id] body. The body is received straight into the caller's buffer.
#include "broker.h"

#include "clock.h"
#include "cursor.h"
#include "dial.h"
#include "mem.h"
#include "sasl.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_ID       "lifeboat"
#define HEAD_BYTES      8
#define API_VERSIONS    18
#define LOGIN_MAX_BYTES ((size_t)64 << 10)
#define BUFFER_STEP     ((size_t)64 << 10)

struct kafka_broker {
    struct dial dial;
    bool logged_in;
    bool answered; /* something after that: security is as the broker wants it */
    int32_t correlation_id;
    struct text request;
    size_t sent;
    uint8_t head[HEAD_BYTES];
    size_t head_len;
    struct kafka_buffer *answer; /* NULL: nothing is awaited */
    size_t answer_bytes;         /* once the head is whole */
};

/* --- buffers --- */

void kafka_buffer_init(struct kafka_buffer *buffer, size_t cap, size_t most)
{
    *buffer = (struct kafka_buffer){.data = mem_calloc(1, cap), .cap = cap, .most = most};
}

void kafka_buffer_fini(struct kafka_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct kafka_buffer){.data = NULL};
}

static void grow(struct kafka_buffer *buffer, size_t need)
{
    if (need <= buffer->cap)
        return;
    need = (need + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP;
    buffer->cap = need < buffer->most ? need : buffer->most;
    free(buffer->data); /* what it held is no longer wanted */
    buffer->data = NULL;
    buffer->data = mem_realloc(NULL, buffer->cap);
}

/* --- asking --- */

static enum step closed(const struct kafka_broker *broker, struct err *err)
{
    err_set(err, ERR_UNREACHABLE, "%s: the broker closed the connection%s", broker->dial.place,
            broker->answered    ? ""
            : broker->logged_in ? "; does it ask for SASL (security)?"
                                : "; does it ask for TLS, a certificate or SASL (security)?");
    return STEP_ERROR;
}

static enum step send_request(struct kafka_broker *broker, struct err *err)
{
    enum step step = STEP_OK;

    while (step == STEP_OK && broker->sent < broker->request.len) {
        size_t done = 0;

        step = net_link_write(&broker->dial.link, broker->request.data + broker->sent,
                              broker->request.len - broker->sent, &done, err);
        if (step == STEP_OK)
            broker->sent += done;
    }
    if (step == STEP_ERROR)
        err_wrap(err, "%s", broker->dial.place);
    return step;
}

void kafka_broker_ask(struct kafka_broker *broker, int16_t api, int16_t version,
                      const struct text *body, struct kafka_buffer *answer)
{
    struct text *request = &broker->request;
    struct err ignored = ERR_INIT; /* it comes again when the answer is asked for */

    text_clear(request);
    kafka_put_i32(request, (int32_t)(2 + 2 + 4 + 2 + strlen(CLIENT_ID) + body->len));
    kafka_put_i16(request, api);
    kafka_put_i16(request, version);
    kafka_put_i32(request, ++broker->correlation_id);
    kafka_put_string(request, CLIENT_ID);
    text_add_bytes(request, body->data, body->len);
    broker->sent = 0;
    broker->head_len = 0;
    broker->answer = answer;
    send_request(broker, &ignored);
}

static enum step receive(struct kafka_broker *broker, uint8_t *data, size_t want, size_t *have,
                         struct err *err)
{
    enum step step = STEP_OK;

    while (step == STEP_OK && *have < want) {
        size_t len = 0;

        step = net_link_read(&broker->dial.link, data + *have, want - *have, &len, err);
        if (step == STEP_OK)
            *have += len;
    }
    if (step == STEP_ERROR)
        err_wrap(err, "%s", broker->dial.place);
    return step;
}

static enum step begin_answer(struct kafka_broker *broker, struct err *err)
{
    struct kafka_cursor head = kafka_cursor(broker->head, HEAD_BYTES);
    int32_t size = kafka_i32(&head);
    int32_t id = kafka_i32(&head);
    struct kafka_buffer *answer = broker->answer;

    if (size < 4 || (!broker->logged_in && (size_t)size - 4 > answer->most)) {
        err_set(err, ERR_SOURCE, "%s does not answer as Kafka does%s", broker->dial.place,
                broker->logged_in ? "" : "; does it ask for TLS (security)?");
        return STEP_ERROR;
    }
    if (id != broker->correlation_id) {
        err_set(err, ERR_SOURCE, "%s answers what was not asked", broker->dial.place);
        return STEP_ERROR;
    }
    broker->answer_bytes = (size_t)size - 4;
    if (broker->answer_bytes > answer->most) {
        err_set(err, ERR_SOURCE,
                "%s: an answer of %zu bytes, where %zu are the most that is read: a batch of "
                "records is always sent whole",
                broker->dial.place, broker->answer_bytes, answer->most);
        return STEP_ERROR;
    }
    grow(answer, broker->answer_bytes);
    answer->len = 0;
    return STEP_OK;
}

static enum step exchange(struct kafka_broker *broker, struct err *err)
{
    enum step step = send_request(broker, err);

    if (step == STEP_OK && broker->head_len < HEAD_BYTES) {
        step = receive(broker, broker->head, HEAD_BYTES, &broker->head_len, err);
        if (step == STEP_OK)
            step = begin_answer(broker, err);
    }
    if (step == STEP_OK)
        step =
            receive(broker, broker->answer->data, broker->answer_bytes, &broker->answer->len, err);
    return step;
}

enum step kafka_broker_answer(struct kafka_broker *broker, struct err *err)
{
    enum step step = exchange(broker, err);

    if (step == STEP_END)
        return closed(broker, err);
    if (step == STEP_OK) {
        broker->answer = NULL;
        broker->answered = broker->logged_in;
    }
    return step;
}

int kafka_broker_call(struct kafka_broker *broker, int16_t api, int16_t version,
                      const struct text *body, struct kafka_buffer *answer, struct err *err)
{
    int64_t until_us = dial_patience(&broker->dial);
    enum step step;

    kafka_broker_ask(broker, api, version, body, answer);
    while ((step = kafka_broker_answer(broker, err)) == STEP_AGAIN)
        if (dial_wait(&broker->dial, until_us, err) < 0)
            return -1;
    return step == STEP_OK ? 0 : -1;
}

/* --- opening --- */

/* Version 0 of this question is answered by every broker, also before SASL. */
static int check_versions(struct kafka_broker *broker, struct kafka_buffer *answer, struct err *err)
{
    const struct text nothing = TEXT_INIT;
    struct kafka_cursor from;
    int16_t error, lowest = 0, highest = -1;

    if (kafka_broker_call(broker, API_VERSIONS, 0, &nothing, answer, err) < 0)
        return -1;
    from = kafka_cursor(answer->data, answer->len);
    error = kafka_i16(&from);
    for (size_t left = kafka_count(&from, 6); left > 0; left--) {
        int16_t api = kafka_i16(&from), min = kafka_i16(&from), max = kafka_i16(&from);

        if (api == KAFKA_FETCH) {
            lowest = min;
            highest = max;
        }
    }
    if (from.bad || error != 0)
        return err_set(err, ERR_SOURCE, "%s does not answer as Kafka does", broker->dial.place);
    if (lowest <= KAFKA_FETCH_VERSION && highest >= KAFKA_FETCH_VERSION)
        return 0;
    return err_set(err, ERR_SOURCE,
                   "%s: the broker serves versions %d to %d of Fetch, and lifeboat asks in version "
                   "%d (Kafka 2.3 and later)",
                   broker->dial.place, lowest, highest, KAFKA_FETCH_VERSION);
}

static int log_in(struct kafka_broker *broker, const struct kafka_options *options, struct err *err)
{
    struct kafka_buffer answer;
    int rc;

    kafka_buffer_init(&answer, BUFFER_STEP, LOGIN_MAX_BYTES);
    rc = check_versions(broker, &answer, err);
    if (rc == 0 && kafka_options_sasl(options))
        rc = kafka_sasl(broker, options, &answer, err);
    kafka_buffer_fini(&answer);
    OPENSSL_cleanse(broker->request.data, broker->request.cap); /* a password, with PLAIN */
    broker->logged_in = rc == 0;
    return rc;
}

int kafka_broker_open(const struct kafka_options *options, const char *host, const char *port,
                      int64_t deadline_mono_us, struct kafka_broker **broker, struct err *err)
{
    const struct tls_files files = {.ca_file = options->ca_file,
                                    .cert_file = options->cert_file,
                                    .key_file = options->key_file};
    struct kafka_broker *opened = mem_calloc(1, sizeof *opened);

    dial_init(&opened->dial, deadline_mono_us, options->timeout_ms);
    if (dial_host(&opened->dial, host, port, kafka_options_tls(options) ? &files : NULL, err) < 0 ||
        log_in(opened, options, err) < 0) {
        kafka_broker_close(opened);
        return -1;
    }
    *broker = opened;
    return 0;
}

void kafka_broker_close(struct kafka_broker *broker)
{
    if (broker == NULL)
        return;
    dial_fini(&broker->dial);
    text_fini(&broker->request);
    free(broker);
}

const char *kafka_broker_place(const struct kafka_broker *broker)
{
    return broker->dial.place;
}

int kafka_broker_fd(const struct kafka_broker *broker)
{
    return broker->dial.link.fd;
}

short kafka_broker_events(const struct kafka_broker *broker)
{
    return broker->dial.link.events;
}
