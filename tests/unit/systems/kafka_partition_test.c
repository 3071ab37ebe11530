// SPDX-License-Identifier: Apache-2.0
// The reader of a partition against a broker on a thread, whose log is made up and whose answers go
// wrong as told: whatever happens on the way, each batch comes once, in order, to the byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "cursor.h"
#include "mem.h"
#include "partition.h"

#include <arpa/inet.h>
#include <ev.h>
#include <isa-l/crc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCHES      20
#define BATCH_OFFSET 10 /* offsets of a batch, of which the last few are a gap to the next */
#define AT_ONCE      3  /* batches in an answer */
#define MOVES        8

enum move {
    GOOD,
    CUT,     /* the last batch is not whole */
    DAMAGED, /* the first batch has a wrong byte */
    SECOND_DAMAGED,
    FROM_START, /* begins with batches that lie before the offset */
    NOTHING,    /* no records */
    THROTTLED,  /* no partition, and a time to wait */
    LEADERLESS,
    UNKNOWN_PARTITION,
    STORAGE,
    CLOSED,
    HALF, /* of the answer, then closed */
    LATE, /* after longer than the timeout, so nobody listens */
    WRONG_ID,
    ANOTHER_TOPIC,
    RETENTION,
    FORBIDDEN,
    COMPRESSION,
    OLD_MAGIC,
    REWRITTEN, /* batches that begin in the middle of those before */
};

struct broker {
    struct text log; /* the batches */
    size_t at[BATCHES + 1];
    int64_t base[BATCHES + 1];
    int64_t stable;
    enum move moves[MOVES]; /* for one Fetch after the other; then forever */
    enum move forever;
    size_t fetches;
    int listener;
    uint16_t port;
    pthread_t thread;
};

/* --- the log --- */

