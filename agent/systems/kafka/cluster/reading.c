// SPDX-License-Identifier: Apache-2.0
// The simple consumer of librdkafka, which needs no group. A topic's answer is its end, or what
// keeps this user from it.
#include "reading.h"

#include "cancel.h"
#include "clock.h"
#include "text.h"

#define SLICE_MS 100

struct reading {
    struct kafka_handle *handle;
    const struct kafka_cluster *cluster;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[KAFKA_READING_MAX];
    bool answered[KAFKA_READING_MAX];
    size_t count, tried;
    struct text *refused;
};

static void begin(struct reading *reading)
{
    rd_kafka_t *rk = kafka_handle_rk(reading->handle);

    reading->queue = rd_kafka_queue_new(rk);
    while (reading->count < reading->cluster->topic_count && reading->count < KAFKA_READING_MAX) {
        rd_kafka_topic_t *topic =
            rd_kafka_topic_new(rk, reading->cluster->topics[reading->count].name, NULL);

        reading->topics[reading->count++] = topic;
        rd_kafka_consume_start_queue(topic, 0, RD_KAFKA_OFFSET_END, reading->queue);
    }
}

static void end(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        rd_kafka_consume_stop(reading->topics[i], 0);
        rd_kafka_topic_destroy(reading->topics[i]);
    }
    if (reading->queue != NULL)
        rd_kafka_queue_destroy(reading->queue);
}

static void note(struct reading *reading, const rd_kafka_message_t *message)
{
    bool denied = kafka_kind_of(message->err) == ERR_DENIED;
    size_t i = 0;

    while (i < reading->count && reading->topics[i] != message->rkt)
        i++;
    if (i == reading->count || reading->answered[i] ||
        (!denied && message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
         message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF))
        return;
    reading->answered[i] = true;
    reading->tried++;
    if (denied)
        text_add(reading->refused, "%s%s", reading->refused->len > 0 ? ", " : "",
                 reading->cluster->topics[i].name);
}

int kafka_reading_try(const struct kafka_options *options, const struct kafka_cluster *cluster,
                      int64_t deadline_mono_us, struct text *refused, size_t *tried,
                      struct err *err)
{
    static const struct kafka_setting needed[] = {{"enable.partition.eof", "true"}, {NULL, NULL}};
    struct reading reading = {.cluster = cluster, .refused = refused};
    int64_t until_us = clock_mono_us() + options->timeout_ms * 1000;
    int rc;

    if (kafka_handle_open(options, RD_KAFKA_CONSUMER, needed, deadline_mono_us, &reading.handle,
                          err) < 0)
        return -1;
    begin(&reading);
    while ((rc = cancel_check(err)) == 0 && reading.tried < reading.count &&
           clock_mono_us() < until_us && clock_mono_us() < deadline_mono_us) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(reading.queue, SLICE_MS);

        if (message == NULL)
            continue;
        note(&reading, message);
        rd_kafka_message_destroy(message);
    }
    end(&reading);
    kafka_handle_close(reading.handle);
    *tried = reading.tried;
    return rc;
}
