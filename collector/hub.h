// SPDX-License-Identifier: Apache-2.0
// What all sessions share: the fleet, the state it is kept in, the open batch, the counters. Knows
// no socket. Whoever runs the loop calls hub_turn at the end of each turn and hub_tick each second.
#pragma once

#include "fleet.h"
#include "state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUB_BATCH_REPORTS 500 /* a batch of so many is committed before the turn ends */

struct session;

struct hub_counts {
    uint64_t reports;        /* new ones, committed */
    uint64_t doubles;        /* that were there already */
    uint64_t refused;        /* connections that were ended by a Refusal */
    uint64_t tls_failures;   /* connections that never were one */
    uint64_t turned_away;    /* because there were too many */
    uint64_t write_failures; /* of the state */
};

#define HUB_PEERS 64

struct hub {
    struct state *state;
    struct fleet fleet;
    struct session *sessions;
    size_t session_count;
    int64_t retire_after_ms;
    struct hub_counts counts;
    size_t batch_reports; /* new ones in the open batch */
    bool batch_broken;    /* one of them could not be written: batch_err says why */
    struct err batch_err;
    bool any_due;  /* a session waits for the end of the turn */
    bool writable; /* the newest attempt to write the state went well */
    int64_t next_flush_us, next_prune_us;
    char peers[HUB_PEERS][64]; /* whose misbehaviour was logged; the oldest makes room */
    size_t peers_seen;
};

/* Opens the state and loads the fleet. */
int hub_open(struct hub *hub, const char *folder, int64_t retire_after_ms, struct err *err);
/* Writes what is in hand, and closes. All sessions must be freed. */
void hub_close(struct hub *hub);

/* Commits the batch, then has every session that waits for it acknowledge. Calls no session_link
 * end(). */
void hub_turn(struct hub *hub);
/* Sessions whose time is up are ended; what changed without a report is written every 10 s; the
 * old is forgotten. */
void hub_tick(struct hub *hub);

/* Adds a report of that agent to the batch. */
void hub_add_report(struct hub *hub, struct fleet_agent *agent, const lifeboat_v1_Report *report);

/* Logs what a peer did wrong, the first time only; the counters have the rest. */
void hub_blame(struct hub *hub, const char *peer, const char *message, const struct err *err);
