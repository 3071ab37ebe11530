// SPDX-License-Identifier: Apache-2.0
// Each finding is a line, and the rest is looked at whatever was found. Rights are tried out by
// doing what a backup does; what it can do without is a warning.
#include "address.h"
#include "cancel.h"
#include "check_lines.h"
#include "clock.h"
#include "facts_take.h"
#include "kafka.h"
#include "mem.h"
#include "offsets.h"
#include "reading.h"
#include "text.h"
#include "topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_SECONDS 60
#define NAMES_SHOWN   8

struct checking {
    const struct agent_options *options;
    const struct component_options *component;
    struct check_lines lines;
    struct kafka_offsets *offsets;
    struct kafka_handle *handle; /* of offsets */
    struct kafka_facts facts;
    int64_t deadline_mono_us;
};

/* --- the cluster --- */

static void say_connection(struct checking *checking)
{
    const struct kafka_cluster *cluster = &checking->facts.cluster;
    struct err ignored = ERR_INIT;
    char version[32] = "";

    if (kafka_version_take(checking->handle, cluster, version, sizeof version, &ignored) < 0)
        version[0] = '\0';
    check_say(&checking->lines, CHECK_OK, "connection", "%s, cluster %s, brokers: %zu, Kafka %s",
              checking->component->kafka.bootstrap, cluster->id, cluster->node_count,
              version[0] == '\0' ? "of a version that this user may not ask for" : version);
}

static bool is_near(const char *broker)
{
    char host[256], port[6];
    struct err ignored = ERR_INIT;

    return address_split(broker, host, sizeof host, port, &ignored) == 0 &&
           (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
            text_starts_with(host, "127."));
}

static void check_encryption(struct checking *checking)
{
    const struct kafka_options *options = &checking->component->kafka;
    char *first = mem_strndup(options->bootstrap, strcspn(options->bootstrap, ","));

    if (!kafka_options_tls(options) && !is_near(first))
        check_say(&checking->lines, CHECK_WARN, "encryption",
                  "records%s travel in the clear; security: %s would protect them",
                  options->password == NULL           ? ""
                  : options->mechanism == KAFKA_PLAIN ? " and password"
                                                      : "",
                  options->password == NULL ? "ssl" : "sasl_ssl");
    free(first);
}

static void say_topics(struct checking *checking)
{
    const struct kafka_cluster *cluster = &checking->facts.cluster;
    struct text names = TEXT_INIT;

    for (size_t i = 0; i < cluster->topic_count && i < NAMES_SHOWN; i++)
        text_add(&names, "%s%s", i == 0 ? "" : ", ", cluster->topics[i].name);
    if (cluster->topic_count > NAMES_SHOWN)
        text_add(&names, ", ...");
    check_say(&checking->lines, CHECK_OK, "topics", "topics: %zu, partitions: %zu (%s)",
              cluster->topic_count, kafka_cluster_partitions(cluster), text_str(&names));
    text_fini(&names);
}

/* Also says of transactions that hold a backup back. */
static void check_offsets(struct checking *checking)
{
    struct kafka_cluster *cluster = &checking->facts.cluster;
    struct err err = ERR_INIT;
    int64_t moment_ms;
    uint64_t behind = 0;
    size_t open = 0;

    if (kafka_offsets_take(checking->offsets, cluster, &moment_ms, &err) < 0) {
        check_say_err(&checking->lines, "offsets", &err);
        return;
    }
    for (size_t t = 0; t < cluster->topic_count; t++)
        for (size_t p = 0; p < cluster->topics[t].partition_count; p++) {
            const struct kafka_topic_partition *partition = &cluster->topics[t].partitions[p];

            open += partition->stable < partition->high;
            behind += (uint64_t)(partition->high - partition->stable);
        }
    if (open == 0)
        check_say(&checking->lines, CHECK_OK, "offsets", "every partition has a leader");
    else
        check_say(&checking->lines, CHECK_WARN, "offsets",
                  "open transactions in %zu partitions hold %llu offsets back from a backup", open,
                  (unsigned long long)behind);
}

