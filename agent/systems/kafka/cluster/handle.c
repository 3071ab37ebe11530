// SPDX-License-Identifier: Apache-2.0
// Errors and log lines go through one queue, which every wait reads. Of the errors the last that
// names a cause is kept until something succeeds.
#include "handle.h"

#include "cancel.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_MS      100 /* of waiting for an event */
#define CALL_SLICE_MS 500 /* of a blocking call, to begin with */
/* Before this version the client's nonce was sent twice, librdkafka #4895; Kafka 3.8.1 to 3.9 let
 * that pass. */
#define RIGHT_SCRAM_VERSION 0x020601ff
/* So long after all brokers were down: a name may have several addresses, tried one by one, and a
 * broker that restarts is back soon. */
#define DOWN_PATIENCE_US INT64_C(3000000)

struct kafka_handle {
    rd_kafka_t *rk;
    rd_kafka_queue_t *events; /* errors and log lines */
    char *place;              /* the bootstrap brokers */
    int64_t deadline_mono_us;
    int64_t timeout_ms;
    struct err cause;             /* ERR_NONE: nothing was heard since the last success */
    bool answered;                /* some broker has, once */
    bool old_scram;               /* logs in with what newer brokers refuse */
    kafka_delivery_fn *delivered; /* may be NULL */
    void *delivered_arg;
    int64_t down_us; /* since when all brokers have been down; 0: they are not known to be */
};

/* --- kinds --- */

enum err_kind kafka_kind_of(rd_kafka_resp_err_t code)
{
    static const struct {
        rd_kafka_resp_err_t code;
        enum err_kind kind;
    } kinds[] = {
        {RD_KAFKA_RESP_ERR__TRANSPORT, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__RESOLVE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__TIMED_OUT, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__WAIT_COORD, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_NOT_CONTROLLER, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, ERR_UNREACHABLE},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERR_DENIED},
        {RD_KAFKA_RESP_ERR__SSL, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ERR_DENIED},
        {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, ERR_EXISTS},
        {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ERR_TIMEOUT},
        {RD_KAFKA_RESP_ERR__BAD_MSG, ERR_CORRUPT},
        {RD_KAFKA_RESP_ERR__BAD_COMPRESSION, ERR_CORRUPT},
        {RD_KAFKA_RESP_ERR_INVALID_MSG, ERR_CORRUPT},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].code == code)
            return kinds[i].kind;
    return ERR_SOURCE;
}

/* Codes that only say that nothing came. */
static bool is_silence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__WAIT_COORD;
}

/* --- what the library says --- */

static void keep_line(const char *said, char *line, size_t cap)
{
    snprintf(line, cap, "%s", said == NULL ? "" : said);
    text_fix_utf8(line);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    log_mask(line);
}

/* A connection that was made and then lost, before any answer: a wrong kind of listener does that.
 * The library mostly says so, but not when the end comes while it sends. */
static bool is_lost_at_once(const struct kafka_handle *handle, rd_kafka_resp_err_t code,
                            const char *line)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT && !handle->answered &&
           strstr(line, "in state ") != NULL && strstr(line, "in state CONNECT") == NULL &&
           strstr(line, "security.protocol") == NULL;
}

static void note_error(struct kafka_handle *handle, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    char line[400];

    keep_line(rd_kafka_event_error_string(event), line, sizeof line);
    log_debug("librdkafka: error", LOG_TEXT("text", line));
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (handle->down_us == 0)
            handle->down_us = clock_mono_us();
        return;
    }
    err_set(&handle->cause, kafka_kind_of(code), "%s", line);
    if (is_lost_at_once(handle, code, line))
        err_set(&handle->cause, ERR_UNREACHABLE,
                "%s; is security: what this listener of the broker expects?", line);
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && handle->old_scram)
        err_set(&handle->cause, ERR_DENIED,
                "%s; if user and password are right: librdkafka %s cannot log in by SCRAM to Kafka "
                "4 and later (2.6.1 can); use mechanism: plain over TLS, or a certificate",
                line, rd_kafka_version_str());
}

static void note_log(rd_kafka_event_t *event)
{
    const char *facility = NULL, *said = NULL;
    char line[400];
    int level = 0;

    if (rd_kafka_event_log(event, &facility, &said, &level) < 0)
        return;
    keep_line(said, line, sizeof line);
    log_debug("librdkafka: log", LOG_TEXT("facility", facility), LOG_TEXT("text", line));
}

