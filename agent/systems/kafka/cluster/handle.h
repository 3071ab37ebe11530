// SPDX-License-Identifier: Apache-2.0
// A handle of librdkafka, and waiting with it. The library goes on trying for ever and then says
// "timed out"; here its log lines and errors are read on the way, so that an error names the cause.
// Every wait is bounded by the deadline, by the option timeout, and by a wish to stop.
#pragma once

#include "conf.h"

#include <stdint.h>

struct kafka_handle;

/* Makes a handle; it connects when it is first used. type: a consumer serves for everything but
 * producing. needed: as kafka_conf_make says. */
int kafka_handle_open(const struct kafka_options *options, rd_kafka_type_t type,
                      const struct kafka_setting *needed, int64_t deadline_mono_us,
                      struct kafka_handle **handle, struct err *err);
/* NULL is allowed. */
void kafka_handle_close(struct kafka_handle *handle);
/* Lent. Its main queue is read by the waits here. */
rd_kafka_t *kafka_handle_rk(struct kafka_handle *handle);
void kafka_handle_set_deadline(struct kafka_handle *handle, int64_t deadline_mono_us);

/* One of librdkafka's blocking functions: RD_KAFKA_RESP_ERR_NO_ERROR, or its error. It is called
 * again, with more patience each time, while it says that time or connections ran out. */
typedef rd_kafka_resp_err_t kafka_call_fn(rd_kafka_t *rk, int timeout_ms, void *arg);
/* what: "metadata", for errors. A wish to stop is seen when a call returns: within half a second
 * while no broker has answered, later within as long as this call has taken so far. */
int kafka_handle_call(struct kafka_handle *handle, const char *what, kafka_call_fn *call, void *arg,
                      struct err *err);

/* The next event of queue, into which the caller has sent an admin request; destroy it. Its own
 * error is the caller's to look at. The queue belongs to the caller: destroying it drops what is
 * still under way. */
int kafka_handle_wait(struct kafka_handle *handle, const char *what, rd_kafka_queue_t *queue,
                      rd_kafka_event_t **event, struct err *err);
/* Options for such a request, with the handle's patience; destroy them. */
rd_kafka_AdminOptions_t *kafka_handle_admin(struct kafka_handle *handle, rd_kafka_admin_op_t op);

/* Waits so long, at most until the deadline; -1 when that passed or a stop is wished for. */
int kafka_handle_pause(struct kafka_handle *handle, int ms, struct err *err);

/* Of a producer: every report of a delivery goes to it, in every wait here and in poll. */
typedef void kafka_delivery_fn(void *arg, const rd_kafka_message_t *message);
void kafka_handle_on_delivery(struct kafka_handle *handle, kafka_delivery_fn *each, void *arg);
/* Reads all that is there without waiting. */
void kafka_handle_poll(struct kafka_handle *handle);
/* Makes an eventfd readable when something comes; it outlives the handle. */
void kafka_handle_wake(struct kafka_handle *handle, int fd);

/* What kind of error a code is: one table. */
enum err_kind kafka_kind_of(rd_kafka_resp_err_t code);
/* -1 with "what: ...": said (may be NULL), the code's own sentence, or, where the code only says
 * that nothing came, what was heard from the brokers meanwhile. */
int kafka_fail(struct kafka_handle *handle, const char *what, rd_kafka_resp_err_t code,
               const char *said, struct err *err);
