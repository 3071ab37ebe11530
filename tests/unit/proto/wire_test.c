// SPDX-License-Identifier: Apache-2.0
// Messages there and back, and what a hostile or a later peer may send.
#include "wire.h"

#include "frame.h"
#include "mem.h"
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* --- there and back --- */

static int read_text(const pb_msgdesc_t *fields, const struct text *bytes, void *message,
                     struct err *err)
{
    uint8_t *exact = mem_calloc(bytes->len == 0 ? 1 : bytes->len, 1);
    int rc;

    if (bytes->len > 0)
        memcpy(exact, bytes->data, bytes->len);
    rc = wire_read(fields, exact, bytes->len, message, err);
    free(exact);
    return rc;
}

static void test_a_report_comes_back_whole(void **state)
{
    lifeboat_v1_AgentMessage sent = {.which_body = lifeboat_v1_AgentMessage_report_tag};
    lifeboat_v1_AgentMessage got = {0};
    lifeboat_v1_Report *report = &sent.body.report;
    struct text bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    report->sequence = UINT64_MAX;
    report->kind = lifeboat_v1_JobKind_UPLOAD;
    report->outcome = lifeboat_v1_Outcome_IN_PART;
    report->started_ms = -1;
    report->ended_ms = INT64_MAX;
    WIRE_SET(report->component, "orders-db");
    report->stores_count = 4;
    for (size_t i = 0; i < 4; i++) {
        WIRE_SET(report->stores[i].store, "s3");
        report->stores[i].good = i % 2 == 0;
        report->stores[i].has_error = i == 3;
    }
    WIRE_SET(report->stores[3].error.text, "no route to host");
    report->has_state = report->state.has_drill = report->state.drill.has_error = true;
    WIRE_SET(report->state.drill.error.kind, "mismatch");
    report->state.good = true;
    wire_add(&bytes, lifeboat_v1_AgentMessage_fields, &sent);
    assert_int_equal(read_text(lifeboat_v1_AgentMessage_fields, &bytes, &got, &err), 0);
    assert_int_equal(got.which_body, lifeboat_v1_AgentMessage_report_tag);
    report = &got.body.report;
    assert_true(report->sequence == UINT64_MAX);
    assert_int_equal(report->kind, lifeboat_v1_JobKind_UPLOAD);
    assert_int_equal(report->outcome, lifeboat_v1_Outcome_IN_PART);
    assert_true(report->started_ms == -1 && report->ended_ms == INT64_MAX);
    assert_string_equal(report->component, "orders-db");
    assert_int_equal(report->stores_count, 4);
    assert_true(report->stores[2].good && !report->stores[3].good);
    assert_string_equal(report->stores[3].error.text, "no route to host");
    assert_false(report->has_error);
    assert_true(report->has_state && report->state.good && report->state.has_drill);
    assert_false(report->state.has_backup);
    assert_string_equal(report->state.drill.error.kind, "mismatch");
    text_fini(&bytes);
}

static void test_each_body_is_the_one_that_was_sent(void **state)
{
    static const pb_size_t tags[] = {
        lifeboat_v1_AgentMessage_hello_tag, lifeboat_v1_AgentMessage_inventory_tag,
        lifeboat_v1_AgentMessage_heartbeat_tag, lifeboat_v1_AgentMessage_report_tag, 0};
    (void)state;

    for (size_t i = 0; i < COUNT(tags); i++) {
        lifeboat_v1_AgentMessage sent = {.which_body = tags[i]};
        lifeboat_v1_AgentMessage got;
        struct text bytes = TEXT_INIT;
        struct err err = ERR_INIT;

        memset(&got, 0xa5, sizeof got);
        wire_add(&bytes, lifeboat_v1_AgentMessage_fields, &sent);
        assert_int_equal(read_text(lifeboat_v1_AgentMessage_fields, &bytes, &got, &err), 0);
        assert_int_equal(got.which_body, tags[i]);
        text_fini(&bytes);
    }
}

static int keep(void *arg, const uint8_t *message, size_t len, struct err *err)
{
    return wire_read(lifeboat_v1_CollectorMessage_fields, message, len, arg, err);
}

