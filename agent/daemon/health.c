// SPDX-License-Identifier: Apache-2.0
// One function a group of metrics. Counters of jobs come from the state on disk, those of bytes and
// time count since the daemon's start.
#include "health.h"

#include "clock.h"
#include "file.h"
#include "httpd.h"
#include "journal.h"
#include "log.h"
#include "mem.h"
#include "metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    char component[64];
    uint64_t plain_bytes, stored_bytes;
    uint64_t source_ms, lifeboat_ms, store_ms;
};

struct health {
    health_view_fn *view;
    void *arg;
    struct httpd *httpd;
    char *address;
    int64_t began_ms;
    lifeboat_v1_Progress progress; /* of the job that runs */
    struct tally *tallies;
    size_t tally_count;
};

struct health *health_new(health_view_fn *view, void *arg)
{
    struct health *health = mem_calloc(1, sizeof *health);

    health->view = view;
    health->arg = arg;
    health->began_ms = clock_wall_ms();
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    httpd_close(health->httpd);
    free(health->address);
    free(health->tallies);
    free(health);
}

void health_progress(struct health *health, const lifeboat_v1_Progress *progress)
{
    health->progress = *progress;
}

void health_job_ended(struct health *health, const lifeboat_v1_Report *report)
{
    struct tally *tally = NULL;

    health->progress = (lifeboat_v1_Progress)lifeboat_v1_Progress_init_zero;
    for (size_t i = 0; i < health->tally_count && tally == NULL; i++)
        if (strcmp(health->tallies[i].component, report->component) == 0)
            tally = &health->tallies[i];
    if (tally == NULL) {
        health->tallies =
            mem_realloc(health->tallies, (health->tally_count + 1) * sizeof *health->tallies);
        tally = &health->tallies[health->tally_count++];
        *tally = (struct tally){.plain_bytes = 0};
        snprintf(tally->component, sizeof tally->component, "%s", report->component);
    }
    if (report->kind == lifeboat_v1_JobKind_BACKUP) {
        tally->plain_bytes += report->plain_bytes;
        tally->stored_bytes += report->stored_bytes;
        tally->source_ms += report->source_ms;
        tally->lifeboat_ms += report->lifeboat_ms;
        tally->store_ms += report->store_ms;
    }
}

uint64_t health_memory_bytes(void)
{
    struct err err = ERR_INIT;
    char *text = NULL;
    const char *line;
    uint64_t kib = 0;

    if (file_read("/proc/self/smaps_rollup", 4096, &text, NULL, &err) < 0)
        return 0;
    line = strstr(text, "\nPss:");
    if (line != NULL && sscanf(line, "\nPss: %" SCNu64, &kib) != 1)
        kib = 0;
    free(text);
    return kib * 1024;
}

static const lifeboat_v1_JobKind kinds[] = {
    lifeboat_v1_JobKind_BACKUP, lifeboat_v1_JobKind_VERIFY, lifeboat_v1_JobKind_RESTORE,
    lifeboat_v1_JobKind_DRILL,  lifeboat_v1_JobKind_PRUNE,  lifeboat_v1_JobKind_UPLOAD};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* The part of a state about one kind, for reading. */
static const lifeboat_v1_KindState *kind_state(const struct agenda *agenda, size_t index,
                                               lifeboat_v1_JobKind kind)
{
    return journal_kind((lifeboat_v1_ComponentState *)(uintptr_t)agenda_state(agenda, index), kind);
}

static void add_jobs(struct text *out, const struct agenda *agenda)
{
    metric_family(out, "lifeboat_agent_jobs_total", "counter",
                  "Jobs that ended, since the state folder is there.");
    for (size_t i = 0; i < agenda_count(agenda); i++) {
        for (size_t j = 0; j < KINDS; j++) {
            const lifeboat_v1_KindState *state = kind_state(agenda, i, kinds[j]);
            const struct {
                const char *outcome;
                uint64_t count;
            } rows[] = {
                {"done", state->done}, {"in_part", state->in_part}, {"failed", state->failed}};

            for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
                const struct metric_label labels[] = {
                    {"component", agenda_component(agenda, i)->name},
                    {"kind", wire_kind_name(kinds[j])},
                    {"outcome", rows[k].outcome}};

                metric_sample(out, "lifeboat_agent_jobs_total", labels, 3, (double)rows[k].count);
            }
        }
    }
}

