// SPDX-License-Identifier: Apache-2.0
// The rows of a Kafka component, and what goes together. Kafka's own words are kept where it has
// them.
#include "kafka_options.h"

#include "address.h"
#include "text.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_CAP    300
#define TOPIC_MAX_NAME 249

bool kafka_options_tls(const struct kafka_options *options)
{
    return options->security == KAFKA_SSL || options->security == KAFKA_SASL_SSL;
}

bool kafka_options_sasl(const struct kafka_options *options)
{
    return options->security == KAFKA_SASL_PLAINTEXT || options->security == KAFKA_SASL_SSL;
}

static int check_bootstrap(const char *value, struct err *err)
{
    for (const char *at = value;; at++) {
        size_t len = strcspn(at, ",");
        char one[ADDRESS_CAP];

        if (len >= sizeof one)
            return err_set(err, ERR_CONFIG, "holds an address that is too long");
        snprintf(one, sizeof one, "%.*s", (int)len, at);
        if (address_check(one, err) < 0)
            return err_set(err, ERR_CONFIG,
                           "is no list of brokers; write HOST:PORT, and more of them after a comma "
                           "without a blank");
        at += len;
        if (*at == '\0')
            return 0;
    }
}

bool kafka_topic_is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);

    return len > 0 && len <= TOPIC_MAX_NAME && strspn(name, allowed) == len &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_topic(const char *value, struct err *err)
{
    regex_t compiled;

    if (text_starts_with(value, "re:")) {
        if (regcomp(&compiled, value + strlen("re:"), REG_EXTENDED | REG_NOSUB) != 0)
            return err_set(err, ERR_CONFIG,
                           "is no extended regular expression after re:; write it as grep -E does");
        regfree(&compiled);
        return 0;
    }
    if (!kafka_topic_is_name(value))
        return err_set(err, ERR_CONFIG,
                       "is no name of a topic; use letters, digits, '.', '_' and '-', or re: and a "
                       "regular expression");
    return 0;
}

static int check_property(const char *value, struct err *err)
{
    const char *equal = strchr(value, '=');

    if (equal != NULL && equal != value)
        return 0;
    return err_set(err, ERR_CONFIG, "is no property; write NAME=VALUE");
}

static int check_sasl(const struct option_node *node, const struct kafka_options *options,
                      struct err *err)
{
    const struct {
        const char *key, *value;
    } rows[] = {{"user", options->user}, {"password", options->password}};
    bool sasl = kafka_options_sasl(options);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (sasl != (rows[i].value != NULL))
            return option_node_fail(node, rows[i].key, err, ERR_CONFIG,
                                    sasl ? "is missing; security with sasl needs user and "
                                           "password_file (or password)"
                                         : "is given, but security is without sasl; write "
                                           "sasl_ssl or sasl_plaintext there, or remove this");
    if (!sasl && option_node_child(node, "mechanism") != NULL)
        return option_node_fail(node, "mechanism", err, ERR_CONFIG,
                                "is given, but security is without sasl; remove this");
    return 0;
}

int kafka_options_check(const struct option_node *node, const struct kafka_options *options,
                        struct err *err)
{
    const struct {
        const char *key, *value;
    } files[] = {{"ca_file", options->ca_file},
                 {"cert_file", options->cert_file},
                 {"key_file", options->key_file}};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i].value != NULL && !kafka_options_tls(options))
            return option_node_fail(node, files[i].key, err, ERR_CONFIG,
                                    "is given, but security is without TLS; write ssl or sasl_ssl "
                                    "there, or remove this");
    if ((options->cert_file != NULL) != (options->key_file != NULL))
        return option_node_fail(node, options->cert_file != NULL ? "cert_file" : "key_file", err,
                                ERR_CONFIG,
                                "is given without the other of cert_file and key_file; "
                                "add that");
    if (options->topics.count == 0)
        return option_node_fail(node, "topics", err, ERR_CONFIG,
                                "is empty; name topics, or write \"re:.*\" for all but the "
                                "internal ones");
    return check_sasl(node, options, err);
}

static const char *const securities[] = {[KAFKA_PLAINTEXT] = "plaintext",
                                         [KAFKA_SSL] = "ssl",
                                         [KAFKA_SASL_PLAINTEXT] = "sasl_plaintext",
                                         [KAFKA_SASL_SSL] = "sasl_ssl",
                                         NULL};
static const char *const mechanisms[] = {[KAFKA_PLAIN] = "plain",
                                         [KAFKA_SCRAM_SHA_256] = "scram-sha-256",
                                         [KAFKA_SCRAM_SHA_512] = "scram-sha-512",
                                         NULL};

const struct option kafka_option_rows[] = {
    {.key = "bootstrap",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct kafka_options, bootstrap),
     .check = check_bootstrap,
     .help = "Brokers to begin with: `HOST:PORT`, more of them after a comma."},
    {.key = "topics",
     .type = OPT_LIST,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct kafka_options, topics),
     .check = check_topic,
     .help = "Names of topics, or `re:` and an extended regular expression that the whole name "
             "must match. Internal topics only by name."},
    {.key = "security",
     .type = OPT_CHOICE,
     .offset = offsetof(struct kafka_options, security),
     .def = "plaintext",
     .choices = securities,
     .help = "Kafka's `security.protocol`."},
    {.key = "ca_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct kafka_options, ca_file),
     .check = option_check_absolute,
     .help = "The authority that the brokers' certificates must come from, as PEM. Without it: "
             "those that the system trusts."},
    {.key = "cert_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct kafka_options, cert_file),
     .check = option_check_absolute,
     .help = "Own certificate, as PEM, for brokers that ask for one."},
    {.key = "key_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct kafka_options, key_file),
     .check = option_check_absolute,
     .help = "Its key, as PEM without a passphrase."},
    {.key = "mechanism",
     .type = OPT_CHOICE,
     .offset = offsetof(struct kafka_options, mechanism),
     .def = "scram-sha-512",
     .choices = mechanisms,
     .help = "Kafka's `sasl.mechanism`, for the two kinds of security with SASL."},
    {.key = "user",
     .type = OPT_TEXT,
     .offset = offsetof(struct kafka_options, user),
     .help = "The user of SASL."},
    {.key = "password",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct kafka_options, password),
     .help = "Its password."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .offset = offsetof(struct kafka_options, timeout_ms),
     .def = "30s",
     .min = 100,
     .max = UINT64_C(3600) * 1000,
     .help = "How long connecting, and each answer, may take."},
    {.key = "rdkafka",
     .type = OPT_LIST,
     .offset = offsetof(struct kafka_options, rdkafka),
     .check = check_property,
     .help = "Further properties of librdkafka, `NAME=VALUE` each: they win over what lifeboat "
             "sets. For all but the fetching of records, which is lifeboat's own."},
    {.key = "segment_bytes",
     .type = OPT_SIZE,
     .flags = OPT_HIDDEN,
     .offset = offsetof(struct kafka_options, segment_bytes),
     .def = "1GiB",
     .min = 4096,
     .max = (UINT64_C(1) << 31) - 1,
     .help = "A segment is closed at the first batch boundary beyond so many plain bytes."},
    OPTION_END,
};
