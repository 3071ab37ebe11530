// SPDX-License-Identifier: Apache-2.0
// A few connections are kept: the partitions of a topic are spread over the brokers, and each
// connection costs the handshakes of TLS and SASL.
#include "fetcher.h"

#include "fetch.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define KEPT 16

struct kept {
    struct kafka_address address;
    struct kafka_broker *broker; /* NULL: free */
};

struct kafka_fetcher {
    const struct kafka_options *options;
    struct kafka_leaders leaders;
    size_t max_bytes;
    int64_t deadline_mono_us;
    struct kafka_buffer buffer;
    struct kept kept[KEPT];
    size_t oldest; /* of kept: the next to make room */
};

struct kafka_fetcher *kafka_fetcher_new(const struct kafka_options *options,
                                        const struct kafka_leaders *leaders, size_t max_bytes,
                                        int64_t deadline_mono_us)
{
    struct kafka_fetcher *fetcher = mem_calloc(1, sizeof *fetcher);

    fetcher->options = options;
    fetcher->leaders = *leaders;
    fetcher->max_bytes = max_bytes;
    fetcher->deadline_mono_us = deadline_mono_us;
    kafka_buffer_init(&fetcher->buffer, max_bytes + KAFKA_FETCH_SLACK_BYTES,
                      KAFKA_BATCH_MAX_BYTES + KAFKA_FETCH_SLACK_BYTES);
    return fetcher;
}

void kafka_fetcher_free(struct kafka_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    for (size_t i = 0; i < KEPT; i++)
        kafka_broker_close(fetcher->kept[i].broker);
    kafka_buffer_fini(&fetcher->buffer);
    free(fetcher);
}

const struct kafka_options *kafka_fetcher_options(const struct kafka_fetcher *fetcher)
{
    return fetcher->options;
}

int64_t kafka_fetcher_deadline(const struct kafka_fetcher *fetcher)
{
    return fetcher->deadline_mono_us;
}

size_t kafka_fetcher_max_bytes(const struct kafka_fetcher *fetcher)
{
    return fetcher->max_bytes;
}

struct kafka_buffer *kafka_fetcher_buffer(struct kafka_fetcher *fetcher)
{
    return &fetcher->buffer;
}

static struct kept *find_kept(struct kafka_fetcher *fetcher, const struct kafka_address *address)
{
    for (size_t i = 0; i < KEPT; i++) {
        struct kept *kept = &fetcher->kept[i];

        if (kept->broker != NULL && strcmp(kept->address.host, address->host) == 0 &&
            strcmp(kept->address.port, address->port) == 0)
            return kept;
    }
    return NULL;
}

static struct kept *make_room(struct kafka_fetcher *fetcher)
{
    struct kept *room;

    for (size_t i = 0; i < KEPT; i++)
        if (fetcher->kept[i].broker == NULL)
            return &fetcher->kept[i];
    room = &fetcher->kept[fetcher->oldest];
    fetcher->oldest = (fetcher->oldest + 1) % KEPT;
    kafka_broker_close(room->broker);
    room->broker = NULL;
    return room;
}

int kafka_fetcher_find(struct kafka_fetcher *fetcher, const char *topic, int32_t partition,
                       bool anew, struct kafka_broker **broker, struct err *err)
{
    struct kafka_address address = {.host = "", .port = ""};
    struct kept *kept;

    if (fetcher->leaders.find(fetcher->leaders.arg, topic, partition, anew, &address, err) < 0)
        return -1;
    kept = find_kept(fetcher, &address);
    if (kept == NULL) {
        kept = make_room(fetcher);
        if (kafka_broker_open(fetcher->options, address.host, address.port,
                              fetcher->deadline_mono_us, &kept->broker, err) < 0)
            return -1;
        kept->address = address;
    }
    *broker = kept->broker;
    return 0;
}

void kafka_fetcher_drop(struct kafka_fetcher *fetcher, struct kafka_broker *broker)
{
    for (size_t i = 0; i < KEPT; i++)
        if (broker != NULL && fetcher->kept[i].broker == broker) {
            kafka_broker_close(broker);
            fetcher->kept[i].broker = NULL;
        }
}
