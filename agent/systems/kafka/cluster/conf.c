// SPDX-License-Identifier: Apache-2.0
// The mapping is a table: option, property, when it is set.
#include "conf.h"

#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer of a hostile or enormous cluster; metadata of 200,000 partitions are 10 MiB. What a
 * consumer fetches must fit in, or librdkafka refuses the configuration. */
#define ANSWER_MAX_BYTES "16777216"
#define FETCH_MAX_BYTES  "1048576"

/* librdkafka's own bounds of the two. */
#define SOCKET_TIMEOUT_MAX_MS 300000
#define SETUP_TIMEOUT_MIN_MS  1000

static const char *const protocols[] = {[KAFKA_PLAINTEXT] = "plaintext",
                                        [KAFKA_SSL] = "ssl",
                                        [KAFKA_SASL_PLAINTEXT] = "sasl_plaintext",
                                        [KAFKA_SASL_SSL] = "sasl_ssl"};
static const char *const mechanisms[] = {[KAFKA_PLAIN] = "PLAIN",
                                         [KAFKA_SCRAM_SHA_256] = "SCRAM-SHA-256",
                                         [KAFKA_SCRAM_SHA_512] = "SCRAM-SHA-512"};

/* The library's sentence quotes the value; secrets were registered before, so the mask finds
 * them. */
static int set_property(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char said[512] = "";

    if (rd_kafka_conf_set(conf, name, value, said, sizeof said) == RD_KAFKA_CONF_OK)
        return 0;
    text_fix_utf8(said);
    log_mask(said);
    return err_set(err, ERR_CONFIG, "property %s of librdkafka: %s", name, said);
}

static int set_own(rd_kafka_conf_t *conf, const struct kafka_options *options, struct err *err)
{
    char timeout[24], setup[24];
    int64_t timeout_ms =
        options->timeout_ms < SOCKET_TIMEOUT_MAX_MS ? options->timeout_ms : SOCKET_TIMEOUT_MAX_MS;
    bool sasl = kafka_options_sasl(options);
    const struct kafka_setting rows[] = {
        {"client.id", "lifeboat"},
        {"bootstrap.servers", options->bootstrap},
        {"security.protocol", protocols[options->security]},
        {"ssl.ca.location", options->ca_file},
        {"ssl.certificate.location", options->cert_file},
        {"ssl.key.location", options->key_file},
        {"sasl.mechanisms", sasl ? mechanisms[options->mechanism] : NULL},
        {"sasl.username", options->user},
        {"sasl.password", options->password},
        {"socket.timeout.ms", timeout},
        {"socket.connection.setup.timeout.ms", setup},
        /* A broker that comes back is to be found within a call's patience. */
        {"reconnect.backoff.max.ms", "1000"},
        {"receive.message.max.bytes", ANSWER_MAX_BYTES},
        {"fetch.max.bytes", FETCH_MAX_BYTES},
        {"queued.max.messages.kbytes", "1024"}, /* of each partition */
        {"allow.auto.create.topics", "false"},
    };

    snprintf(timeout, sizeof timeout, "%lld", (long long)timeout_ms);
    snprintf(setup, sizeof setup, "%lld",
             (long long)(timeout_ms < SETUP_TIMEOUT_MIN_MS ? SETUP_TIMEOUT_MIN_MS : timeout_ms));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].value != NULL && set_property(conf, rows[i].name, rows[i].value, err) < 0)
            return -1;
    return 0;
}

static bool is_needed(const struct kafka_setting *needed, const char *name)
{
    for (; needed != NULL && needed->name != NULL; needed++)
        if (strcmp(needed->name, name) == 0)
            return true;
    return false;
}

static void hide_secret(const char *name, const char *value)
{
    static const char *const secrets[] = {"password", "secret", ".pem", "jaas", "oauthbearer"};

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strstr(name, secrets[i]) != NULL)
            log_hide(value);
}

static int set_users(rd_kafka_conf_t *conf, const struct kafka_options *options,
                     const struct kafka_setting *needed, struct err *err)
{
    for (size_t i = 0; i < options->rdkafka.count; i++) {
        const char *line = options->rdkafka.items[i];
        size_t len = strcspn(line, "=");
        char *name = mem_strndup(line, len);
        int rc;

        hide_secret(name, line + len + 1);
        if (is_needed(needed, name))
            rc = err_set(err, ERR_CONFIG,
                         "property %s of librdkafka: lifeboat needs its own value of it; remove it "
                         "from rdkafka",
                         name);
        else
            rc = set_property(conf, name, line + len + 1, err);
        free(name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int kafka_conf_make(const struct kafka_options *options, const struct kafka_setting *needed,
                    rd_kafka_conf_t **conf, struct err *err)
{
    rd_kafka_conf_t *made = rd_kafka_conf_new();

    if (set_own(made, options, err) < 0 || set_users(made, options, needed, err) < 0)
        goto fail;
    for (; needed != NULL && needed->name != NULL; needed++)
        if (set_property(made, needed->name, needed->value, err) < 0)
            goto fail;
    *conf = made;
    return 0;
fail:
    rd_kafka_conf_destroy(made);
    return -1;
}
