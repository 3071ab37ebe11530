// SPDX-License-Identifier: Apache-2.0
// Segments that a real broker wrote (tests/data/kafka/make.py): what is found in them is, word for
// word, what Kafka's own reader finds; no prefix and no change of a byte gets past the checksum,
// and none does harm behind it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch.h"
#include "file.h"
#include "mem.h"
#include "records.h"
#include "text.h"

#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_BYTES ((size_t)1 << 20)
#define FLIPS     10000

#define CRC_AT    17
#define AFTER_CRC 21

static const char *const names[] = {"none", "gzip",    "snappy",       "lz4",
                                    "zstd", "rdkafka", "transactions", "append"};
#define NAMES (sizeof names / sizeof names[0])

struct segment {
    char *data, *text;
    size_t len;
};

static struct segment segments[NAMES];

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static char *read_data(const char *name, const char *end, size_t *len)
{
    const char *root = getenv("LIFEBOAT_SOURCE");
    char *path = text_format("%s/tests/data/kafka/%s%s", root == NULL ? "." : root, name, end);
    char *data = NULL;
    struct err err = ERR_INIT;

    if (file_read(path, MAX_BYTES, &data, len, &err) < 0)
        fail_msg("%s", err.text);
    free(path);
    return data;
}

static int read_segments(void **state)
{
    size_t len;

    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        segments[i].data = read_data(names[i], ".log", &segments[i].len);
        segments[i].text = read_data(names[i], ".dump", &len);
    }
    return 0;
}

static int free_segments(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        free(segments[i].data);
        free(segments[i].text);
    }
    return 0;
}

static void show(struct text *into, const uint8_t *data, size_t len)
{
    if (data == NULL) {
        text_add(into, "-");
    } else if (len > 64) {
        text_add(into, "%zu/%08lx", len, crc32(crc32(0, NULL, 0), data, (uInt)len));
    } else {
        char hex[2 * 64 + 1];

        text_hex(data, len, hex);
        text_add(into, "'%s'", hex);
    }
}

static void show_batch(struct text *into, const struct kafka_batch *batch)
{
    text_add(into,
             "batch %" PRId64 "-%" PRId64 " records %d codec %d append %d transactional %d "
             "control %d producer %" PRId64 "/%d/%d latest %" PRId64 " bytes %zu\n",
             batch->base_offset, batch->last_offset, (int)batch->record_count, (int)batch->codec,
             batch->log_append_time, batch->transactional, batch->control, batch->producer_id,
             batch->producer_epoch, (int)batch->base_sequence, batch->max_timestamp, batch->bytes);
}

static void show_record(struct text *into, struct kafka_record *record)
{
    struct kafka_header header;

    text_add(into, "record %" PRId64 " %" PRId64 " ", record->offset, record->timestamp);
    show(into, record->key, record->key_len);
    text_add(into, " ");
    show(into, record->value, record->value_len);
    while (kafka_record_header(record, &header)) {
        text_add(into, " ");
        show(into, header.name, header.name_len);
        text_add(into, "=");
        show(into, header.value, header.value_len);
    }
    text_add(into, "\n");
}

/* All records of a batch; into may be NULL. */
static enum step decode(struct kafka_records *records, const struct kafka_batch *batch,
                        struct text *into, struct err *err)
{
    struct kafka_record record;
    enum step step;

    kafka_records_begin(records, batch);
    while ((step = kafka_records_next(records, &record, err)) == STEP_OK) {
        struct text nowhere = TEXT_INIT;

        show_record(into == NULL ? &nowhere : into, &record);
        text_fini(&nowhere);
    }
    return step;
}

static void test_the_checksum_is_crc32c(void **state)
{
    unsigned char check[] = "123456789";

    (void)state;
    assert_int_equal(~crc32_iscsi(check, 9, UINT32_MAX), 0xe3069283U);
}

static void test_what_kafka_reads(void **state)
{
    struct kafka_records *records = kafka_records_new();

    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        const uint8_t *at = (const uint8_t *)segments[i].data;
        size_t left = segments[i].len;
        struct text text = TEXT_INIT;
        struct err err = ERR_INIT;

        while (left > 0) {
            struct kafka_batch batch;

            assert_int_equal(kafka_batch_read(at, left, left, &batch, NULL, &err),
                             KAFKA_BATCH_WHOLE);
            show_batch(&text, &batch);
            assert_int_equal(decode(records, &batch, &text, &err), STEP_END);
            at += batch.bytes;
            left -= batch.bytes;
        }
        assert_string_equal(text_str(&text), segments[i].text);
        text_fini(&text);
    }
    kafka_records_free(records);
}

static void test_markers(void **state)
{
    static const enum kafka_control want[] = {KAFKA_COMMIT, KAFKA_ABORT, KAFKA_COMMIT, KAFKA_ABORT};
    const struct segment *segment = &segments[6];
    struct kafka_records *records = kafka_records_new();
    size_t found = 0;

    (void)state;
    for (size_t pos = 0; pos < segment->len;) {
        struct kafka_batch batch;
        struct kafka_record record;
        struct err err = ERR_INIT;

        assert_int_equal(kafka_batch_read((const uint8_t *)segment->data + pos, segment->len - pos,
                                          MAX_BYTES, &batch, NULL, &err),
                         KAFKA_BATCH_WHOLE);
        pos += batch.bytes;
        kafka_records_begin(records, &batch);
        assert_int_equal(kafka_records_next(records, &record, &err), STEP_OK);
        if (batch.control)
            assert_int_equal(kafka_record_control(&record), want[found++]);
    }
    assert_int_equal(found, 4);
    kafka_records_free(records);
}

