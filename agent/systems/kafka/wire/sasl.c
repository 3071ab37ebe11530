// SPDX-License-Identifier: Apache-2.0
// The two requests. The password is wiped from what was sent with it.
#include "sasl.h"

#include "cursor.h"
#include "log.h"
#include "scram.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SASL_HANDSHAKE    17
#define SASL_AUTHENTICATE 36

#define UNSUPPORTED_MECHANISM 33
#define ILLEGAL_STATE         34

#define NONCE_BYTES 24

static int not_kafka(const struct kafka_broker *broker, struct err *err)
{
    return err_set(err, ERR_SOURCE, "%s does not answer as Kafka does", kafka_broker_place(broker));
}

/* What the broker says, fit for an error. */
static void quote(const uint8_t *said, size_t len, char *line, size_t cap)
{
    snprintf(line, cap, "%.*s", (int)(len < cap ? len : cap), len == 0 ? "" : (const char *)said);
    text_fix_utf8(line);
    log_mask(line);
}

static const char *mechanism_name(const struct kafka_options *options)
{
    switch ((enum kafka_sasl)options->mechanism) {
    case KAFKA_PLAIN:
        return "PLAIN";
    case KAFKA_SCRAM_SHA_256:
        return "SCRAM-SHA-256";
    case KAFKA_SCRAM_SHA_512:
        return "SCRAM-SHA-512";
    }
    abort();
}

static int refuse_mechanism(const struct kafka_broker *broker, const char *name,
                            struct kafka_cursor *from, struct err *err)
{
    struct text offered = TEXT_INIT;

    for (size_t left = kafka_count(from, 2); left > 0; left--) {
        char one[64];
        size_t len;
        const uint8_t *said = kafka_string(from, &len, NULL);

        quote(said, len, one, sizeof one);
        text_add(&offered, "%s%s", offered.len == 0 ? "" : ", ", one);
    }
    err_set(err, ERR_DENIED, "%s: the broker does not offer %s but %s (mechanism)",
            kafka_broker_place(broker), name, offered.len == 0 ? "none" : text_str(&offered));
    text_fini(&offered);
    return -1;
}

static int handshake(struct kafka_broker *broker, const char *name, struct kafka_buffer *answer,
                     struct err *err)
{
    struct text body = TEXT_INIT;
    struct kafka_cursor from;
    int16_t error;
    int rc;

    kafka_put_string(&body, name);
    rc = kafka_broker_call(broker, SASL_HANDSHAKE, 1, &body, answer, err);
    text_fini(&body);
    if (rc < 0)
        return -1;
    from = kafka_cursor(answer->data, answer->len);
    error = kafka_i16(&from);
    if (error == UNSUPPORTED_MECHANISM)
        return refuse_mechanism(broker, name, &from, err);
    if (error == ILLEGAL_STATE)
        return err_set(err, ERR_DENIED, "%s: the broker has no SASL on this port (security)",
                       kafka_broker_place(broker));
    return from.bad || error != 0 ? not_kafka(broker, err) : 0;
}

/* One step: token out, *reply in (lent until the next call). */
static int authenticate(struct kafka_broker *broker, const void *token, size_t len,
                        struct kafka_buffer *answer, const uint8_t **reply, size_t *reply_len,
                        struct err *err)
{
    struct text body = TEXT_INIT;
    struct kafka_cursor from;
    const uint8_t *said;
    size_t said_len;
    int16_t error;
    bool none;
    int rc;

    kafka_put_bytes(&body, token, len);
    rc = kafka_broker_call(broker, SASL_AUTHENTICATE, 0, &body, answer, err);
    OPENSSL_cleanse(body.data, body.len);
    text_fini(&body);
    if (rc < 0)
        return -1;
    from = kafka_cursor(answer->data, answer->len);
    error = kafka_i16(&from);
    said = kafka_string(&from, &said_len, &none);
    *reply = kafka_bytes(&from, reply_len, NULL);
    if (error != 0 && !from.bad) {
        char line[200];

        quote(said, said_len, line, sizeof line);
        return err_set(err, ERR_DENIED, "%s: the broker refuses the login: %s (error %d)",
                       kafka_broker_place(broker), line, error);
    }
    return from.bad ? not_kafka(broker, err) : 0;
}

static int plain(struct kafka_broker *broker, const struct kafka_options *options,
                 struct kafka_buffer *answer, struct err *err)
{
    struct text token = TEXT_INIT;
    const uint8_t *reply;
    size_t reply_len;
    int rc;

    text_add_char(&token, '\0');
    text_add_bytes(&token, options->user, strlen(options->user) + 1);
    text_add_bytes(&token, options->password, strlen(options->password));
    rc = authenticate(broker, token.data, token.len, answer, &reply, &reply_len, err);
    OPENSSL_cleanse(token.data, token.len);
    text_fini(&token);
    return rc;
}

static int scram(struct kafka_broker *broker, const struct kafka_options *options,
                 struct kafka_buffer *answer, struct err *err)
{
    uint8_t random[NONCE_BYTES];
    char nonce[2 * NONCE_BYTES + 1];
    struct scram *run;
    const uint8_t *reply;
    size_t len;
    int rc = -1;

    if (RAND_bytes(random, sizeof random) != 1)
        return err_set(err, ERR_INTERNAL, "no random bytes");
    text_hex(random, sizeof random, nonce);
    run = scram_new(options->mechanism == KAFKA_SCRAM_SHA_512, options->user, options->password,
                    nonce);
    if (authenticate(broker, scram_first(run), strlen(scram_first(run)), answer, &reply, &len,
                     err) < 0)
        goto out;
    if (scram_challenge(run, (const char *)reply, len, err) < 0) {
        err_wrap(err, "%s", kafka_broker_place(broker));
        goto out;
    }
    if (authenticate(broker, scram_final(run), strlen(scram_final(run)), answer, &reply, &len,
                     err) < 0)
        goto out;
    rc = scram_verify(run, (const char *)reply, len, err);
    if (rc < 0)
        err_wrap(err, "%s", kafka_broker_place(broker));
out:
    scram_free(run);
    return rc;
}

int kafka_sasl(struct kafka_broker *broker, const struct kafka_options *options,
               struct kafka_buffer *answer, struct err *err)
{
    if (handshake(broker, mechanism_name(options), answer, err) < 0)
        return -1;
    return options->mechanism == KAFKA_PLAIN ? plain(broker, options, answer, err)
                                             : scram(broker, options, answer, err);
}
