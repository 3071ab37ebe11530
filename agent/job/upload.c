// SPDX-License-Identifier: Apache-2.0
// The order is that of a backup: data, then its records, the manifest last; and of a removal: the
// manifest first. So at each instant the backup is whole in one of the two places at least, and in
// neither does a manifest stand without its data. The job record of its id tells every prune of
// this agent that what has no manifest yet is being sent.
#include "upload.h"

#include "cancel.h"
#include "catalog.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "memory.h"
#include "progress.h"
#include "prune.h"
#include "pump.h"
#include "record.h"
#include "removal.h"
#include "stages.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX_BYTES ((size_t)16 << 20)

struct sending {
    struct site *from, *to;
    const struct catalog *catalog; /* of from */
    const struct backup *backup;
    struct manifest *manifest;
    struct pump_limits limits;
};

/* Compared on the way with what the manifest says; takes the ends. */
static int move_piece(const struct sending *sending, const struct manifest_piece *piece,
                      struct source *source, struct sink *sink, struct err *err)
{
    struct digest_result expected = {.bytes = piece->bytes};
    struct progress progress;
    struct stage *check;
    int rc;

    memcpy(expected.sha256, piece->sha256, sizeof expected.sha256);
    check = digest_check_new(&expected, piece->name);
    progress_init(&progress, piece->name, true, piece->bytes);
    rc = pump_move(source, &check, 1, sink, sending->to->loop, &sending->limits, &progress.watcher,
                   NULL, err);
    progress_fini(&progress);
    return rc;
}

static int put_piece(const struct sending *sending, const char *key,
                     const struct manifest_piece *piece, struct err *err)
{
    struct source *source = NULL;
    struct sink *sink = NULL;

    if (sending->from->store->ops->get(sending->from->store, key, &source, err) < 0)
        return err_wrap(err, "on local disk");
    if (sending->to->store->ops->put(sending->to->store, key, &sink, err) < 0) {
        source_close(source);
        return -1;
    }
    if (move_piece(sending, piece, source, sink, err) == 0)
        return 0;
    return err->kind == ERR_CORRUPT ? err_wrap(err, "on local disk") : -1;
}