static void patch32(char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

static void add_batch(struct text *log, int64_t base, int32_t last_delta, size_t body)
{
    size_t start = log->len;

    kafka_put_i64(log, base);
    kafka_put_i32(log, (int32_t)(49 + body));
    kafka_put_i32(log, 7); /* leader epoch */
    kafka_put_i8(log, 2);
    kafka_put_i32(log, 0);
    kafka_put_i16(log, 0);
    kafka_put_i32(log, last_delta);
    kafka_put_i64(log, 1);
    kafka_put_i64(log, 2);
    kafka_put_i64(log, -1);
    kafka_put_i16(log, -1);
    kafka_put_i32(log, -1);
    kafka_put_i32(log, 1);
    for (size_t i = 0; i < body; i++)
        text_add_char(log, (char)(base + (int64_t)i));
    patch32(log->data + start + 17, ~crc32_iscsi((unsigned char *)log->data + start + 21,
                                                 (int)(log->len - start - 21), UINT32_MAX));
}

static void make_log(struct broker *broker, size_t large)
{
    for (size_t i = 0; i < BATCHES; i++) {
        broker->at[i] = broker->log.len;
        broker->base[i] = (int64_t)i * BATCH_OFFSET;
        add_batch(&broker->log, broker->base[i], BATCH_OFFSET - 3, i == large ? 300000 : 100 + i);
    }
    broker->at[BATCHES] = broker->log.len;
    broker->base[BATCHES] = broker->stable = BATCHES * BATCH_OFFSET;
}

/* --- the broker --- */

static bool read_all(int fd, void *data, size_t len)
{
    return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static void send_text(int fd, const struct text *text, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = send(fd, text->data + done, len - done, MSG_NOSIGNAL);

        if (put <= 0)
            return;
        done += (size_t)put;
    }
}

static int16_t error_of(enum move move)
{
    switch (move) {
    case LEADERLESS:
        return 6;
    case UNKNOWN_PARTITION:
        return 3;
    case STORAGE:
        return 56;
    case RETENTION:
        return 1;
    case FORBIDDEN:
        return 29;
    case COMPRESSION:
        return 76;
    default:
        return 0;
    }
}

static void add_records(const struct broker *broker, enum move move, int64_t offset,
                        struct text *records)
{
    size_t first = 0, last;

    while (first < BATCHES && broker->base[first] + BATCH_OFFSET - 3 < offset)
        first++;
    last = first + AT_ONCE < BATCHES ? first + AT_ONCE : BATCHES;
    if (move == FROM_START)
        first = 0;
    if (move == REWRITTEN) {
        add_batch(records, offset - 1, BATCH_OFFSET, 50);
        return;
    }
    text_add_bytes(records, broker->log.data + broker->at[first],
                   broker->at[last] - broker->at[first]);
    if (move == CUT && last < BATCHES)
        text_add_bytes(records, broker->log.data + broker->at[last], 70);
    if (records->len == 0)
        return;
    if (move == DAMAGED)
        records->data[100] ^= 1;
    if (move == SECOND_DAMAGED && last - first > 1)
        records->data[broker->at[first + 1] - broker->at[first] + 100] ^= 1;
    if (move == OLD_MAGIC)
        records->data[16] = 1;
}

static void add_answer(const struct broker *broker, enum move move, int64_t offset,
                       struct text *answer)
{
    struct text records = TEXT_INIT;
    int16_t error = error_of(move);

    kafka_put_i32(answer, move == THROTTLED ? 50 : 0);
    kafka_put_i16(answer, 0);
    kafka_put_i32(answer, 0);
    kafka_put_i32(answer, move == THROTTLED ? 0 : 1);
    if (move == THROTTLED)
        return;
    kafka_put_string(answer, move == ANOTHER_TOPIC ? "other" : "topic");
    kafka_put_i32(answer, 1);
    kafka_put_i32(answer, 4);
    kafka_put_i16(answer, error);
    kafka_put_i64(answer, error == 0 ? broker->stable : -1);
    kafka_put_i64(answer, error == 0 ? broker->stable : -1);
    kafka_put_i64(answer, error == 0 ? 0 : -1);
    kafka_put_i32(answer, 2);
    kafka_put_i64(answer, 1001);
    kafka_put_i64(answer, 15);
    kafka_put_i64(answer, 1002);
    kafka_put_i64(answer, BATCHES * BATCH_OFFSET + 5);
    kafka_put_i32(answer, -1);
    if (error == 0 && move != NOTHING)
        add_records(broker, move, offset, &records);
    kafka_put_bytes(answer, text_str(&records), records.len);
    text_fini(&records);
}

static int64_t fetch_offset(struct kafka_cursor *from)
{
    size_t len;

    kafka_take(from, 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4);
    kafka_string(from, &len, NULL);
    kafka_take(from, 4 + 4 + 4);
    return kafka_i64(from);
}

/* False: the connection ends. */
static bool answer_one(struct broker *broker, int fd)
{
    uint8_t head[4] = {0}, request[1000];
    struct text answer = TEXT_INIT;
    struct kafka_cursor from = kafka_cursor(head, sizeof head);
    enum move move = GOOD;
    int32_t id;
    size_t size, len;
    int16_t api;

    if (!read_all(fd, head, sizeof head))
        return false;
    size = (size_t)kafka_i32(&from);
    if (size > sizeof request || !read_all(fd, request, size))
        return false;
    from = kafka_cursor(request, size);
    api = kafka_i16(&from);
    kafka_i16(&from);
    id = kafka_i32(&from);
    kafka_string(&from, &len, NULL);
    kafka_put_i32(&answer, 0);
    if (api == KAFKA_FETCH) {
        move = broker->fetches < MOVES ? broker->moves[broker->fetches] : broker->forever;
        broker->fetches++;
    }
    kafka_put_i32(&answer, move == WRONG_ID ? id + 1 : id);
    if (api == KAFKA_FETCH)
        add_answer(broker, move, fetch_offset(&from), &answer);
    else
        text_add_bytes(&answer, "\x00\x00\x00\x00\x00\x01\x00\x01\x00\x04\x00\x11", 12);
    patch32(answer.data, (uint32_t)(answer.len - 4));
    if (move == LATE)
        usleep(260000);
    else if (move != CLOSED)
        send_text(fd, &answer, move == HALF ? answer.len / 2 : answer.len);
    text_fini(&answer);
    return move != CLOSED && move != HALF && move != LATE;
}

static void *serve(void *arg)
{
    struct broker *broker = arg;
    int fd;

    while ((fd = accept(broker->listener, NULL, NULL)) >= 0) {
        while (answer_one(broker, fd))
            ;
        close(fd);
    }
    return NULL;
}

static void start(struct broker *broker)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof own;

    broker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(broker->listener, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(broker->listener, 8), 0);
    assert_int_equal(getsockname(broker->listener, (struct sockaddr *)&own, &len), 0);
    broker->port = ntohs(own.sin_port);
    assert_int_equal(pthread_create(&broker->thread, NULL, serve, broker), 0);
}

