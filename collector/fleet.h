// SPDX-License-Identifier: Apache-2.0
// What is known now: agents, and the components that each of them told of. Pure: no clock, no
// file, no connection. What changed is marked dirty for whoever keeps it (state/state.h).
#pragma once

#include "err.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLEET_INSTANCE_BYTES 16
#define FLEET_MAX_COMPONENTS 256 /* of one agent */
#define FLEET_MAX_AGENTS     ((size_t)20000)

/* A component as one agent tells it. */
struct fleet_component {
    struct fleet_component *next;
    lifeboat_v1_Component told; /* its state is merged, and has no moment in the future */
    uint64_t inventory;         /* the agent's inventory that named it last */
    bool dirty;
    bool gone; /* to be forgotten with the next commit */
};

struct fleet_agent {
    struct fleet_agent *next;
    uint8_t instance[FLEET_INSTANCE_BYTES];
    lifeboat_v1_Identity identity;
    char peer[64]; /* the common name of its certificate */
    char version[32];
    int64_t first_seen_ms, last_seen_ms;
    uint64_t sequence;       /* reports up to here are committed */
    uint64_t batch_sequence; /* and up to here they lie in the open transaction */
    bool heard;              /* a heartbeat came, ever: what follows is known */
    bool config_valid;
    uint64_t fallback_bytes;
    struct fleet_component *components;
    uint64_t inventory;      /* counts those that began */
    uint32_t inventory_page; /* the one that must come next; 0: none is open */
    bool dirty;              /* this one or a component of it */
    void *session;           /* of whoever serves it now; NULL: not connected */
};

struct fleet {
    struct fleet_agent *agents;
    size_t agent_count;
};

void fleet_init(struct fleet *fleet);
void fleet_fini(struct fleet *fleet);

/* NULL when it is not known. */
struct fleet_agent *fleet_find(const struct fleet *fleet,
                               const uint8_t instance[FLEET_INSTANCE_BYTES]);
/* A new agent, of an instance that is not known; NULL when there are too many. */
struct fleet_agent *fleet_add(struct fleet *fleet, const uint8_t instance[FLEET_INSTANCE_BYTES]);
/* The agent must not have a session. */
void fleet_remove(struct fleet *fleet, struct fleet_agent *agent);
/* A component of the agent; NULL when it is not known, or gone. */
struct fleet_component *fleet_component(const struct fleet_agent *agent, const char *name);
/* The same, made when there is none (or it is gone); NULL when there are too many. */
struct fleet_component *fleet_component_add(struct fleet_agent *agent, const char *name);
/* After a commit: nothing is dirty, what is gone is freed, what is in the batch is committed. */
void fleet_committed(struct fleet *fleet);
/* After a transaction that failed: nothing of the batch is committed; what is dirty stays so. */
void fleet_rolled_back(struct fleet *fleet);

/* A page of an inventory. When it is the last one, what no page named is gone, and what earlier
 * instances of the same pod told is taken over. ERR_CORRUPT: names that are none, too many
 * components, a page out of order. */
int fleet_inventory(struct fleet *fleet, struct fleet_agent *agent,
                    const lifeboat_v1_Inventory *page, int64_t now_ms, struct err *err);
void fleet_heartbeat(struct fleet_agent *agent, const lifeboat_v1_Heartbeat *heartbeat);
/* The state that a report brings; one of a component that is not configured is left out. */
void fleet_report(struct fleet_agent *agent, const lifeboat_v1_Report *report, int64_t now_ms);

/* Merges what is told into what is known: moments, and counts, take the maximum; what describes a
 * job follows the newest job. Moments after now_ms count as now_ms. */
void fleet_merge(lifeboat_v1_ComponentState *known, const lifeboat_v1_ComponentState *told,
                 int64_t now_ms);

/* One component over all the agents that serve it. Moments: 0 is never. */
struct fleet_summary {
    const char *cluster, *namespace_, *component, *system; /* lent */
    int64_t attempt_ms;
    int result; /* of the newest attempt: 1 good, 0 not, -1 there was none */
    int64_t success_ms, success_duration_ms;
    uint64_t stored_bytes; /* of the newest that is good */
    int64_t recovery_point_ms;
    uint64_t failures;
    int64_t verify_success_ms;
    int64_t drill_success_ms, drill_duration_ms;
    int drill_result;
    int64_t backup_interval_ms, verify_interval_ms, drill_interval_ms; /* 0: no schedule */
    int64_t rpo_ms, rto_ms;                                            /* 0: no objective */
};

/* Sorted by cluster, namespace, component, system; each once. free() it. */
struct fleet_summary *fleet_summarise(const struct fleet *fleet, size_t *count);
/* Sorted by cluster, namespace, pod; of several instances of a pod, the one seen last. free() it.
 */
const struct fleet_agent **fleet_pods(const struct fleet *fleet, size_t *count);
