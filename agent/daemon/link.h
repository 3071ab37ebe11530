// SPDX-License-Identifier: Apache-2.0
// The link to the collector: connects, tells what is configured and known, sends the reports that
// wait on disk until each is acknowledged, and comes back when it breaks. docs/PROTOCOL.md. Nothing
// else in the agent waits for it.
#pragma once

#include "options.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>

struct ev_loop;
struct link;

/* What only the daemon knows. */
struct link_source {
    size_t (*components)(void *arg);
    void (*component)(void *arg, size_t index, lifeboat_v1_Component *component);
    void (*heartbeat)(void *arg, lifeboat_v1_Heartbeat *heartbeat);
    void *arg;
};

struct link_status {
    bool up;           /* welcomed */
    uint64_t failures; /* attempts and connections that ended, since the link was made */
    size_t waiting;    /* reports, when last looked at */
};

/* options (with a collector) are lent for the life of the link. Begins at once. */
struct link *link_new(struct ev_loop *loop, const struct agent_options *options,
                      const struct link_source *source);
/* NULL is allowed. */
void link_free(struct link *link);
/* A report may have been added to the queue. */
void link_look(struct link *link);
const struct link_status *link_status(const struct link *link);
