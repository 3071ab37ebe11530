// SPDX-License-Identifier: Apache-2.0
// One run of lifeboat-job: what was asked for, the configuration, the loop, and how it went. Every
// command is a function over targets; job_each runs it for each, logs a failure once, and counts.
#pragma once

#include "ancestry.h"
#include "catalog.h"
#include "err.h"
#include "invocation.h"
#include "options.h"
#include "site.h"

#include <jansson.h>
#include <stddef.h>

struct ev_loop;
struct recording;

struct job {
    const struct invocation *in;
    struct agent_options *options;
    struct ev_loop *loop;
    struct recording *recording; /* of the target that is worked on */
    size_t done, in_part, failed;
    size_t misused; /* of those that failed: by wrong usage or configuration */
};

/* One target, resolved: the component exists; wish is what stands behind the '@', or NULL. */
struct target {
    const struct component_options *component;
    const char *wish;
    struct site *site;     /* open */
    struct site *fallback; /* the same; NULL without one, and where --store or --from rule it out */
};

/* What a target_fn may return besides 0 and -1: it was done in part, and has said so itself. */
#define JOB_IN_PART 1

typedef int target_fn(struct job *job, const struct target *target, struct err *err);

/* Runs each() for every target; for every component when none is named. Targets are checked before
 * the first is run. A failure is logged, printed with --json, and counted; the next one goes on
 * unless a stop is wished for. Returns the exit status. */
int job_each(struct job *job, target_fn *each);
/* The same where exactly one target must be named. */
int job_only(struct job *job, target_fn *each);

/* The backups of the target in its store and, where they are not there, in the fallback. away: not
 * NULL and set when only the fallback could be looked at, which was logged. */
int job_catalog(const struct target *target, struct catalog **catalog, bool *away, struct err *err);

struct chosen {
    struct manifest *manifest; /* with its facts; lent from ancestry */
    struct site *site;         /* where it lies; lent from the target */
    bool away;                 /* the target's own store could not be looked at */
    struct ancestry ancestry;  /* what it needs, itself last */
    /* Each keeps one of them on local disk from going while it is read; may be NULL. */
    struct record **reading;
};

/* The backup that the target's wish means, and what it needs. The server is asked for its lineage
 * where that decides. */
int job_choose(const struct target *target, struct chosen *chosen, struct err *err);
/* After a failure too. */
void chosen_fini(struct chosen *chosen);

/* Prints result (takes it) as one line of JSON when --json was given, with command, component and
 * "result": "done" (unless result has another) added; else nothing. */
void job_report(const struct job *job, const struct target *target, json_t *result);
