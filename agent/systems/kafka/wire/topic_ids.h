// SPDX-License-Identifier: Apache-2.0
// The ids of topics, which tell one from another that was made anew under its name. Metadata,
// version 12: librdkafka 2.0.2 does not ask for them.
#pragma once

#include "kafka_options.h"

#include <stddef.h>
#include <stdint.h>

/* Asks this broker; waits for it. ids[i]: as Kafka writes it ("Ygo5uGZ9QPqzSxGNDzMSFg"), free it;
 * NULL when the topic is not there. */
int kafka_topic_ids(const struct kafka_options *options, const char *host, const char *port,
                    int64_t deadline_mono_us, const char *const *names, size_t count, char **ids,
                    struct err *err);

/* For its fuzzer: the body of an answer. ids as above, all NULL at first. */
int kafka_topic_ids_read(const uint8_t *data, size_t len, const char *const *names, size_t count,
                         char **ids, struct err *err);