static void add_durations(struct text *out, const struct agenda *agenda)
{
    metric_family(out, "lifeboat_agent_job_last_duration_seconds", "gauge",
                  "How long the last good job took.");
    for (size_t i = 0; i < agenda_count(agenda); i++) {
        for (size_t j = 0; j < KINDS; j++) {
            const struct metric_label labels[] = {{"component", agenda_component(agenda, i)->name},
                                                  {"kind", wire_kind_name(kinds[j])}};
            const lifeboat_v1_KindState *state = kind_state(agenda, i, kinds[j]);

            if (state->success_ms > 0)
                metric_sample(out, "lifeboat_agent_job_last_duration_seconds", labels, 2,
                              (double)state->success_duration_ms / 1000);
        }
    }
}

static void add_next(struct text *out, const struct agenda *agenda)
{
    static const lifeboat_v1_JobKind scheduled[] = {
        lifeboat_v1_JobKind_BACKUP, lifeboat_v1_JobKind_VERIFY, lifeboat_v1_JobKind_DRILL};

    metric_family(out, "lifeboat_agent_job_next_timestamp_seconds", "gauge",
                  "When the next scheduled job starts, as planned now.");
    for (size_t i = 0; i < agenda_count(agenda); i++) {
        for (size_t j = 0; j < sizeof scheduled / sizeof scheduled[0]; j++) {
            int64_t next_ms = agenda_next_ms(agenda, i, scheduled[j]);
            const struct metric_label labels[] = {{"component", agenda_component(agenda, i)->name},
                                                  {"kind", wire_kind_name(scheduled[j])}};

            if (next_ms > 0)
                metric_sample(out, "lifeboat_agent_job_next_timestamp_seconds", labels, 2,
                              (double)next_ms / 1000);
        }
    }
}

static void add_running(struct text *out, const struct health *health,
                        const struct health_view *view)
{
    const struct metric_label labels[] = {{"component", view->running},
                                          {"kind", wire_kind_name(view->running_kind)}};
    size_t count = view->running == NULL ? 0 : 1;
    const struct {
        const char *name, *help;
        double value;
    } rows[] = {
        {"lifeboat_agent_job_started_timestamp_seconds", "When the job that runs now was started.",
         (double)view->running_since_ms / 1000},
        {"lifeboat_agent_job_source_bytes", "Bytes that the job that runs now has read so far.",
         (double)health->progress.source_bytes},
        {"lifeboat_agent_job_sink_bytes", "Bytes that the job that runs now has written so far.",
         (double)health->progress.sink_bytes},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metric_family(out, rows[i].name, "gauge", rows[i].help);
        for (size_t j = 0; j < count; j++)
            metric_sample(out, rows[i].name, labels, 2, rows[i].value);
    }
}

static void add_tallies(struct text *out, const struct health *health)
{
    metric_family(out, "lifeboat_agent_backup_bytes_total", "counter",
                  "Bytes of backups since the daemon's start: plain, and as stored.");
    for (size_t i = 0; i < health->tally_count; i++) {
        const struct tally *tally = &health->tallies[i];
        struct metric_label labels[] = {{"component", tally->component}, {"form", "plain"}};

        metric_sample(out, "lifeboat_agent_backup_bytes_total", labels, 2,
                      (double)tally->plain_bytes);
        labels[1].value = "stored";
        metric_sample(out, "lifeboat_agent_backup_bytes_total", labels, 2,
                      (double)tally->stored_bytes);
    }
    metric_family(out, "lifeboat_agent_backup_seconds_total", "counter",
                  "Where the time of backups went since the daemon's start.");
    for (size_t i = 0; i < health->tally_count; i++) {
        const struct tally *tally = &health->tallies[i];
        const struct {
            const char *where;
            uint64_t ms;
        } rows[] = {{"source", tally->source_ms},
                    {"lifeboat", tally->lifeboat_ms},
                    {"store", tally->store_ms}};

        for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++) {
            const struct metric_label labels[] = {{"component", tally->component},
                                                  {"where", rows[j].where}};

            metric_sample(out, "lifeboat_agent_backup_seconds_total", labels, 2,
                          (double)rows[j].ms / 1000);
        }
    }
}

