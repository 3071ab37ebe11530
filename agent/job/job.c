// SPDX-License-Identifier: Apache-2.0
// From arguments to sites, and from outcomes to the exit status.
#include "job.h"

#include "absent.h"
#include "cancel.h"
#include "catalog.h"
#include "channel.h"
#include "fallback.h"
#include "log.h"
#include "mem.h"
#include "record.h"
#include "recording.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_IN_PART = 3 };

static bool is_fallback(const struct job *job, const char *store)
{
    return job->options->fallback_store != NULL && strcmp(store, job->options->fallback_name) == 0;
}

/* The component before the '@', and what stands behind it. */
static int resolve(const struct job *job, char *argument, struct target *target, struct err *err)
{
    char *at = strchr(argument, '@');
    char *name = at == NULL ? mem_strdup(argument) : mem_strndup(argument, (size_t)(at - argument));
    struct text known = TEXT_INIT;

    target->component = agent_options_component(job->options, name);
    target->wish = at == NULL || at[1] == '\0' ? NULL : at + 1;
    target->site = target->fallback = NULL;
    if (target->component == NULL) {
        for (size_t i = 0; i < job->options->component_count; i++)
            text_add(&known, "%s%s", i == 0 ? "" : ", ", job->options->components[i].name);
        err_set(err, ERR_USAGE, "there is no component \"%s\" in %s; it has: %s", name,
                job->in->config_path, text_str(&known));
    } else if (job->in->store != NULL &&
               strcmp(job->in->store, target->component->store->name) != 0 &&
               !is_fallback(job, job->in->store)) {
        err_set(err, ERR_USAGE, "component %s has no store \"%s\"; it has: %s%s%s", name,
                job->in->store, target->component->store->name,
                job->options->fallback_store == NULL ? "" : ", ",
                job->options->fallback_store == NULL ? "" : job->options->fallback_name);
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
    /* On a schedule, it is what was to be expected of all agents but one. */
    bool left = (err->kind == ERR_ELSEWHERE || err->kind == ERR_CLAIMED) &&
                channel_trigger() != lifeboat_v1_Trigger_COMMAND;
    char *message = text_format("%s %s", job->in->command, left ? "left to another" : "failed");
    json_t *line;
    char *text;

    if (left)
        log_info(message, LOG_TEXT("component", name), LOG_TEXT("why", err->text));
    else
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

/* With a fallback, a store that cannot be opened is one that is away. */
static int open_own(const struct job *job, struct target *target, struct err *err)
{
    struct err why = ERR_INIT;

    if (site_open(job->options, target->component, job->in->from, job->loop, &target->site, &why) ==
        0)
        return 0;
    if (target->fallback == NULL) {
        *err = why;
        return -1;
    }
    target->site = site_new(job->options, target->component, NULL,
                            absent_store_new(target->component->store->name, &why), job->loop);
    return 0;
}

/* Its own site and, where nothing rules it out, the fallback; --store may make that the only one.
 */
static int open_sites(const struct job *job, struct target *target, struct err *err)
{
    const char *store = job->in->store;
    bool named = store != NULL && is_fallback(job, store);

    if (named && job->in->from != NULL)
        return err_set(
            err, ERR_USAGE,
            "the fallback store has this configuration's own backups, none of another's");
    if (job->options->fallback_store != NULL && job->in->from == NULL && (store == NULL || named))
        target->fallback = fallback_open(job->options, target->component, job->loop);
    if (!named)
        return open_own(job, target, err);
    target->site = target->fallback;
    target->fallback = NULL;
    return 0;
}

static void run_target(struct job *job, struct target *target, target_fn *each)
{
    struct err err = ERR_INIT;
    int rc = cancel_check(&err);

    if (rc == 0)
        rc = recording_begin(job, target, &err);
    if (rc == 0)
        rc = open_sites(job, target, &err);
    if (rc == 0)
        rc = each(job, target, &err);
    if (rc < 0) {
        report_failure(job, target, &err);
        job->failed++;
        job->misused += err_kind_exit_status(err.kind) == STATUS_USAGE;
    } else if (rc == JOB_IN_PART) {
        job->in_part++;
    } else {
        job->done++;
    }
    recording_end(job, target, rc < 0 ? &err : NULL);
    site_close(target->site);
    site_close(target->fallback);
    fflush(stdout);
}

static int status_of(const struct job *job)
{
    if (job->failed == 0 && job->in_part == 0)
        return STATUS_DONE;
    if (job->done > 0 || job->in_part > 0)
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

int job_catalog(const struct target *target, struct catalog **catalog, bool *away, struct err *err)
{
    struct catalog *local = NULL;
    struct err why = ERR_INIT;
    int rc = catalog_load(target->site, catalog, err);

    *away = false;
    if (target->fallback == NULL || (rc < 0 && err->kind == ERR_CANCELLED))
        return rc;
    if (catalog_load(target->fallback, &local, &why) < 0) {
        log_warn("the fallback cannot be looked at", LOG_TEXT("err", why.text));
        return rc;
    }
    if (rc == 0) {
        catalog_merge(*catalog, local);
        return 0;
    }
    if (local->count == 0) {
        catalog_free(local);
        return -1;
    }
    log_warn("the store cannot be looked at: only what is on local disk is seen",
             LOG_TEXT("component", target->component->name),
             LOG_TEXT("store", target->site->store->name), LOG_TEXT("err", err->text));
    err_clear(err);
    *catalog = local;
    *away = true;
    return 0;
}

/* Neither an eviction nor an upload takes away what somebody reads, a restore least of all. When
 * another job has it, that one is trusted to be done later than we, or to leave it. */
static struct record *hold(const struct site *site, const char *id)
{
    const struct agent_options *options = site->options;
    struct record *record = NULL;
    struct err err = ERR_INIT;

    if (options->fallback_store != NULL &&
        strcmp(site->store->name, options->fallback_store->name) == 0 &&
        record_open(options->state_path, site->component->name, id, "read", &record, &err) < 0)
        log_debug("not held", LOG_TEXT("backup", id), LOG_TEXT("err", err.text));
    return record;
}

int job_choose(const struct target *target, struct chosen *chosen, struct err *err)
{
    struct catalog *catalog = NULL;
    const struct backup *backup = NULL;
    char *own = NULL;
    int rc = -1;

    *chosen = (struct chosen){.manifest = NULL};
    if (job_catalog(target, &catalog, &chosen->away, err) < 0)
        goto out;
    if (target->wish == NULL || !backup_id_valid(target->wish))
        own = own_lineage(target->site);
    if (catalog_select(catalog, target->wish, own, &backup, err) < 0) {
        err_wrap(err, "%s in store %s%s%s", target->site->root,
                 chosen->away ? target->fallback->store->name : target->site->store->name,
                 chosen->away ? ", for its own is away" : "",
                 target->fallback == NULL || chosen->away ? "" : " and on local disk");
        goto out;
    }
    if (ancestry_load(catalog, backup, &chosen->ancestry, err) < 0)
        goto out;
    chosen->site = backup->site;
    chosen->manifest = chosen->ancestry.manifests[chosen->ancestry.count - 1];
    chosen->reading = mem_calloc(chosen->ancestry.count, sizeof(struct record *));
    for (size_t i = 0; i < chosen->ancestry.count; i++)
        chosen->reading[i] = hold(chosen->ancestry.sites[i], chosen->ancestry.manifests[i]->id);
    rc = 0;
out:
    free(own);
    catalog_free(catalog);
    return rc;
}

void chosen_fini(struct chosen *chosen)
{
    for (size_t i = 0; chosen->reading != NULL && i < chosen->ancestry.count; i++)
        record_finish(chosen->reading[i]);
    free(chosen->reading);
    ancestry_fini(&chosen->ancestry);
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
