// SPDX-License-Identifier: Apache-2.0
// The life of a backup:
//
//   record  an id, and a job record that proves to every prune that its writer lives
//   open    the system fixes the moment; facts, lineage and recovery point are known
//   move    each object through the path into pieces under data/<id>/
//   ask     every piece is asked for in the store, by size
//   commit  the manifest, last and create-only: from here on it is a backup
//
// A source cannot rewind, so what fails in the middle is begun anew; a store has by then repeated
// what it could (the part that it still held). What the store failed is begun anew in the fallback,
// under a new id: so it does no harm when the store committed the first after all, and only its
// answer was lost.
#include "snapshot.h"

#include "ancestry.h"
#include "cancel.h"
#include "chain.h"
#include "clock.h"
#include "fallback.h"
#include "log.h"
#include "mem.h"
#include "origin.h"
#include "pieces.h"
#include "pump.h"
#include "record.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct attempt {
    struct site *site;
    const struct pump_watcher *watcher;
    int64_t deadline_mono_us;
    void *snapshot; /* of the system */
    struct manifest *manifest;
    struct manifest_object *object; /* the one that moves */
    enum codec codec;               /* of that */
    bool full;                      /* asked for */
    bool commit_begun;
    bool store_failed; /* not the source, nor the deadline, nor a wish to stop */
    struct text log;   /* lines of this attempt, for the manifest */
};

#define LOG_MAX_BYTES ((size_t)64 << 10)

static void fill_identity(struct manifest *manifest, const struct site *site)
{
    const struct identity_options *identity = &site->options->identity;

    manifest->component = mem_strdup(site->component->name);
    manifest->cluster = mem_strdup(identity->cluster);
    manifest->namespace_ = mem_strdup(identity->namespace_);
    manifest->workload = mem_strdup(identity->workload);
    manifest->pod = mem_strdup(identity->pod);
    manifest->agent_version = mem_strdup(LIFEBOAT_VERSION);
}

static struct manifest_object *add_object(struct manifest *manifest,
                                          const struct snapshot_object *described, enum codec codec)
{
    struct manifest_object *object;

    manifest->objects =
        mem_realloc(manifest->objects, (manifest->object_count + 1) * sizeof *manifest->objects);
    object = &manifest->objects[manifest->object_count++];
    *object = (struct manifest_object){
        .name = mem_strdup(described->name),
        .format = mem_strdup(described->format),
        .codec = mem_strdup(codec_name(codec)),
    };
    return object;
}

/* "database.pgdump.zst", then "database.pgdump.zst.0001", ... : sorted, they are in order. */
static char *piece_name(const struct attempt *attempt, size_t index)
{
    const char *suffix = codec_suffix(attempt->codec);

    return index == 0 ? text_format("%s%s", attempt->object->name, suffix)
                      : text_format("%s%s.%04zu", attempt->object->name, suffix, index);
}

static int open_piece(void *arg, size_t index, struct sink **sink, struct err *err)
{
    struct attempt *attempt = arg;
    struct site *site = attempt->site;
    char *name = piece_name(attempt, index);
    char *key = site_data_key(site, attempt->manifest->lineage, attempt->manifest->id, name);
    int rc = site->store->ops->put(site->store, key, sink, err);

    free(key);
    free(name);
    return rc;
}

static void piece_done(void *arg, size_t index, const struct digest_result *digest)
{
    struct attempt *attempt = arg;
    struct manifest_object *object = attempt->object;
    struct manifest_piece *piece;

    object->pieces = mem_realloc(object->pieces, (index + 1) * sizeof *object->pieces);
    piece = &object->pieces[index];
    object->piece_count = index + 1;
    *piece = (struct manifest_piece){.name = piece_name(attempt, index), .bytes = digest->bytes};
    memcpy(piece->sha256, digest->sha256, sizeof piece->sha256);
}