static void test_a_frame_is_length_and_message(void **state)
{
    lifeboat_v1_CollectorMessage sent = {.which_body = lifeboat_v1_CollectorMessage_ack_tag,
                                         .body.ack = {.sequence = 300, .heartbeat = 7}};
    lifeboat_v1_CollectorMessage got = {0};
    struct text bytes = TEXT_INIT;
    struct frame_reader reader;
    struct err err = ERR_INIT;
    (void)state;

    text_add(&bytes, "before");
    wire_add_frame(&bytes, lifeboat_v1_CollectorMessage_fields, &sent);
    assert_int_equal(bytes.len, 6 + 11);
    assert_memory_equal(bytes.data, "before\0\0\0\x07\x12\x05\x08\xac\x02\x10\x07", 18);
    frame_reader_init(&reader, FRAME_MAX_BYTES);
    assert_int_equal(
        frame_reader_add(&reader, (const uint8_t *)bytes.data + 6, bytes.len - 6, keep, &got, &err),
        0);
    assert_int_equal(got.which_body, lifeboat_v1_CollectorMessage_ack_tag);
    assert_true(got.body.ack.sequence == 300 && got.body.ack.heartbeat == 7);
    frame_reader_fini(&reader);
    text_fini(&bytes);
}

static void test_the_empty_message(void **state)
{
    lifeboat_v1_Ack sent = {0};
    lifeboat_v1_Ack got = {.sequence = 7};
    struct text bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    wire_add(&bytes, lifeboat_v1_Ack_fields, &sent);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(read_text(lifeboat_v1_Ack_fields, &bytes, &got, &err), 0);
    assert_true(got.sequence == 0);
    wire_add_frame(&bytes, lifeboat_v1_Ack_fields, &sent);
    assert_int_equal(bytes.len, FRAME_HEAD_BYTES);
    text_fini(&bytes);
}

/* --- bytes by hand --- */

static void add_number(struct text *out, size_t number)
{
    for (; number >= 128; number >>= 7)
        text_add_char(out, (char)(number | 128));
    text_add_char(out, (char)number);
}

static void add_field(struct text *out, unsigned tag, const void *data, size_t len)
{
    add_number(out, tag << 3 | 2);
    add_number(out, len);
    text_add_bytes(out, data, len);
}

static void test_a_text_that_is_too_long_is_corrupt(void **state)
{
    static const size_t sizes[] = {255, 256, 257, 5000};
    char *reason = mem_calloc(5001, 1);
    (void)state;

    memset(reason, 'a', 5000);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        lifeboat_v1_Refusal refusal;
        struct text bytes = TEXT_INIT;
        struct err err = ERR_INIT;

        add_field(&bytes, lifeboat_v1_Refusal_reason_tag, reason, sizes[i]);
        if (sizes[i] == 255) {
            assert_int_equal(read_text(lifeboat_v1_Refusal_fields, &bytes, &refusal, &err), 0);
            assert_int_equal(strlen(refusal.reason), 255);
        } else {
            assert_int_equal(read_text(lifeboat_v1_Refusal_fields, &bytes, &refusal, &err), -1);
            assert_int_equal(err.kind, ERR_CORRUPT);
        }
        text_fini(&bytes);
    }
    free(reason);
}

