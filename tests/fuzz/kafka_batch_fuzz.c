// SPDX-License-Identifier: Apache-2.0
// Any bytes as a log segment whose checksums fit: every record that is found lies within its
// batch's offsets, and there are as many as the batch says.
#include "mem.h"
#include "records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint8_t seen;

static void look_at(const uint8_t *data, size_t len)
{
    if (data == NULL && len != 0)
        abort();
    if (len > 0)
        seen = (uint8_t)(data[0] ^ data[len - 1]);
}

static void decode(struct kafka_records *records, const struct kafka_batch *batch)
{
    struct kafka_record record;
    struct err err = ERR_INIT;
    int64_t before = batch->base_offset - 1;
    int32_t count = 0;
    enum step step;

    kafka_records_begin(records, batch);
    while ((step = kafka_records_next(records, &record, &err)) == STEP_OK) {
        struct kafka_header header;
        size_t headers = record.header_count;

        if (record.offset <= before || record.offset > batch->last_offset)
            abort();
        before = record.offset;
        look_at(record.key, record.key_len);
        look_at(record.value, record.value_len);
        for (; kafka_record_header(&record, &header); headers--) {
            look_at(header.name, header.name_len);
            look_at(header.value, header.value_len);
        }
        if (headers != 0)
            abort();
        kafka_record_control(&record);
        count++;
    }
    if (step == STEP_END ? count != batch->record_count : err.kind == ERR_NONE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *exact = mem_calloc(len == 0 ? 1 : len, 1);
    struct kafka_records *records = kafka_records_new();
    struct kafka_batch batch;
    struct err err = ERR_INIT;

    if (len > 0)
        memcpy(exact, data, len);
    for (size_t pos = 0; pos < len; pos += batch.bytes) {
        if (kafka_batch_head(exact + pos, len - pos, len, &batch, NULL, &err) != KAFKA_BATCH_WHOLE)
            break;
        decode(records, &batch);
    }
    kafka_records_free(records);
    free(exact);
    return 0;
}
