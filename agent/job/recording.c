// SPDX-License-Identifier: Apache-2.0
// One recording at a time, as targets are worked on one after the other.
#include "recording.h"

#include "catalog.h"
#include "channel.h"
#include "clock.h"
#include "component_lock.h"
#include "file.h"
#include "journal.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct recording {
    lifeboat_v1_Report report;
    int lock;
    int log;
};

static lifeboat_v1_JobKind kind_of(const struct invocation *in)
{
    static const struct {
        const char *command;
        lifeboat_v1_JobKind kind;
    } rows[] = {
        {"backup", lifeboat_v1_JobKind_BACKUP},   {"verify", lifeboat_v1_JobKind_VERIFY},
        {"restore", lifeboat_v1_JobKind_RESTORE}, {"drill", lifeboat_v1_JobKind_DRILL},
        {"prune", lifeboat_v1_JobKind_PRUNE},     {"upload", lifeboat_v1_JobKind_UPLOAD},
    };

    for (size_t i = 0; !in->dry_run && in->from == NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].command, in->command) == 0)
            return rows[i].kind;
    return lifeboat_v1_JobKind_JOB_KIND_UNKNOWN;
}

/* The others harm no job beside them: the records of the backups that they work on see to that. */
static bool wants_lock(lifeboat_v1_JobKind kind)
{
    return kind == lifeboat_v1_JobKind_BACKUP || kind == lifeboat_v1_JobKind_RESTORE ||
           kind == lifeboat_v1_JobKind_DRILL;
}

static int take_lock(struct job *job, const char *component, struct err *err)
{
    struct recording *recording = job->recording;

    if (!wants_lock(recording->report.kind) ||
        component_lock(job->options->state_path, component, job->in->command, &recording->lock,
                       err) == 0)
        return 0;
    if (err->kind == ERR_REFUSED)
        return -1;
    log_warn("jobs of this component cannot be kept apart", LOG_TEXT("component", component),
             LOG_TEXT("err", err->text));
    err_clear(err);
    return 0;
}

static void open_log(struct job *job, const char *component)
{
    struct recording *recording = job->recording;
    struct err err = ERR_INIT;

    if (journal_open_log(job->options->state_path, component, recording->report.job,
                         &recording->log, &err) < 0)
        log_warn("this job keeps no log", LOG_TEXT("component", component),
                 LOG_TEXT("err", err.text));
    log_copy(recording->log);
}

static void drop(struct job *job)
{
    log_copy(-1);
    fd_close(&job->recording->log);
    component_unlock(&job->recording->lock);
    free(job->recording);
    job->recording = NULL;
}

/* Masked whole before it is cut: half a secret would not be known for one. */
static void set_error(lifeboat_v1_Error *message, const struct err *err)
{
    struct err shown = *err;

    log_mask(shown.text);
    wire_set_error(message, &shown);
}

static void add_store(lifeboat_v1_Report *report, const char *name, bool fallback,
                      const struct err *err)
{
    lifeboat_v1_StoreOutcome *store = &report->stores[report->stores_count++];

    *store = (lifeboat_v1_StoreOutcome){.good = err == NULL, .fallback = fallback};
    WIRE_SET(store->store, name);
    store->has_error = err != NULL;
    if (err != NULL)
        set_error(&store->error, err);
}

void recording_in_part(const struct job *job, const struct target *target, const struct err *why)
{
    lifeboat_v1_Report *report = recording_report(job);

    report->outcome = lifeboat_v1_Outcome_IN_PART;
    add_store(report, target->component->store->name, false, why);
    add_store(report, job->options->fallback_store->name, true, NULL);
    report->has_error = true;
    report->error = report->stores[0].error;
}

/* What waits on local disk after this job. */
static void count_waiting(const struct job *job, const struct target *target)
{
    lifeboat_v1_Report *report = recording_report(job);
    struct catalog *catalog = NULL;
    struct err err = ERR_INIT;

    /* Where nothing can wait, nothing does. */
    report->fallback_counted = target->fallback == NULL;
    if (report->fallback_counted)
        return;
    if (catalog_load(target->fallback, &catalog, &err) == 0) {
        report->fallback_backups = catalog->count;
        for (size_t i = 0; i < catalog->count; i++)
            report->fallback_bytes += catalog->backups[i].stored_bytes;
        report->fallback_counted = true;
    }
    catalog_free(catalog);
}

static void set_outcome(lifeboat_v1_Report *report, const struct err *err)
{
    if (err != NULL) {
        /* A wrong use is no failure of anything. */
        report->outcome =
            err->kind == ERR_ELSEWHERE || err->kind == ERR_CLAIMED || err->kind == ERR_USAGE
                ? lifeboat_v1_Outcome_SKIPPED
                : lifeboat_v1_Outcome_FAILED;
        report->has_error = true;
        set_error(&report->error, err);
    } else if (report->outcome == lifeboat_v1_Outcome_OUTCOME_UNKNOWN) {
        report->outcome = lifeboat_v1_Outcome_DONE;
    }
    report->ended_ms = clock_wall_ms();
}

int recording_begin(struct job *job, const struct target *target, struct err *err)
{
    const char *component = target->component->name;
    struct recording *recording = mem_calloc(1, sizeof *recording);
    lifeboat_v1_Report *report = &recording->report;

    recording->lock = recording->log = -1;
    job->recording = recording;
    report->kind = kind_of(job->in);
    if (report->kind == lifeboat_v1_JobKind_JOB_KIND_UNKNOWN)
        return 0;
    report->trigger = channel_trigger();
    report->started_ms = clock_wall_ms();
    backup_id_make(report->started_ms, report->job);
    WIRE_SET(report->component, component);
    WIRE_SET(report->system, system_get(target->component->system)->name);
    WIRE_SET(report->agent_version, LIFEBOAT_VERSION);
    if (take_lock(job, component, err) < 0) {
        set_outcome(report, err);
        report->outcome = lifeboat_v1_Outcome_SKIPPED;
        channel_report(report);
        drop(job);
        return -1;
    }
    open_log(job, component);
    channel_progress(NULL);
    return 0;
}

lifeboat_v1_Report *recording_report(const struct job *job)
{
    return &job->recording->report;
}

void recording_describe(const struct job *job, const struct manifest *manifest)
{
    lifeboat_v1_Report *report = recording_report(job);

    WIRE_SET(report->backup, manifest->id);
    WIRE_SET(report->lineage, manifest->lineage);
    report->recovery_point_ms = manifest->recovery_point_ms;
    report->plain_bytes = manifest_plain_bytes(manifest);
    report->stored_bytes = manifest_stored_bytes(manifest);
}

void recording_end(struct job *job, const struct target *target, const struct err *err)
{
    struct recording *recording = job->recording;
    struct err why = ERR_INIT;

    if (recording == NULL)
        return;
    if (recording->report.kind != lifeboat_v1_JobKind_JOB_KIND_UNKNOWN) {
        count_waiting(job, target);
        set_outcome(&recording->report, err);
        if (recording->report.outcome != lifeboat_v1_Outcome_SKIPPED &&
            journal_record(job->options->state_path, &recording->report,
                           job->options->collector.address != NULL, &why) < 0)
            log_warn("the outcome of this job is not kept", LOG_TEXT("err", why.text));
        channel_report(&recording->report);
    }
    drop(job);
}
