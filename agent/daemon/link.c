// SPDX-License-Identifier: Apache-2.0
// States: waiting (for the next attempt), resolving, connecting (TCP, TLS, until Welcome), up. One
// timer serves them all: the next attempt, the patience of an attempt, the next heartbeat.
//
// A cause is logged once: when it differs from the last one. What follows is counted, and told when
// the link is up again.
#include "link.h"

#include "address.h"
#include "backoff.h"
#include "clock.h"
#include "frame.h"
#include "log.h"
#include "mem.h"
#include "queue.h"
#include "text.h"
#include "tls.h"

#include "resolve.h"

#include <errno.h>
#include <ev.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAST_WAIT_MS     500
#define FIRST_WAIT_MS     1000
#define MOST_WAIT_MS      60000
#define PATIENCE_MS       15000 /* from the start of an attempt to Welcome */
#define HEARTBEAT_MS      20000
#define HEARTBEAT_MORE_MS 5000  /* jitter */
#define SILENCE_MS        60000 /* of a collector that owes an answer */
#define MESSAGE_BYTES     ((size_t)64 << 10)
#define WINDOW            32 /* reports on the way */

enum link_state { LINK_WAITING, LINK_RESOLVING, LINK_CONNECTING, LINK_UP };

struct link {
    struct ev_loop *loop;
    const struct agent_options *options;
    struct link_source source;
    struct link_status status;
    enum link_state state;
    ev_timer timer;
    struct resolve *resolve;
    struct tls_conn *conn;
    struct frame_reader reader;
    char host[256], port[6];
    unsigned failed;                              /* attempts in a row */
    char cause[sizeof((struct err *)NULL)->text]; /* the last one told */
    /* Sequences: up to where the queue was read, the last one sent, and up to where the collector
     * has them. */
    uint64_t looked_at, sent, acknowledged;
    uint64_t beat;
    bool queue_broken; /* it could not be read, which was said */
    int64_t heard_us;  /* the last answer */
};

static void begin(struct link *link);

static void set_timer(struct link *link, int64_t ms)
{
    ev_timer_stop(link->loop, &link->timer);
    ev_now_update(link->loop);
    ev_timer_set(&link->timer, (double)ms / 1000, 0);
    ev_timer_start(link->loop, &link->timer);
}

static void drop(struct link *link)
{
    resolve_cancel(link->resolve);
    link->resolve = NULL;
    tls_conn_close(link->conn);
    link->conn = NULL;
    frame_reader_fini(&link->reader);
    link->status.up = false;
}

static void fail(struct link *link, const struct err *err)
{
    link->failed++;
    link->status.failures++;
    if (strcmp(link->cause, err->text) != 0) {
        memcpy(link->cause, err->text, sizeof link->cause);
        log_warn("the collector is not there; reports wait on disk",
                 LOG_TEXT("collector", link->options->collector.address),
                 LOG_TEXT("err", err->text), LOG_TEXT("kind", err_kind_name(err->kind)));
    }
    drop(link);
    link->state = LINK_WAITING;
    set_timer(link, LEAST_WAIT_MS + backoff_ms(link->failed, FIRST_WAIT_MS, MOST_WAIT_MS));
}

static void fail_for(struct link *link, enum err_kind kind, const char *reason)
{
    struct err err = ERR_INIT;

    err_set(&err, kind, "%s", reason);
    fail(link, &err);
}

static void send_message(struct link *link, const lifeboat_v1_AgentMessage *message)
{
    struct text frame = TEXT_INIT;

    wire_add_frame(&frame, lifeboat_v1_AgentMessage_fields, message);
    tls_conn_send(link->conn, frame.data, frame.len);
    text_fini(&frame);
}

/* One for all: it is large, and only one is written at a time. */
static lifeboat_v1_AgentMessage *blank_message(pb_size_t which)
{
    static lifeboat_v1_AgentMessage message;

    memset(&message, 0, sizeof message);
    message.which_body = which;
    return &message;
}

static int send_hello(struct link *link, struct err *err)
{
    lifeboat_v1_AgentMessage *message = blank_message(lifeboat_v1_AgentMessage_hello_tag);
    const struct identity_options *identity = &link->options->identity;
    lifeboat_v1_Hello *hello = &message->body.hello;

    if (queue_instance(link->options->state_path, hello->instance, err) < 0)
        return -1;
    hello->protocol = WIRE_PROTOCOL;
    WIRE_SET(hello->agent_version, LIFEBOAT_VERSION);
    hello->wall_ms = clock_wall_ms();
    hello->has_identity = true;
    WIRE_SET(hello->identity.cluster, identity->cluster);
    WIRE_SET(hello->identity.namespace, identity->namespace_);
    WIRE_SET(hello->identity.workload, identity->workload);
    WIRE_SET(hello->identity.pod, identity->pod);
    send_message(link, message);
    return 0;
}