static void add_fallback(struct text *out, const struct agenda *agenda)
{
    const struct {
        const char *name, *help;
    } rows[] = {
        {"lifeboat_agent_fallback_backups", "Backups that wait on local disk for their store."},
        {"lifeboat_agent_fallback_bytes", "Their bytes."},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metric_family(out, rows[i].name, "gauge", rows[i].help);
        for (size_t j = 0; j < agenda_count(agenda); j++) {
            const struct metric_label label = {"component", agenda_component(agenda, j)->name};
            const lifeboat_v1_ComponentState *state = agenda_state(agenda, j);

            metric_sample(out, rows[i].name, &label, 1,
                          (double)(i == 0 ? state->fallback_backups : state->fallback_bytes));
        }
    }
}

static void add_link(struct text *out, const struct link *link)
{
    const struct link_status *status;

    if (link == NULL)
        return;
    status = link_status(link);
    metric_single(out, "lifeboat_agent_link_up", "gauge", "1 while the collector is connected.",
                  status->up);
    metric_single(out, "lifeboat_agent_link_failures_total", "counter",
                  "Attempts and connections to the collector that failed.",
                  (double)status->failures);
    metric_single(out, "lifeboat_agent_reports_waiting", "gauge",
                  "Reports on disk that the collector has not acknowledged.",
                  (double)status->waiting);
}

static void add_metrics(struct health *health, struct text *out)
{
    const struct metric_label version = {"version", LIFEBOAT_VERSION};
    struct health_view view = {.agenda = NULL};

    health->view(health->arg, &view);
    metric_family(out, "lifeboat_agent_build_info", "gauge", "1; the label tells the version.");
    metric_sample(out, "lifeboat_agent_build_info", &version, 1, 1);
    metric_single(out, "lifeboat_agent_start_timestamp_seconds", "gauge",
                  "When the daemon was started.", (double)health->began_ms / 1000);
    metric_single(out, "lifeboat_agent_memory_bytes", "gauge",
                  "Memory of the daemon (proportional set size).", (double)health_memory_bytes());
    metric_single(out, "lifeboat_agent_config_valid", "gauge",
                  "0 while the configuration file says what was refused.", view.config_valid);
    add_jobs(out, view.agenda);
    add_durations(out, view.agenda);
    add_next(out, view.agenda);
    add_running(out, health, &view);
    add_tallies(out, health);
    add_fallback(out, view.agenda);
    add_link(out, view.link);
}

static void on_request(void *arg, const char *path, struct httpd_answer *answer)
{
    answer->status = 200;
    if (strcmp(path, "/metrics") == 0) {
        answer->content_type = METRIC_CONTENT_TYPE;
        add_metrics(arg, &answer->body);
        return;
    }
    answer->content_type = "text/plain; charset=utf-8";
    if (strcmp(path, "/healthz") == 0) {
        text_add(&answer->body, "ok\n");
    } else {
        answer->status = 404;
        text_add(&answer->body, "there are /healthz and /metrics\n");
    }
}

int health_listen(struct health *health, struct ev_loop *loop, const char *address, struct err *err)
{
    if (health->httpd != NULL && address != NULL && strcmp(address, health->address) == 0)
        return 0;
    httpd_close(health->httpd);
    health->httpd = NULL;
    free(health->address);
    health->address = NULL;
    if (address == NULL)
        return 0;
    if (httpd_open(loop, address, on_request, health, &health->httpd, err) < 0)
        return -1;
    health->address = mem_strdup(address);
    log_info("health and metrics are served", LOG_TEXT("address", address),
             LOG_NUMBER("port", httpd_port(health->httpd)));
    return 0;
}