static int move_object(struct attempt *attempt, const struct snapshot_object *described,
                       struct source *source, struct err *err)
{
    const struct component_options *component = attempt->site->component;
    struct digest_result plain = {.bytes = 0};
    bool as_it_is = described->compressed && strcmp(component->compress, "auto") == 0;
    enum codec codec = as_it_is ? CODEC_NONE : component->codec;
    struct chain chain = chain_inwards(codec, component->level, &plain);
    const struct piece_writer writer = {.open = open_piece, .done = piece_done, .arg = attempt};
    const struct pump_limits limits = {
        .deadline_mono_us = attempt->deadline_mono_us,
        .stall_ms = component->stall_timeout_ms,
    };
    struct pump_status status;

    attempt->codec = codec;
    attempt->object = add_object(attempt->manifest, described, codec);
    if (pump_move(source, chain.stages, chain.count,
                  pieces_sink_new(&writer, component->piece_bytes), attempt->site->loop, &limits,
                  attempt->watcher, &status, err) < 0) {
        attempt->store_failed = status.failed == PUMP_SINK;
        return err_wrap(err, "%s", described->name);
    }
    log_info(
        "object stored", LOG_TEXT("object", described->name),
        LOG_NUMBER("plain_bytes", plain.bytes),
        LOG_NUMBER("duration_ms", (status.source_us + status.stages_us + status.sink_us) / 1000));
    attempt->object->plain_bytes = plain.bytes;
    memcpy(attempt->object->plain_sha256, plain.sha256, sizeof plain.sha256);
    attempt->manifest->source_ms += (uint64_t)(status.source_us / 1000);
    attempt->manifest->lifeboat_ms += (uint64_t)(status.stages_us / 1000);
    attempt->manifest->store_ms += (uint64_t)(status.sink_us / 1000);
    return 0;
}

static int move_objects(struct attempt *attempt, struct err *err)
{
    const struct system_ops *system = attempt->site->system;
    struct snapshot_object described;
    struct source *source = NULL;
    enum step step;

    while ((step = system->snapshot_next(attempt->snapshot, &described, &source, err)) == STEP_OK)
        if (move_object(attempt, &described, source, err) < 0)
            return -1;
    return step == STEP_END ? 0 : -1;
}

/* Promise 2: every object is asked for before the manifest is written. */
static int ask_for_pieces(struct attempt *attempt, struct err *err)
{
    struct site *site = attempt->site;
    const struct manifest *manifest = attempt->manifest;

    for (size_t i = 0; i < manifest->object_count; i++) {
        for (size_t j = 0; j < manifest->objects[i].piece_count; j++) {
            const struct manifest_piece *piece = &manifest->objects[i].pieces[j];
            char *key = site_data_key(site, manifest->lineage, manifest->id, piece->name);
            struct store_entry entry = {.bytes = 0};
            int rc = site->store->ops->stat(site->store, key, &entry, err);

            free(key);
            if (rc < 0)
                return err_wrap(err, "ask for %s before the commit", piece->name);
            if (entry.bytes != piece->bytes)
                return err_set(err, ERR_CORRUPT, "the store holds %llu bytes of %s, %llu were sent",
                               (unsigned long long)entry.bytes, piece->name,
                               (unsigned long long)piece->bytes);
        }
    }
    return 0;
}

static void describe_log(struct attempt *attempt)
{
    char *rest = attempt->log.data;

    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n"))
        json_array_append_new(attempt->manifest->log, json_string(line));
}

static int commit(struct attempt *attempt, struct err *err)
{
    struct manifest *manifest = attempt->manifest;
    char *key = site_manifest_key(attempt->site, manifest->lineage, manifest->id);
    struct manifest *parsed = NULL;
    char *data = NULL;
    int rc;

    manifest->ended_ms = clock_wall_ms();
    describe_log(attempt);
    data = manifest_format(manifest);
    /* What no later job could read must not be committed. */
    rc = manifest_parse(data, strlen(data), &parsed, err);
    if (rc == 0) {
        attempt->commit_begun = true;
        rc = site_put(attempt->site, key, data, strlen(data), err);
        attempt->store_failed = rc < 0;
    }
    manifest_free(parsed);
    if (rc < 0)
        err_wrap(err, "commit %s", manifest->id);
    free(data);
    free(key);
    return rc;
}