static void note_deliveries(const struct kafka_handle *handle, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;

    while (handle->delivered != NULL && (message = rd_kafka_event_message_next(event)) != NULL)
        handle->delivered(handle->delivered_arg, message);
}

void kafka_handle_poll(struct kafka_handle *handle)
{
    rd_kafka_event_t *event;

    while ((event = rd_kafka_queue_poll(handle->events, 0)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            note_error(handle, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG)
            note_log(event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            note_deliveries(handle, event);
        rd_kafka_event_destroy(event);
    }
}

static void note_success(struct kafka_handle *handle)
{
    kafka_handle_poll(handle);
    err_clear(&handle->cause);
    handle->answered = true;
    handle->down_us = 0;
}

int kafka_fail(struct kafka_handle *handle, const char *what, rd_kafka_resp_err_t code,
               const char *said, struct err *err)
{
    char line[400];

    if (is_silence(code) && handle->cause.kind != ERR_NONE)
        return err_set(err, handle->cause.kind, "%s: %s", what, handle->cause.text);
    if (is_silence(code) && handle->down_us != 0)
        return err_set(err, ERR_UNREACHABLE, "%s: %s: no broker can be reached", what,
                       handle->place);
    if (is_silence(code))
        return err_set(err, ERR_UNREACHABLE, "%s: %s: no answer within %lld ms (timeout)", what,
                       handle->place, (long long)handle->timeout_ms);
    keep_line(said != NULL && said[0] != '\0' ? said : rd_kafka_err2str(code), line, sizeof line);
    return err_set(err, kafka_kind_of(code), "%s: %s", what, line);
}

/* --- waiting --- */

static int64_t patience(const struct kafka_handle *handle)
{
    return clock_mono_us() + handle->timeout_ms * 1000;
}

/* A password will not become right by waiting; with one broker of several it is another matter. */
static bool is_hopeless(const struct kafka_handle *handle, int64_t now_us)
{
    return (!handle->answered && handle->cause.kind == ERR_DENIED) ||
           (handle->down_us != 0 && now_us - handle->down_us > DOWN_PATIENCE_US);
}

/* 0 to go on; -1 when what was heard, the clock or a signal ends it. */
static int may_wait(struct kafka_handle *handle, const char *what, int64_t until_us,
                    struct err *err)
{
    int64_t now_us = clock_mono_us();

    kafka_handle_poll(handle);
    if (cancel_check(err) < 0)
        return -1;
    if (is_hopeless(handle, now_us) || now_us >= until_us)
        return kafka_fail(handle, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, err);
    if (now_us < handle->deadline_mono_us)
        return 0;
    return err_set(err, ERR_TIMEOUT, "%s: %s: no answer within the time given%s%s", what,
                   handle->place,
                   handle->cause.kind == ERR_NONE ? "" : "; heard last: ", handle->cause.text);
}

static int slice_of(const struct kafka_handle *handle, int64_t until_us, int64_t slice_ms)
{
    int64_t end_us = until_us < handle->deadline_mono_us ? until_us : handle->deadline_mono_us;
    int64_t left_ms = (end_us - clock_mono_us() + 999) / 1000;

    if (left_ms < 1)
        return 1;
    return (int)(left_ms < slice_ms ? left_ms : slice_ms);
}

int kafka_handle_call(struct kafka_handle *handle, const char *what, kafka_call_fn *call, void *arg,
                      struct err *err)
{
    int64_t until_us = patience(handle);
    int64_t slice_ms = CALL_SLICE_MS;

    for (;;) {
        rd_kafka_resp_err_t code;

        if (may_wait(handle, what, until_us, err) < 0)
            return -1;
        code = call(handle->rk, slice_of(handle, until_us, slice_ms), arg);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            note_success(handle);
            return 0;
        }
        if (!is_silence(code)) {
            kafka_handle_poll(handle);
            return kafka_fail(handle, what, code, NULL, err);
        }
        /* While no broker is there, a longer wait would only delay a stop. */
        if (handle->answered && code == RD_KAFKA_RESP_ERR__TIMED_OUT)
            slice_ms *= 2;
        else if (cancel_wait(slice_of(handle, INT64_MAX, SLICE_MS), err) < 0)
            return -1;
    }
}

int kafka_handle_wait(struct kafka_handle *handle, const char *what, rd_kafka_queue_t *queue,
                      rd_kafka_event_t **event, struct err *err)
{
    /* The request has a timeout of its own, which tells more. */
    int64_t until_us = patience(handle) + INT64_C(1000000);

    for (;;) {
        rd_kafka_event_t *came = rd_kafka_queue_poll(queue, SLICE_MS);

        if (came != NULL) {
            if (rd_kafka_event_error(came) == RD_KAFKA_RESP_ERR_NO_ERROR)
                note_success(handle);
            else
                kafka_handle_poll(handle);
            *event = came;
            return 0;
        }
        if (may_wait(handle, what, until_us, err) < 0)
            return -1;
    }
}

rd_kafka_AdminOptions_t *kafka_handle_admin(struct kafka_handle *handle, rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle->rk, op);
    int timeout_ms = slice_of(handle, patience(handle), handle->timeout_ms);
    char said[256];

    /* It refuses no timeout within an hour. */
    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, said, sizeof said) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        abort();
    return options;
}

