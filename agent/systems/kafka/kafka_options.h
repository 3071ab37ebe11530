// SPDX-License-Identifier: Apache-2.0
// What can be configured of a Kafka component. The rows stand apart from the rest of the system so
// that a configuration can be checked without linking librdkafka.
#pragma once

#include "option.h"

/* Kafka's own words, security.protocol and sasl.mechanism. */
enum kafka_security { KAFKA_PLAINTEXT, KAFKA_SSL, KAFKA_SASL_PLAINTEXT, KAFKA_SASL_SSL };
enum kafka_sasl { KAFKA_PLAIN, KAFKA_SCRAM_SHA_256, KAFKA_SCRAM_SHA_512 };

struct kafka_options {
    char *bootstrap; /* "HOST:PORT[,HOST:PORT...]" */
    struct option_list
        topics;    /* names, or "re:" and an extended regular expression for all of one */
    int security;  /* enum kafka_security */
    char *ca_file; /* NULL: the system's authorities */
    char *cert_file, *key_file;
    int mechanism;  /* enum kafka_sasl; only with the two of SASL */
    char *user;     /* set with the two of SASL, and only then; so with password */
    char *password; /* secret */
    int64_t timeout_ms;
    struct option_list rdkafka; /* "NAME=VALUE" */
    uint64_t segment_bytes;     /* hidden */
};

extern const struct option kafka_option_rows[];

bool kafka_options_tls(const struct kafka_options *options);
bool kafka_options_sasl(const struct kafka_options *options);
/* May it be the name of a topic? What a broker says is asked too, before it becomes a path. */
bool kafka_topic_is_name(const char *name);

/* The rules between the rows, after they were read from node. */
int kafka_options_check(const struct option_node *node, const struct kafka_options *options,
                        struct err *err);