static void send_inventory(struct link *link)
{
    size_t count = link->source.components(link->source.arg);
    size_t sent = 0;

    for (uint32_t page = 0; page == 0 || sent < count; page++) {
        lifeboat_v1_AgentMessage *message = blank_message(lifeboat_v1_AgentMessage_inventory_tag);
        lifeboat_v1_Inventory *inventory = &message->body.inventory;
        const size_t most = sizeof inventory->components / sizeof inventory->components[0];

        inventory->page = page;
        for (; sent < count && inventory->components_count < most; sent++)
            link->source.component(link->source.arg, sent,
                                   &inventory->components[inventory->components_count++]);
        inventory->last = sent == count;
        send_message(link, message);
    }
}

static void send_heartbeat(struct link *link)
{
    lifeboat_v1_AgentMessage *message = blank_message(lifeboat_v1_AgentMessage_heartbeat_tag);

    message->body.heartbeat.number = ++link->beat;
    message->body.heartbeat.waiting_reports = link->status.waiting;
    link->source.heartbeat(link->source.arg, &message->body.heartbeat);
    send_message(link, message);
    set_timer(link, HEARTBEAT_MS + backoff_ms(1, HEARTBEAT_MORE_MS, HEARTBEAT_MORE_MS));
}

/* One that cannot be read is passed over: it would keep all behind it from going. */
static int send_report(struct link *link, uint64_t sequence, struct err *err)
{
    lifeboat_v1_AgentMessage *message = blank_message(lifeboat_v1_AgentMessage_report_tag);

    if (queue_read(link->options->state_path, sequence, &message->body.report, err) == 0) {
        send_message(link, message);
        link->sent = sequence;
    } else if (err->kind == ERR_CORRUPT || err->kind == ERR_NOT_FOUND) {
        log_warn("a report is lost", LOG_NUMBER("sequence", sequence), LOG_TEXT("err", err->text));
        err_clear(err);
    } else {
        return -1;
    }
    return 0;
}

void link_look(struct link *link)
{
    uint64_t sequences[WINDOW];
    struct err err = ERR_INIT;
    size_t count = 0;
    int rc;

    if (link == NULL)
        return;
    rc = queue_list(link->options->state_path, link->looked_at, sequences, WINDOW, &count,
                    &link->status.waiting, &err);
    /* A window is sent whole and acknowledged before the next one. */
    if (rc == 0 && (link->state != LINK_UP || link->sent > link->acknowledged))
        return;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = send_report(link, sequences[i], &err);
        if (rc == 0)
            link->looked_at = sequences[i];
    }
    if (rc < 0 && !link->queue_broken)
        log_warn("the reports that wait cannot be read", LOG_TEXT("err", err.text));
    link->queue_broken = rc < 0;
}

static int acknowledge(struct link *link, uint64_t sequence, struct err *err)
{
    if (sequence > link->acknowledged) {
        if (queue_forget(link->options->state_path, sequence, err) < 0)
            return -1;
        link->acknowledged = sequence;
    }
    if (link->looked_at < link->acknowledged)
        link->looked_at = link->acknowledged;
    if (link->sent < link->acknowledged)
        link->sent = link->acknowledged;
    return 0;
}

static int on_welcome(struct link *link, const lifeboat_v1_Welcome *welcome, struct err *err)
{
    if (link->state != LINK_CONNECTING)
        return err_set(err, ERR_CORRUPT, "the collector says welcome twice");
    if (welcome->protocol != WIRE_PROTOCOL)
        return err_set(err, ERR_CORRUPT, "the collector speaks protocol %u, this agent speaks %d",
                       (unsigned)welcome->protocol, WIRE_PROTOCOL);
    link->state = LINK_UP;
    link->status.up = true;
    link->looked_at = link->sent = link->acknowledged = 0;
    if (acknowledge(link, welcome->sequence, err) < 0)
        return -1;
    log_info("the link to the collector is up",
             LOG_TEXT("collector", link->options->collector.address),
             LOG_TEXT("version", welcome->collector_version),
             LOG_NUMBER("failed_attempts", link->failed));
    link->failed = 0;
    link->cause[0] = '\0';
    send_inventory(link);
    send_heartbeat(link);
    return 0;
}

