// SPDX-License-Identifier: Apache-2.0
// One protected thing: its rows, its sections, and the rules between them. Whatever this version
// does not have is refused with ERR_NOT_YET, never ignored.
#include "component_options.h"

#include "mem.h"
#include "schedule.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_MS UINT64_C(1000)
#define DAY_MS    (24 * 3600 * SECOND_MS)

/* Measured beside two workers of the library: level 1 takes 12 MiB, 2 takes 24, 3 takes 47. A job
 * has three parts of 8 MiB in flight besides, and 64 MiB in all. */
#define ZSTD_MAX_LEVEL 2

static const char *const systems[] = {
    [SYSTEM_POSTGRES] = "postgres", [SYSTEM_REDIS] = "redis", [SYSTEM_KAFKA] = "kafka", NULL};
static const char *const runs_on[] = {
    [RUN_ON_PRIMARY] = "primary", [RUN_ON_REPLICA] = "replica", [RUN_ON_ONE] = "one", NULL};
static const char *const runs_on_not_yet[] = {"each", NULL};

const char *system_kind_name(int system)
{
    return systems[system];
}

/* "NAME" or "NAME:LEVEL"; false when it is another name or not of the form. */
static bool take_level(const char *compress, const char *name, uint64_t *level)
{
    size_t len = strlen(name);

    if (strncmp(compress, name, len) != 0)
        return false;
    if (compress[len] == '\0')
        return true;
    return compress[len] == ':' && text_parse_u64(compress + len + 1, level) == 0;
}

int codec_parse(const char *compress, enum codec *codec, int *level, struct err *err)
{
    uint64_t zstd = 1;
    uint64_t gzip = 6;

    if (strcmp(compress, "auto") == 0)
        compress = "zstd:1";
    if (strcmp(compress, "none") == 0) {
        *codec = CODEC_NONE;
        *level = 0;
        return 0;
    }
    if (take_level(compress, "zstd", &zstd)) {
        if (zstd < 1)
            return err_set(err, ERR_CONFIG, "is no level of zstd; use zstd:1 or zstd:2");
        if (zstd > ZSTD_MAX_LEVEL)
            return err_set(err, ERR_CONFIG,
                           "would take more than the 64 MiB of memory that a job may have; use "
                           "zstd:1 or zstd:2");
        *codec = CODEC_ZSTD;
        *level = (int)zstd;
        return 0;
    }
    if (take_level(compress, "gzip", &gzip)) {
        if (gzip < 1 || gzip > 9)
            return err_set(err, ERR_CONFIG, "is no level of gzip; use gzip:1 to gzip:9");
        *codec = CODEC_GZIP;
        *level = (int)gzip;
        return 0;
    }
    return err_set(err, ERR_CONFIG,
                   "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none");
}

static int check_compress(const char *value, struct err *err)
{
    enum codec codec;
    int level;

    return codec_parse(value, &codec, &level, err);
}

static const char *const component_sections[] = {"postgres", "redis", "kafka",     "retention",
                                                 "verify",   "drill", "objective", NULL};
