// SPDX-License-Identifier: Apache-2.0
// Writing with librdkafka's idempotent producer: nothing is reordered, nothing doubled, and a
// record that is not delivered fails the restore. How much may be under way is bounded here: the
// library counts neither keys nor headers. Each report tells the record's old offset (its opaque)
// and its new one.
#include "kafka_restoring.h"

#include "log.h"
#include "mem.h"
#include "text.h"
#include "wakeup.h"
#include "wire/records.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define UNDER_WAY_BYTES ((size_t)16 << 20)
#define UNDER_WAY_COUNT 50000
#define BATCH_BYTES     1000000
#define FLUSH_MS        5
#define LOOK_AGAIN_US   100000
#define PATIENCE        6 /* times the timeout */
#define LEAST_TIME_MS   60000

static_assert(sizeof(void *) >= sizeof(int64_t), "an offset fits into an opaque");

struct kafka_writer {
    struct kafka_restoring *restoring;
    struct kafka_handle *handle;
    int wake_fd;
    size_t bytes, count; /* under way; keys and values */
    size_t header_bytes; /* of all since nothing was under way */
    struct err failed;   /* what kept a record from being delivered */
    struct wakeup wakeup;
};

/* --- delivered --- */

static void fail(struct kafka_writer *writer, const rd_kafka_message_t *message)
{
    static const char what[] = "the brokers do not take the records";
    char said[256] = "";
    rd_kafka_resp_err_t fatal =
        rd_kafka_fatal_error(kafka_handle_rk(writer->handle), said, sizeof said);

    if (writer->failed.kind != ERR_NONE)
        return;
    if (message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
        kafka_fail(writer->handle, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, &writer->failed);
    else if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
        kafka_fail(writer->handle, what, fatal, said, &writer->failed);
    else
        kafka_fail(writer->handle, what, message->err, NULL, &writer->failed);
    err_wrap(&writer->failed, "topic %s, partition %d", rd_kafka_topic_name(message->rkt),
             (int)message->partition);
}

static void on_delivery(void *arg, const rd_kafka_message_t *message)
{
    struct kafka_writer *writer = arg;
    struct kafka_target *target = rd_kafka_topic_opaque(message->rkt);
    struct kafka_target_partition *partition = &target->partitions[message->partition];
    int64_t next = partition->start + (int64_t)partition->delivered;

    writer->bytes -= message->len + message->key_len;
    if (--writer->count == 0)
        writer->header_bytes = 0;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(writer, message);
        return;
    }
    /* A record that was sent twice and taken once comes without an offset. */
    if (message->offset >= 0 && message->offset != next && writer->failed.kind == ERR_NONE) {
        writer->restoring->foreign = true;
        err_set(&writer->failed, ERR_MISMATCH,
                "topic %s, partition %d: a record came to offset %lld, not %lld: somebody else "
                "writes to the topic",
                target->name, (int)message->partition, (long long)message->offset, (long long)next);
    }
    if (!writer->restoring->copying)
        kafka_offset_map_add(&partition->map, (int64_t)(intptr_t)message->_private, next);
    partition->delivered++;
}

/* --- opening --- */

/* A batch that is larger than its topic lets in later would be read, but not compacted. */
static int64_t batch_bytes(const struct kafka_restoring *restoring)
{
    int64_t least = BATCH_BYTES;

    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_topic *topic = restoring->targets[i].from;

        for (size_t c = 0; c < topic->config_count; c++) {
            uint64_t bytes;

            if (strcmp(topic->configs[c].name, "max.message.bytes") == 0 &&
                text_parse_u64(topic->configs[c].value, &bytes) == 0 && bytes > 0 &&
                bytes < (uint64_t)least)
                least = (int64_t)bytes;
        }
    }
    return least;
}

static int open_handle(struct kafka_restoring *restoring, struct kafka_writer *writer,
                       struct err *err)
{
    char batch[24], patience[24];
    const struct kafka_setting needed[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"message.timeout.ms", patience},
        {"message.max.bytes", "67108864"},
        {"batch.size", batch},
        {"linger.ms", "5"},
        {"compression.codec", "lz4"},
        {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "131072"},
        {NULL, NULL},
    };
    int64_t patience_ms = restoring->options->timeout_ms * PATIENCE;

    snprintf(batch, sizeof batch, "%lld", (long long)batch_bytes(restoring));
    snprintf(patience, sizeof patience, "%lld",
             (long long)(patience_ms < LEAST_TIME_MS ? LEAST_TIME_MS : patience_ms));
    return kafka_handle_open(restoring->options, RD_KAFKA_PRODUCER, needed,
                             restoring->request.deadline_mono_us, &writer->handle, err);
}

int kafka_writer_open(struct kafka_restoring *restoring, struct err *err)
{
    struct kafka_writer *writer = mem_calloc(1, sizeof *writer);

    writer->restoring = restoring;
    writer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    restoring->writer = writer;
    if (writer->wake_fd < 0)
        return err_set_errno(err, errno, "an eventfd");
    if (open_handle(restoring, writer, err) < 0)
        return -1;
    kafka_handle_on_delivery(writer->handle, on_delivery, writer);
    kafka_handle_wake(writer->handle, writer->wake_fd);
    return 0;
}

