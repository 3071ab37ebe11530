// SPDX-License-Identifier: Apache-2.0
// The catalog was listed a while ago, and a backup may have been committed since. So whatever looks
// like an orphan is asked for once more by its manifest's key, after its writer is known to be dead
// or its age makes a living writer impossible (a job's deadline is below orphan_age).
#include "orphan.h"

#include "cancel.h"
#include "mem.h"
#include "record.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One backup id without a manifest, with its data and uploads. */
struct orphan {
    char id[BACKUP_ID_CAP];
    char *lineage;
    int64_t newest_ms;
    struct orphan_file {
        char *key;
        char *upload; /* NULL: an object */
        uint64_t bytes;
    } * files;
    size_t file_count;
};

struct sweep {
    struct site *site;
    const struct catalog *catalog;
    struct orphan *orphans;
    size_t count;
};

static struct orphan *orphan_of(struct sweep *sweep, const char *lineage, const char *id)
{
    struct orphan *orphan;

    for (size_t i = 0; i < sweep->count; i++)
        if (strcmp(sweep->orphans[i].id, id) == 0 &&
            strcmp(sweep->orphans[i].lineage, lineage) == 0)
            return &sweep->orphans[i];
    sweep->orphans = mem_realloc(sweep->orphans, (sweep->count + 1) * sizeof *sweep->orphans);
    orphan = &sweep->orphans[sweep->count++];
    *orphan = (struct orphan){.lineage = mem_strdup(lineage), .newest_ms = INT64_MIN};
    snprintf(orphan->id, sizeof orphan->id, "%s", id);
    return orphan;
}

static void add_file(struct orphan *orphan, const struct store_entry *entry)
{
    orphan->files = mem_realloc(orphan->files, (orphan->file_count + 1) * sizeof *orphan->files);
    orphan->files[orphan->file_count++] = (struct orphan_file){
        .key = mem_strdup(entry->key),
        .upload = entry->upload == NULL ? NULL : mem_strdup(entry->upload),
        .bytes = entry->bytes,
    };
    if (entry->modified_ms > orphan->newest_ms)
        orphan->newest_ms = entry->modified_ms;
}

static int on_upload(void *arg, const struct store_entry *entry, struct err *err)
{
    struct sweep *sweep = arg;
    struct catalog_place place;

    (void)err;
    /* An upload of a backup that has its manifest is a leftover too: of a retry in the store. */
    if (catalog_place(sweep->site, entry->key, &place))
        add_file(orphan_of(sweep, place.lineage, place.id), entry);
    return 0;
}

static void add_data(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->catalog->file_count; i++) {
        const struct backup_file *file = &sweep->catalog->files[i];
        const struct store_entry entry = {
            .key = file->key, .bytes = file->bytes, .modified_ms = file->modified_ms};

        if (catalog_find(sweep->catalog, file->lineage, file->id) == NULL)
            add_file(orphan_of(sweep, file->lineage, file->id), &entry);
    }
}

/* 1: has a manifest now; 0: surely not; -1: cannot be told. */
static int has_manifest(struct site *site, const struct orphan *orphan, struct err *err)
{
    char *key = site_manifest_key(site, orphan->lineage, orphan->id);
    struct store_entry entry;
    int rc = site->store->ops->stat(site->store, key, &entry, err);

    free(key);
    if (rc == 0)
        return 1;
    if (err->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(err);
    return 0;
}

static int remove_orphan(struct site *site, const struct orphan *orphan, bool uploads_only,
                         bool dry_run, const struct prune_watcher *watcher,
                         struct prune_result *result, struct err *err)
{
    for (size_t i = 0; i < orphan->file_count; i++) {
        const struct orphan_file *file = &orphan->files[i];
        int rc = 0;

        if (uploads_only && file->upload == NULL)
            continue;
        if (!dry_run && file->upload != NULL)
            rc = site->store->ops->abort_upload(site->store, file->key, file->upload, err);
        else if (!dry_run)
            rc = site->store->ops->remove(site->store, file->key, err);
        if (rc < 0)
            return err_wrap(err, "remove orphan %s", file->key);
        result->orphans_removed++;
        result->freed_bytes += file->bytes;
        if (watcher != NULL)
            watcher->orphan(watcher->arg, file->key, file->bytes);
    }
    return 0;
}

static int settle(struct sweep *sweep, const struct orphan *orphan, int64_t store_ms, bool dry_run,
                  const struct prune_watcher *watcher, struct prune_result *result, struct err *err)
{
    struct site *site = sweep->site;
    bool old = store_ms - orphan->newest_ms > site->component->orphan_age_ms;
    struct record *record = NULL;
    int has = 0;
    int rc = 0;

    if (cancel_check(err) < 0)
        return -1;
    if (record_take_over(site->options->state_path, site->component->name, orphan->id, &record,
                         err) < 0)
        return -1;
    /* An upload that was begun anew may still count on data that has grown old meanwhile. */
    if (record == NULL && old)
        old = !record_alive(site->options->state_path, site->component->name, orphan->id);
    if (old || record != NULL) {
        has = has_manifest(site, orphan, err);
        rc = has < 0 ? -1 : remove_orphan(site, orphan, has == 1, dry_run, watcher, result, err);
    }
    if (rc == 0 && !dry_run)
        record_finish(record);
    else
        record_abandon(record);
    return rc;
}

struct forgetting {
    const struct site *site;
    const char *seen;
};

static int forget_record(void *arg, const char *id, struct err *err)
{
    const struct forgetting *forgetting = arg;
    const struct site *site = forgetting->site;
    struct record *record = NULL;

    if (strstr(forgetting->seen, id) != NULL)
        return 0;
    if (record_take_over(site->options->state_path, site->component->name, id, &record, err) < 0)
        return -1;
    record_finish(record);
    return 0;
}

int orphan_forget_records(const struct site *site, const struct text *seen, struct err *err)
{
    struct forgetting forgetting = {.site = site, .seen = text_str(seen)};

    return record_each(site->options->state_path, site->component->name, forget_record, &forgetting,
                       err);
}

int orphan_sweep(struct site *site, const struct catalog *catalog, int64_t store_ms, bool dry_run,
                 const struct prune_watcher *watcher, struct prune_result *result,
                 struct text *seen, struct err *err)
{
    struct sweep sweep = {.site = site, .catalog = catalog};
    char *prefix = text_format("%s/", site->root);
    int rc = site->store->ops->list_uploads(site->store, prefix, on_upload, &sweep, err);

    add_data(&sweep);
    for (size_t i = 0; rc == 0 && i < sweep.count; i++) {
        text_add(seen, "%s ", sweep.orphans[i].id);
        rc = settle(&sweep, &sweep.orphans[i], store_ms, dry_run, watcher, result, err);
    }
    for (size_t i = 0; i < sweep.count; i++) {
        for (size_t j = 0; j < sweep.orphans[i].file_count; j++) {
            free(sweep.orphans[i].files[j].key);
            free(sweep.orphans[i].files[j].upload);
        }
        free(sweep.orphans[i].files);
        free(sweep.orphans[i].lineage);
    }
    free(sweep.orphans);
    free(prefix);
    return rc;
}