static const struct option component_rows[] = {
    {.key = "name",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct component_options, name),
     .check = option_check_name,
     .help = "What commands, keys and metrics call it; unique."},
    {.key = "system",
     .type = OPT_CHOICE,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct component_options, system),
     .choices = systems,
     .help = "What kind of thing is protected; its own options stand under a key of that name."},
    {.key = "stores",
     .type = OPT_LIST,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct component_options, stores),
     .help = "The names of the stores to back up to; one so far."},
    {.key = "compress",
     .type = OPT_TEXT,
     .offset = offsetof(struct component_options, compress),
     .def = "auto",
     .check = check_compress,
     .help =
         "`zstd:1` to `zstd:2`, `gzip:1` to `gzip:9`, or `none`. `auto`: `zstd:1`, but none for "
         "what the producers of Kafka have compressed."},
    {.key = "assert",
     .type = OPT_LIST,
     .offset = offsetof(struct component_options, assertions),
     .help =
         "What must hold in what was restored, before it replaces anything, and in a drill. For "
         "Postgres: SQL that gives one row with true. For Redis: a command and what its answer "
         "must be, like `DBSIZE > 0` (docs/OPERATIONS.md); there it is asked once the data is "
         "loaded."},
    {.key = "run_on",
     .type = OPT_CHOICE,
     .offset = offsetof(struct component_options, run_on),
     .def = "primary",
     .choices = runs_on,
     .not_yet = runs_on_not_yet,
     .help =
         "What the server must be for a scheduled backup to run: `primary` or `replica`. `one`: "
         "whatever it is, and of several agents the first who claims a slot in the store; it is "
         "relieved when it fails, or is silent for stall_timeout."},
    {.key = "schedule",
     .type = OPT_TEXT,
     .offset = offsetof(struct component_options, schedule),
     .check = schedule_check,
     .help =
         "When the daemon backs up: five cron fields in UTC, or `@every 15m`. Without it: only on "
         "command."},
    {.key = "jitter",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, jitter_ms),
     .max = 24 * 3600 * SECOND_MS,
     .help = "A job starts up to so much later than its slot, always the same for the same slot. "
             "Without it: 5 % of the time between two slots, at most 60 s."},
    {.key = "attempts",
     .type = OPT_NUMBER,
     .offset = offsetof(struct component_options, attempts),
     .def = "2",
     .min = 1,
     .max = 10,
     .help = "How often one backup is begun before it has failed."},
    {.key = "deadline",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, deadline_ms),
     .def = "12h",
     .min = SECOND_MS,
     .max = 30 * DAY_MS,
     .help = "How long a whole job may take."},
    {.key = "stall_timeout",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, stall_timeout_ms),
     .def = "15m",
     .min = SECOND_MS,
     .max = DAY_MS,
     .help = "A job that moves no byte for so long has failed."},
    {.key = "orphan_age",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, orphan_age_ms),
     .def = "24h",
     .min = SECOND_MS,
     .max = 365 * DAY_MS,
     .help = "Objects without a manifest are removed at this age, unless their writer is known to "
             "be dead. Must be more than deadline."},
    {.key = "piece_size",
     .type = OPT_SIZE,
     .flags = OPT_HIDDEN,
     .offset = offsetof(struct component_options, piece_bytes),
     .def = "64GiB",
     .min = UINT64_C(64) << 10,
     .max = UINT64_C(64) << 30,
     .help = "Where a stream is cut."},
    {.key = "full_every",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, full_every_ms),
     .def = "24h",
     .min = SECOND_MS,
     .max = 365 * DAY_MS,
     .help = "Kafka: a backup holds what is new since the one before, and all again when the last "
             "one that held all is so old. Other systems' backups always hold all."},
    OPTION_END,
};

static const struct option retention_rows[] = {
    {.key = "keep_within",
     .type = OPT_DURATION,
     .offset = offsetof(struct retention_options, keep_within_ms),
     .min = SECOND_MS,
     .max = 36500 * DAY_MS,
     .help = "Keep what is younger than this."},
    {.key = "keep_last",
     .type = OPT_NUMBER,
     .offset = offsetof(struct retention_options, keep_last),
     .min = 1,
     .max = 1000000,
     .help = "Keep so many of the newest, however old."},
    OPTION_END,
};

static const struct option verify_rows[] = {
    {.key = "schedule",
     .type = OPT_TEXT,
     .offset = offsetof(struct component_options, verify_schedule),
     .check = schedule_check,
     .help = "When the daemon verifies the newest backup, written as the component's own."},
    OPTION_END,
};

static const struct option drill_rows[] = {
    {.key = "schedule",
     .type = OPT_TEXT,
     .offset = offsetof(struct component_options, drill_schedule),
     .check = schedule_check,
     .help = "When the daemon drills with the newest backup, the same."},
    OPTION_END,
};

