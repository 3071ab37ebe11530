// SPDX-License-Identifier: Apache-2.0
// /healthz and /metrics of the agent itself. Healthy means that the daemon's loop turns: neither
// database, store nor collector count, or their failure would restart a pod that can do nothing
// about it. docs/reference/agent-metrics.md lists the metrics.
#pragma once

#include "agenda.h"
#include "err.h"
#include "link.h"
#include "wire.h"

struct ev_loop;
struct health;

/* What is shown; each is lent, and may change between calls. */
struct health_view {
    const struct agenda *agenda;
    const struct link *link; /* NULL: no collector */
    const char *running;     /* the component whose job runs; NULL: none */
    lifeboat_v1_JobKind running_kind;
    int64_t running_since_ms;
    bool config_valid;
};
typedef void health_view_fn(void *arg, struct health_view *view);

struct health *health_new(health_view_fn *view, void *arg);
/* NULL is allowed. */
void health_free(struct health *health);

/* Listens there from now on; NULL: nowhere. ERR_IO, ERR_CONFIG: it does not listen. */
int health_listen(struct health *health, struct ev_loop *loop, const char *address,
                  struct err *err);
/* For the figures: a running job's word, and one that ended. */
void health_progress(struct health *health, const lifeboat_v1_Progress *progress);
void health_job_ended(struct health *health, const lifeboat_v1_Report *report);

/* Resident memory of this process, proportional (PSS); 0 when it cannot be read. */
uint64_t health_memory_bytes(void);