static void test_every_prefix_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++)
        for (size_t pos = 0; pos < segments[i].len;) {
            const uint8_t *at = (const uint8_t *)segments[i].data + pos;
            struct kafka_batch batch;
            struct err err = ERR_INIT;
            size_t need;

            assert_int_equal(
                kafka_batch_read(at, segments[i].len - pos, MAX_BYTES, &batch, &need, &err),
                KAFKA_BATCH_WHOLE);
            assert_int_equal(need, batch.bytes);
            for (size_t len = 0; len < batch.bytes; len++) {
                struct kafka_batch other;
                uint8_t *copy = len < 100 ? mem_calloc(1, len + 1) : NULL; /* for the sanitizer */
                const uint8_t *from = at;

                if (copy != NULL) {
                    copy = mem_realloc(copy, len == 0 ? 1 : len);
                    memcpy(copy, at, len);
                    from = copy;
                }
                assert_int_equal(kafka_batch_read(from, len, MAX_BYTES, &other, &need, &err),
                                 KAFKA_BATCH_CUT);
                assert_true(need > len);
                free(copy);
            }
            pos += batch.bytes;
        }
}

/* What stands before the checksum is not covered by it: the offset and the leader's epoch. */
static bool is_covered(size_t at)
{
    return at >= 8 && (at < 12 || at >= 16);
}

static void test_no_changed_byte_gets_past(void **state)
{
    struct kafka_records *records = kafka_records_new();
    uint32_t seed = 2463534242;

    (void)state;
    for (size_t run = 0; run < FLIPS; run++) {
        const struct segment *segment = &segments[run % NAMES];
        uint8_t *data = (uint8_t *)mem_strndup(segment->data, segment->len);
        struct kafka_batch whole, batch;
        struct err err = ERR_INIT;
        enum kafka_batch_found found;
        size_t at;

        assert_int_equal(kafka_batch_read(data, segment->len, MAX_BYTES, &whole, NULL, &err),
                         KAFKA_BATCH_WHOLE);
        at = run % 3 == 0 ? next_random(&seed) % 61 : next_random(&seed) % whole.bytes;
        data[at] ^= (uint8_t)(1 + next_random(&seed) % 255);
        found = kafka_batch_read(data, segment->len, MAX_BYTES, &batch, NULL, &err);
        if (found == KAFKA_BATCH_WHOLE)
            assert_false(is_covered(at));
        else
            assert_true(at < 8 || is_covered(at));
        /* Behind the checksum: an answer or an error, and no harm. */
        if (kafka_batch_head(data, segment->len, MAX_BYTES, &batch, NULL, &err) ==
            KAFKA_BATCH_WHOLE)
            decode(records, &batch, NULL, &err);
        free(data);
    }
    kafka_records_free(records);
}

static void test_old_formats_are_named(void **state)
{
    (void)state;
    for (int8_t magic = 0; magic <= 3; magic++) {
        uint8_t *data = (uint8_t *)mem_strndup(segments[0].data, segments[0].len);
        struct kafka_batch batch;
        struct err err = ERR_INIT;

        data[16] = (uint8_t)magic;
        assert_int_equal(kafka_batch_read(data, segments[0].len, MAX_BYTES, &batch, NULL, &err),
                         magic == 2 ? KAFKA_BATCH_WHOLE : KAFKA_BATCH_REFUSED);
        if (magic < 2)
            assert_non_null(strstr(err.text, "before Kafka 0.11"));
        free(data);
    }
}

static void test_a_batch_above_the_bound(void **state)
{
    struct kafka_batch batch;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(kafka_batch_read((const uint8_t *)segments[0].data, segments[0].len, 1000,
                                      &batch, NULL, &err),
                     KAFKA_BATCH_BAD);
    assert_int_equal(err.kind, ERR_CORRUPT);
}

/* --- batches made by hand --- */

struct made {
    struct text body;
    struct kafka_batch batch;
};

static void put_varlong(struct text *into, int64_t value)
{
    uint64_t left = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);

    for (; left >= 0x80; left >>= 7)
        text_add_char(into, (char)(left | 0x80));
    text_add_char(into, (char)left);
}

static struct made make(const void *body, size_t len, int32_t count)
{
    struct made made = {.body = TEXT_INIT};

    for (size_t i = 0; i < KAFKA_BATCH_HEAD_BYTES; i++)
        text_add_char(&made.body, '\0');
    text_add_bytes(&made.body, body, len);
    made.batch = (struct kafka_batch){.data = (const uint8_t *)made.body.data,
                                      .bytes = made.body.len,
                                      .base_offset = 100,
                                      .last_offset = 109,
                                      .base_timestamp = 5,
                                      .max_timestamp = 77,
                                      .record_count = count};
    return made;
}