/* Removes the pieces that were committed; a store's sink took back its own unfinished one. What a
 * request whose answer was lost may have left besides, the next prune finds under our record. */
static void take_back(struct attempt *attempt)
{
    struct site *site = attempt->site;
    const struct manifest *manifest = attempt->manifest;
    struct err err = ERR_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < manifest->object_count; i++) {
        for (size_t j = 0; rc == 0 && j < manifest->objects[i].piece_count; j++) {
            char *key = site_data_key(site, manifest->lineage, manifest->id,
                                      manifest->objects[i].pieces[j].name);

            rc = site->store->ops->remove(site->store, key, &err);
            free(key);
        }
    }
    if (rc < 0)
        log_warn("left to the next prune", LOG_TEXT("backup", manifest->id),
                 LOG_TEXT("err", err.text));
}

/* The parent is looked for anew with each attempt: it must lie in the same store. */
static int open_snapshot(struct attempt *attempt, struct err *err)
{
    struct site *site = attempt->site;
    struct snapshot_request request = {.component = site->component,
                                       .deadline_mono_us = attempt->deadline_mono_us};
    struct manifest *parent = NULL;
    char *full_because = NULL;
    int rc = 0;

    if (site->system->incremental)
        rc = ancestry_next(site, attempt->full, &parent, &full_because, err);
    request.parent = parent;
    request.full_because = full_because;
    if (rc == 0)
        rc = site->system->snapshot_open(&request, site->loop, &attempt->snapshot, err);
    if (rc == 0)
        rc = site->system->snapshot_describe(attempt->snapshot, attempt->manifest, err);
    manifest_free(parent);
    free(full_because);
    return rc;
}

static int run_attempt(struct attempt *attempt, struct err *err)
{
    struct site *site = attempt->site;

    if (open_snapshot(attempt, err) < 0)
        return -1;
    log_info("backup begun", LOG_TEXT("component", site->component->name),
             LOG_TEXT("backup", attempt->manifest->id),
             LOG_TEXT("version", attempt->manifest->system_version));
    if (move_objects(attempt, err) < 0)
        return -1;
    if (site->system->snapshot_finish != NULL &&
        site->system->snapshot_finish(attempt->snapshot, attempt->manifest, err) < 0)
        return -1;
    site->system->snapshot_close(attempt->snapshot);
    attempt->snapshot = NULL;
    origin_describe(site, attempt->manifest);
    if (ask_for_pieces(attempt, err) < 0) {
        attempt->store_failed = true;
        return -1;
    }
    return commit(attempt, err);
}

/* A commit that failed may have succeeded in the store, its answer lost and the reading back as
 * well. Only a manifest that is surely absent lets its data go. */
static bool surely_not_committed(struct attempt *attempt)
{
    struct site *site = attempt->site;
    struct store_entry entry;
    struct err err = ERR_INIT;
    char *key;
    int rc;

    if (!attempt->commit_begun)
        return true;
    key = site_manifest_key(site, attempt->manifest->lineage, attempt->manifest->id);
    rc = site->store->ops->stat(site->store, key, &entry, &err);
    free(key);
    return rc < 0 && err.kind == ERR_NOT_FOUND;
}

static int take_once(struct site *site, const struct snapshot_wish *wish, int64_t deadline_mono_us,
                     struct snapshot_taken *taken, bool *store_failed, struct err *err)
{
    struct attempt attempt = {
        .site = site,
        .watcher = wish->watcher,
        .full = wish->full,
        .deadline_mono_us = deadline_mono_us,
        .manifest = manifest_new(),
        .log = TEXT_INIT,
    };
    struct record *record = NULL;
    int rc;

