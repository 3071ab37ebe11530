// SPDX-License-Identifier: Apache-2.0
// Families of metrics as tables: name, type, help, and where the value comes from. From the rows
// come /metrics and docs/reference/metrics.md. A value that is NAN is not there: the series is left
// out. A moment that never was is 0, so that `time() - x` is large and an alert on it fires.
#include "metrics.h"

#include "metric.h"

#include <math.h>
#include <stdlib.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

static double seconds_if(bool there, int64_t ms)
{
    return there ? seconds(ms) : NAN;
}

/* --- backup_*: one series for each component --- */

static double last_success(const struct fleet_summary *sum)
{
    return seconds(sum->success_ms);
}

static double last_attempt(const struct fleet_summary *sum)
{
    return seconds(sum->attempt_ms);
}

static double last_result(const struct fleet_summary *sum)
{
    return sum->result < 0 ? NAN : (double)sum->result;
}

static double last_size(const struct fleet_summary *sum)
{
    return sum->success_ms > 0 ? (double)sum->stored_bytes : NAN;
}

static double last_duration(const struct fleet_summary *sum)
{
    return seconds_if(sum->success_ms > 0, sum->success_duration_ms);
}

static double failures(const struct fleet_summary *sum)
{
    return (double)sum->failures;
}

static double recovery_point(const struct fleet_summary *sum)
{
    return seconds(sum->recovery_point_ms);
}

static double expected_interval(const struct fleet_summary *sum)
{
    return seconds_if(sum->backup_interval_ms > 0, sum->backup_interval_ms);
}

static double objective_rpo(const struct fleet_summary *sum)
{
    return seconds_if(sum->rpo_ms > 0, sum->rpo_ms);
}

static double objective_rto(const struct fleet_summary *sum)
{
    return seconds_if(sum->rto_ms > 0, sum->rto_ms);
}

static double verify_success(const struct fleet_summary *sum)
{
    return seconds_if(sum->verify_interval_ms > 0 || sum->verify_success_ms > 0,
                      sum->verify_success_ms);
}

static double verify_interval(const struct fleet_summary *sum)
{
    return seconds_if(sum->verify_interval_ms > 0, sum->verify_interval_ms);
}

static double drill_success(const struct fleet_summary *sum)
{
    return seconds_if(sum->drill_interval_ms > 0 || sum->drill_success_ms > 0,
                      sum->drill_success_ms);
}

static double drill_result(const struct fleet_summary *sum)
{
    return sum->drill_result < 0 ? NAN : (double)sum->drill_result;
}

static double drill_duration(const struct fleet_summary *sum)
{
    return seconds_if(sum->drill_success_ms > 0, sum->drill_duration_ms);
}

static double drill_interval(const struct fleet_summary *sum)
{
    return seconds_if(sum->drill_interval_ms > 0, sum->drill_interval_ms);
}

static const struct backup_family {
    const char *name, *type, *help;
    double (*value)(const struct fleet_summary *sum);
} backup_families[] = {
    {"backup_last_success_timestamp_seconds", "gauge",
     "End of the newest backup that is in its store; 0: never.", last_success},
    {"backup_last_result", "gauge",
     "The newest attempt: 1 in its store, 0 failed or on local disk only. Absent before the first.",
     last_result},
    {"backup_last_attempt_timestamp_seconds", "gauge",
     "Start of the newest attempt that has ended; 0: never.", last_attempt},
    {"backup_last_size_bytes", "gauge",
     "Stored size of the newest backup that is in its store. Absent before the first.", last_size},
    {"backup_last_duration_seconds", "gauge",
     "How long the newest backup that is in its store took. Absent before the first.",
     last_duration},
    {"backup_failures_total", "counter",
     "Attempts that did not end in their store, over the agents that serve the component.",
     failures},
    {"backup_expected_interval_seconds", "gauge",
     "The longest time between two slots of the schedule. Absent without a schedule.",
     expected_interval},
    {"backup_recovery_point_timestamp_seconds", "gauge",
     "The moment whose data the newest backup in its store holds; 0: none.", recovery_point},
    {"backup_objective_rpo_seconds", "gauge", "objective.rpo. Absent without one.", objective_rpo},
    {"backup_objective_rto_seconds", "gauge", "objective.rto. Absent without one.", objective_rto},
    {"backup_verify_last_success_timestamp_seconds", "gauge",
     "End of the newest verify that found a backup whole; 0: never. Absent without any and "
     "without a schedule.",
     verify_success},
    {"backup_verify_expected_interval_seconds", "gauge",
     "As backup_expected_interval_seconds, of verify.schedule.", verify_interval},
    {"backup_drill_last_success_timestamp_seconds", "gauge",
     "End of the newest drill that restored a backup; 0: never. Absent without any and without a "
     "schedule.",
     drill_success},
    {"backup_drill_last_result", "gauge",
     "The newest drill: 1 good, 0 failed. Absent before the first.", drill_result},
    {"backup_drill_last_duration_seconds", "gauge",
     "How long the newest good drill took: what a restore would take. Absent before the first.",
     drill_duration},
    {"backup_drill_expected_interval_seconds", "gauge",
     "As backup_expected_interval_seconds, of drill.schedule.", drill_interval},
};

