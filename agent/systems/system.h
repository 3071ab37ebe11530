// SPDX-License-Identifier: Apache-2.0
// A system: the kind of thing that is protected. It gives the sources of a snapshot, the sinks that
// prove or restore one, and knows how to compare. One session at a time in a job; its calls may
// wait for the server (bounded by the deadline given, and ended early by a wish to stop), its
// sources and sinks never do.
#pragma once

#include "options.h"
#include "stream.h"

#include <jansson.h>
#include <stdint.h>

struct ev_loop;
struct manifest;

/* One line of `check`: what was looked at, whether it is well, and what to do if not. */
enum check_result { CHECK_OK, CHECK_WARN, CHECK_FAIL };
typedef void check_fn(void *arg, enum check_result result, const char *what, const char *detail);

struct snapshot_object {
    const char *name;   /* "database.pgdump"; lent until the next is asked for */
    const char *format; /* "pg_dump custom archive"; static */
    bool compressed;    /* it would not get smaller: stored as it is with compress: auto */
};

struct snapshot_request {
    const struct component_options *component;
    int64_t deadline_mono_us;
    const struct manifest *parent; /* to go on from, with its facts; NULL: take all */
    const char *full_because;      /* without a parent, of an incremental system; else NULL */
};

struct restore_request {
    const struct component_options *component;
    const struct manifest *manifest;
    /* What manifest goes on from, the full one first, manifest itself last: at least that one. */
    struct manifest *const *ancestry;
    size_t ancestry_count;
    const char *state_path; /* for what must outlive this process, and for scratch places */
    const char *to;         /* restore beside, under this name, and swap nothing; NULL: swap */
    /* Where picks_topics says so. */
    const char *topic;      /* only this one; NULL: all */
    const char *to_topic;   /* into topics of these names, * standing for their own; NULL: those */
    int64_t until_ms;       /* no record of a later time, nor what comes after one; 0: all */
    bool append;            /* behind what is there already */
    bool replace;           /* what is there is deleted, once its replacement is proven */
    bool scratch;           /* drill: into a place of its own, dropped at close */
    bool globals;           /* make the roles that are missing; Kafka: put the ACLs back */
    bool leave_replication; /* go on although subscriptions or slots stay with the old database */
    bool drop_old;          /* drop the replaced data after the swap */
    int64_t deadline_mono_us;
};

struct system_ops {
    const char *name;

    /* Connections, rights, versions of tools, and what of this server is in no component of the
     * options. With grants, also the SQL that gives the rights which this configuration needs: a
     * line each, what being "grant". 0 unless stopped; findings go to line(). */
    int (*check)(const struct agent_options *options, const struct component_options *component,
                 bool grants, check_fn *line, void *arg, struct err *err);

    /* A backup may hold only what is new since its parent. describe sets manifest->parent, or
     * leaves it empty where that parent cannot be gone on from. */
    bool incremental;

    /* Backup; all NULL: this version has none. open: connected, facts known, the snapshot fixed.
     * describe: fills lineage, version, recovery point and facts of the manifest. next: the sources
     * one after the other, each ended before the next is asked for; OK, or END when there are no
     * more. */
    int (*snapshot_open)(const struct snapshot_request *request, struct ev_loop *loop,
                         void **snapshot, struct err *err);
    int (*snapshot_describe)(void *snapshot, struct manifest *manifest, struct err *err);
    enum step (*snapshot_next)(void *snapshot, struct snapshot_object *object,
                               struct source **source, struct err *err);
    /* After the last source has ended: what was known only then goes into the manifest. A failure
     * is one of the backup. NULL: nothing. */
    int (*snapshot_finish)(void *snapshot, struct manifest *manifest, struct err *err);
    void (*snapshot_close)(void *snapshot); /* NULL is allowed */

    /* Drops what restores and drills that died left on this server and in state_path; logs what it
     * does, and what it cannot. NULL: such jobs leave nothing. */
    void (*clean)(const struct component_options *component, const char *state_path);

    /* What this server is now, for choosing among lineages. Free it. */
    int (*lineage)(const struct component_options *component, char **lineage, struct err *err);

    /* Verify. The sink proves the structure of one object's plain bytes; after its commit, what it
     * counted is in findings (an object, lent to the sink until its close). NULL: not in this
     * version. */
    int (*prove)(const struct component_options *component, const struct manifest *manifest,
                 const char *object, json_t *findings, struct sink **sink, struct err *err);

    /* A restore that replaces what is live has no place beside: with its first bytes the old data
     * may be gone. So the whole backup is proven before restore_begin, and what is live is backed
     * up and that proven too, unless told otherwise. */
    bool replaces_in_place;
    /* Knows --topic, --to-topic, --until, --append and --replace of restore. */
    bool picks_topics;
    /* With --if-empty: *what is what data there is at the place that --to names (free it), NULL
     * when there is none. NULL: the system does not know --if-empty. */
    int (*restore_occupied)(const char *to, char **what, struct err *err);

    /* Restore and drill; all NULL: this version has neither. open: everything that can be checked
     * without touching anything has been; leftovers of dead jobs are cleaned up. stake: the
     * sentence of the question; free it. begin: the place is made. sink: for the objects of
     * each manifest of the ancestry in order; NULL sink for one that is not needed. finish:
     * compared, then (no --to, no scratch) swapped; what was done goes into findings
     * ("in_part": true where something that matters less had to be left). close before
     * finish's success: takes everything back. */
    int (*restore_open)(const struct restore_request *request, struct ev_loop *loop, void **restore,
                        struct err *err);
    char *(*restore_stake)(void *restore);
    int (*restore_begin)(void *restore, struct err *err);
    int (*restore_sink)(void *restore, const struct manifest *manifest, const char *object,
                        struct sink **sink, struct err *err);
    int (*restore_finish)(void *restore, json_t *findings, struct err *err);
    void (*restore_close)(void *restore); /* NULL is allowed */
};

/* system: enum system_kind. */
const struct system_ops *system_get(int system);
