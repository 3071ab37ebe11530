// SPDX-License-Identifier: Apache-2.0
// The fields in the order of the protocol (FetchRequest.json, FetchResponse.json of Kafka).
#include "fetch.h"

#include "cursor.h"

#include <string.h>

#define CONSUMER       (-1) /* no replica */
#define READ_COMMITTED 1
#define NO_SESSION     0
#define FINAL_EPOCH    (-1)
#define UNKNOWN        (-1)

#define ABORTED_BYTES   16
#define PARTITION_BYTES 42 /* at least */
#define TOPIC_BYTES     6  /* at least */

void kafka_fetch_put(struct text *body, const struct kafka_fetch *fetch)
{
    kafka_put_i32(body, CONSUMER);
    kafka_put_i32(body, fetch->max_wait_ms);
    kafka_put_i32(body, 1); /* min_bytes */
    kafka_put_i32(body, fetch->max_bytes);
    kafka_put_i8(body, READ_COMMITTED);
    kafka_put_i32(body, NO_SESSION);
    kafka_put_i32(body, FINAL_EPOCH);
    kafka_put_i32(body, 1); /* topics */
    kafka_put_string(body, fetch->topic);
    kafka_put_i32(body, 1); /* partitions */
    kafka_put_i32(body, fetch->partition);
    kafka_put_i32(body, UNKNOWN); /* leader epoch */
    kafka_put_i64(body, fetch->offset);
    kafka_put_i64(body, UNKNOWN); /* log start: a replica's */
    kafka_put_i32(body, fetch->max_bytes);
    kafka_put_i32(body, 0);     /* forgotten topics */
    kafka_put_string(body, ""); /* rack: the leader answers itself */
}

static void read_partition(struct kafka_cursor *from, struct kafka_fetched *fetched)
{
    bool null;

    fetched->error = kafka_i16(from);
    fetched->high_watermark = kafka_i64(from);
    fetched->stable_offset = kafka_i64(from);
    fetched->log_start = kafka_i64(from);
    fetched->aborted_count = kafka_count(from, ABORTED_BYTES);
    fetched->aborted = kafka_take(from, fetched->aborted_count * ABORTED_BYTES);
    kafka_i32(from); /* preferred replica: only for racks */
    fetched->records = kafka_bytes(from, &fetched->records_bytes, &null);
}

int kafka_fetched_read(const uint8_t *data, size_t len, const struct kafka_fetch *fetch,
                       struct kafka_fetched *fetched, struct err *err)
{
    struct kafka_cursor from = kafka_cursor(data, len);
    struct kafka_fetched found = {.throttle_ms = kafka_i32(&from), .error = kafka_i16(&from)};
    size_t topics, partitions = 0, name_len = 0;
    const uint8_t *name = NULL;

    kafka_i32(&from); /* session */
    topics = kafka_count(&from, TOPIC_BYTES);
    if (topics == 1) {
        name = kafka_string(&from, &name_len, NULL);
        partitions = kafka_count(&from, PARTITION_BYTES);
    }
    found.empty = partitions == 0;
    if (partitions == 1) {
        if (kafka_i32(&from) != fetch->partition || name_len != strlen(fetch->topic) ||
            name == NULL || memcmp(name, fetch->topic, name_len) != 0)
            from.bad = true;
        if (found.error == 0)
            read_partition(&from, &found);
    }
    if (from.bad || topics > 1 || partitions > 1 || found.throttle_ms < 0 ||
        (found.error == 0 && kafka_left(&from) != 0))
        return err_set(err, ERR_SOURCE, "what the broker answers to Fetch cannot be understood");
    *fetched = found;
    return 0;
}

void kafka_fetched_aborted(const struct kafka_fetched *fetched, size_t i, int64_t *producer_id,
                           int64_t *first_offset)
{
    struct kafka_cursor from = kafka_cursor(fetched->aborted + i * ABORTED_BYTES, ABORTED_BYTES);

    *producer_id = kafka_i64(&from);
    *first_offset = kafka_i64(&from);
}

static const struct row {
    int16_t code;
    enum kafka_fetch_error action;
    enum err_kind kind;
    const char *text;
} rows[] = {
    {-1, KAFKA_FETCH_AGAIN, ERR_SOURCE, "the broker met an error of its own; its log says which"},
    {1, KAFKA_FETCH_FATAL, ERR_CONFLICT,
     "the offset is no longer in the log: retention or DeleteRecords overtook the backup, or the "
     "log was cut"},
    {2, KAFKA_FETCH_AGAIN, ERR_CORRUPT, "the broker finds the message in its own log damaged"},
    {3, KAFKA_FETCH_LOOK_AGAIN, ERR_NOT_FOUND, "the broker does not have this partition"},
    {5, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the partition has no leader now"},
    {6, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the broker no longer leads this partition"},
    {7, KAFKA_FETCH_AGAIN, ERR_UNREACHABLE, "the broker did not answer itself in time"},
    {8, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the leader is not available"},
    {9, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the broker has no replica of this partition yet"},
    {17, KAFKA_FETCH_FATAL, ERR_NOT_FOUND, "this is no name of a topic"},
    {29, KAFKA_FETCH_FATAL, ERR_DENIED, "the user may not read this topic (READ on it is needed)"},
    {31, KAFKA_FETCH_FATAL, ERR_DENIED, "the user has no rights on the cluster"},
    {35, KAFKA_FETCH_FATAL, ERR_SOURCE, "the broker does not serve this version of Fetch"},
    {43, KAFKA_FETCH_FATAL, ERR_SOURCE,
     "the partition is in a message format that the broker does not serve to this version"},
    {56, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the broker's disk fails"},
    {74, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the leader changed"},
    {75, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the broker does not know its leader yet"},
    {76, KAFKA_FETCH_FATAL, ERR_SOURCE,
     "the broker does not send records of this compression to this version of Fetch"},
    {78, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE,
     "the broker does not have this offset yet; its replica lags"},
    {103, KAFKA_FETCH_LOOK_AGAIN, ERR_UNREACHABLE, "the broker does not know this topic yet"},
};

enum kafka_fetch_error kafka_fetch_failed(int16_t code, const struct kafka_fetch *fetch,
                                          struct err *err)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code) {
            err_set(err, rows[i].kind, "%s, partition %d, offset %lld: %s (error %d)", fetch->topic,
                    (int)fetch->partition, (long long)fetch->offset, rows[i].text, code);
            return rows[i].action;
        }
    err_set(err, ERR_SOURCE, "%s, partition %d, offset %lld: the broker answers with error %d",
            fetch->topic, (int)fetch->partition, (long long)fetch->offset, code);
    return KAFKA_FETCH_FATAL;
}