static void stop(struct broker *broker)
{
    shutdown(broker->listener, SHUT_RDWR);
    pthread_join(broker->thread, NULL);
    close(broker->listener);
    text_fini(&broker->log);
}

/* --- the reader --- */

struct run {
    int64_t from, end;
    uint64_t segment_bytes;
    int64_t timeout_ms;
    size_t max_bytes;
    /* What came of it. */
    enum step step;
    struct err err;
    struct text given;
    int64_t segment[BATCHES + 1]; /* the first offsets */
    size_t segments, batches, aborted, anew;
    int64_t covered, last_offset;
    uint16_t port;
};

static int find_leader(void *arg, const char *topic, int32_t partition, bool anew,
                       struct kafka_address *address, struct err *err)
{
    struct run *run = arg;

    (void)err;
    assert_string_equal(topic, "topic");
    assert_int_equal(partition, 4);
    run->anew += anew;
    snprintf(address->host, sizeof address->host, "127.0.0.1");
    snprintf(address->port, sizeof address->port, "%u", run->port);
    return 0;
}

static void on_batch(void *arg, const struct kafka_batch *batch)
{
    struct run *run = arg;

    assert_true(batch->base_offset > run->last_offset);
    run->last_offset = batch->last_offset;
    run->batches++;
}

static void on_aborted(void *arg, int64_t producer_id, int64_t first_offset)
{
    struct run *run = arg;

    assert_int_equal(producer_id, 1001);
    assert_int_equal(first_offset, 15);
    run->aborted++;
}

static void wake(void *arg)
{
    ev_break(arg, EVBREAK_ONE);
}

static enum step drain(struct run *run, struct source *source)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    enum step step;

    do {
        uint8_t data[97];
        struct span_out out = {.data = data, .cap = sizeof data};

        step = source->ops->read(source, &out, &run->err);
        text_add_bytes(&run->given, data, out.len);
        if (step == STEP_AGAIN) {
            assert_int_equal(out.len, 0);
            source->ops->arm(source, loop, (struct waker){.wake = wake, .arg = loop});
            ev_run(loop, 0);
        }
    } while (step == STEP_OK || step == STEP_AGAIN);
    ev_loop_destroy(loop);
    return step;
}

static void read_partition(struct broker *broker, struct run *run)
{
    const struct kafka_options options = {
        .security = KAFKA_PLAINTEXT, .timeout_ms = run->timeout_ms == 0 ? 2000 : run->timeout_ms};
    const struct kafka_leaders leaders = {.find = find_leader, .arg = run};
    const struct kafka_range range = {
        .topic = "topic", .partition = 4, .from = run->from, .end = run->end};
    const struct kafka_observer observer = {.batch = on_batch, .aborted = on_aborted, .arg = run};
    struct kafka_fetcher *fetcher =
        kafka_fetcher_new(&options, &leaders, run->max_bytes == 0 ? 65536 : run->max_bytes,
                          clock_mono_us() + 30 * INT64_C(1000000));
    struct kafka_partition *partition = kafka_partition_open(fetcher, &range, &observer);
    uint64_t segment_bytes = run->segment_bytes == 0 ? 1 << 30 : run->segment_bytes;
    struct kafka_batch first;
    struct source *source;

    run->port = broker->port;
    run->last_offset = -1;
    while ((run->step = kafka_partition_segment(partition, segment_bytes, &first, &source,
                                                &run->err)) == STEP_OK) {
        run->segment[run->segments++] = first.base_offset;
        run->step = drain(run, source);
        source_close(source);
        if (run->step == STEP_ERROR)
            break;
    }
    run->covered = kafka_partition_covered(partition);
    kafka_partition_close(partition);
    kafka_fetcher_free(fetcher);
}