int kafka_handle_pause(struct kafka_handle *handle, int ms, struct err *err)
{
    if (cancel_wait(slice_of(handle, INT64_MAX, ms), err) < 0)
        return -1;
    if (clock_mono_us() >= handle->deadline_mono_us)
        return err_set(err, ERR_TIMEOUT, "the time given is over");
    return 0;
}

/* --- for owners --- */

static int make_rk(struct kafka_handle *handle, rd_kafka_conf_t *conf, rd_kafka_type_t type,
                   struct err *err)
{
    rd_kafka_queue_t *main_queue;
    char said[512] = "", line[512];

    if (rd_kafka_conf_set(conf, "log.queue", "true", said, sizeof said) != RD_KAFKA_CONF_OK)
        abort(); /* there is no other value that it takes */
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG |
                                       (type == RD_KAFKA_PRODUCER ? RD_KAFKA_EVENT_DR : 0));
    handle->rk = rd_kafka_new(type, conf, said, sizeof said);
    if (handle->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        keep_line(said, line, sizeof line);
        return err_set(err, ERR_CONFIG, "librdkafka: %s", line);
    }
    handle->events = rd_kafka_queue_new(handle->rk);
    main_queue = rd_kafka_queue_get_main(handle->rk);
    rd_kafka_queue_forward(main_queue, handle->events);
    rd_kafka_queue_destroy(main_queue);
    rd_kafka_set_log_queue(handle->rk, handle->events);
    return 0;
}

int kafka_handle_open(const struct kafka_options *options, rd_kafka_type_t type,
                      const struct kafka_setting *needed, int64_t deadline_mono_us,
                      struct kafka_handle **handle, struct err *err)
{
    struct kafka_handle *opened;
    rd_kafka_conf_t *conf = NULL;

    if (kafka_conf_make(options, needed, &conf, err) < 0)
        return -1;
    opened = mem_calloc(1, sizeof *opened);
    opened->place = mem_strdup(options->bootstrap);
    opened->timeout_ms = options->timeout_ms;
    opened->deadline_mono_us = deadline_mono_us;
    opened->old_scram = kafka_options_sasl(options) && options->mechanism != KAFKA_PLAIN &&
                        rd_kafka_version() < RIGHT_SCRAM_VERSION;
    if (make_rk(opened, conf, type, err) < 0) {
        kafka_handle_close(opened);
        return -1;
    }
    *handle = opened;
    return 0;
}

void kafka_handle_close(struct kafka_handle *handle)
{
    if (handle == NULL)
        return;
    if (handle->rk != NULL) {
        kafka_handle_poll(handle);
        rd_kafka_queue_destroy(handle->events);
        rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    free(handle->place);
    free(handle);
}

rd_kafka_t *kafka_handle_rk(struct kafka_handle *handle)
{
    return handle->rk;
}

void kafka_handle_set_deadline(struct kafka_handle *handle, int64_t deadline_mono_us)
{
    handle->deadline_mono_us = deadline_mono_us;
}

void kafka_handle_on_delivery(struct kafka_handle *handle, kafka_delivery_fn *each, void *arg)
{
    handle->delivered = each;
    handle->delivered_arg = arg;
}

void kafka_handle_wake(struct kafka_handle *handle, int fd)
{
    static const uint64_t one = 1;

    rd_kafka_queue_io_event_enable(handle->events, fd, &one, sizeof one);
}
