// SPDX-License-Identifier: Apache-2.0
// A restore writes records anew: the brokers number them themselves. So data first, under settings
// that keep it as it is; then the proof, by reading it back; then the groups, by the map of
// offsets; then the configuration, and the ACLs last. Whatever fails before is taken back (undo.c).
// A drill is the same in topics of its own, without groups, configuration and ACLs.
#include "kafka_restoring.h"

#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FOUND_RUNS 10000 /* of all partitions in the findings */

/* --- open --- */

/* What clean could not undo. */
static int check_ended(struct kafka_restoring *restoring, struct err *err)
{
    if (restoring->note.count == 0)
        return 0;
    /* Nor is it to be tried again at close. */
    kafka_note_forget_topics(&restoring->note);
    return err_set(err, ERR_EXISTS,
                   "topics of an earlier restore or drill could not be taken back (the log says "
                   "why); %s names them",
                   restoring->note.path);
}

static int open_all(struct kafka_restoring *restoring, struct err *err)
{
    const struct restore_request *request = &restoring->request;

    if (request->to != NULL)
        return err_set(
            err, ERR_USAGE,
            "--to is not for Kafka: --to-topic PATTERN names the topics to restore into");
    if (request->globals && request->to_topic != NULL)
        return err_set(
            err, ERR_USAGE,
            "--to-topic does not go with --globals: the ACLs are of the names in the backup");
    if (kafka_targets_make(restoring, err) < 0)
        return -1;
    kafka_clean(request->component, request->state_path);
    if (kafka_note_read(&restoring->note, request->component, request->state_path, err) < 0 ||
        check_ended(restoring, err) < 0 ||
        kafka_offsets_open(restoring->options, request->deadline_mono_us, &restoring->offsets,
                           err) < 0)
        return -1;
    return kafka_place_check(restoring, err);
}

int kafka_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                       struct err *err)
{
    struct kafka_restoring *restoring = mem_calloc(1, sizeof *restoring);

    restoring->request = *request;
    restoring->options = &request->component->kafka;
    restoring->loop = loop;
    restoring->warnings = json_array();
    if (open_all(restoring, err) < 0) {
        kafka_restore_close(restoring);
        return -1;
    }
    *restore = restoring;
    return 0;
}

char *kafka_restore_stake(void *restore)
{
    const struct kafka_restoring *restoring = restore;
    uint64_t records = 0, held = 0;
    size_t partitions = 0, there = 0;

    for (size_t i = 0; i < restoring->target_count; i++) {
        there += restoring->targets[i].there;
        held += restoring->targets[i].held;
        partitions += restoring->targets[i].from->partition_count;
        records += restoring->targets[i].records;
    }
    if (restoring->request.replace)
        return text_format("deletes %zu topics (%llu offsets) of cluster %s and puts %zu topics "
                           "(%zu partitions, at most %llu records) in their place",
                           there, (unsigned long long)held, restoring->there.cluster.id,
                           restoring->target_count, partitions, (unsigned long long)records);
    return text_format("writes %zu topics (%zu partitions, at most %llu records) into cluster %s, "
                       "%s",
                       restoring->target_count, partitions, (unsigned long long)records,
                       restoring->there.cluster.id,
                       restoring->request.append ? "behind the records that are there"
                                                 : "and replaces nothing");
}

/* --- begin, sink --- */

int kafka_restore_begin(void *restore, struct err *err)
{
    struct kafka_restoring *restoring = restore;

    if (restoring->request.replace)
        kafka_targets_turn(restoring);
    if (kafka_place_make(restoring, err) < 0)
        return -1;
    return kafka_writer_open(restoring, err);
}

int kafka_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                       struct sink **sink, struct err *err)
{
    *sink = NULL;
    return kafka_segment_sink(restore, manifest, object, sink, err);
}

/* --- finish --- */

static int check_whole(const struct kafka_restoring *restoring, struct err *err)
{
    for (size_t i = 0; i < restoring->target_count; i++) {
        const struct kafka_target *target = &restoring->targets[i];

        for (size_t p = 0; p < target->from->partition_count; p++)
            if (target->partitions[p].segments_seen != target->partitions[p].segments)
                return err_set(err, ERR_CORRUPT,
                               "topic %s, partition %zu: of %zu segments the backup holds %zu",
                               target->from->name, p, target->partitions[p].segments,
                               target->partitions[p].segments_seen);
    }
    return 0;
}

static json_t *partition_found(struct kafka_target_partition *partition, size_t *runs)
{
    json_t *map = kafka_offset_map_json(&partition->map);
    bool many = *runs + json_array_size(map) > MAX_FOUND_RUNS;

    if (many)
        json_array_clear(map);
    *runs += json_array_size(map);
    return json_pack("{s:I, s:I, s:s, s:o, s:b}", "records", (json_int_t)partition->sent, "start",
                     (json_int_t)partition->start, "sha256", partition->sha256, "offsets", map,
                     "offsets_cut", many || partition->map.cut);
}