static void expect_batches(const struct broker *broker, struct run *run, size_t first, size_t last)
{
    if (run->step != STEP_END)
        fail_msg("%s", run->err.text);
    assert_int_equal(run->batches, last - first);
    assert_int_equal(run->given.len, broker->at[last] - broker->at[first]);
    if (run->given.len > 0)
        assert_memory_equal(run->given.data, broker->log.data + broker->at[first], run->given.len);
    assert_true(run->covered >= run->end);
    text_fini(&run->given);
}

static void expect_error(struct run *run, enum err_kind kind)
{
    assert_int_equal(run->step, STEP_ERROR);
    if (run->err.kind != kind)
        fail_msg("%s", run->err.text);
    assert_non_null(strstr(run->err.text, "topic, partition 4"));
    text_fini(&run->given);
}

static void test_all_of_it(void **state)
{
    struct broker broker = {.forever = GOOD};
    struct run run = {.from = 0, .end = BATCHES * BATCH_OFFSET};

    (void)state;
    make_log(&broker, BATCHES);
    start(&broker);
    read_partition(&broker, &run);
    assert_int_equal(run.segments, 1);
    assert_true(run.aborted > 0);
    expect_batches(&broker, &run, 0, BATCHES);
    stop(&broker);
}

/* first: the batch that holds from. */
static void expect_range(int64_t from, int64_t end, size_t first, size_t last)
{
    struct broker broker = {.forever = GOOD};
    struct run run = {.from = from, .end = end};

    make_log(&broker, BATCHES);
    start(&broker);
    read_partition(&broker, &run);
    expect_batches(&broker, &run, first, last);
    assert_int_equal(run.segments, first < last);
    if (first < last)
        assert_int_equal(run.segment[0], broker.base[first]);
    stop(&broker);
}

static void test_ranges(void **state)
{
    (void)state;
    expect_range(0, 0, 0, 0);
    expect_range(0, 1, 0, 1);
    expect_range(5, 10, 0, 1);
    expect_range(7, 11, 0, 2);
    expect_range(8, 10, 0, 0); /* a gap, and the next batch begins at the end */
    expect_range(9, 11, 1, 2); /* from a gap on */
    expect_range(55, 120, 5, 12);
    expect_range(199, 200, 20, 20); /* nothing is left in the log, up to its end */
    expect_range(190, 200, 19, 20);
}

static void test_segments(void **state)
{
    struct broker broker = {.forever = GOOD};
    struct run run = {.from = 13, .end = BATCHES * BATCH_OFFSET, .segment_bytes = 500};
    size_t first = 1;

    (void)state;
    make_log(&broker, BATCHES);
    start(&broker);
    read_partition(&broker, &run);
    for (size_t i = 0; i < run.segments; i++) {
        size_t bytes = 0;

        assert_int_equal(run.segment[i], broker.base[first]);
        for (; bytes < run.segment_bytes && first < BATCHES; first++)
            bytes += broker.at[first + 1] - broker.at[first];
    }
    assert_int_equal(first, BATCHES);
    expect_batches(&broker, &run, 1, BATCHES);
    stop(&broker);
}

static void test_what_goes_wrong_once(void **state)
{
    static const enum move moves[] = {
        CUT,        DAMAGED, SECOND_DAMAGED,    FROM_START, NOTHING, THROTTLED,
        LEADERLESS, STORAGE, UNKNOWN_PARTITION, CLOSED,     HALF,    LATE};

    (void)state;
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
        for (size_t when = 0; when < 3; when++) {
            struct broker broker = {.forever = GOOD};
            struct run run = {.from = 3, .end = 195, .timeout_ms = 200};

            broker.moves[when] = moves[i];
            if (when == 2)
                broker.moves[3] = moves[i];
            make_log(&broker, BATCHES);
            start(&broker);
            read_partition(&broker, &run);
            expect_batches(&broker, &run, 0, BATCHES);
            if (moves[i] == LEADERLESS || moves[i] == CLOSED || moves[i] == LATE)
                assert_true(run.anew > 0);
            stop(&broker);
        }
}

