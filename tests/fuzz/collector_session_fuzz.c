// SPDX-License-Identifier: Apache-2.0
// Bytes into a session, over a real state in a folder that goes at the end: whole, then in two
// halves. What the session answers must be frames of the protocol, and what the fleet has become
// must be metrics. The clock moves an hour a run, so that agents and reports are forgotten again.
#include "clock.h"
#include "frame.h"
#include "log.h"
#include "metrics.h"
#include "session.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOUR_US ((int64_t)3600 * 1000 * 1000)

static struct hub hub;
/* In memory: each run commits, and a disk would be all that is measured. */
static char folder[] = "/dev/shm/lifeboat-fuzz-XXXXXX";
static int64_t now_us;

static int64_t wall_ms(void)
{
    return INT64_C(1795000000000) + now_us / 1000;
}

static int64_t mono_us(void)
{
    return now_us;
}

struct far_end {
    struct session *session;
    struct frame_reader reader;
    uint64_t acknowledged;
};

static int take_answer(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    struct far_end *end = arg;
    lifeboat_v1_CollectorMessage message;

    if (wire_read(lifeboat_v1_CollectorMessage_fields, data, len, &message, err) < 0)
        abort();
    if (message.which_body == lifeboat_v1_CollectorMessage_ack_tag) {
        if (message.body.ack.sequence < end->acknowledged)
            abort();
        end->acknowledged = message.body.ack.sequence;
    }
    return 0;
}

static void on_send(void *arg, const void *data, size_t len)
{
    struct far_end *end = arg;
    struct err err = ERR_INIT;

    if (frame_reader_add(&end->reader, data, len, take_answer, end, &err) < 0)
        abort();
}

static size_t on_queued(void *arg)
{
    (void)arg;
    return 0;
}

static void on_end(void *arg)
{
    struct far_end *end = arg;

    session_free(end->session);
    end->session = NULL;
}

static void feed(const uint8_t *data, size_t len, size_t split)
{
    struct far_end end = {.acknowledged = 0};
    const struct session_link link = {
        .send = on_send, .queued = on_queued, .end = on_end, .arg = &end};

    frame_reader_init(&end.reader, FRAME_MAX_BYTES);
    end.session = session_new(&hub, &link, "192.0.2.1");
    session_opened(end.session, "fuzz");
    session_received(end.session, data, split);
    session_received(end.session, data + split, len - split);
    hub_turn(&hub);
    now_us += HOUR_US;
    hub_tick(&hub); /* the time is up: a refusal */
    now_us += HOUR_US;
    hub_tick(&hub); /* and the end */
    if (end.session != NULL || hub.session_count != 0 || !hub.writable)
        abort();
    frame_reader_fini(&end.reader);
}

static void remove_folder(void)
{
    static const char *const names[] = {"collector.db", "collector.lock"};
    char path[128];

    hub_close(&hub);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void start(void)
{
    static const struct clock_ops ops = {.wall_ms = wall_ms, .mono_us = mono_us};
    struct err err = ERR_INIT;

    clock_replace(&ops);
    log_setup(LOG_ERROR, false);
    if (mkdtemp(folder) == NULL || hub_open(&hub, folder, 24 * HOUR_US / 1000, &err) < 0)
        abort();
    atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text page = TEXT_INIT;

    if (now_us == 0)
        start();
    feed(data, len, len);
    feed(data, len, len / 2);
    metrics_write(&hub, &page);
    text_fini(&page);
    return 0;
}
