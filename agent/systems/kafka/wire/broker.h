// SPDX-License-Identifier: Apache-2.0
// One connection to one broker: TCP or TLS, logged in with SASL when the options say so, and known
// to speak the version of Fetch that is used. Requests go out one at a time. An answer may be
// awaited, or collected as it comes; it is bounded in size. What the broker says is quoted in
// errors; passwords never are.
#pragma once

#include "kafka_options.h"
#include "step.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define KAFKA_FETCH         1
#define KAFKA_FETCH_VERSION 11

/* Where an answer is put. It grows to what an answer needs, and never beyond most. */
struct kafka_buffer {
    uint8_t *data;
    size_t len, cap, most;
};

void kafka_buffer_init(struct kafka_buffer *buffer, size_t cap, size_t most);
void kafka_buffer_fini(struct kafka_buffer *buffer);

struct kafka_broker;

/* Connects and logs in; waits for that, bounded by the deadline, by the option timeout for each
 * step, and by a wish to stop. options is lent for this call.
 * ERR_UNREACHABLE; ERR_DENIED: certificates, user or password; ERR_SOURCE: a broker that is too
 * old or too new, or not Kafka. */
int kafka_broker_open(const struct kafka_options *options, const char *host, const char *port,
                      int64_t deadline_mono_us, struct kafka_broker **broker, struct err *err);
/* NULL is allowed. */
void kafka_broker_close(struct kafka_broker *broker);
/* "127.0.0.1:9092"; lent. */
const char *kafka_broker_place(const struct kafka_broker *broker);

/* Sends a request as far as that goes without waiting. answer is lent until the answer is there or
 * the connection closed; what it holds stays as it is until kafka_broker_answer is called. Not
 * before the one before was answered. */
void kafka_broker_ask(struct kafka_broker *broker, int16_t api, int16_t version,
                      const struct text *body, struct kafka_buffer *answer);
/* Sends and receives what can be without waiting. OK: the answer's body is in the buffer. AGAIN:
 * poll kafka_broker_fd for kafka_broker_events. ERROR: the connection is of no more use;
 * ERR_UNREACHABLE when it was closed. Never END. */
enum step kafka_broker_answer(struct kafka_broker *broker, struct err *err);
int kafka_broker_fd(const struct kafka_broker *broker);
/* Of poll(), after AGAIN. */
short kafka_broker_events(const struct kafka_broker *broker);
/* Asks, and waits for the answer. */
int kafka_broker_call(struct kafka_broker *broker, int16_t api, int16_t version,
                      const struct text *body, struct kafka_buffer *answer, struct err *err);
