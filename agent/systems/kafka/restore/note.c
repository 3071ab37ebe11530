// SPDX-License-Identifier: Apache-2.0
#include "note.h"

#include "file.h"
#include "kafka_options.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define NOTE_MAX_BYTES ((size_t)16 << 20)

/* --- in memory --- */

static void free_noted(struct kafka_noted *noted)
{
    free(noted->name);
    free(noted->id);
    json_decref(noted->config);
    json_decref(noted->settings);
}

void kafka_note_forget_topics(struct kafka_note *note)
{
    for (size_t i = 0; i < note->count; i++)
        free_noted(&note->topics[i]);
    free(note->topics);
    note->topics = NULL;
    note->count = 0;
    note->proven = false;
}

void kafka_note_fini(struct kafka_note *note)
{
    kafka_note_forget_topics(note);
    free(note->path);
    free(note->cluster);
    json_decref(note->kept);
    json_decref(note->appended);
    *note = (struct kafka_note){.topics = NULL};
}

struct kafka_noted *kafka_note_add(struct kafka_note *note, const char *name)
{
    struct kafka_noted *noted;

    note->topics = mem_realloc(note->topics, (note->count + 1) * sizeof *note->topics);
    noted = &note->topics[note->count++];
    *noted = (struct kafka_noted){.name = mem_strdup(name)};
    return noted;
}

void kafka_note_forget(struct kafka_note *note, const char *name)
{
    for (size_t i = 0; i < note->count; i++)
        if (strcmp(note->topics[i].name, name) == 0) {
            free_noted(&note->topics[i]);
            note->topics[i] = note->topics[--note->count];
            return;
        }
}

static bool is_of(const json_t *item, const char *topic)
{
    const char *name = json_string_value(json_object_get(item, "topic"));

    return name != NULL && strcmp(name, topic) == 0;
}

json_t *kafka_note_find(const json_t *list, const char *topic)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_of(json_array_get(list, i), topic))
            return json_array_get(list, i);
    return NULL;
}

void kafka_note_drop(json_t *list, const char *topic)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if (is_of(json_array_get(list, i), topic))
            json_array_remove(list, i);
}

/* --- on disk --- */

int kafka_note_write(const struct kafka_note *note, struct err *err)
{
    json_t *list = json_array();
    json_t *json =
        json_pack("{s:s?, s:b, s:o, s:O, s:O}", "cluster", note->cluster, "proven", note->proven,
                  "topics", list, "kept", note->kept, "appended", note->appended);
    char *text;
    int rc = file_make_parents(note->path, err);

    for (size_t i = 0; i < note->count; i++) {
        const struct kafka_noted *noted = &note->topics[i];

        json_array_append_new(
            list, json_pack("{s:s, s:s?, s:b, s:b, s:b, s:O?, s:O?}", "name", noted->name, "id",
                            noted->id, "there", noted->there, "filling", noted->filling, "append",
                            noted->append, "config", noted->config, "settings", noted->settings));
    }
    text = json_dumps(json, JSON_INDENT(1));
    if (rc == 0)
        rc = file_replace(note->path, text, strlen(text), err);
    free(text);
    json_decref(json);
    return rc;
}

int kafka_note_settle(struct kafka_note *note, struct err *err)
{
    kafka_note_forget_topics(note);
    if (json_array_size(note->kept) > 0 || json_array_size(note->appended) > 0)
        return kafka_note_write(note, err);
    return file_remove(note->path, err);
}

static json_t *object_in(const json_t *item, const char *key)
{
    json_t *object = json_object_get(item, key);

    return json_is_object(object) ? json_incref(object) : NULL;
}

static bool read_noted(const json_t *item, struct kafka_note *note)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *id = json_string_value(json_object_get(item, "id"));
    struct kafka_noted *noted;

    if (name == NULL || !kafka_topic_is_name(name))
        return false;
    noted = kafka_note_add(note, name);
    noted->id = id == NULL ? NULL : mem_strdup(id);
    noted->there = json_is_true(json_object_get(item, "there"));
    noted->filling = json_is_true(json_object_get(item, "filling"));
    noted->append = json_is_true(json_object_get(item, "append"));
    noted->config = object_in(item, "config");
    noted->settings = object_in(item, "settings");
    return true;
}

static bool is_name(const json_t *item, const char *key)
{
    const char *name = json_string_value(json_object_get(item, key));

    return name != NULL && kafka_topic_is_name(name);
}

/* What outlives a failure: all of it names topics. */
static bool read_list(const json_t *from, json_t *list, const char *other_name)
{
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *item = json_array_get(from, i);

        if (!is_name(item, "topic") || (other_name != NULL && !is_name(item, other_name)))
            return false;
        json_array_append(list, item);
    }
    return true;
}

static bool use(const json_t *json, struct kafka_note *note)
{
    const char *cluster = json_string_value(json_object_get(json, "cluster"));
    const json_t *list = json_object_get(json, "topics");

    if (!json_is_array(list))
        return false;
    note->cluster = cluster == NULL ? NULL : mem_strdup(cluster);
    note->proven = json_is_true(json_object_get(json, "proven"));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_noted(json_array_get(list, i), note))
            return false;
    return read_list(json_object_get(json, "kept"), note->kept, "scratch") &&
           read_list(json_object_get(json, "appended"), note->appended, NULL);
}

int kafka_note_read(struct kafka_note *note, const struct component_options *component,
                    const char *state_path, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    json_t *json;
    int rc = 0;

    *note = (struct kafka_note){.kept = json_array(), .appended = json_array()};
    note->path = text_format("%s/kafka/%s.restoring", state_path, component->name);
    if (file_read(note->path, NOTE_MAX_BYTES, &text, &len, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
        return 0;
    }
    json = json_loadb(text, len, 0, NULL);
    free(text);
    if (!use(json, note))
        rc = err_set(err, ERR_IO, "%s is no note of a restore", note->path);
    json_decref(json);
    return rc;
}