void kafka_writer_close(struct kafka_restoring *restoring)
{
    struct kafka_writer *writer = restoring->writer;

    if (writer == NULL)
        return;
    kafka_writer_disarm(writer);
    if (writer->handle != NULL) {
        kafka_handle_on_delivery(writer->handle, NULL, NULL);
        rd_kafka_purge(kafka_handle_rk(writer->handle),
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
    for (size_t i = 0; i < restoring->target_count; i++) {
        if (restoring->targets[i].rkt != NULL)
            rd_kafka_topic_destroy(restoring->targets[i].rkt);
        restoring->targets[i].rkt = NULL;
    }
    kafka_handle_close(writer->handle);
    if (writer->wake_fd >= 0)
        close(writer->wake_fd);
    free(writer);
    restoring->writer = NULL;
}

/* --- sending --- */

static rd_kafka_topic_t *topic_of(struct kafka_writer *writer, struct kafka_target *target)
{
    rd_kafka_t *rk = kafka_handle_rk(writer->handle);
    rd_kafka_topic_conf_t *conf;

    if (target->rkt == NULL) {
        conf = rd_kafka_default_topic_conf_dup(rk);
        rd_kafka_topic_conf_set_opaque(conf, target);
        target->rkt = rd_kafka_topic_new(rk, target->name, conf);
    }
    return target->rkt;
}

static rd_kafka_headers_t *make_headers(const struct kafka_record *record, size_t *bytes)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    struct kafka_record copy = *record;
    struct kafka_header header;

    *bytes = 0;
    while (kafka_record_header(&copy, &header)) {
        rd_kafka_header_add(headers, (const char *)header.name, (ssize_t)header.name_len,
                            header.value, (ssize_t)header.value_len);
        *bytes += header.name_len + header.value_len + 64;
    }
    return headers;
}

static bool is_full(const struct kafka_writer *writer, const struct kafka_record *record)
{
    size_t bytes = record->key_len + record->value_len;

    return writer->count > 0 &&
           (writer->count >= UNDER_WAY_COUNT || writer->bytes + bytes > UNDER_WAY_BYTES ||
            writer->header_bytes > UNDER_WAY_BYTES);
}

/* The library takes 0 for "now". */
static int64_t time_of(const struct kafka_record *record)
{
    return record->timestamp == 0 ? 1 : record->timestamp;
}

/* What was delivered. The descriptor is emptied first: what comes from then on makes it ready. */
static void hear(struct kafka_writer *writer)
{
    uint64_t ignored;

    while (read(writer->wake_fd, &ignored, sizeof ignored) > 0)
        continue;
    kafka_handle_poll(writer->handle);
}

static rd_kafka_error_t *produce(struct kafka_writer *writer, struct kafka_target *target,
                                 size_t partition, const struct kafka_record *record,
                                 rd_kafka_headers_t *headers)
{
    rd_kafka_vu_t parts[8] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic_of(writer, target)},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)record->key, .size = record->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)record->value, .size = record->value_len}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = time_of(record)},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(intptr_t)record->offset},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };

    return rd_kafka_produceva(kafka_handle_rk(writer->handle), parts, headers == NULL ? 7 : 8);
}

static void note_sent(struct kafka_writer *writer, struct kafka_target_partition *partition,
                      const struct kafka_record *record)
{
    writer->restoring->moved_timestamps += record->timestamp == 0;
    if (partition->digest == NULL)
        partition->digest = kafka_record_digest_new();
    kafka_record_digest_add(partition->digest, record, time_of(record));
    partition->sent++;
}

/* It stands there already, says what an earlier run left; reading it back will tell. */
static void pass_over(struct kafka_writer *writer, struct kafka_target_partition *partition,
                      const struct kafka_record *record)
{
    kafka_offset_map_add(&partition->map, record->offset,
                         partition->start + (int64_t)partition->delivered);
    partition->delivered++;
    note_sent(writer, partition, record);
}

enum step kafka_writer_send(struct kafka_writer *writer, struct kafka_target *target,
                            size_t partition, const struct kafka_record *record, struct err *err)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_error_t *failed;
    rd_kafka_resp_err_t code;
    size_t header_bytes = 0;

    if (target->partitions[partition].sent < target->partitions[partition].already) {
        pass_over(writer, &target->partitions[partition], record);
        return STEP_OK;
    }
    if (is_full(writer, record))
        hear(writer);
    if (writer->failed.kind != ERR_NONE) {
        *err = writer->failed;
        return STEP_ERROR;
    }
    if (is_full(writer, record))
        return STEP_AGAIN;
    if (record->header_count > 0)
        headers = make_headers(record, &header_bytes);
    failed = produce(writer, target, partition, record, headers);
    if (failed == NULL) {
        writer->count++;
        writer->bytes += record->key_len + record->value_len;
        writer->header_bytes += header_bytes;
        note_sent(writer, &target->partitions[partition], record);
        return STEP_OK;
    }
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    code = rd_kafka_error_code(failed);
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        kafka_fail(writer->handle, "write a record", code, rd_kafka_error_string(failed), err);
    rd_kafka_error_destroy(failed);
    return code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? STEP_AGAIN : STEP_ERROR;
}

int kafka_writer_flush(struct kafka_writer *writer, struct err *err)
{
    for (;;) {
        kafka_handle_poll(writer->handle);
        if (writer->failed.kind != ERR_NONE) {
            *err = writer->failed;
            return -1;
        }
        if (writer->count == 0)
            return 0;
        if (kafka_handle_pause(writer->handle, FLUSH_MS, err) < 0)
            return err_wrap(err, "%zu records are not written yet", writer->count);
    }
}

/* --- waiting --- */

void kafka_writer_arm(struct kafka_writer *writer, struct ev_loop *loop, struct waker waker)
{
    wakeup_arm(&writer->wakeup, loop, waker, writer->wake_fd, POLLIN, LOOK_AGAIN_US);
}

void kafka_writer_disarm(struct kafka_writer *writer)
{
    wakeup_disarm(&writer->wakeup);
}
