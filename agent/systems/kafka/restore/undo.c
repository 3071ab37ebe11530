// SPDX-License-Identifier: Apache-2.0
// Taking back what a restore had begun when it failed or died. A topic is touched only when its id
// is the one that was noted; where none is noted, only when it is empty, which is what the restore
// left when it died before it had asked for ids. So nothing of anybody else's is ever deleted.
#include "kafka_restoring.h"

#include "clock.h"
#include "facts_take.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define UNDO_TIME_US INT64_C(30000000)

static bool is_empty(const struct kafka_topic *topic)
{
    for (size_t p = 0; p < topic->partition_count; p++)
        if (topic->partitions[p].start < topic->partitions[p].high)
            return false;
    return true;
}

static bool is_ours(const char *id, const struct kafka_topic *topic)
{
    if (id != NULL && topic->id != NULL)
        return strcmp(id, topic->id) == 0;
    return is_empty(topic);
}

/* Records of a topic that is only compacted cannot be deleted. */
static int empty_topic(struct kafka_handle *handle, const struct kafka_topic *topic,
                       struct err *err)
{
    json_t *settings = json_pack("{s:s}", "cleanup.policy", "delete");
    rd_kafka_resp_err_t code;
    int rc = kafka_admin_configure(handle, topic->name, settings, false, &code, err);

    json_decref(settings);
    return rc < 0 ? -1 : kafka_admin_empty(handle, topic, err);
}

static int undo_one(struct kafka_handle *handle, const struct kafka_noted *noted, bool proven,
                    const struct kafka_topic *topic, struct err *err)
{
    rd_kafka_resp_err_t code;

    if (topic == NULL)
        return 0;
    if (!(noted->append && noted->id == NULL) && !is_ours(noted->id, topic)) {
        log_warn("a topic that a restore had begun is another one now, and is left",
                 LOG_TEXT("topic", noted->name));
        return 0;
    }
    if (proven) {
        log_info("a topic is restored; its configuration is put on",
                 LOG_TEXT("topic", noted->name));
        return noted->settings == NULL
                   ? 0
                   : kafka_configure(handle, noted->name, noted->settings, NULL, err);
    }
    log_info("a topic of a restore or drill is taken back", LOG_TEXT("topic", noted->name));
    if (!noted->there)
        return kafka_admin_delete(handle, noted->name, err);
    if (noted->filling && !noted->append && !is_empty(topic) && empty_topic(handle, topic, err) < 0)
        return -1;
    return noted->config == NULL
               ? 0
               : kafka_admin_configure(handle, noted->name, noted->config, false, &code, err);
}

static bool is_ended(const struct kafka_note *note, const char *name)
{
    for (size_t i = 0; note->proven && i < note->count; i++)
        if (strcmp(note->topics[i].name, name) == 0)
            return true;
    return false;
}

/* The scratch topic of a replacement goes when that is ended, or when the topic still stands that
 * was to be deleted. */
static int undo_kept(struct kafka_handle *handle, const struct kafka_cluster *cluster,
                     struct kafka_note *note, struct err *err)
{
    for (size_t i = json_array_size(note->kept); i-- > 0;) {
        const json_t *kept = json_array_get(note->kept, i);
        const char *name = json_string_value(json_object_get(kept, "topic"));
        const char *scratch = json_string_value(json_object_get(kept, "scratch"));
        const char *id = json_string_value(json_object_get(kept, "topic_id"));
        const struct kafka_topic *topic = kafka_cluster_topic(cluster, name);

        if (!is_ended(note, name) &&
            (topic == NULL || topic->id == NULL || id == NULL || strcmp(topic->id, id) != 0)) {
            log_warn("a topic was being replaced: all its records stand, proven, in another one; "
                     "restore it again",
                     LOG_TEXT("topic", name), LOG_TEXT("records", scratch));
            continue;
        }
        if (kafka_kept_remove(handle, cluster, kept, err) < 0)
            return -1;
        json_array_remove(note->kept, i);
    }
    return 0;
}