    log_keep(&attempt.log, LOG_MAX_BYTES);
    attempt.manifest->started_ms = clock_wall_ms();
    backup_id_make(attempt.manifest->started_ms, attempt.manifest->id);
    fill_identity(attempt.manifest, site);
    rc = record_open(site->options->state_path, site->component->name, attempt.manifest->id,
                     "backup", &record, err);
    if (rc == 0)
        rc = run_attempt(&attempt, err);
    log_keep(NULL, 0);
    text_fini(&attempt.log);
    if (rc == 0) {
        record_finish(record);
        origin_forget(site);
        taken->manifest = attempt.manifest;
        taken->site = site;
        return 0;
    }
    *store_failed = attempt.store_failed && err->kind != ERR_CANCELLED;
    cancel_grace(CANCEL_GRACE_MS);
    site->system->snapshot_close(attempt.snapshot);
    if (surely_not_committed(&attempt))
        take_back(&attempt);
    if (attempt.manifest->object_count == 0)
        record_finish(record);
    else
        record_abandon(record);
    manifest_free(attempt.manifest);
    return -1;
}

/* Before the database is made to deliver what nobody could take. A store that answers anything,
 * a refusal even, is there: the attempt itself then tells more. */
static int ask_store(struct site *site, struct err *err)
{
    int64_t store_ms;

    if (site->store->ops->clock(site->store, &store_ms, err) < 0 && err_kind_may_retry(err->kind))
        return -1;
    err_clear(err);
    return 0;
}

static int fall_back(struct site *site, struct site *fallback, const struct snapshot_wish *wish,
                     int64_t deadline_mono_us, struct snapshot_taken *taken, struct err *err)
{
    bool store_failed = false;
    int rc;

    taken->away = *err;
    log_warn("the store failed, the backup goes to local disk",
             LOG_TEXT("component", site->component->name), LOG_TEXT("store", site->store->name),
             LOG_TEXT("fallback", fallback->store->name), LOG_TEXT("err", err->text));
    err_clear(err);
    rc = fallback_begin(fallback, deadline_mono_us, err);
    if (rc == 0)
        rc = take_once(fallback, wish, deadline_mono_us, taken, &store_failed, err);
    if (rc < 0) {
        struct err here = *err;

        err_set(err, here.kind, "store %s: %.400s; then in the fallback, store %s: %s",
                site->store->name, taken->away.text, fallback->store->name, here.text);
    }
    return rc;
}

int snapshot_take(struct site *site, struct site *fallback, const struct snapshot_wish *wish,
                  struct snapshot_taken *taken, struct err *err)
{
    int64_t deadline_mono_us = clock_mono_us() + site->component->deadline_ms * 1000;
    bool store_failed = false;

    *taken = (struct snapshot_taken){.manifest = NULL};
    if (site->system->snapshot_open == NULL)
        return err_set(err, ERR_NOT_YET, "backup of %s is not in this version yet",
                       site->system->name);
    for (uint64_t attempt = 1;; attempt++) {
        /* It was repeated for as long as the store's own options say: no further attempt. */
        store_failed = fallback != NULL && ask_store(site, err) < 0;
        if (store_failed)
            break;
        if (take_once(site, wish, deadline_mono_us, taken, &store_failed, err) == 0)
            return 0;
        if (attempt >= site->component->attempts || !err_kind_may_retry(err->kind) ||
            cancel_requested())
            break;
        log_warn("attempt failed, trying again", LOG_TEXT("component", site->component->name),
                 LOG_NUMBER("attempt", attempt), LOG_TEXT("err", err->text));
        err_clear(err);
    }
    if (fallback == NULL || !store_failed || cancel_requested() ||
        clock_mono_us() >= deadline_mono_us)
        return -1;
    return fall_back(site, fallback, wish, deadline_mono_us, taken, err);
}