/* --- rights --- */

static void check_reading(struct checking *checking)
{
    const struct kafka_cluster *cluster = &checking->facts.cluster;
    struct text refused = TEXT_INIT;
    struct err err = ERR_INIT;
    size_t tried = 0;

    if (kafka_reading_try(&checking->component->kafka, cluster, checking->deadline_mono_us,
                          &refused, &tried, &err) < 0)
        check_say_err(&checking->lines, "read", &err);
    else if (refused.len > 0)
        check_say(&checking->lines, CHECK_FAIL, "read",
                  "this user may not read %.700s; the right Read on them is needed",
                  text_str(&refused));
    else if (tried < cluster->topic_count && tried < KAFKA_READING_MAX)
        check_say(&checking->lines, CHECK_WARN, "read",
                  "%zu of %zu topics answered within the time", tried, cluster->topic_count);
    else if (tried < cluster->topic_count)
        check_say(&checking->lines, CHECK_OK, "read", "%zu of %zu topics tried", tried,
                  cluster->topic_count);
    else
        check_say(&checking->lines, CHECK_OK, "read", "all of them");
    text_fini(&refused);
}

static int take_configs(struct checking *checking, struct err *err)
{
    return kafka_configs_take(checking->handle, &checking->facts, err);
}

static int take_groups(struct checking *checking, struct err *err)
{
    return kafka_groups_take(&checking->component->kafka, checking->deadline_mono_us,
                             &checking->facts, err);
}

static int take_acls(struct checking *checking, struct err *err)
{
    return kafka_asked_take(&checking->component->kafka, checking->deadline_mono_us,
                            &checking->facts, err);
}

/* Runs one of the takes; what it warned of is the line, or else good. */
static void check_taking(struct checking *checking, const char *what,
                         int (*take)(struct checking *checking, struct err *err),
                         void (*good)(struct checking *checking, const char *what))
{
    size_t warned = checking->facts.warning_count;
    struct err err = ERR_INIT;

    if (take(checking, &err) < 0)
        check_say_err(&checking->lines, what, &err);
    else if (checking->facts.warning_count == warned)
        good(checking, what);
    for (size_t i = warned; i < checking->facts.warning_count; i++)
        check_say(&checking->lines, CHECK_WARN, what, "%s", checking->facts.warnings[i]);
}

static void say_configs(struct checking *checking, const char *what)
{
    check_say(&checking->lines, CHECK_OK, what, "of all topics");
}

static void say_groups(struct checking *checking, const char *what)
{
    check_say(&checking->lines, CHECK_OK, what,
              "with offsets in these topics: %zu; groups that this user may not describe are not "
              "seen",
              checking->facts.group_count);
}

static void say_acls(struct checking *checking, const char *what)
{
    if (checking->facts.authorizer == KAFKA_AUTHORIZER_NONE)
        check_say(&checking->lines, CHECK_OK, what, "none: the cluster has no authorizer");
    else
        check_say(&checking->lines, CHECK_OK, what, "of these topics and of groups: %zu",
                  checking->facts.acl_count);
}

/* --- what no component protects --- */

/* Marks in protected the topics of all that a component of the same brokers chooses. */
static void mark(const struct checking *checking, const struct kafka_cluster *all,
                 const char *const *names, bool *covered)
{
    const struct agent_options *options = checking->options;
    bool *chosen = mem_calloc(all->topic_count + 1, sizeof *chosen);

    for (size_t i = 0; i < options->component_count; i++) {
        const struct component_options *other = &options->components[i];
        struct err ignored = ERR_INIT;

        if (other->system != SYSTEM_KAFKA ||
            strcmp(other->kafka.bootstrap, checking->component->kafka.bootstrap) != 0)
            continue;
        /* One that finds nothing has marked what it found before. */
        kafka_topics_choose(&other->kafka.topics, names, all->topic_count, chosen, &ignored);
        for (size_t t = 0; t < all->topic_count; t++)
            covered[t] |= chosen[t];
    }
    free(chosen);
}