int kafka_kept_remove(struct kafka_handle *handle, const struct kafka_cluster *cluster,
                      const json_t *kept, struct err *err)
{
    const char *scratch = json_string_value(json_object_get(kept, "scratch"));
    const char *id = json_string_value(json_object_get(kept, "scratch_id"));
    const struct kafka_topic *topic = kafka_cluster_topic(cluster, scratch);

    if (topic == NULL || !is_ours(id, topic))
        return 0;
    return kafka_admin_delete(handle, scratch, err);
}

/* --- all --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_noted(struct kafka_handle *handle, const struct kafka_note *note,
                      struct kafka_cluster *cluster, struct err *err)
{
    size_t kept = json_array_size(note->kept), count = 0, distinct = 0;
    const char **names = mem_calloc(note->count + 2 * kept + 1, sizeof *names);
    int rc;

    for (size_t i = 0; i < note->count; i++)
        names[count++] = note->topics[i].name;
    for (size_t i = 0; i < kept; i++) {
        const json_t *item = json_array_get(note->kept, i);

        names[count++] = json_string_value(json_object_get(item, "topic"));
        names[count++] = json_string_value(json_object_get(item, "scratch"));
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            names[distinct++] = names[i];
    rc = kafka_cluster_find(handle, names, distinct, cluster, err);
    free(names);
    return rc;
}

static int look(const struct kafka_options *options, const struct kafka_note *note,
                struct kafka_offsets *offsets, int64_t until_us, struct kafka_facts *there,
                struct err *err)
{
    int64_t moment_ms;

    if (find_noted(kafka_offsets_handle(offsets), note, &there->cluster, err) < 0)
        return -1;
    if (note->cluster != NULL && strcmp(there->cluster.id, note->cluster) != 0)
        return err_set(err, ERR_REFUSED, "they are of cluster %s, this one is %s", note->cluster,
                       there->cluster.id);
    if (there->cluster.topic_count == 0)
        return 0;
    if (kafka_ids_take(options, until_us, there, err) < 0)
        return -1;
    return kafka_offsets_take(offsets, &there->cluster, &moment_ms, err);
}

static int undo_all(const struct kafka_options *options, struct kafka_note *note, struct err *err)
{
    int64_t until_us = clock_mono_us() + UNDO_TIME_US;
    struct kafka_offsets *offsets = NULL;
    struct kafka_facts there = {.groups = NULL};
    int rc = -1;

    if (kafka_offsets_open(options, until_us, &offsets, err) == 0)
        rc = look(options, note, offsets, until_us, &there, err);
    for (size_t i = 0; i < note->count && rc == 0; i++)
        rc = undo_one(kafka_offsets_handle(offsets), &note->topics[i], note->proven,
                      kafka_cluster_topic(&there.cluster, note->topics[i].name), err);
    if (rc == 0)
        rc = undo_kept(kafka_offsets_handle(offsets), &there.cluster, note, err);
    kafka_facts_fini(&there);
    kafka_offsets_close(offsets);
    return rc;
}

int kafka_note_undo(const struct component_options *component, struct kafka_note *note,
                    struct err *err)
{
    if (undo_all(&component->kafka, note, err) < 0)
        return -1;
    return kafka_note_settle(note, err);
}

void kafka_clean(const struct component_options *component, const char *state_path)
{
    struct kafka_note note;
    struct err err = ERR_INIT;

    if (kafka_note_read(&note, component, state_path, &err) < 0)
        log_warn("the note of a restore cannot be read", LOG_TEXT("err", err.text));
    else if ((note.count > 0 || json_array_size(note.kept) > 0) &&
             kafka_note_undo(component, &note, &err) < 0)
        log_warn("topics of a restore that died may be left; the next prune or restore tries again",
                 LOG_TEXT("component", component->name), LOG_TEXT("err", err.text));
    kafka_note_fini(&note);
}
