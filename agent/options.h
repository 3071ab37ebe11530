// SPDX-License-Identifier: Apache-2.0
// The configuration file of the agent, read and checked as a whole: the lists, the references
// between them, and the refusal of what this version does not have yet.
#pragma once

#include "kafka_options.h"
#include "log_options.h"
#include "option.h"
#include "postgres_options.h"
#include "redis_options.h"
#include "store_options.h"

enum system_kind { SYSTEM_POSTGRES, SYSTEM_REDIS, SYSTEM_KAFKA };
/* ONE: whatever the server is, of several agents the one that claims the slot first. */
enum run_on { RUN_ON_PRIMARY, RUN_ON_REPLICA, RUN_ON_ONE };
enum codec { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD };

struct identity_options {
    char *cluster; /* each: letters, digits, '.', '_', '-'; at most 63; not "." or ".." */
    char *namespace_;
    char *workload;
    char *pod;
};

struct retention_options {
    bool forever;
    int64_t keep_within_ms; /* 0: no such rule */
    uint64_t keep_last;     /* 0: no such rule */
};

struct component_options {
    char *name;                    /* as identity; unique */
    int system;                    /* enum system_kind */
    int run_on;                    /* enum run_on */
    struct option_list assertions; /* in the system's language; each must hold */
    struct option_list stores;     /* names; exactly one so far */
    char *compress;                /* as written: "zstd:1" */
    enum codec codec;              /* from compress */
    int level;
    struct retention_options retention;
    char *schedule, *verify_schedule, *drill_schedule; /* NULL when absent */
    int64_t
        jitter_ms; /* at most so much later than a slot; -1: 5 % of the interval, at most 60 s */
    int64_t objective_rpo_ms, objective_rto_ms; /* 0 when absent */
    int64_t deadline_ms;                        /* of a whole job */
    int64_t stall_timeout_ms;                   /* of a job that moves nothing */
    int64_t full_every_ms;                      /* of systems with incremental backups */
    int64_t orphan_age_ms;                      /* must be more than deadline_ms */
    uint64_t attempts;                          /* of one backup */
    uint64_t piece_bytes;                       /* hidden */
    struct postgres_options postgres;           /* only of that system; so with the next */
    struct redis_options redis;
    struct kafka_options kafka;
    const struct store_options *store; /* the one named; lent from agent_options */
};

struct link_options {
    char *address; /* "HOST:PORT"; NULL: no collector */
    char *ca_file, *cert_file, *key_file;
};

struct agent_options {
    struct identity_options identity;
    char *state_path;
    struct log_options log;
    struct link_options collector;
    char *http_listen; /* "0.0.0.0:9464"; NULL: nothing listens */
    struct component_options *components;
    size_t component_count;
    struct store_options *stores;
    size_t store_count;
    char *fallback_name; /* NULL without a fallback, and so are these */
    const struct store_options
        *fallback_store; /* of type local, of no component; lent from stores */
    uint64_t fallback_max_bytes;
};

/* Reads the file; on failure *options is untouched and err names file, line, key and remedy. */
int agent_options_load(const char *path, struct agent_options **options, struct err *err);
/* The same of bytes in memory; name stands for the file in errors. */
int agent_options_parse(const char *name, const char *data, size_t len,
                        struct agent_options **options, struct err *err);
/* NULL is allowed. */
void agent_options_free(struct agent_options *options);
/* "postgres", "redis", "kafka"; of an enum system_kind. */
const char *system_kind_name(int system);
/* NULL when there is none of that name. Lent. */
const struct component_options *agent_options_component(const struct agent_options *options,
                                                        const char *name);

/* "zstd:1", "zstd" (level 1), "gzip:6", "gzip" (level 6), "none". Levels that break the memory
 * promise are refused. The error is the second half of a sentence, as an option's check wants it.
 */
int codec_parse(const char *compress, enum codec *codec, int *level, struct err *err);

struct text;
/* docs/reference/options.md, whole. */
void agent_options_describe(struct text *markdown);