static void check_unprotected(struct checking *checking)
{
    char *every[] = {"re:.*"};
    const struct option_list wanted = {.items = every, .count = 1};
    struct kafka_cluster all = {.id = NULL};
    struct err ignored = ERR_INIT;
    struct text found = TEXT_INIT;
    const char **names;
    bool *covered;
    size_t count = 0;

    if (kafka_cluster_take(checking->handle, &wanted, &all, &ignored) < 0)
        return;
    names = mem_calloc(all.topic_count + 1, sizeof *names);
    covered = mem_calloc(all.topic_count + 1, sizeof *covered);
    for (size_t i = 0; i < all.topic_count; i++)
        names[i] = all.topics[i].name;
    mark(checking, &all, names, covered);
    for (size_t i = 0; i < all.topic_count; i++)
        if (!covered[i] && count++ < NAMES_SHOWN)
            text_add(&found, "%s%s", found.len > 0 ? ", " : "", names[i]);
    if (count > 0)
        check_say(&checking->lines, CHECK_WARN, "unprotected",
                  "topics that are in no component: %zu (%.700s%s)", count, text_str(&found),
                  count > NAMES_SHOWN ? ", ..." : "");
    text_fini(&found);
    free(covered);
    free(names);
    kafka_cluster_fini(&all);
}

/* --- grants --- */

static void say_grants(struct checking *checking)
{
    const struct kafka_options *options = &checking->component->kafka;
    const char *user = options->user == NULL ? "lifeboat" : options->user;

    for (size_t i = 0; i < options->topics.count; i++)
        check_say(&checking->lines, CHECK_OK, "grant",
                  "kafka-acls.sh --add --allow-principal 'User:%s' --operation Read --operation "
                  "Describe --operation DescribeConfigs --topic '%s'",
                  user,
                  text_starts_with(options->topics.items[i], "re:") ? "*"
                                                                    : options->topics.items[i]);
    check_say(&checking->lines, CHECK_OK, "grant",
              "kafka-acls.sh --add --allow-principal 'User:%s' --operation Describe --group '*'",
              user);
    check_say(&checking->lines, CHECK_OK, "grant",
              "kafka-acls.sh --add --allow-principal 'User:%s' --operation Describe --operation "
              "DescribeConfigs --cluster",
              user);
}

static void check_cluster(struct checking *checking)
{
    const struct kafka_options *options = &checking->component->kafka;
    struct err err = ERR_INIT;

    if (kafka_offsets_open(options, checking->deadline_mono_us, &checking->offsets, &err) < 0) {
        check_say_err(&checking->lines, "connection", &err);
        return;
    }
    checking->handle = kafka_offsets_handle(checking->offsets);
    if (kafka_cluster_take(checking->handle, &options->topics, &checking->facts.cluster, &err) <
        0) {
        check_say_err(&checking->lines, err.kind == ERR_NOT_FOUND ? "topics" : "connection", &err);
        return;
    }
    say_connection(checking);
    check_encryption(checking);
    say_topics(checking);
    check_offsets(checking);
    check_reading(checking);
    check_taking(checking, "configurations", take_configs, say_configs);
    check_taking(checking, "groups", take_groups, say_groups);
    check_taking(checking, "acls", take_acls, say_acls);
    check_unprotected(checking);
}

int kafka_check(const struct agent_options *options, const struct component_options *component,
                bool grants, check_fn *line, void *arg, struct err *err)
{
    struct checking checking = {
        .options = options,
        .component = component,
        .lines = {.line = line, .arg = arg},
        .deadline_mono_us = clock_mono_us() + CHECK_SECONDS * INT64_C(1000000),
    };

    check_cluster(&checking);
    kafka_facts_fini(&checking.facts);
    kafka_offsets_close(checking.offsets);
    if (grants)
        say_grants(&checking);
    return cancel_check(err);
}
