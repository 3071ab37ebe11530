// SPDX-License-Identifier: Apache-2.0
// What is to be taken back when a restore fails or dies. A topic is touched only when its id is the
// one that was noted; where none is noted, only when it is empty, which is what the restore left
// when it died before it had asked for ids. So nothing of anybody else's is ever deleted.
#include "kafka_restoring.h"

#include "clock.h"
#include "facts_take.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_MAX_BYTES ((size_t)16 << 20)
#define UNDO_TIME_US   INT64_C(30000000)

static char *note_path(const char *state_path, const struct component_options *component)
{
    return text_format("%s/kafka/%s.restoring", state_path, component->name);
}

void kafka_note_fini(struct kafka_note *note)
{
    for (size_t i = 0; i < note->count; i++) {
        free(note->topics[i].name);
        free(note->topics[i].id);
        json_decref(note->topics[i].config);
    }
    free(note->topics);
    free(note->cluster);
    *note = (struct kafka_note){.topics = NULL};
}

/* --- on disk --- */

int kafka_note_write(const struct kafka_restoring *restoring, struct err *err)
{
    char *path = note_path(restoring->request.state_path, restoring->request.component);
    json_t *list = json_array();
    json_t *json = json_pack("{s:s, s:o}", "cluster", restoring->note.cluster, "topics", list);
    char *text;
    int rc = file_make_parents(path, err);

    for (size_t i = 0; i < restoring->note.count; i++) {
        const struct kafka_noted *noted = &restoring->note.topics[i];

        json_array_append_new(list, json_pack("{s:s, s:s?, s:b, s:b, s:O?}", "name", noted->name,
                                              "id", noted->id, "there", noted->there, "filling",
                                              noted->filling, "config", noted->config));
    }
    text = json_dumps(json, JSON_INDENT(1));
    if (rc == 0)
        rc = file_replace(path, text, strlen(text), err);
    free(text);
    json_decref(json);
    free(path);
    return rc;
}

static bool read_noted(const json_t *item, struct kafka_noted *noted)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *id = json_string_value(json_object_get(item, "id"));
    json_t *config = json_object_get(item, "config");

    if (name == NULL || !kafka_topic_is_name(name))
        return false;
    noted->name = mem_strdup(name);
    noted->id = id == NULL ? NULL : mem_strdup(id);
    noted->there = json_is_true(json_object_get(item, "there"));
    noted->filling = json_is_true(json_object_get(item, "filling"));
    noted->config = json_is_object(config) ? json_incref(config) : NULL;
    return true;
}

static int read_note(const char *path, struct kafka_note *note, struct err *err)
{
    char *text = NULL;
    const char *cluster;
    size_t len = 0;
    json_t *json, *list;
    int rc = 0;

    if (file_read(path, NOTE_MAX_BYTES, &text, &len, err) < 0)
        return -1;
    json = json_loadb(text, len, 0, NULL);
    free(text);
    list = json_object_get(json, "topics");
    cluster = json_string_value(json_object_get(json, "cluster"));
    note->cluster = mem_strdup(cluster == NULL ? "" : cluster);
    note->topics = mem_calloc(json_array_size(list) + 1, sizeof *note->topics);
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        if (read_noted(json_array_get(list, i), &note->topics[note->count]))
            note->count++;
        else
            rc = -1;
    }
    if (!json_is_array(list) || rc < 0)
        rc = err_set(err, ERR_IO, "%s is no note of a restore", path);
    json_decref(json);
    return rc;
}

int kafka_note_remove(const struct component_options *component, const char *state_path,
                      struct kafka_note *note, struct err *err)
{
    char *path = note_path(state_path, component);
    int rc = file_remove(path, err);

    free(path);
    if (rc == 0)
        kafka_note_fini(note);
    return rc;
}

int kafka_note_absent(const struct component_options *component, const char *state_path,
                      struct err *err)
{
    char *path = note_path(state_path, component);
    bool absent = access(path, F_OK) < 0;

    if (!absent)
        err_set(err, ERR_EXISTS,
                "topics of an earlier restore or drill could not be taken back (the log says why); "
                "%s names them",
                path);
    free(path);
    return absent ? 0 : -1;
}

