// SPDX-License-Identifier: Apache-2.0
// Folding is the only place that says what an outcome means for a component; files are replaced
// whole, under one lock, so that a reader sees the state before or after a job.
#include "journal.h"

#include "clock.h"
#include "file.h"
#include "folder.h"
#include "log.h"
#include "mem.h"
#include "queue.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HISTORY_MS      (INT64_C(7) * 24 * 3600 * 1000)
#define STATE_MAX_BYTES ((size_t)64 << 10)

lifeboat_v1_KindState *journal_kind(lifeboat_v1_ComponentState *state, lifeboat_v1_JobKind kind)
{
    switch (kind) {
    case lifeboat_v1_JobKind_BACKUP:
        state->has_backup = true;
        return &state->backup;
    case lifeboat_v1_JobKind_VERIFY:
        state->has_verify = true;
        return &state->verify;
    case lifeboat_v1_JobKind_DRILL:
        state->has_drill = true;
        return &state->drill;
    case lifeboat_v1_JobKind_RESTORE:
        state->has_restore = true;
        return &state->restore;
    case lifeboat_v1_JobKind_PRUNE:
        state->has_prune = true;
        return &state->prune;
    case lifeboat_v1_JobKind_UPLOAD:
        state->has_upload = true;
        return &state->upload;
    default:
        return NULL;
    }
}

static void count(lifeboat_v1_KindState *kind, const lifeboat_v1_Report *report)
{
    kind->started_ms = report->started_ms;
    kind->ended_ms = report->ended_ms;
    kind->outcome = report->outcome;
    kind->has_error = report->outcome != lifeboat_v1_Outcome_DONE && report->has_error;
    if (kind->has_error)
        kind->error = report->error;
    if (report->outcome == lifeboat_v1_Outcome_DONE) {
        kind->done++;
        kind->success_ms = report->ended_ms;
        kind->success_duration_ms = report->ended_ms - report->started_ms;
    } else if (report->outcome == lifeboat_v1_Outcome_IN_PART) {
        kind->in_part++;
    } else {
        kind->failed++;
    }
}

static void take_newest(lifeboat_v1_ComponentState *state, const lifeboat_v1_Report *report)
{
    WIRE_SET(state->backup_id, report->backup);
    state->recovery_point_ms = report->recovery_point_ms;
    state->plain_bytes = report->plain_bytes;
    state->stored_bytes = report->stored_bytes;
}

/* What was sent counts from when it was made, and only where nothing newer is there already. */
static void fold_upload(lifeboat_v1_ComponentState *state, const lifeboat_v1_Report *report)
{
    if (report->backup[0] != '\0' && report->recovery_point_ms >= state->recovery_point_ms) {
        take_newest(state, report);
        if (report->backup_ended_ms > state->backup.success_ms)
            state->backup.success_ms = report->backup_ended_ms;
        state->good = state->backup.outcome == lifeboat_v1_Outcome_IN_PART &&
                      report->fallback_counted && report->fallback_backups == 0;
    }
}

void journal_fold(lifeboat_v1_ComponentState *state, const lifeboat_v1_Report *report)
{
    lifeboat_v1_KindState *kind = journal_kind(state, report->kind);

    if (kind == NULL || report->outcome == lifeboat_v1_Outcome_SKIPPED)
        return;
    count(kind, report);
    if (report->fallback_counted) {
        state->fallback_backups = report->fallback_backups;
        state->fallback_bytes = report->fallback_bytes;
    }
    if (report->kind == lifeboat_v1_JobKind_BACKUP) {
        state->good = report->outcome == lifeboat_v1_Outcome_DONE;
        state->retention_held = state->good ? report->retention_held : state->retention_held;
        if (state->good)
            take_newest(state, report);
    } else if (report->kind == lifeboat_v1_JobKind_UPLOAD) {
        fold_upload(state, report);
    } else if (report->kind == lifeboat_v1_JobKind_PRUNE &&
               report->outcome == lifeboat_v1_Outcome_DONE) {
        state->retention_held = report->retention_held;
    }
}