static void test_too_many_items_are_corrupt(void **state)
{
    lifeboat_v1_Component component;
    struct text bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < 4; i++)
        add_field(&bytes, lifeboat_v1_Component_stores_tag, "s3", 2);
    assert_int_equal(read_text(lifeboat_v1_Component_fields, &bytes, &component, &err), 0);
    assert_int_equal(component.stores_count, 4);
    assert_string_equal(component.stores[3], "s3");
    add_field(&bytes, lifeboat_v1_Component_stores_tag, "s3", 2);
    assert_int_equal(read_text(lifeboat_v1_Component_fields, &bytes, &component, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    text_fini(&bytes);
}

static void test_texts_come_out_as_utf8(void **state)
{
    lifeboat_v1_AgentMessage message;
    struct text store = TEXT_INIT, report = TEXT_INIT, bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    add_field(&store, lifeboat_v1_StoreOutcome_store_tag, "s\xff\xc3\xa9\xe2\x82", 6);
    add_field(&report, lifeboat_v1_Report_job_tag, "\x80\x80", 2);
    add_field(&report, lifeboat_v1_Report_stores_tag, "", 0);
    add_field(&report, lifeboat_v1_Report_stores_tag, store.data, store.len);
    add_field(&bytes, lifeboat_v1_AgentMessage_report_tag, report.data, report.len);
    assert_int_equal(read_text(lifeboat_v1_AgentMessage_fields, &bytes, &message, &err), 0);
    assert_string_equal(message.body.report.job, "??");
    assert_int_equal(message.body.report.stores_count, 2);
    assert_string_equal(message.body.report.stores[0].store, "");
    assert_string_equal(message.body.report.stores[1].store, "s?\xc3\xa9??");
    text_fini(&store);
    text_fini(&report);
    text_fini(&bytes);
}

static void test_a_repeated_text_is_cleaned_in_each_item(void **state)
{
    lifeboat_v1_Component component;
    struct text bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    add_field(&bytes, lifeboat_v1_Component_stores_tag, "a", 1);
    add_field(&bytes, lifeboat_v1_Component_stores_tag, "\xfe", 1);
    add_field(&bytes, lifeboat_v1_Component_stores_tag, "c\0\xfe", 3);
    assert_int_equal(read_text(lifeboat_v1_Component_fields, &bytes, &component, &err), 0);
    assert_string_equal(component.stores[0], "a");
    assert_string_equal(component.stores[1], "?");
    assert_string_equal(component.stores[2], "c");
    text_fini(&bytes);
}

/* What a later version adds: a number, a text, and both fixed sizes. */
static void test_unknown_fields_are_skipped(void **state)
{
    static const char unknown[] = "\x98\x06\x96\x01"  /* 99: 150 */
                                  "\x92\x06\x05later" /* 98: "later" */
                                  "\x8d\x06"
                                  "abcd" /* 97: 32 bits */
                                  "\x81\x06"
                                  "abcdefgh"      /* 96: 64 bits */
                                  "\x08\x2a"      /* sequence: 42 */
                                  "\x9a\x06\x00"; /* 99, of another type */
    lifeboat_v1_Ack ack;
    lifeboat_v1_AgentMessage message;
    struct text bytes = TEXT_INIT;
    struct err err = ERR_INIT;
    (void)state;

    text_add_bytes(&bytes, unknown, sizeof unknown - 1);
    assert_int_equal(read_text(lifeboat_v1_Ack_fields, &bytes, &ack, &err), 0);
    assert_true(ack.sequence == 42 && ack.heartbeat == 0);
    text_clear(&bytes);
    add_field(&bytes, 150, "a body of a later version", 25);
    assert_int_equal(read_text(lifeboat_v1_AgentMessage_fields, &bytes, &message, &err), 0);
    assert_int_equal(message.which_body, 0);
    text_fini(&bytes);
}

static void test_broken_bytes_are_corrupt(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\x08", 1},                                          /* a number is missing */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* a number without end */
        {"\x0b", 1},                                          /* a group */
        {"\x00\x00", 2},                                      /* field 0 */
        {"\x9a\x06\x05xx", 5},                                /* shorter than it says */
        {"\x9a\x06\xff\xff\xff\xff\x0f", 7},                  /* 4 GiB, it says */
        {"\x0a\x00", 2},                                      /* sequence as a text */
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        lifeboat_v1_Ack ack;
        struct text bytes = TEXT_INIT;
        struct err err = ERR_INIT;

        text_add_bytes(&bytes, rows[i].bytes, rows[i].len);
        if (read_text(lifeboat_v1_Ack_fields, &bytes, &ack, &err) == 0)
            fail_msg("row %zu was read", i);
        assert_int_equal(err.kind, ERR_CORRUPT);
        assert_true(text_starts_with(err.text, "not a message of lifeboat: "));
        text_fini(&bytes);
    }
}

static void test_an_instance_has_sixteen_bytes(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 17};
    (void)state;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        lifeboat_v1_Hello hello;
        struct text bytes = TEXT_INIT;
        struct err err = ERR_INIT;

        add_field(&bytes, lifeboat_v1_Hello_instance_tag, "0123456789abcdefg", sizes[i]);
        assert_int_equal(read_text(lifeboat_v1_Hello_fields, &bytes, &hello, &err),
                         sizes[i] == 16 ? 0 : -1);
        text_fini(&bytes);
    }
}

/* --- texts into fields --- */

static void test_a_long_text_is_cut_at_a_character(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {NULL, ""},
        {"", ""},
        {"1234567", "1234567"},
        {"12345678", "1234567"},
        {"123456\xc3\xa9", "123456"},
        {"12345\xc3\xa9", "12345\xc3\xa9"},
        {"12345\xe2\x82\xac", "12345"},
        {"1234\xe2\x82\xac", "1234\xe2\x82\xac"},
        {"1234\xf0\x9f\x9a\x80", "1234"},
        {"a\xff", "a?"},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80", ""},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char field[8] = "zzzzzzz";

        WIRE_SET(field, rows[i].text);
        assert_string_equal(field, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_comes_back_whole),
        cmocka_unit_test(test_each_body_is_the_one_that_was_sent),
        cmocka_unit_test(test_a_frame_is_length_and_message),
        cmocka_unit_test(test_the_empty_message),
        cmocka_unit_test(test_a_text_that_is_too_long_is_corrupt),
        cmocka_unit_test(test_too_many_items_are_corrupt),
        cmocka_unit_test(test_texts_come_out_as_utf8),
        cmocka_unit_test(test_a_repeated_text_is_cleaned_in_each_item),
        cmocka_unit_test(test_unknown_fields_are_skipped),
        cmocka_unit_test(test_broken_bytes_are_corrupt),
        cmocka_unit_test(test_an_instance_has_sixteen_bytes),
        cmocka_unit_test(test_a_long_text_is_cut_at_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