static const struct option objective_rows[] = {
    {.key = "rpo",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, objective_rpo_ms),
     .min = SECOND_MS,
     .max = 365 * DAY_MS,
     .help = "How much time of data may be lost. Told beside what was measured."},
    {.key = "rto",
     .type = OPT_DURATION,
     .offset = offsetof(struct component_options, objective_rto_ms),
     .min = SECOND_MS,
     .max = 365 * DAY_MS,
     .help = "How long a restore may take. The same."},
    OPTION_END,
};
static int read_retention(const struct option_node *node, struct retention_options *retention,
                          struct err *err)
{
    const struct option_node *child = option_node_child(node, "retention");
    char *word = NULL;

    if (child == NULL)
        return option_node_fail(node, "retention", err, ERR_CONFIG,
                                "is required; write {keep_within: 30d, keep_last: 4}, or forever");
    if (option_node_kind(child) == OPTION_SCALAR) {
        if (option_node_text(child, "write the value here", &word, err) < 0)
            return -1;
        retention->forever = strcmp(word, "forever") == 0;
        free(word);
        if (!retention->forever)
            return option_node_fail(child, NULL, err, ERR_CONFIG,
                                    "must be forever, or like {keep_within: 30d, keep_last: 4}");
        return 0;
    }
    if (option_read(child, retention_rows, NULL, retention, err) < 0)
        return -1;
    if (retention->keep_within_ms == 0 && retention->keep_last == 0)
        return option_node_fail(child, NULL, err, ERR_CONFIG,
                                "needs keep_within, keep_last, or both; or write forever");
    return 0;
}

static const struct store_options *find_store(const struct agent_options *options, const char *name)
{
    for (size_t i = 0; i < options->store_count; i++)
        if (strcmp(options->stores[i].name, name) == 0)
            return &options->stores[i];
    return NULL;
}