int journal_state(const char *state_path, const char *component, lifeboat_v1_ComponentState *state,
                  struct err *err)
{
    char *path = text_format("%s/components/%s", state_path, component);
    char *data = NULL;
    size_t len = 0;
    int rc = file_read(path, STATE_MAX_BYTES, &data, &len, err);

    *state = (lifeboat_v1_ComponentState)lifeboat_v1_ComponentState_init_zero;
    if (rc == 0 &&
        wire_read(lifeboat_v1_ComponentState_fields, (uint8_t *)data, len, state, err) < 0) {
        log_warn("what was known of a component is lost", LOG_TEXT("component", component),
                 LOG_TEXT("file", path), LOG_TEXT("err", err->text));
        *state = (lifeboat_v1_ComponentState)lifeboat_v1_ComponentState_init_zero;
        err_clear(err);
    } else if (rc < 0 && err->kind == ERR_NOT_FOUND) {
        err_clear(err);
        rc = 0;
    }
    free(data);
    free(path);
    return rc;
}

/* Writes message to <state_path>/<folder>/<name><suffix>. */
static int keep(const char *path, const pb_msgdesc_t *fields, const void *message, struct err *err)
{
    struct text data = TEXT_INIT;
    int rc;

    wire_add(&data, fields, message);
    rc = file_make_parents(path, err);
    if (rc == 0)
        rc = file_replace(path, data.data, data.len, err);
    text_fini(&data);
    return rc;
}

static int keep_state(const char *state_path, const lifeboat_v1_Report *report, struct err *err)
{
    char *path = text_format("%s/components/%s", state_path, report->component);
    int rc = keep(path, lifeboat_v1_ComponentState_fields, &report->state, err);

    free(path);
    return rc;
}

static int keep_report(const char *state_path, const lifeboat_v1_Report *report, struct err *err)
{
    char *path = text_format("%s/history/%s/%s.report", state_path, report->component, report->job);
    int rc = keep(path, lifeboat_v1_Report_fields, report, err);

    free(path);
    return rc;
}

int journal_record(const char *state_path, lifeboat_v1_Report *report, bool tell, struct err *err)
{
    int lock = -1;
    int rc = -1;

    if (folder_lock(state_path, "journal.lock", &lock, err) < 0 ||
        journal_state(state_path, report->component, &report->state, err) < 0)
        goto out;
    report->has_state = true;
    journal_fold(&report->state, report);
    if (tell && queue_add(state_path, report, err) < 0)
        goto out;
    if (keep_state(state_path, report, err) < 0 || keep_report(state_path, report, err) < 0)
        goto out;
    rc = 0;
out:
    fd_close(&lock);
    return rc < 0 ? err_wrap(err, "keep the report of job %s", report->job) : 0;
}

struct aging {
    const char *folder;
    int64_t oldest_ms;
};

/* A job's id begins with its start. */
static int remove_old(void *arg, const char *name, struct err *err)
{
    const struct aging *aging = arg;
    char when[17] = "";
    int64_t started_ms;
    char *path;
    int rc;

    if (strlen(name) <= sizeof when)
        return 0;
    memcpy(when, name, sizeof when - 1);
    if (clock_parse(when, &started_ms) < 0 || started_ms >= aging->oldest_ms)
        return 0;
    path = text_format("%s/%s", aging->folder, name);
    rc = file_remove(path, err);
    free(path);
    return rc;
}

int journal_open_log(const char *state_path, const char *component, const char *job, int *fd,
                     struct err *err)
{
    char *folder = text_format("%s/history/%s", state_path, component);
    char *path = text_format("%s/%s.log", folder, job);
    struct aging aging = {.folder = folder, .oldest_ms = clock_wall_ms() - HISTORY_MS};
    int opened = -1;
    int rc = -1;

    if (file_make_folders(folder, err) < 0 || folder_each(folder, remove_old, &aging, err) < 0)
        goto out;
    opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (opened < 0) {
        err_set_errno(err, errno, "create %s", path);
        goto out;
    }
    *fd = opened;
    rc = 0;
out:
    free(path);
    free(folder);
    return rc;
}
