// SPDX-License-Identifier: Apache-2.0
// The limit of the benchmark: counts the records of a topic through librdkafka with one handle, one
// queue for all partitions, and ends at the high watermarks that there were at the start.
// usage: kafka_count BOOTSTRAP TOPIC PARTITIONS
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 10000

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char said[256];

    if (rd_kafka_conf_set(conf, name, value, said, sizeof said) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s\n", said);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    static rd_kafka_message_t *messages[BATCH];
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_queue_t *queue;
    rd_kafka_t *rk;
    long records = 0, bytes = 0;
    int left = argc < 4 ? 0 : (int)strtol(argv[3], NULL, 10);
    char said[256];

    if (left < 1)
        return 2;
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "group.id", "count");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "check.crcs", "true");
    set(conf, "auto.offset.reset", "error");
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, said, sizeof said);
    if (rk == NULL)
        return 1;
    rd_kafka_poll_set_consumer(rk);
    list = rd_kafka_topic_partition_list_new(left);
    for (int i = 0; i < left; i++)
        rd_kafka_topic_partition_list_add(list, argv[2], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 1;
    queue = rd_kafka_queue_get_consumer(rk);
    while (left > 0) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 1000, messages, BATCH);

        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                left--;
            else if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
                records++, bytes += (long)(messages[i]->len + messages[i]->key_len);
            else
                return 1;
            rd_kafka_message_destroy(messages[i]);
        }
    }
    printf("%ld records, %ld bytes\n", records, bytes);
    fflush(stdout);
    _exit(0);
}
