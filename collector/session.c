// SPDX-License-Identifier: Apache-2.0
// The collector's side of the protocol. Until the hello only a hello is taken; a peer that breaks
// a rule gets one Refusal. Acknowledgements leave at the end of a turn, one for all that came.
#include "session.h"

#include "clock.h"
#include "frame.h"
#include "log.h"
#include "mem.h"
#include "option.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum session_state {
    SESSION_NEW,    /* no hello yet */
    SESSION_SERVED, /* agent is set */
    SESSION_OVER,   /* nothing is heard any more; ends at the deadline */
};

struct session {
    struct session *previous, *next;
    struct hub *hub;
    struct session_link link;
    struct frame_reader reader;
    enum session_state state;
    struct fleet_agent *agent;
    char peer[64];
    int64_t deadline_us;
    uint64_t last_sequence; /* of this connection's reports */
    uint64_t heartbeat;
    bool ack_due;
    bool in_batch; /* a report of this connection waits for the commit */
};

struct session *session_new(struct hub *hub, const struct session_link *link, const char *remote)
{
    struct session *session = mem_calloc(1, sizeof *session);

    session->hub = hub;
    session->link = *link;
    session->deadline_us = clock_mono_us() + SESSION_HELLO_US;
    WIRE_SET(session->peer, remote);
    frame_reader_init(&session->reader, FRAME_MAX_BYTES);
    session->next = hub->sessions;
    if (hub->sessions != NULL)
        hub->sessions->previous = session;
    hub->sessions = session;
    hub->session_count++;
    return session;
}

static void leave_agent(struct session *session)
{
    if (session->agent != NULL)
        session->agent->session = NULL;
    session->agent = NULL;
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    if (session->agent != NULL)
        log_info("agent disconnected", LOG_TEXT("namespace", session->agent->identity.namespace),
                 LOG_TEXT("pod", session->agent->identity.pod));
    leave_agent(session);
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        session->hub->sessions = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    session->hub->session_count--;
    frame_reader_fini(&session->reader);
    free(session);
}

void session_opened(struct session *session, const char *peer)
{
    if (*peer != '\0')
        WIRE_SET(session->peer, peer);
}

const char *session_peer(const struct session *session)
{
    return session->peer;
}

struct session *session_next(const struct session *session)
{
    return session->next;
}

static void end_in(struct session *session, int64_t after_us)
{
    leave_agent(session);
    session->state = SESSION_OVER;
    session->deadline_us = clock_mono_us() + after_us;
}

static void send_message(struct session *session, const lifeboat_v1_CollectorMessage *message)
{
    struct text out = TEXT_INIT;

    if (session->link.queued(session->link.arg) > SESSION_MAX_QUEUED) {
        end_in(session, 0);
        return;
    }
    wire_add_frame(&out, lifeboat_v1_CollectorMessage_fields, message);
    session->link.send(session->link.arg, out.data, out.len);
    text_fini(&out);
}

static void refuse(struct session *session, const char *reason)
{
    lifeboat_v1_CollectorMessage message = {.which_body = lifeboat_v1_CollectorMessage_refusal_tag};

    WIRE_SET(message.body.refusal.reason, reason);
    session->hub->counts.refused++;
    send_message(session, &message);
    end_in(session, SESSION_LINGER_US);
}

/* --- messages --- */

static int check_identity(const lifeboat_v1_Identity *identity, struct err *err)
{
    const struct {
        const char *key, *value;
    } names[] = {
        {"cluster", identity->cluster},
        {"namespace", identity->namespace},
        {"workload", identity->workload},
        {"pod", identity->pod},
    };
    struct err why = ERR_INIT;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (option_check_name(names[i].value, &why) < 0)
            return err_set(err, ERR_CORRUPT, "the hello's %s %s", names[i].key, why.text);
    return 0;
}

/* The agent of a hello, known or new. */
static struct fleet_agent *find_agent(struct hub *hub, const uint8_t *instance, struct err *err)
{
    struct fleet_agent *agent = fleet_find(&hub->fleet, instance);
    uint64_t sequence = 0;

    if (agent != NULL)
        return agent;
    /* One that was forgotten left its reports. */
    if (state_last_sequence(hub->state, instance, &sequence, err) < 0)
        return NULL;
    agent = fleet_add(&hub->fleet, instance);
    if (agent == NULL) {
        err_set(err, ERR_BUSY, "this collector knows %zu agents; no more fit", FLEET_MAX_AGENTS);
        return NULL;
    }
    agent->sequence = agent->batch_sequence = sequence;
    agent->first_seen_ms = clock_wall_ms();
    return agent;
}

static void welcome(struct session *session)
{
    lifeboat_v1_CollectorMessage message = {.which_body = lifeboat_v1_CollectorMessage_welcome_tag};

    message.body.welcome.protocol = WIRE_PROTOCOL;
    message.body.welcome.sequence = session->agent->sequence;
    WIRE_SET(message.body.welcome.collector_version, LIFEBOAT_VERSION);
    send_message(session, &message);
}

