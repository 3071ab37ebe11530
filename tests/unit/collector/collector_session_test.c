// SPDX-License-Identifier: Apache-2.0
// One agent's session over a real state, with a clock that is moved by hand: the order of messages,
// when an acknowledgement may leave, what is refused, when silence ends it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session.h"

#include "clock.h"
#include "frame.h"
#include "log.h"
#include "text.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[64];
static struct hub hub;
static int64_t now_us;

static int64_t fake_wall_ms(void)
{
    return INT64_C(1795000000000) + now_us / 1000;
}

static int64_t fake_mono_us(void)
{
    return now_us;
}

/* The far end of a session: what it was sent, and whether it was ended. */
struct peer {
    struct session *session;
    struct frame_reader reader;
    struct text sent;
    size_t queued; /* as if so much waited */
    bool ended;
    size_t welcomes, acks, refusals;
    lifeboat_v1_Welcome welcome;
    lifeboat_v1_Ack ack;
    lifeboat_v1_Refusal refusal;
};

static int take(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    struct peer *peer = arg;
    lifeboat_v1_CollectorMessage message;

    if (wire_read(lifeboat_v1_CollectorMessage_fields, data, len, &message, err) < 0)
        return -1;
    switch (message.which_body) {
    case lifeboat_v1_CollectorMessage_welcome_tag:
        peer->welcomes++;
        peer->welcome = message.body.welcome;
        break;
    case lifeboat_v1_CollectorMessage_ack_tag:
        peer->acks++;
        peer->ack = message.body.ack;
        break;
    case lifeboat_v1_CollectorMessage_refusal_tag:
        peer->refusals++;
        peer->refusal = message.body.refusal;
        break;
    default:
        fail_msg("an empty message");
    }
    return 0;
}

static void on_send(void *arg, const void *data, size_t len)
{
    struct peer *peer = arg;
    struct err err = ERR_INIT;

    assert_int_equal(frame_reader_add(&peer->reader, data, len, take, peer, &err), 0);
}

static size_t on_queued(void *arg)
{
    const struct peer *peer = arg;

    return peer->queued;
}

static void on_end(void *arg)
{
    struct peer *peer = arg;

    session_free(peer->session);
    peer->session = NULL;
    peer->ended = true;
}

static void connect_peer(struct peer *peer)
{
    const struct session_link link = {
        .send = on_send, .queued = on_queued, .end = on_end, .arg = peer};

    *peer = (struct peer){.ended = false};
    frame_reader_init(&peer->reader, FRAME_MAX_BYTES);
    peer->session = session_new(&hub, &link, "192.0.2.1");
    session_opened(peer->session, "agent.aipx");
}

static void drop(struct peer *peer)
{
    session_free(peer->session);
    peer->session = NULL;
    frame_reader_fini(&peer->reader);
}

static void send_message(struct peer *peer, const lifeboat_v1_AgentMessage *message)
{
    struct text frame = TEXT_INIT;

    wire_add_frame(&frame, lifeboat_v1_AgentMessage_fields, message);
    session_received(peer->session, (const uint8_t *)frame.data, frame.len);
    text_fini(&frame);
}

static lifeboat_v1_AgentMessage hello(uint8_t instance)
{
    lifeboat_v1_AgentMessage message = {.which_body = lifeboat_v1_AgentMessage_hello_tag};

    message.body.hello.protocol = 1;
    message.body.hello.instance[0] = instance;
    message.body.hello.has_identity = true;
    WIRE_SET(message.body.hello.identity.cluster, "prod");
    WIRE_SET(message.body.hello.identity.namespace, "aipx");
    WIRE_SET(message.body.hello.identity.workload, "postgresql");
    WIRE_SET(message.body.hello.identity.pod, "postgresql-0");
    return message;
}

static void greet(struct peer *peer, uint8_t instance)
{
    const lifeboat_v1_AgentMessage message = hello(instance);

    connect_peer(peer);
    send_message(peer, &message);
}

static void report(struct peer *peer, uint64_t sequence)
{
    lifeboat_v1_AgentMessage message = {.which_body = lifeboat_v1_AgentMessage_report_tag};

    message.body.report.sequence = sequence;
    WIRE_SET(message.body.report.component, "orders-db");
    send_message(peer, &message);
}

static void heartbeat(struct peer *peer, uint64_t number)
{
    lifeboat_v1_AgentMessage message = {.which_body = lifeboat_v1_AgentMessage_heartbeat_tag};

    message.body.heartbeat.number = number;
    message.body.heartbeat.config_valid = true;
    send_message(peer, &message);
}

/* Both that it said why, and that it ends. */
static void assert_refused(struct peer *peer, const char *why)
{
    assert_int_equal(peer->refusals, 1);
    if (strstr(peer->refusal.reason, why) == NULL)
        fail_msg("refused with: %s", peer->refusal.reason);
    now_us += SESSION_LINGER_US;
    hub_tick(&hub);
    assert_true(peer->ended);
    drop(peer);
}