static int on_frame(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    struct link *link = arg;
    lifeboat_v1_CollectorMessage message;

    if (wire_read(lifeboat_v1_CollectorMessage_fields, data, len, &message, err) < 0)
        return -1;
    link->heard_us = clock_mono_us();
    switch (message.which_body) {
    case lifeboat_v1_CollectorMessage_welcome_tag:
        return on_welcome(link, &message.body.welcome, err);
    case lifeboat_v1_CollectorMessage_ack_tag:
        if (link->state != LINK_UP || message.body.ack.sequence > link->sent)
            return err_set(err, ERR_CORRUPT, "the collector acknowledges what was never sent");
        return acknowledge(link, message.body.ack.sequence, err);
    case lifeboat_v1_CollectorMessage_refusal_tag:
        return err_set(err, ERR_DENIED, "the collector refuses: %s", message.body.refusal.reason);
    default:
        return 0; /* of a later version */
    }
}

static void on_received(void *arg, const uint8_t *data, size_t len)
{
    struct link *link = arg;
    struct err err = ERR_INIT;

    if (frame_reader_add(&link->reader, data, len, on_frame, link, &err) < 0)
        fail(link, &err);
    else
        link_look(link);
}

static void on_opened(void *arg)
{
    struct link *link = arg;
    struct err err = ERR_INIT;

    if (send_hello(link, &err) < 0)
        fail(link, &err);
}

static void on_closed(void *arg, const struct err *err)
{
    fail(arg, err);
}

static void connect_to(struct link *link, const struct addrinfo *address)
{
    const struct tls_files files = {.ca_file = link->options->collector.ca_file,
                                    .cert_file = link->options->collector.cert_file,
                                    .key_file = link->options->collector.key_file};
    const struct tls_handlers handlers = {
        .opened = on_opened, .received = on_received, .closed = on_closed, .arg = link};
    struct tls_context *context = NULL;
    struct err err = ERR_INIT;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)) {
        err_set(&err, ERR_UNREACHABLE, "connect: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        fail(link, &err);
        return;
    }
    if (tls_context_new(&files, false, &context, &err) < 0) {
        close(fd);
        fail(link, &err);
        return;
    }
    frame_reader_init(&link->reader, MESSAGE_BYTES);
    link->conn = tls_conn_new(context, fd, link->host, link->loop, &handlers);
    tls_context_free(context);
}

/* One address each attempt, in turn. */
static void on_resolved(void *arg, const struct addrinfo *addresses, const char *reason)
{
    struct link *link = arg;
    const struct addrinfo *address = addresses;

    link->resolve = NULL;
    if (addresses == NULL) {
        struct err err = ERR_INIT;

        err_set(&err, ERR_UNREACHABLE, "look up %s: %s", link->host, reason);
        fail(link, &err);
        return;
    }
    for (unsigned i = 0; i < link->failed; i++)
        address = address->ai_next == NULL ? addresses : address->ai_next;
    link->state = LINK_CONNECTING;
    connect_to(link, address);
}

static void begin(struct link *link)
{
    link->state = LINK_RESOLVING;
    set_timer(link, PATIENCE_MS);
    link->resolve = resolve_start(link->loop, link->host, link->port, on_resolved, link);
    if (link->resolve == NULL)
        fail_for(link, ERR_INTERNAL, "no thread can be had for the lookup of a name");
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct link *link = timer->data;

    (void)loop;
    (void)events;
    switch (link->state) {
    case LINK_WAITING:
        begin(link);
        break;
    case LINK_RESOLVING:
        fail_for(link, ERR_TIMEOUT, "the lookup of the collector's name takes too long");
        break;
    case LINK_CONNECTING:
        fail_for(link, ERR_TIMEOUT, "the collector does not answer");
        break;
    case LINK_UP:
        if (clock_mono_us() - link->heard_us > SILENCE_MS * INT64_C(1000))
            fail_for(link, ERR_TIMEOUT, "the collector has fallen silent");
        else
            send_heartbeat(link);
        break;
    }
}

struct link *link_new(struct ev_loop *loop, const struct agent_options *options,
                      const struct link_source *source)
{
    struct link *link = mem_calloc(1, sizeof *link);
    struct err err = ERR_INIT;

    link->loop = loop;
    link->options = options;
    link->source = *source;
    ev_timer_init(&link->timer, on_timer, 0, 0);
    link->timer.data = link;
    /* The options' row has checked it. */
    address_split(options->collector.address, link->host, sizeof link->host, link->port, &err);
    begin(link);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    drop(link);
    ev_timer_stop(link->loop, &link->timer);
    free(link);
}

const struct link_status *link_status(const struct link *link)
{
    return &link->status;
}