/* --- lifeboat_agent_*: one series for each pod --- */

static double agent_last_seen(const struct fleet_agent *agent)
{
    return seconds(agent->last_seen_ms);
}

static double agent_fallback(const struct fleet_agent *agent)
{
    return agent->heard ? (double)agent->fallback_bytes : NAN;
}

static double agent_config_valid(const struct fleet_agent *agent)
{
    return agent->heard ? (double)agent->config_valid : NAN;
}

static const struct agent_family {
    const char *name, *type, *help;
    double (*value)(const struct fleet_agent *agent);
} agent_families[] = {
    {"lifeboat_agent_last_seen_timestamp_seconds", "gauge",
     "When the agent's newest message came, by the collector's clock.", agent_last_seen},
    {"lifeboat_agent_fallback_bytes", "gauge",
     "Bytes of backups that wait on the agent's local disk. Absent before the first heartbeat.",
     agent_fallback},
    {"lifeboat_agent_config_valid", "gauge",
     "1: the agent's configuration file is what it runs with; 0: the file was changed and is "
     "wrong. Absent before the first heartbeat.",
     agent_config_valid},
};

/* --- lifeboat_collector_*: the collector itself, without labels --- */

static double connections(const struct hub *hub)
{
    return (double)hub->session_count;
}

static double agents(const struct hub *hub)
{
    return (double)hub->fleet.agent_count;
}

static double state_writable(const struct hub *hub)
{
    return hub->writable;
}

static double reports(const struct hub *hub)
{
    return (double)hub->counts.reports;
}

static double doubles(const struct hub *hub)
{
    return (double)hub->counts.doubles;
}

static double refused(const struct hub *hub)
{
    return (double)hub->counts.refused;
}

static double tls_failures(const struct hub *hub)
{
    return (double)hub->counts.tls_failures;
}

static double turned_away(const struct hub *hub)
{
    return (double)hub->counts.turned_away;
}

static double write_failures(const struct hub *hub)
{
    return (double)hub->counts.write_failures;
}

static const struct own_family {
    const char *name, *type, *help;
    double (*value)(const struct hub *hub);
} own_families[] = {
    {"lifeboat_collector_connections", "gauge", "Connections now, of agents and of others.",
     connections},
    {"lifeboat_collector_agents", "gauge", "Agents that are known, connected or not.", agents},
    {"lifeboat_collector_state_writable", "gauge",
     "1: the newest attempt to write the state went well.", state_writable},
    {"lifeboat_collector_reports_total", "counter", "Reports that were committed.", reports},
    {"lifeboat_collector_doubles_total", "counter",
     "Reports that came again and were there already.", doubles},
    {"lifeboat_collector_refusals_total", "counter",
     "Connections that the collector ended and said why.", refused},
    {"lifeboat_collector_tls_failures_total", "counter",
     "Connections without a handshake: no certificate that is believed, or no TLS.", tls_failures},
    {"lifeboat_collector_turned_away_total", "counter",
     "Connections that were closed because there were too many.", turned_away},
    {"lifeboat_collector_write_failures_total", "counter",
     "Attempts to write the state that failed.", write_failures},
};