/* --- taking back --- */

static bool is_empty(const struct kafka_topic *topic)
{
    for (size_t p = 0; p < topic->partition_count; p++)
        if (topic->partitions[p].start < topic->partitions[p].high)
            return false;
    return true;
}

static bool is_ours(const struct kafka_noted *noted, const struct kafka_topic *topic)
{
    if (noted->id != NULL && topic->id != NULL)
        return strcmp(noted->id, topic->id) == 0;
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

static int undo_one(struct kafka_handle *handle, const struct kafka_noted *noted,
                    const struct kafka_topic *topic, struct err *err)
{
    rd_kafka_resp_err_t code;

    if (topic == NULL)
        return 0;
    if (!is_ours(noted, topic)) {
        log_warn("a topic that a restore had begun is another one now, and is left",
                 LOG_TEXT("topic", noted->name));
        return 0;
    }
    log_info("a topic of a restore or drill is taken back", LOG_TEXT("topic", noted->name));
    if (!noted->there)
        return kafka_admin_delete(handle, noted->name, err);
    if (noted->filling && !is_empty(topic) && empty_topic(handle, topic, err) < 0)
        return -1;
    return noted->config == NULL
               ? 0
               : kafka_admin_configure(handle, noted->name, noted->config, false, &code, err);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_noted(struct kafka_handle *handle, const struct kafka_note *note,
                      struct kafka_cluster *cluster, struct err *err)
{
    const char **names = mem_calloc(note->count + 1, sizeof *names);
    int rc;

    for (size_t i = 0; i < note->count; i++)
        names[i] = note->topics[i].name;
    qsort(names, note->count, sizeof *names, compare_names);
    rc = kafka_cluster_find(handle, names, note->count, cluster, err);
    free(names);
    return rc;
}

static int undo_all(const struct kafka_options *options, const struct kafka_note *note,
                    struct err *err)
{
    int64_t until_us = clock_mono_us() + UNDO_TIME_US;
    struct kafka_offsets *offsets = NULL;
    struct kafka_facts there = {.groups = NULL};
    int64_t moment_ms;
    int rc = -1;

    if (kafka_offsets_open(options, until_us, &offsets, err) == 0)
        rc = find_noted(kafka_offsets_handle(offsets), note, &there.cluster, err);
    if (rc == 0 && strcmp(there.cluster.id, note->cluster) != 0)
        rc = err_set(err, ERR_REFUSED, "they are of cluster %s, this one is %s", note->cluster,
                     there.cluster.id);
    if (rc == 0 && there.cluster.topic_count > 0) {
        rc = kafka_ids_take(options, until_us, &there, err);
        if (rc == 0)
            rc = kafka_offsets_take(offsets, &there.cluster, &moment_ms, err);
    }
    for (size_t i = 0; i < note->count && rc == 0; i++)
        rc = undo_one(kafka_offsets_handle(offsets), &note->topics[i],
                      kafka_cluster_topic(&there.cluster, note->topics[i].name), err);
    kafka_facts_fini(&there);
    kafka_offsets_close(offsets);
    return rc;
}

int kafka_note_undo(const struct component_options *component, const char *state_path,
                    struct kafka_note *note, struct err *err)
{
    if (undo_all(&component->kafka, note, err) < 0)
        return -1;
    return kafka_note_remove(component, state_path, note, err);
}

void kafka_clean(const struct component_options *component, const char *state_path)
{
    char *path = note_path(state_path, component);
    struct kafka_note note = {.topics = NULL};
    struct err err = ERR_INIT;

    if (read_note(path, &note, &err) == 0) {
        if (kafka_note_undo(component, state_path, &note, &err) < 0)
            log_warn("topics of a restore that died may be left; the next prune or restore tries "
                     "again",
                     LOG_TEXT("component", component->name), LOG_TEXT("err", err.text));
    } else if (err.kind != ERR_NOT_FOUND) {
        log_warn("the note of a restore cannot be read", LOG_TEXT("err", err.text));
    }
    kafka_note_fini(&note);
    free(path);
}
