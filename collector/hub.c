// SPDX-License-Identifier: Apache-2.0
// The batch. Reports that arrive in one turn of the loop share one transaction, and one fsync.
// Only after the commit does anybody learn that they are safe. When it fails, the batch is
// forgotten whole, and the sessions that sent it are ended: their agents still have the reports,
// and come again. Nothing else is kept in memory that the file does not have, but for 10 seconds
// of moments ("last seen") and of states, which agents tell anew on each connection.
#include "hub.h"

#include "clock.h"
#include "log.h"
#include "session.h"

#include <string.h>

#define SECOND_US      ((int64_t)1000 * 1000)
#define FLUSH_EVERY_US (10 * SECOND_US)
#define RETRY_EVERY_US (2 * SECOND_US)
#define PRUNE_EVERY_US (3600 * SECOND_US)

static void note_written(struct hub *hub)
{
    if (!hub->writable)
        log_info("the state can be written again");
    hub->writable = true;
}

static void note_failed(struct hub *hub, const struct err *err)
{
    hub->counts.write_failures++;
    if (hub->writable)
        log_err("the state cannot be written; nothing is acknowledged until it can", err, NULL, 0);
    hub->writable = false;
}

/* Commits the open batch, unless something of it could not be written: then none of it counts. */
static int end_batch(struct hub *hub, bool written, struct err *err)
{
    int rc = written ? state_commit(hub->state, err) : -1;

    if (rc == 0) {
        hub->counts.reports += hub->batch_reports;
        fleet_committed(&hub->fleet);
        note_written(hub);
    } else {
        note_failed(hub, err);
        state_rollback(hub->state);
        fleet_rolled_back(&hub->fleet);
    }
    hub->batch_reports = 0;
    hub->batch_broken = false;
    return rc;
}

void hub_turn(struct hub *hub)
{
    struct err err = ERR_INIT;
    bool committed = true;

    if (!hub->any_due)
        return;
    hub->any_due = false;
    if (hub->batch_broken)
        committed = end_batch(hub, false, &hub->batch_err) == 0;
    else if (hub->batch_reports > 0)
        committed = end_batch(hub, state_put_fleet(hub->state, &hub->fleet, &err) == 0, &err) == 0;
    for (struct session *at = hub->sessions; at != NULL; at = session_next(at))
        session_settle(at, committed);
}

void hub_add_report(struct hub *hub, struct fleet_agent *agent, const lifeboat_v1_Report *report)
{
    int64_t now_ms = clock_wall_ms();
    bool is_new = false;

    hub->any_due = true;
    if (hub->batch_broken)
        return;
    if (report->sequence <= agent->batch_sequence) {
        hub->counts.doubles++;
        return;
    }
    if (state_add_report(hub->state, agent, report, now_ms, &is_new, &hub->batch_err) < 0) {
        hub->batch_broken = true;
        return;
    }
    if (is_new)
        hub->batch_reports++;
    else
        hub->counts.doubles++;
    agent->batch_sequence = report->sequence;
    fleet_report(agent, report, now_ms);
    if (hub->batch_reports >= HUB_BATCH_REPORTS)
        hub_turn(hub);
}

static bool is_retired(const struct hub *hub, const struct fleet_agent *agent, int64_t now_ms)
{
    return agent->session == NULL && agent->last_seen_ms < now_ms - hub->retire_after_ms;
}

static int write_removals(struct hub *hub, int64_t now_ms, bool prune, struct err *err)
{
    for (const struct fleet_agent *at = hub->fleet.agents; at != NULL; at = at->next)
        if (is_retired(hub, at, now_ms) && state_remove_agent(hub->state, at, err) < 0)
            return -1;
    return prune ? state_prune(hub->state, now_ms - STATE_KEEP_REPORTS_MS, err) : 0;
}

static void forget_retired(struct hub *hub, int64_t now_ms)
{
    struct fleet_agent *next;

    for (struct fleet_agent *at = hub->fleet.agents; at != NULL; at = next) {
        next = at->next;
        if (!is_retired(hub, at, now_ms))
            continue;
        log_info("agent forgotten: not seen for too long",
                 LOG_TEXT("namespace", at->identity.namespace), LOG_TEXT("pod", at->identity.pod));
        fleet_remove(&hub->fleet, at);
    }
}

/* Also the answer to "can the state be written?" while nobody reports. */
static int flush(struct hub *hub, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    int64_t now_us = clock_mono_us();
    bool prune = now_us >= hub->next_prune_us;
    bool written;

    hub_turn(hub);
    written = state_put_fleet(hub->state, &hub->fleet, err) == 0 &&
              write_removals(hub, now_ms, prune, err) == 0 &&
              state_probe(hub->state, now_ms, err) == 0;
    if (end_batch(hub, written, err) < 0)
        return -1;
    forget_retired(hub, now_ms);
    if (prune)
        hub->next_prune_us = now_us + PRUNE_EVERY_US;
    return 0;
}

void hub_tick(struct hub *hub)
{
    int64_t now_us = clock_mono_us();
    struct err err = ERR_INIT;
    struct session *next;

    for (struct session *at = hub->sessions; at != NULL; at = next) {
        next = session_next(at);
        session_tick(at, now_us);
    }
    if (now_us < hub->next_flush_us)
        return;
    hub->next_flush_us = now_us + (flush(hub, &err) == 0 ? FLUSH_EVERY_US : RETRY_EVERY_US);
}

int hub_open(struct hub *hub, const char *folder, int64_t retire_after_ms, struct err *err)
{
    *hub = (struct hub){.retire_after_ms = retire_after_ms, .writable = true};
    fleet_init(&hub->fleet);
    if (state_open(folder, &hub->state, err) == 0 &&
        state_load(hub->state, &hub->fleet, err) == 0 && flush(hub, err) == 0) {
        hub->next_flush_us = clock_mono_us() + FLUSH_EVERY_US;
        return 0;
    }
    state_close(hub->state);
    fleet_fini(&hub->fleet);
    return -1;
}

void hub_close(struct hub *hub)
{
    struct err err = ERR_INIT;

    flush(hub, &err);
    state_close(hub->state);
    fleet_fini(&hub->fleet);
}

void hub_blame(struct hub *hub, const char *peer, const char *message, const struct err *err)
{
    for (size_t i = 0; i < HUB_PEERS && i < hub->peers_seen; i++)
        if (strncmp(hub->peers[i], peer, sizeof hub->peers[i] - 1) == 0)
            return;
    wire_set_text(hub->peers[hub->peers_seen++ % HUB_PEERS], sizeof hub->peers[0], peer);
    log_warn(message, LOG_TEXT("peer", peer), LOG_TEXT("err", err->text));
}
