// SPDX-License-Identifier: Apache-2.0
// One admin request of librdkafka and its answer.
#pragma once

#include "handle.h"

struct kafka_admin {
    rd_kafka_queue_t *queue;          /* where the answer comes: for the request */
    rd_kafka_AdminOptions_t *options; /* for the request */
    rd_kafka_event_t *event;          /* the answer; NULL until it is there */
};

/* kafka_admin_end frees what it holds. */
void kafka_admin_begin(struct kafka_handle *handle, rd_kafka_admin_op_t op,
                       struct kafka_admin *admin);
/* After the request was made. As kafka_handle_wait: the answer's own error is the caller's. */
int kafka_admin_wait(struct kafka_handle *handle, const char *what, struct kafka_admin *admin,
                     struct err *err);
/* The same, and that error is one here too. */
int kafka_admin_await(struct kafka_handle *handle, const char *what, struct kafka_admin *admin,
                      struct err *err);
void kafka_admin_end(struct kafka_admin *admin);