static uint64_t find_topics(struct kafka_restoring *restoring, json_t *findings)
{
    json_t *topics = json_object();
    uint64_t all = 0;
    size_t runs = 0;

    for (size_t i = 0; i < restoring->target_count; i++) {
        struct kafka_target *target = &restoring->targets[i];
        json_t *partitions = json_array();
        uint64_t records = 0;

        for (size_t p = 0; p < target->from->partition_count; p++) {
            records += target->partitions[p].sent;
            json_array_append_new(partitions, partition_found(&target->partitions[p], &runs));
        }
        json_object_set_new(topics, target->from->name,
                            json_pack("{s:s, s:I, s:o}", "to", target->name, "records",
                                      (json_int_t)records, "partitions", partitions));
        all += records;
    }
    json_object_set_new(findings, "topics", topics);
    return all;
}

void kafka_restore_warn(json_t *warnings, char *text)
{
    log_warn("restored, but", LOG_TEXT("what", text));
    if (warnings != NULL)
        json_array_append_new(warnings, json_string(text));
    free(text);
}

void kafka_restore_in_part(json_t *findings, char *text)
{
    const char *before = json_string_value(json_object_get(findings, "hint"));
    char *hint =
        text_format("%s%s%s", before == NULL ? "" : before, before == NULL ? "" : "; ", text);

    json_object_set_new(findings, "hint", json_string(hint));
    json_object_set_new(findings, "in_part", json_true());
    free(hint);
    free(text);
}

static void tell(struct kafka_restoring *restoring, json_t *findings)
{
    uint64_t records = find_topics(restoring, findings);
    char *place = text_format("%zu topics of cluster %s", restoring->target_count,
                              restoring->there.cluster.id);
    char *compared = text_format("%llu records read back, and their digests compared",
                                 (unsigned long long)records);

    json_object_set_new(findings, "place", json_string(place));
    json_object_set_new(findings, "compared", json_string(compared));
    json_object_set_new(findings, "records", json_integer((json_int_t)records));
    free(place);
    free(compared);
    if (restoring->moved_timestamps > 0) {
        log_warn("records of timestamp 0 have 1 now: the library that writes takes 0 for now",
                 LOG_NUMBER("records", restoring->moved_timestamps));
        json_object_set_new(findings, "timestamps_moved",
                            json_integer(restoring->moved_timestamps));
    }
}

static int prove(struct kafka_restoring *restoring, struct err *err)
{
    if (check_whole(restoring, err) < 0 || kafka_writer_flush(restoring->writer, err) < 0)
        return -1;
    kafka_writer_close(restoring);
    if (kafka_readback(restoring, err) == 0)
        return 0;
    restoring->foreign = restoring->foreign || err->kind == ERR_MISMATCH;
    return -1;
}

int kafka_restore_finish(void *restore, json_t *findings, struct err *err)
{
    struct kafka_restoring *restoring = restore;
    const struct restore_request *request = &restoring->request;

    if (prove(restoring, err) < 0 || (request->replace && kafka_replace(restoring, err) < 0))
        return -1;
    tell(restoring, findings);
    if (request->scratch)
        return 0;
    if (request->to_topic == NULL && kafka_regroup(restoring, findings, err) < 0)
        return -1;
    if (kafka_configure_all(restoring, err) < 0 || kafka_replace_end(restoring, err) < 0)
        return -1;
    kafka_append_forget(restoring);
    if (kafka_note_settle(&restoring->note, err) < 0)
        return -1;
    /* At the very end: a binding may be one that keeps this user from what comes before. */
    if (request->globals && kafka_restore_acls(restoring, findings, err) < 0)
        return err_wrap(err, "the topics are restored, their ACLs are not put back");
    json_object_set(findings, "warnings", restoring->warnings);
    return 0;
}

/* --- close --- */

void kafka_restore_close(void *restore)
{
    struct kafka_restoring *restoring = restore;
    struct err err = ERR_INIT;

    if (restoring == NULL)
        return;
    kafka_writer_close(restoring);
    kafka_offsets_close(restoring->offsets);
    if (restoring->foreign)
        kafka_append_give_up(restoring);
    if ((restoring->note.count > 0 || restoring->copying) &&
        kafka_note_undo(restoring->request.component, &restoring->note, &err) < 0)
        log_warn("topics that were begun could not be taken back; the next prune or restore tries "
                 "again",
                 LOG_TEXT("err", err.text));
    kafka_note_fini(&restoring->note);
    kafka_targets_free(restoring);
    kafka_facts_fini(&restoring->there);
    kafka_facts_fini(&restoring->facts);
    json_decref(restoring->warnings);
    free(restoring);
}