static int take_hello(struct session *session, const lifeboat_v1_Hello *hello, struct err *err)
{
    struct fleet_agent *agent;

    if (session->state != SESSION_NEW)
        return err_set(err, ERR_CORRUPT, "a second hello");
    if (hello->protocol != WIRE_PROTOCOL)
        return err_set(err, ERR_CORRUPT, "the agent speaks protocol %" PRIu32 ", this collector %d",
                       hello->protocol, WIRE_PROTOCOL);
    if (check_identity(&hello->identity, err) < 0)
        return -1;
    agent = find_agent(session->hub, hello->instance, err);
    if (agent == NULL)
        return -1;
    if (agent->session != NULL)
        refuse(agent->session, "replaced by a newer connection of the same agent");
    agent->session = session;
    agent->identity = hello->identity;
    WIRE_SET(agent->peer, session->peer);
    WIRE_SET(agent->version, hello->agent_version);
    agent->inventory_page = 0;
    session->agent = agent;
    session->state = SESSION_SERVED;
    log_info("agent connected", LOG_TEXT("namespace", agent->identity.namespace),
             LOG_TEXT("pod", agent->identity.pod), LOG_TEXT("version", agent->version),
             LOG_TEXT("peer", session->peer));
    welcome(session);
    return 0;
}

static int take_report(struct session *session, const lifeboat_v1_Report *report, struct err *err)
{
    if (report->sequence <= session->last_sequence || report->sequence > INT64_MAX)
        return err_set(err, ERR_CORRUPT, "report %" PRIu64 " after report %" PRIu64,
                       report->sequence, session->last_sequence);
    session->last_sequence = report->sequence;
    session->ack_due = true;
    session->in_batch = true;
    hub_add_report(session->hub, session->agent, report);
    return 0;
}

static void take_heartbeat(struct session *session, const lifeboat_v1_Heartbeat *heartbeat)
{
    fleet_heartbeat(session->agent, heartbeat);
    session->heartbeat = heartbeat->number;
    session->ack_due = true;
    session->hub->any_due = true;
}

static int take_body(struct session *session, const lifeboat_v1_AgentMessage *message,
                     struct err *err)
{
    switch (message->which_body) {
    case lifeboat_v1_AgentMessage_hello_tag:
        return take_hello(session, &message->body.hello, err);
    case lifeboat_v1_AgentMessage_inventory_tag:
        return fleet_inventory(&session->hub->fleet, session->agent, &message->body.inventory,
                               clock_wall_ms(), err);
    case lifeboat_v1_AgentMessage_heartbeat_tag:
        take_heartbeat(session, &message->body.heartbeat);
        return 0;
    case lifeboat_v1_AgentMessage_report_tag:
        return take_report(session, &message->body.report, err);
    default:
        return 0; /* of a later version */
    }
}

static int take_message(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    struct session *session = arg;
    lifeboat_v1_AgentMessage message;

    if (session->state == SESSION_OVER)
        return err_set(err, ERR_CANCELLED, "the session is over");
    if (wire_read(lifeboat_v1_AgentMessage_fields, data, len, &message, err) < 0)
        return -1;
    if (session->state == SESSION_NEW && message.which_body != lifeboat_v1_AgentMessage_hello_tag)
        return err_set(err, ERR_CORRUPT, "a hello must come first");
    if (take_body(session, &message, err) < 0)
        return -1;
    if (session->state == SESSION_SERVED) {
        session->agent->last_seen_ms = clock_wall_ms();
        session->agent->dirty = true;
        session->deadline_us = clock_mono_us() + SESSION_SILENT_US;
    }
    return 0;
}

void session_received(struct session *session, const uint8_t *data, size_t len)
{
    struct err err = ERR_INIT;

    if (session->state == SESSION_OVER ||
        frame_reader_add(&session->reader, data, len, take_message, session, &err) == 0 ||
        session->state == SESSION_OVER)
        return;
    hub_blame(session->hub, session->peer, "connection refused", &err);
    refuse(session, err.text);
}

/* --- for the hub --- */

void session_settle(struct session *session, bool committed)
{
    lifeboat_v1_CollectorMessage message = {.which_body = lifeboat_v1_CollectorMessage_ack_tag};
    bool lost = session->in_batch && !committed;
    bool due = session->ack_due;

    session->in_batch = false;
    session->ack_due = false;
    if (session->state != SESSION_SERVED || !due)
        return;
    if (lost) {
        refuse(session, "the collector cannot write its state now; keep the reports, come again");
        return;
    }
    message.body.ack.sequence = session->agent->sequence;
    message.body.ack.heartbeat = session->heartbeat;
    send_message(session, &message);
}

void session_tick(struct session *session, int64_t now_us)
{
    if (now_us < session->deadline_us)
        return;
    switch (session->state) {
    case SESSION_NEW:
        refuse(session, "no hello came in time");
        break;
    case SESSION_SERVED:
        refuse(session, "nothing was heard for too long");
        break;
    case SESSION_OVER:
        session->link.end(session->link.arg);
        break;
    }
}
