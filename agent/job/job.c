// SPDX-License-Identifier: Apache-2.0
// From arguments to sites, and from outcomes to the exit status.
#include "job.h"

#include "cancel.h"
#include "catalog.h"
#include "log.h"
#include "mem.h"
#include "recording.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_IN_PART = 3 };

/* The component before the '@', and what stands behind it. */
static int resolve(const struct job *job, char *argument, struct target *target, struct err *err)
{
    char *at = strchr(argument, '@');
    char *name = at == NULL ? mem_strdup(argument) : mem_strndup(argument, (size_t)(at - argument));
    struct text known = TEXT_INIT;

    target->component = agent_options_component(job->options, name);
    target->wish = at == NULL || at[1] == '\0' ? NULL : at + 1;
    target->site = NULL;
    if (target->component == NULL) {
        for (size_t i = 0; i < job->options->component_count; i++)
            text_add(&known, "%s%s", i == 0 ? "" : ", ", job->options->components[i].name);
        err_set(err, ERR_USAGE, "there is no component \"%s\" in %s; it has: %s", name,
                job->in->config_path, text_str(&known));
    } else if (job->in->store != NULL &&
               strcmp(job->in->store, target->component->store->name) != 0) {
        err_set(err, ERR_USAGE, "component %s has no store \"%s\"; it has: %s", name,
                job->in->store, target->component->store->name);
        target->component = NULL;
    }
    text_fini(&known);
    free(name);
    return target->component == NULL ? -1 : 0;
}

static void report_failure(const struct job *job, const struct target *target,
                           const struct err *err)
{
    const char *name = target == NULL ? NULL : target->component->name;
    const struct log_field fields[] = {LOG_TEXT("component", name)};
    char *message = text_format("%s failed", job->in->command);
    json_t *line;
    char *text;

    log_err(message, err, fields, 1);
    free(message);
    if (!job->in->json)
        return;
    line = json_pack("{s:s, s:s*, s:s, s:{s:s, s:s, s:s}}", "command", job->in->command,
                     "component", name, "result", "failed", "error", "kind",
                     err_kind_name(err->kind), "text", err->text, "hint", err_kind_hint(err->kind));
    text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL) {
        log_mask(text);
        puts(text);
    }
    free(text);
    json_decref(line);
}

static void run_target(struct job *job, struct target *target, target_fn *each)
{
    struct err err = ERR_INIT;
    int rc = cancel_check(&err);

    if (rc == 0)
        rc = recording_begin(job, target, &err);
    if (rc == 0)
        rc = site_open(job->options, target->component, job->in->from, job->loop, &target->site,
                       &err);
    if (rc == 0)
        rc = each(job, target, &err);
    site_close(target->site);
    if (rc < 0) {
        report_failure(job, target, &err);
        job->failed++;
        job->misused += err_kind_exit_status(err.kind) == STATUS_USAGE;
    } else {
        job->done++;
    }
    recording_end(job, rc < 0 ? &err : NULL);
    fflush(stdout);
}

static int status_of(const struct job *job)
{
    if (job->failed == 0)
        return STATUS_DONE;
    if (job->done > 0)
        return STATUS_IN_PART;
    return job->misused == job->failed ? STATUS_USAGE : STATUS_FAILED;
}

int job_each(struct job *job, target_fn *each)
{
    size_t named = job->in->target_count;
    size_t count = named > 0 ? named : job->options->component_count;
    struct target *targets = mem_calloc(count, sizeof *targets);
    struct err err = ERR_INIT;
    int status = STATUS_USAGE;

    for (size_t i = 0; i < count; i++) {
        char *argument = named > 0 ? job->in->targets[i] : job->options->components[i].name;

        if (resolve(job, argument, &targets[i], &err) < 0) {
            report_failure(job, NULL, &err);
            goto out;
        }
    }
    for (size_t i = 0; i < count; i++)
        run_target(job, &targets[i], each);
    status = status_of(job);
out:
    free(targets);
    return status;
}

int job_only(struct job *job, target_fn *each)
{
    struct err err = ERR_INIT;

    if (job->in->target_count == 1)
        return job_each(job, each);
    err_set(&err, ERR_USAGE, "%s needs exactly one COMPONENT[@BACKUP]", job->in->command);
    report_failure(job, NULL, &err);
    return STATUS_USAGE;
}

/* What the server says it is; NULL when it cannot be asked, which is no error here: a restore may
 * be wanted just because the server is gone. */
static char *own_lineage(const struct site *site)
{
    struct err err = ERR_INIT;
    char *lineage = NULL;

    if (site->foreign || site->system->lineage(site->component, &lineage, &err) == 0)
        return lineage;
    log_warn("the server cannot be asked which lineage is its own", LOG_TEXT("err", err.text));
    return NULL;
}

int job_choose(const struct target *target, struct manifest **manifest, struct err *err)
{
    struct catalog *catalog = NULL;
    const struct backup *backup = NULL;
    char *own = NULL;
    int rc = -1;

    if (catalog_load(target->site, &catalog, err) < 0)
        goto out;
    if (target->wish == NULL || !backup_id_valid(target->wish))
        own = own_lineage(target->site);
    if (catalog_select(catalog, target->wish, own, &backup, err) < 0) {
        err_wrap(err, "%s in store %s", target->site->root, target->site->store->name);
        goto out;
    }
    rc = site_get_manifest(target->site, backup->lineage, backup->id, manifest, err);
out:
    free(own);
    catalog_free(catalog);
    return rc;
}

void job_report(const struct job *job, const struct target *target, json_t *result)
{
    json_t *line;
    char *text;

    if (job->in->json) {
        line = json_pack("{s:s, s:s, s:s}", "command", job->in->command, "component",
                         target->component->name, "result", "done");
        json_object_update(line, result);
        text = json_dumps(line, JSON_COMPACT);
        if (text != NULL) {
            log_mask(text);
            puts(text);
        }
        free(text);
        json_decref(line);
    }
    json_decref(result);
}