static void test_what_stays_wrong(void **state)
{
    static const struct {
        enum move move;
        enum err_kind kind;
    } rows[] = {
        {LEADERLESS, ERR_UNREACHABLE}, {UNKNOWN_PARTITION, ERR_NOT_FOUND},
        {CLOSED, ERR_UNREACHABLE},     {HALF, ERR_UNREACHABLE},
        {LATE, ERR_UNREACHABLE},       {DAMAGED, ERR_CORRUPT},
        {RETENTION, ERR_CONFLICT},     {FORBIDDEN, ERR_DENIED},
        {COMPRESSION, ERR_SOURCE},     {OLD_MAGIC, ERR_SOURCE},
        {WRONG_ID, ERR_SOURCE},        {ANOTHER_TOPIC, ERR_SOURCE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t when = 0; when < 2; when++) {
            struct broker broker = {.forever = rows[i].move};
            struct run run = {.from = 0, .end = 200, .timeout_ms = 150};

            for (size_t j = when; j < MOVES; j++)
                broker.moves[j] = rows[i].move;
            make_log(&broker, BATCHES);
            start(&broker);
            read_partition(&broker, &run);
            assert_int_equal(run.batches, when * AT_ONCE);
            expect_error(&run, rows[i].kind);
            stop(&broker);
        }
}

static void test_a_tail_that_is_gone(void **state)
{
    struct broker broker = {.moves = {GOOD, NOTHING, NOTHING, NOTHING, NOTHING},
                            .forever = NOTHING};
    struct run run = {.from = 0, .end = 100};

    (void)state;
    make_log(&broker, BATCHES);
    start(&broker);
    read_partition(&broker, &run);
    expect_batches(&broker, &run, 0, AT_ONCE);
    assert_int_equal(run.covered, 100);
    stop(&broker);
}

static void test_a_log_that_was_cut(void **state)
{
    struct broker broker = {.moves = {GOOD, NOTHING}, .forever = NOTHING};
    struct run run = {.from = 0, .end = 100, .timeout_ms = 150};

    (void)state;
    make_log(&broker, BATCHES);
    for (size_t i = 1; i < MOVES; i++)
        broker.moves[i] = NOTHING;
    broker.stable = 60;
    start(&broker);
    read_partition(&broker, &run);
    expect_error(&run, ERR_CONFLICT);
    stop(&broker);
}

static void test_a_log_that_was_written_anew(void **state)
{
    struct broker broker = {.moves = {GOOD, REWRITTEN}};
    struct run run = {.from = 0, .end = 100};

    (void)state;
    make_log(&broker, BATCHES);
    start(&broker);
    read_partition(&broker, &run);
    assert_int_equal(run.batches, AT_ONCE);
    expect_error(&run, ERR_CONFLICT);
    stop(&broker);
}

static void test_a_batch_larger_than_asked_for(void **state)
{
    struct broker broker = {.forever = GOOD};
    struct run run = {.from = 0, .end = 200, .max_bytes = 4096};

    (void)state;
    make_log(&broker, 4);
    start(&broker);
    read_partition(&broker, &run);
    expect_batches(&broker, &run, 0, BATCHES);
    stop(&broker);
}

static void test_nobody_there(void **state)
{
    struct broker broker = {.forever = GOOD};
    struct run run = {.from = 0, .end = 200, .timeout_ms = 100};

    (void)state;
    make_log(&broker, BATCHES);
    start(&broker);
    shutdown(broker.listener, SHUT_RDWR);
    pthread_join(broker.thread, NULL);
    close(broker.listener);
    read_partition(&broker, &run);
    expect_error(&run, ERR_UNREACHABLE);
    text_fini(&broker.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_what_goes_wrong_once),
        cmocka_unit_test(test_what_stays_wrong),
        cmocka_unit_test(test_a_tail_that_is_gone),
        cmocka_unit_test(test_a_log_that_was_cut),
        cmocka_unit_test(test_a_log_that_was_written_anew),
        cmocka_unit_test(test_a_batch_larger_than_asked_for),
        cmocka_unit_test(test_nobody_there),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
