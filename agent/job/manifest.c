// SPDX-License-Identifier: Apache-2.0
// Manifests in memory: their life, their writing, their sums.
#include "manifest.h"

#include "clock.h"
#include "manifest_fields.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool holds_pointer(enum form form)
{
    return form == FORM_NAME || form == FORM_NAME_OR_NULL || form == FORM_PATH || form == FORM_TEXT;
}

static void free_fields(const struct field *fields, void *base)
{
    for (const struct field *field = fields; field->key != NULL; field++)
        if (holds_pointer(field->form))
            free(*(char **)((char *)base + field->offset));
}

struct manifest *manifest_new(void)
{
    struct manifest *manifest = mem_calloc(1, sizeof *manifest);

    manifest->facts = json_object();
    manifest->log = json_array();
    return manifest;
}

void manifest_free(struct manifest *manifest)
{
    if (manifest == NULL)
        return;
    for (size_t i = 0; i < manifest->object_count; i++) {
        struct manifest_object *object = &manifest->objects[i];

        for (size_t j = 0; j < object->piece_count; j++)
            free_fields(piece_fields, &object->pieces[j]);
        free(object->pieces);
        free_fields(object_fields, object);
    }
    free(manifest->objects);
    free_fields(restored_from_fields, manifest);
    free_fields(manifest_fields, manifest);
    json_decref(manifest->facts);
    json_decref(manifest->log);
    free(manifest);
}

uint64_t manifest_object_stored_bytes(const struct manifest_object *object)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < object->piece_count; i++)
        sum += object->pieces[i].bytes;
    return sum;
}

static json_t *write_field(const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;
    char when[CLOCK_TEXT_CAP];

    switch (field->form) {
    case FORM_FIXED:
        return json_loads(field->fixed, JSON_DECODE_ANY, NULL);
    case FORM_NUMBER:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case FORM_TIME:
        return json_string(clock_format(*(const int64_t *)at, when));
    case FORM_ID:
    case FORM_SHA256:
        return json_string(at);
    case FORM_PARENT:
        return *(const char *)at == '\0' ? json_null() : json_string(at);
    case FORM_KIND:
        return json_string(*(const char *)at == '\0' ? "full" : "incremental");
    case FORM_NAME:
    case FORM_NAME_OR_NULL:
    case FORM_PATH:
    case FORM_TEXT:
        at = *(char *const *)at;
        return at == NULL ? json_null() : json_string(at);
    }
    return NULL;
}

static json_t *write_fields(json_t *json, const struct field *fields, const void *base)
{
    for (const struct field *field = fields; field->key != NULL; field++) {
        json_t *into = json;

        if (field->section != NULL) {
            into = json_object_get(json, field->section);
            if (into == NULL) {
                json_object_set_new(json, field->section, json_object());
                into = json_object_get(json, field->section);
            }
        }
        json_object_set_new(into, field->key, write_field(field, base));
    }
    return json;
}

static json_t *write_object(const struct manifest_object *object)
{
    json_t *json = write_fields(json_object(), object_fields, object);
    json_t *pieces = json_array();

    for (size_t i = 0; i < object->piece_count; i++)
        json_array_append_new(pieces,
                              write_fields(json_object(), piece_fields, &object->pieces[i]));
    json_object_set_new(json, "stored_bytes",
                        json_integer((json_int_t)manifest_object_stored_bytes(object)));
    write_fields(json, object_tail_fields, object);
    json_object_set_new(json, "pieces", pieces);
    return json;
}

char *manifest_format(const struct manifest *manifest)
{
    json_t *json = write_fields(json_object(), manifest_fields, manifest);
    json_t *objects = json_array();
    char *dump;
    char *text;

    for (size_t i = 0; i < manifest->object_count; i++)
        json_array_append_new(objects, write_object(&manifest->objects[i]));
    json_object_set_new(json, "restored_from",
                        manifest->restored_from_lineage == NULL
                            ? json_null()
                            : write_fields(json_object(), restored_from_fields, manifest));
    json_object_set_new(json, "objects", objects);
    json_object_set(json, "facts", manifest->facts);
    json_object_set(json, "log", manifest->log);
    dump = json_dumps(json, JSON_INDENT(2));
    text = text_format("%s\n", dump == NULL ? "" : dump);
    free(dump);
    json_decref(json);
    return text;
}

const struct manifest_object *manifest_object(const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->object_count; i++)
        if (strcmp(manifest->objects[i].name, name) == 0)
            return &manifest->objects[i];
    return NULL;
}

uint64_t manifest_plain_bytes(const struct manifest *manifest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < manifest->object_count; i++)
        sum += manifest->objects[i].plain_bytes;
    return sum;
}

uint64_t manifest_stored_bytes(const struct manifest *manifest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < manifest->object_count; i++)
        sum += manifest_object_stored_bytes(&manifest->objects[i]);
    return sum;
}