static void expect_corrupt(const void *body, size_t len, int32_t count)
{
    struct kafka_records *records = kafka_records_new();
    struct made made = make(body, len, count);
    struct err err = ERR_INIT;

    assert_int_equal(decode(records, &made.batch, NULL, &err), STEP_ERROR);
    assert_int_equal(err.kind, ERR_CORRUPT);
    text_fini(&made.body);
    kafka_records_free(records);
}

#define RECORD "\x0c\x00\x00\x00\x01\x01\x00" /* 6 bytes: nulls, no headers */

static void test_records_by_hand(void **state)
{
    struct kafka_records *records = kafka_records_new();
    struct made made = make(RECORD, sizeof RECORD - 1, 1);
    struct text far = TEXT_INIT;
    struct kafka_record record;
    struct err err = ERR_INIT;

    (void)state;
    kafka_records_begin(records, &made.batch);
    assert_int_equal(kafka_records_next(records, &record, &err), STEP_OK);
    assert_int_equal(record.offset, 100);
    assert_int_equal(record.timestamp, 5);
    assert_null(record.key);
    assert_null(record.value);
    assert_int_equal(kafka_records_next(records, &record, &err), STEP_END);
    made.batch.log_append_time = true;
    kafka_records_begin(records, &made.batch);
    assert_int_equal(kafka_records_next(records, &record, &err), STEP_OK);
    assert_int_equal(record.timestamp, 77);
    text_fini(&made.body);

    /* A time 100 years off, which a delta of 32 bits would not hold. */
    text_add_char(&far, '\0');
    text_add_char(&far, '\0');
    put_varlong(&far, INT64_C(3155760000000));
    text_add_bytes(&far, "\x00\x01\x01\x00", 4);
    far.data[0] = (char)((far.len - 1) << 1);
    made = make(far.data, far.len, 1);
    kafka_records_begin(records, &made.batch);
    assert_int_equal(kafka_records_next(records, &record, &err), STEP_OK);
    assert_int_equal(record.timestamp, INT64_C(3155760000005));
    text_fini(&made.body);
    text_fini(&far);

    /* The head that compaction left. */
    made = make("", 0, 0);
    made.batch.codec = KAFKA_ZSTD;
    assert_int_equal(decode(records, &made.batch, NULL, &err), STEP_END);
    text_fini(&made.body);
    kafka_records_free(records);
}

static void test_records_that_lie(void **state)
{
    (void)state;
    expect_corrupt(RECORD, sizeof RECORD - 1, 2);              /* one is missing */
    expect_corrupt(RECORD RECORD, 2 * (sizeof RECORD - 1), 1); /* one too many */
    expect_corrupt(RECORD RECORD, 2 * (sizeof RECORD - 1), 2); /* the same offset twice */
    expect_corrupt(RECORD, sizeof RECORD - 2, 1);
    expect_corrupt("\x01", 1, 1);                                 /* a length of -1 */
    expect_corrupt("\xff\xff\xff\xff\xff\x01", 6, 1);             /* no varint */
    expect_corrupt("\x0c\x00\x00\x14\x01\x01\x00", 7, 1);         /* offset 10 of 0 to 9 */
    expect_corrupt("\x0c\x00\x00\x00\x03\x01\x00", 7, 1);         /* a key of -2 bytes */
    expect_corrupt("\x0c\x00\x00\x00\x20\x01\x00", 7, 1);         /* a key beyond the record */
    expect_corrupt("\x0c\x00\x00\x00\x01\x01\x01", 7, 1);         /* -1 headers */
    expect_corrupt("\x0c\x00\x00\x00\x01\x01\x02", 7, 1);         /* a header that is not there */
    expect_corrupt("\x10\x00\x00\x00\x01\x01\x02\x01\x01", 9, 1); /* a header without a name */
    expect_corrupt("\x0e\x00\x00\x00\x01\x01\x00\x00", 8, 1);     /* a byte after the last header */
}

static void test_a_record_above_the_bound(void **state)
{
    struct kafka_records *records = kafka_records_new();
    struct text head = TEXT_INIT;
    struct made made;
    struct err err = ERR_INIT;

    (void)state;
    put_varlong(&head, INT32_MAX);
    made = make(head.data, head.len, 1);
    assert_int_equal(decode(records, &made.batch, NULL, &err), STEP_ERROR);
    assert_int_equal(err.kind, ERR_SOURCE);
    text_fini(&made.body);
    text_fini(&head);
    kafka_records_free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checksum_is_crc32c),
        cmocka_unit_test(test_what_kafka_reads),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_every_prefix_is_cut),
        cmocka_unit_test(test_no_changed_byte_gets_past),
        cmocka_unit_test(test_old_formats_are_named),
        cmocka_unit_test(test_a_batch_above_the_bound),
        cmocka_unit_test(test_records_by_hand),
        cmocka_unit_test(test_records_that_lie),
        cmocka_unit_test(test_a_record_above_the_bound),
    };

    return cmocka_run_group_tests(tests, read_segments, free_segments);
}
