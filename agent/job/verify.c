// SPDX-License-Identifier: Apache-2.0
// Reading back, and the records of it (docs/FORMAT.md, verified/).
#include "verify.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "progress.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX_BYTES ((size_t)16 << 20)

int verify_backup(struct site *site, const struct manifest *manifest, json_t *findings,
                  struct err *err)
{
    int64_t deadline_mono_us = clock_mono_us() + site->component->deadline_ms * 1000;

    if (site->system->prove == NULL)
        return err_set(err, ERR_NOT_YET, "verify of %s is not in this version yet",
                       site->system->name);
    for (size_t i = 0; i < manifest->object_count; i++) {
        const struct manifest_object *object = &manifest->objects[i];
        struct progress progress;
        struct sink *sink = NULL;
        int rc;

        if (site->system->prove(site->component, manifest, object->name, findings, &sink, err) < 0)
            return err_wrap(err, "%s", object->name);
        progress_init(&progress, object->name, false, object->plain_bytes);
        rc = site_read_object(site, manifest, object, sink, deadline_mono_us, &progress.watcher,
                              NULL, err);
        progress_fini(&progress);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int write_record(struct site *site, const struct manifest *manifest, const char *by,
                        int64_t now_ms, const char *text, struct err *err)
{
    char compact[CLOCK_TEXT_CAP];
    char *suffix = text_format("-%s-%s", clock_format_compact(now_ms, compact), by);
    char *key = site_record_key(site, "verified", manifest->lineage, manifest->id, suffix);
    int rc = site_put(site, key, text, strlen(text), err);

    /* Two successes of one kind within a second are one. */
    if (rc < 0 && err->kind == ERR_EXISTS) {
        err_clear(err);
        rc = 0;
    }
    if (rc < 0 && err->kind == ERR_NO_SPACE) {
        log_warn("the success is not recorded", LOG_TEXT("backup", manifest->id),
                 LOG_TEXT("err", err->text));
        err_clear(err);
        rc = 0;
    }
    free(suffix);
    free(key);
    return rc;
}

int verify_record(struct site *site, const struct manifest *manifest, const char *by,
                  int64_t began_ms, const json_t *findings, struct err *err)
{
    int rc = -1;
    int64_t now_ms = clock_wall_ms();
    char when[CLOCK_TEXT_CAP];
    json_t *record;
    char *text;

    if (site->foreign)
        return 0;
    record = json_pack("{s:s, s:s, s:s, s:I, s:s, s:O?}", "backup", manifest->id, "time",
                       clock_format(now_ms, when), "by", by, "duration_ms",
                       (json_int_t)(now_ms - began_ms), "agent_version", LIFEBOAT_VERSION,
                       "findings", findings);
    text = record == NULL ? NULL : json_dumps(record, JSON_INDENT(2));
    if (text == NULL)
        err_set(err, ERR_INTERNAL, "the record of %s cannot be written as JSON", manifest->id);
    else
        rc = write_record(site, manifest, by, now_ms, text, err);
    free(text);
    json_decref(record);
    return rc;
}

/* arg: the key of the newest backup's drill so far, NULL at first. */
static int on_record(void *arg, const struct store_entry *entry, struct err *err)
{
    char **newest = arg;

    (void)err;
    if (text_ends_with(entry->key, "-drill.json")) {
        free(*newest);
        *newest = mem_strdup(entry->key);
    }
    return 0;
}

/* -1 when the record cannot be read. */
static int64_t drill_duration(struct site *site, const char *key)
{
    struct err err = ERR_INIT;
    char *data = NULL;
    size_t len = 0;
    int64_t duration_ms = -1;
    json_t *record = NULL;

    if (site_get(site, key, RECORD_MAX_BYTES, &data, &len, &err) < 0)
        return -1;
    record = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    if (record != NULL)
        duration_ms = json_integer_value(json_object_get(record, "duration_ms"));
    json_decref(record);
    free(data);
    return duration_ms;
}

int64_t verify_last_drill_ms(struct site *site, const char *lineage)
{
    struct err err = ERR_INIT;
    char *newest = NULL;
    char *prefix = text_format("%s/%s/verified/", site->root, lineage);
    int64_t duration_ms = -1;

    if (site->store->ops->list(site->store, prefix, on_record, &newest, &err) < 0)
        log_debug("records cannot be listed", LOG_TEXT("err", err.text));
    if (newest != NULL)
        duration_ms = drill_duration(site, newest);
    free(newest);
    free(prefix);
    return duration_ms;
}