#define INFO_NAME "lifeboat_collector_build_info"
#define INFO_HELP "1; the version is a label."

static void write_sample(struct text *out, const char *name, const struct metric_label *labels,
                         size_t label_count, double value)
{
    if (!isnan(value))
        metric_sample(out, name, labels, label_count, value);
}

static void write_backups(const struct hub *hub, struct text *out)
{
    size_t count;
    struct fleet_summary *list = fleet_summarise(&hub->fleet, &count);

    for (size_t i = 0; i < COUNT(backup_families); i++) {
        const struct backup_family *family = &backup_families[i];

        metric_family(out, family->name, family->type, family->help);
        for (size_t j = 0; j < count; j++) {
            const struct metric_label labels[] = {{"component", list[j].component},
                                                  {"cluster", list[j].cluster},
                                                  {"namespace", list[j].namespace_},
                                                  {"system", list[j].system}};

            write_sample(out, family->name, labels, COUNT(labels), family->value(&list[j]));
        }
    }
    free(list);
}

static void write_agents(const struct hub *hub, struct text *out)
{
    size_t count;
    const struct fleet_agent **list = fleet_pods(&hub->fleet, &count);

    for (size_t i = 0; i < COUNT(agent_families); i++) {
        const struct agent_family *family = &agent_families[i];

        metric_family(out, family->name, family->type, family->help);
        for (size_t j = 0; j < count; j++) {
            const struct metric_label labels[] = {{"cluster", list[j]->identity.cluster},
                                                  {"namespace", list[j]->identity.namespace},
                                                  {"pod", list[j]->identity.pod}};

            write_sample(out, family->name, labels, COUNT(labels), family->value(list[j]));
        }
    }
    free(list);
}

void metrics_write(const struct hub *hub, struct text *out)
{
    const struct metric_label version = {"version", LIFEBOAT_VERSION};

    write_backups(hub, out);
    write_agents(hub, out);
    for (size_t i = 0; i < COUNT(own_families); i++)
        metric_single(out, own_families[i].name, own_families[i].type, own_families[i].help,
                      own_families[i].value(hub));
    metric_family(out, INFO_NAME, "gauge", INFO_HELP);
    metric_sample(out, INFO_NAME, &version, 1, 1);
}

static void describe_heading(struct text *markdown, const char *heading, const char *labels)
{
    text_add(markdown, "\n## %s\n\n%s\n\n| name | type | what |\n|---|---|---|\n", heading, labels);
}

static void describe_row(struct text *markdown, const char *name, const char *type,
                         const char *help)
{
    text_add(markdown, "| `%s` | %s | %s |\n", name, type, help);
}

void metrics_describe(struct text *markdown)
{
    text_add(markdown,
             "# Metrics of the collector\n\n"
             "Generated by `lifeboat-reference metrics` from the tables in "
             "`collector/metrics.c`; not edited by hand.\n\n"
             "Times are seconds, moments are seconds since 1970. A moment that never was is 0, so "
             "that `time() - x` is large. A result is absent until there is one: a component that "
             "was just configured is no failure.\n");
    describe_heading(markdown, "Backups",
                     "Labels `component`, `cluster`, `namespace`, `system`; no pod: when several "
                     "agents serve a component, moments are the newest of theirs, a result is that "
                     "of the newest attempt, counters are added.");
    for (size_t i = 0; i < COUNT(backup_families); i++)
        describe_row(markdown, backup_families[i].name, backup_families[i].type,
                     backup_families[i].help);
    describe_heading(markdown, "Agents", "Labels `cluster`, `namespace`, `pod`.");
    for (size_t i = 0; i < COUNT(agent_families); i++)
        describe_row(markdown, agent_families[i].name, agent_families[i].type,
                     agent_families[i].help);
    describe_heading(markdown, "The collector", "Without labels; counters begin with its start.");
    for (size_t i = 0; i < COUNT(own_families); i++)
        describe_row(markdown, own_families[i].name, own_families[i].type, own_families[i].help);
    describe_row(markdown, INFO_NAME, "gauge", INFO_HELP);
}