static int unknown_store(const struct option_node *item, const struct agent_options *options,
                         const char *name, struct err *err)
{
    const char **names = mem_calloc(options->store_count + 1, sizeof *names);
    struct text known = TEXT_INIT;
    char quote[OPTION_QUOTE_CAP];
    const char *near;

    for (size_t i = 0; i < options->store_count; i++) {
        names[i] = options->stores[i].name;
        text_add(&known, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    near = option_nearest(name, names);
    if (near != NULL)
        option_node_fail(item, NULL, err, ERR_CONFIG, "no store is called %s; did you mean %s?",
                         option_quote(name, quote), near);
    else
        option_node_fail(item, NULL, err, ERR_CONFIG, "no store is called %s; there are: %s",
                         option_quote(name, quote), text_str(&known));
    text_fini(&known);
    free(names);
    return -1;
}

static int find_stores(const struct option_node *node, const struct agent_options *options,
                       struct component_options *component, struct err *err)
{
    const struct option_node *list = option_node_child(node, "stores");

    for (size_t i = 0; i < component->stores.count; i++) {
        component->store = find_store(options, component->stores.items[i]);
        if (component->store == NULL)
            return unknown_store(option_node_item(list, i), options, component->stores.items[i],
                                 err);
    }
    if (component->stores.count > 1)
        return option_node_fail(list, NULL, err, ERR_NOT_YET,
                                "more than one store is not in this version yet: it comes with a "
                                "later version; name one for now");
    return 0;
}

static int check_limits(const struct option_node *node, const struct component_options *component,
                        struct err *err)
{
    if (component->orphan_age_ms <= component->deadline_ms)
        return option_node_fail(node, "orphan_age", err, ERR_CONFIG,
                                "is not more than deadline, so that objects of a job that still "
                                "runs would be removed; raise it, or lower deadline");
    if (option_node_child(node, "full_every") != NULL && component->system != SYSTEM_KAFKA)
        return option_node_fail(node, "full_every", err, ERR_CONFIG,
                                "is for Kafka: every backup of %s holds all; remove this",
                                systems[component->system]);
    return 0;
}

/* The section of its own system; one of another would be read by nobody. */
static int read_system(const struct option_node *node, struct component_options *component,
                       struct err *err)
{
    const struct option_node *section = option_node_section(node, systems[component->system]);

    for (size_t i = 0; systems[i] != NULL; i++)
        if ((int)i != component->system && option_node_child(node, systems[i]) != NULL)
            return option_node_fail(node, systems[i], err, ERR_CONFIG,
                                    "belongs to system: %s, and here system is %s; remove it, or "
                                    "correct system",
                                    systems[i], systems[component->system]);
    if (component->system == SYSTEM_POSTGRES)
        return option_read(section, postgres_option_rows, NULL, &component->postgres, err);
    if (component->system == SYSTEM_REDIS) {
        if (option_read(section, redis_option_rows, NULL, &component->redis, err) < 0)
            return -1;
        return redis_options_check(section, &component->redis, err);
    }
    if (component->assertions.count > 0)
        return option_node_fail(node, "assert", err, ERR_NOT_YET,
                                "for Kafka is not in this version yet; remove it");
    if (option_node_child(node, "run_on") != NULL && component->run_on != RUN_ON_ONE)
        return option_node_fail(node, "run_on", err, ERR_CONFIG,
                                "is one for Kafka, whose agents all see the whole cluster; remove "
                                "this");
    component->run_on = RUN_ON_ONE;
    if (option_read(section, kafka_option_rows, NULL, &component->kafka, err) < 0)
        return -1;
    return kafka_options_check(section, &component->kafka, err);
}

int component_options_read(const struct option_node *node, const struct agent_options *options,
                           struct component_options *component, struct err *err)
{
    const struct {
        const char *key;
        const struct option *rows;
    } sections[] = {
        {"verify", verify_rows},
        {"drill", drill_rows},
        {"objective", objective_rows},
    };

    component->jitter_ms = -1;
    if (option_read(node, component_rows, component_sections, component, err) < 0 ||
        read_system(node, component, err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (option_read(option_node_section(node, sections[i].key), sections[i].rows, NULL,
                        component, err) < 0)
            return -1;
    codec_parse(component->compress, &component->codec, &component->level, err);
    if (read_retention(node, &component->retention, err) < 0 ||
        find_stores(node, options, component, err) < 0)
        return -1;
    return check_limits(node, component, err);
}

void component_options_free(struct component_options *component)
{
    option_free(component_rows, component);
    option_free(verify_rows, component);
    option_free(drill_rows, component);
    option_free(postgres_option_rows, &component->postgres);
    option_free(redis_option_rows, &component->redis);
    option_free(kafka_option_rows, &component->kafka);
}

void component_options_describe(struct text *markdown)
{
    text_add(markdown, "## components[]\n\nWhat is protected: a list.\n\n");
    option_describe(component_rows, markdown);
    text_add(markdown, "\n### components[].retention\n\nRequired: `forever`, or one of these, or "
                       "both. The newest backup and the newest verified one always stay.\n\n");
    option_describe(retention_rows, markdown);
    text_add(markdown, "\n### components[].postgres\n\n");
    option_describe(postgres_option_rows, markdown);
    text_add(markdown, "\n### components[].redis\n\n");
    option_describe(redis_option_rows, markdown);
    text_add(markdown, "\n### components[].kafka\n\n");
    option_describe(kafka_option_rows, markdown);
    text_add(markdown, "\n### components[].verify\n\n");
    option_describe(verify_rows, markdown);
    text_add(markdown, "\n### components[].drill\n\n");
    option_describe(drill_rows, markdown);
    text_add(markdown, "\n### components[].objective\n\n");
    option_describe(objective_rows, markdown);
}