static void open_hub(void)
{
    struct err err = ERR_INIT;

    if (hub_open(&hub, folder, 7 * INT64_C(86400000), &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    static const struct clock_ops ops = {.wall_ms = fake_wall_ms, .mono_us = fake_mono_us};
    (void)state;

    now_us = 1000000;
    clock_replace(&ops);
    log_setup(LOG_ERROR, false);
    snprintf(folder, sizeof folder, "/tmp/lifeboat-session-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    open_hub();
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    hub_close(&hub);
    clock_replace(NULL);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_a_report_is_acknowledged_after_the_turn(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    assert_int_equal(peer.welcomes, 1);
    assert_int_equal(peer.welcome.sequence, 0);
    report(&peer, 1);
    report(&peer, 5);
    heartbeat(&peer, 1);
    assert_int_equal(peer.acks, 0);
    hub_turn(&hub);
    assert_int_equal(peer.acks, 1);
    assert_int_equal(peer.ack.sequence, 5);
    assert_int_equal(peer.ack.heartbeat, 1);
    hub_turn(&hub);
    assert_int_equal(peer.acks, 1);
    assert_int_equal(hub.counts.reports, 2);
    drop(&peer);
}

static void test_a_double_is_acknowledged_and_not_kept(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    report(&peer, 1);
    report(&peer, 2);
    hub_turn(&hub);
    drop(&peer);
    greet(&peer, 1);
    assert_int_equal(peer.welcome.sequence, 2);
    report(&peer, 1);
    hub_turn(&hub);
    assert_int_equal(peer.ack.sequence, 2);
    assert_int_equal(hub.counts.reports, 2);
    assert_int_equal(hub.counts.doubles, 1);
    drop(&peer);
}

static void test_a_restart_knows_what_was_acknowledged(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    report(&peer, 3);
    hub_turn(&hub);
    report(&peer, 4); /* not committed: the turn does not end */
    drop(&peer);
    state_close(hub.state); /* as a kill would */
    fleet_fini(&hub.fleet);
    open_hub();
    greet(&peer, 1);
    assert_int_equal(peer.welcome.sequence, 3);
    report(&peer, 4);
    hub_turn(&hub);
    assert_int_equal(peer.ack.sequence, 4);
    drop(&peer);
}

static void test_a_large_batch_does_not_wait_for_the_turn(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    for (uint64_t i = 1; i <= HUB_BATCH_REPORTS; i++)
        report(&peer, i);
    assert_int_equal(peer.ack.sequence, HUB_BATCH_REPORTS);
    drop(&peer);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_a_full_disk_acknowledges_nothing(void **state)
{
    struct peer reporting;
    struct peer quiet;
    uint64_t acknowledged;
    uint64_t sequence = 0;
    (void)state;

    signal(SIGXFSZ, SIG_IGN);
    log_setup((enum log_level)(LOG_ERROR + 1), false);
    greet(&reporting, 1);
    greet(&quiet, 2);
    limit_file_size((rlim_t)128 << 10);
    while (reporting.refusals == 0 && sequence < 5000) {
        report(&reporting, ++sequence);
        hub_turn(&hub);
    }
    acknowledged = reporting.ack.sequence;
    assert_int_equal(acknowledged, sequence - 1);
    assert_false(hub.writable);
    assert_int_equal(hub.counts.write_failures, 1);
    heartbeat(&quiet, 1); /* has no report to lose */
    hub_turn(&hub);
    assert_int_equal(quiet.ack.heartbeat, 1);
    assert_refused(&reporting, "keep the reports");
    greet(&reporting, 1);
    assert_int_equal(reporting.welcome.sequence, acknowledged);
    limit_file_size(RLIM_INFINITY);
    now_us += INT64_C(10000000);
    hub_tick(&hub);
    assert_true(hub.writable);
    report(&reporting, sequence);
    hub_turn(&hub);
    assert_int_equal(reporting.ack.sequence, sequence);
    assert_int_equal(hub.counts.reports, sequence);
    drop(&reporting);
    drop(&quiet);
}

static void test_only_a_hello_comes_first(void **state)
{
    lifeboat_v1_AgentMessage message = hello(1);
    struct peer peer;
    (void)state;

    connect_peer(&peer);
    report(&peer, 1);
    assert_refused(&peer, "hello must come first");
    message.body.hello.protocol = 7;
    connect_peer(&peer);
    send_message(&peer, &message);
    assert_refused(&peer, "speaks protocol 7, this collector 1");
    message = hello(1);
    WIRE_SET(message.body.hello.identity.pod, "../../etc");
    connect_peer(&peer);
    send_message(&peer, &message);
    assert_refused(&peer, "the hello's pod");
    message = hello(1);
    greet(&peer, 1);
    send_message(&peer, &message);
    assert_refused(&peer, "second hello");
    assert_int_equal(hub.fleet.agent_count, 1);
}

static void test_garbage_is_refused(void **state)
{
    static const uint8_t garbage[] = {0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge[] = {0x00, 0x10, 0x00, 0x01};
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    session_received(peer.session, garbage, sizeof garbage);
    assert_refused(&peer, "not a message");
    connect_peer(&peer);
    for (size_t i = 0; i < sizeof huge; i++)
        session_received(peer.session, &huge[i], 1);
    session_received(peer.session, garbage, sizeof garbage); /* is not heard any more */
    assert_refused(&peer, "1048577 bytes");
}

static void test_reports_must_rise(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    report(&peer, 5);
    report(&peer, 5);
    hub_turn(&hub);
    assert_refused(&peer, "report 5 after report 5");
    greet(&peer, 1);
    assert_int_equal(peer.welcome.sequence, 5); /* the first one was good */
    report(&peer, 0);
    assert_refused(&peer, "report 0");
    greet(&peer, 1);
    report(&peer, UINT64_MAX);
    assert_refused(&peer, "report 18446744073709551615");
}

static void test_messages_of_later_versions_are_skipped(void **state)
{
    static const uint8_t later[] = {0, 0, 0, 3, 0xa2, 0x06, 0x00}; /* field 100 */
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    session_received(peer.session, later, sizeof later);
    heartbeat(&peer, 1);
    hub_turn(&hub);
    assert_int_equal(peer.ack.heartbeat, 1);
    drop(&peer);
}

static void test_silence_ends_a_session(void **state)
{
    struct peer mute;
    struct peer lively;
    (void)state;

    connect_peer(&mute);
    greet(&lively, 1);
    now_us += SESSION_HELLO_US - 1;
    hub_tick(&hub);
    assert_int_equal(mute.refusals, 0);
    now_us += 1;
    hub_tick(&hub);
    assert_refused(&mute, "no hello");
    now_us += SESSION_SILENT_US / 2;
    heartbeat(&lively, 1);
    now_us += SESSION_SILENT_US - 1;
    hub_tick(&hub);
    assert_int_equal(lively.refusals, 0);
    session_received(lively.session, (const uint8_t *)"\0", 1); /* a byte is no message */
    now_us += 1;
    hub_tick(&hub);
    assert_refused(&lively, "nothing was heard");
    assert_int_equal(hub.session_count, 0);
}

static void test_a_newer_connection_replaces_the_older(void **state)
{
    struct peer older;
    struct peer newer;
    (void)state;

    greet(&older, 1);
    report(&older, 1);
    greet(&newer, 1);
    report(&newer, 1);
    hub_turn(&hub);
    assert_int_equal(newer.ack.sequence, 1);
    assert_int_equal(hub.counts.reports, 1);
    assert_refused(&older, "replaced");
    assert_ptr_equal(hub.fleet.agents->session, newer.session);
    drop(&newer);
    assert_null(hub.fleet.agents->session);
}

static void test_a_peer_that_does_not_read_is_cut(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    peer.queued = SESSION_MAX_QUEUED + 1;
    heartbeat(&peer, 1);
    hub_turn(&hub);
    assert_int_equal(peer.acks, 0);
    hub_tick(&hub);
    assert_true(peer.ended);
    drop(&peer);
}

static void test_an_agent_that_is_gone_is_forgotten(void **state)
{
    struct peer peer;
    (void)state;

    greet(&peer, 1);
    report(&peer, 9);
    hub_turn(&hub);
    now_us += 8 * INT64_C(86400000000); /* connected all the time, whatever the clock says */
    heartbeat(&peer, 1);
    hub_tick(&hub);
    assert_int_equal(hub.fleet.agent_count, 1);
    drop(&peer);
    now_us += 8 * INT64_C(86400000000);
    hub_tick(&hub);
    assert_int_equal(hub.fleet.agent_count, 0);
    greet(&peer, 1);
    assert_int_equal(peer.welcome.sequence, 9);
    drop(&peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_report_is_acknowledged_after_the_turn),
        TEST(test_a_double_is_acknowledged_and_not_kept),
        TEST(test_a_restart_knows_what_was_acknowledged),
        TEST(test_a_large_batch_does_not_wait_for_the_turn),
        TEST(test_a_full_disk_acknowledges_nothing),
        TEST(test_only_a_hello_comes_first),
        TEST(test_garbage_is_refused),
        TEST(test_reports_must_rise),
        TEST(test_messages_of_later_versions_are_skipped),
        TEST(test_silence_ends_a_session),
        TEST(test_a_newer_connection_replaces_the_older),
        TEST(test_a_peer_that_does_not_read_is_cut),
        TEST(test_an_agent_that_is_gone_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