/* 1: it is there; 0: it is not; -1: that cannot be told. */
static int is_there(struct site *site, const char *key, struct err *err)
{
    struct store_entry entry;
    int rc = site->store->ops->stat(site->store, key, &entry, err);

    if (rc == 0)
        return 1;
    if (err->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(err);
    return 0;
}

/* What the store spoilt has no manifest yet, and would stand in the way of sending it again. */
static void take_back(const struct sending *sending, const char *key)
{
    struct site *to = sending->to;
    struct err err = ERR_INIT;
    char *manifest_key = site_manifest_key(to, sending->backup->lineage, sending->backup->id);

    if (is_there(to, manifest_key, &err) == 0)
        to->store->ops->remove(to->store, key, &err);
    if (err.kind != ERR_NONE)
        log_warn("left to the next prune", LOG_TEXT("key", key), LOG_TEXT("err", err.text));
    free(manifest_key);
}

static int read_back(const struct sending *sending, const char *key,
                     const struct manifest_piece *piece, struct err *err)
{
    struct source *source = NULL;

    if (sending->to->store->ops->get(sending->to->store, key, &source, err) < 0 ||
        move_piece(sending, piece, source, null_sink_new(), err) < 0) {
        if (err->kind == ERR_CORRUPT)
            take_back(sending, key);
        return err_wrap(err, "read back from store %s", sending->to->store->name);
    }
    return 0;
}

static int send_piece(const struct sending *sending, const struct manifest_piece *piece,
                      struct err *err)
{
    char *key =
        site_data_key(sending->to, sending->backup->lineage, sending->backup->id, piece->name);
    int there = is_there(sending->to, key, err);
    int rc = there < 0 ? -1 : 0;

    if (there == 0)
        rc = put_piece(sending, key, piece, err);
    if (rc == 0)
        rc = read_back(sending, key, piece, err);
    free(key);
    return rc < 0 ? err_wrap(err, "%s", piece->name) : 0;
}

static int each_piece(const struct sending *sending,
                      int (*each)(const struct sending *sending, const struct manifest_piece *piece,
                                  struct err *err),
                      struct err *err)
{
    for (size_t i = 0; i < sending->manifest->object_count; i++)
        for (size_t j = 0; j < sending->manifest->objects[i].piece_count; j++)
            if (each(sending, &sending->manifest->objects[i].pieces[j], err) < 0)
                return -1;
    return 0;
}

/* Data that had waited there for long, another agent's prune may have taken for an orphan. */
static int ask_for_piece(const struct sending *sending, const struct manifest_piece *piece,
                         struct err *err)
{
    char *key =
        site_data_key(sending->to, sending->backup->lineage, sending->backup->id, piece->name);
    int there = is_there(sending->to, key, err);

    free(key);
    if (there == 0)
        return err_set(err, ERR_CONFLICT, "%s was removed from store %s while it was sent",
                       piece->name, sending->to->store->name);
    return there < 0 ? -1 : 0;
}

/* Create-only and about one moment: what is there already is as good. */
static int send_record(const struct sending *sending, const char *key, struct err *err)
{
    char *data = NULL;
    size_t len = 0;
    int rc = site_get(sending->from, key, RECORD_MAX_BYTES, &data, &len, err);

    if (rc == 0)
        rc = site_put(sending->to, key, data, len, err);
    if (rc < 0 && err->kind == ERR_EXISTS) {
        err_clear(err);
        rc = 0;
    }
    free(data);
    return rc;
}

static int send_records(const struct sending *sending, struct err *err)
{
    for (size_t i = 0; i < sending->catalog->file_count; i++) {
        const struct backup_file *file = &sending->catalog->files[i];

        if (!file->is_data && strcmp(file->id, sending->backup->id) == 0 &&
            strcmp(file->lineage, sending->backup->lineage) == 0 &&
            send_record(sending, file->key, err) < 0)
            return err_wrap(err, "%s", file->key);
    }
    return 0;
}

static int commit(const struct sending *sending, const char *data, size_t len, struct err *err)
{
    struct site *to = sending->to;
    char *key = site_manifest_key(to, sending->backup->lineage, sending->backup->id);
    char *stored = NULL;
    size_t stored_len = 0;
    int rc = site_put(to, key, data, len, err);

    if (rc == 0)
        rc = site_get(to, key, MANIFEST_MAX_BYTES, &stored, &stored_len, err);
    if (rc == 0 && (stored_len != len || memcmp(stored, data, len) != 0))
        rc = err_set(err, ERR_CORRUPT, "store %s gives another manifest back than was sent",
                     to->store->name);
    free(stored);
    free(key);
    return rc < 0 ? err_wrap(err, "commit") : 0;
}

static int send_whole(struct sending *sending, struct err *err)
{
    const struct backup *backup = sending->backup;
    char *data = NULL;
    size_t len = 0;
    int rc = -1;

    if (site_get_manifest_text(sending->from, backup->lineage, backup->id, &data, &len,
                               &sending->manifest, err) == 0 &&
        each_piece(sending, send_piece, err) == 0 && send_records(sending, err) == 0 &&
        commit(sending, data, len, err) == 0 && each_piece(sending, ask_for_piece, err) == 0)
        rc = removal_of(sending->from, sending->catalog, backup, err);
    free(data);
    return rc;
}

/* It is the backup that is wrong: the next one may be well. */
static bool is_its_own(enum err_kind kind)
{
    return kind == ERR_CORRUPT || kind == ERR_EXISTS || kind == ERR_NOT_FOUND ||
           kind == ERR_NOT_YET || kind == ERR_IO;
}

static int send_one(struct sending *sending, const struct upload_watcher *watcher,
                    struct upload_result *result, struct err *err)
{
    const struct component_options *component = sending->to->component;
    const struct backup *backup = sending->backup;
    int64_t began_us = clock_mono_us();
    struct record *record = NULL;
    int rc;

    if (record_open(sending->to->options->state_path, component->name, backup->id, "upload",
                    &record, err) < 0) {
        if (err->kind != ERR_REFUSED)
            return -1;
        err_clear(err);
        result->busy++;
        return 0;
    }
    sending->limits = (struct pump_limits){
        .deadline_mono_us = began_us + component->deadline_ms * 1000,
        .stall_ms = component->stall_timeout_ms,
    };
    rc = send_whole(sending, err);
    if (rc == 0) {
        record_finish(record);
        result->sent++;
        watcher->sent(watcher->arg, sending->manifest, (clock_mono_us() - began_us) / 1000);
    } else {
        cancel_grace(CANCEL_GRACE_MS);
        record_abandon(record);
        err_wrap(err, "backup %s", backup->id);
        if (is_its_own(err->kind)) {
            result->failed++;
            watcher->failed(watcher->arg, backup->id, err);
            err_clear(err);
            rc = 0;
        }
    }
    manifest_free(sending->manifest);
    sending->manifest = NULL;
    return rc;
}

/* One without a readable manifest comes first: it is named, and stays. */
static int oldest_first(const void *a, const void *b)
{
    const struct backup *left = *(const struct backup *const *)a;
    const struct backup *right = *(const struct backup *const *)b;
    int64_t left_ms = left->manifest == NULL ? 0 : left->manifest->recovery_point_ms;
    int64_t right_ms = right->manifest == NULL ? 0 : right->manifest->recovery_point_ms;

    if (left_ms != right_ms)
        return left_ms < right_ms ? -1 : 1;
    return strcmp(left->id, right->id);
}

static int send_all(struct site *from, struct site *to, const struct catalog *catalog,
                    const struct upload_watcher *watcher, struct upload_result *result,
                    struct err *err)
{
    struct sending sending = {.from = from, .to = to, .catalog = catalog};
    const struct backup **order = mem_calloc(catalog->count + 1, sizeof *order);
    int rc = 0;

    for (size_t i = 0; i < catalog->count; i++)
        order[i] = &catalog->backups[i];
    qsort(order, catalog->count, sizeof *order, oldest_first);
    for (size_t i = 0; rc == 0 && i < catalog->count; i++) {
        sending.backup = order[i];
        rc = cancel_check(err);
        if (rc == 0)
            rc = send_one(&sending, watcher, result, err);
    }
    free(order);
    return rc;
}

int upload_run(struct site *from, struct site *to, const struct upload_watcher *watcher,
               struct upload_result *result, struct err *err)
{
    struct prune_result swept = {.kept = 0};
    struct catalog *catalog = NULL;
    struct text seen = TEXT_INIT;
    int rc;

    *result = (struct upload_result){.sent = 0};
    /* An upload that died between the manifest and its data left the data. */
    rc = prune_sweep(from, false, NULL, &swept, &seen, err);
    text_fini(&seen);
    if (rc == 0)
        rc = catalog_load(from, &catalog, err);
    if (rc == 0)
        rc = send_all(from, to, catalog, watcher, result, err);
    catalog_free(catalog);
    return rc;
}
