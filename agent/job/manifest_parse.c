// SPDX-License-Identifier: Apache-2.0
// Reading of manifests, trusting nothing. The text is bounded before the JSON parser builds
// anything from it (three bytes of JSON can cost hundreds of memory), then every field is checked
// against its row. Fields that no row knows are left alone: later writers of the same format may
// add some.
#include "clock.h"
#include "manifest_fields.h"
#include "mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 32,
    MAX_VALUES = 250000, /* by commas and brackets; 10,000 pieces and 100,000 tables fit */
    MAX_OBJECTS = 10000,
    MAX_PIECES = 10000, /* of all objects */
    MAX_LOG_LINES = 1000,
    MAX_TEXT = 255,
    MAX_PATH = 600, /* a topic, a partition, a segment */
};

/* Depth and number of values, so that the parser cannot be made to use much memory. */
static int check_shape(const char *data, size_t len, struct err *err)
{
    size_t depth = 0;
    size_t values = 0;
    bool quoted = false;

    if (len > MANIFEST_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "must be at most %zu bytes, not %zu", MANIFEST_MAX_BYTES,
                       len);
    for (size_t i = 0; i < len; i++) {
        if (quoted) {
            if (data[i] == '\\')
                i++;
            else if (data[i] == '"')
                quoted = false;
            continue;
        }
        if (data[i] == '"')
            quoted = true;
        if (data[i] == '{' || data[i] == '[')
            depth++;
        if ((data[i] == '}' || data[i] == ']') && depth > 0)
            depth--;
        if (data[i] == ',' || data[i] == '{' || data[i] == '[')
            values++;
        if (depth > MAX_DEPTH || values > MAX_VALUES)
            return err_set(err, ERR_CORRUPT, "must be at most %d deep, with at most %d values",
                           MAX_DEPTH, MAX_VALUES);
    }
    return 0;
}

/* No control characters of ASCII, nor of C1 (U+0080 to U+009F), which some terminals obey too. */
static bool is_printable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    for (; *at != '\0'; at++)
        if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f))
            return false;
    return true;
}

static bool is_text(const char *text)
{
    return strlen(text) <= MAX_TEXT && is_printable(text);
}

static bool is_name(const char *text)
{
    return is_text(text) && text[0] != '\0' && strchr(text, '/') == NULL &&
           strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static bool is_path(const char *text)
{
    size_t len;

    if (strlen(text) > MAX_PATH || !is_printable(text))
        return false;
    for (;; text += len + 1) {
        len = strcspn(text, "/");
        if (len == 0 || len > MAX_TEXT || (len == 1 && text[0] == '.') ||
            (len == 2 && text[0] == '.' && text[1] == '.'))
            return false;
        if (text[len] == '\0')
            return true;
    }
}

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* What each form must be, for errors. */
static const char *const forms[] = {
    [FORM_ID] = "a backup id, as 20261123T071500Z-7f3a9c",
    [FORM_PARENT] = "null or a backup id, as 20261123T071500Z-7f3a9c",
    [FORM_KIND] = "full or incremental",
    [FORM_NAME] = "a name: 1 to 255 bytes without slash and control characters, not . or ..",
    [FORM_NAME_OR_NULL] = "null or a name: 1 to 255 bytes without slash and control characters",
    [FORM_PATH] = "names with slashes between them, none of them empty, . or ..",
    [FORM_TEXT] = "a text of at most 255 bytes without control characters",
    [FORM_NUMBER] = "a whole number, 0 or more",
    [FORM_TIME] = "a time in UTC from 1970 on, as 2026-11-23T07:15:00.000Z",
    [FORM_SHA256] = "64 lower-case hexadecimal digits",
};

static bool read_text(const char *text, enum form form, void *at)
{
    switch (form) {
    case FORM_ID:
    case FORM_PARENT:
        if (!backup_id_valid(text))
            return false;
        memcpy(at, text, strlen(text) + 1);
        return true;
    case FORM_SHA256:
        if (!is_sha256(text))
            return false;
        memcpy(at, text, strlen(text) + 1);
        return true;
    case FORM_TIME:
        return clock_parse(text, at) == 0 && *(int64_t *)at >= 0;
    case FORM_TEXT:
        if (!is_text(text))
            return false;
        *(char **)at = mem_strdup(text);
        return true;
    case FORM_PATH:
        if (!is_path(text))
            return false;
        *(char **)at = mem_strdup(text);
        return true;
    case FORM_KIND: /* the parent says it; check_kind compares */
        return true;
    default:
        if (!is_name(text))
            return false;
        *(char **)at = mem_strdup(text);
        return true;
    }
}

static int read_fixed(const json_t *value, const struct field *field, struct err *err)
{
    json_t *fixed = json_loads(field->fixed, JSON_DECODE_ANY, NULL);
    bool equal = json_equal(value, fixed) == 1;
    bool later = json_is_null(fixed) || json_typeof(value) == json_typeof(fixed);

    json_decref(fixed);
    if (equal)
        return 0;
    if (!later)
        return err_set(err, ERR_CORRUPT, "%s must be %s", field->key, field->fixed);
    return err_set(err, ERR_NOT_YET,
                   "%s is not %s, which is all that this version reads: use the lifeboat that "
                   "wrote it, or a newer one",
                   field->key, field->fixed);
}

static int read_field(const json_t *json, const struct field *field, void *base, struct err *err)
{
    const json_t *value = json_object_get(json, field->key);
    void *at = (char *)base + field->offset;
    bool right = false;

    if (value == NULL)
        return err_set(err, ERR_CORRUPT, "%s is missing", field->key);
    if (field->form == FORM_FIXED)
        return read_fixed(value, field, err);
    if (field->form == FORM_NUMBER && json_is_integer(value) && json_integer_value(value) >= 0) {
        *(uint64_t *)at = (uint64_t)json_integer_value(value);
        right = true;
    } else if (field->form != FORM_NUMBER && json_is_string(value)) {
        right = read_text(json_string_value(value), field->form, at);
    } else if (field->form == FORM_NAME_OR_NULL || field->form == FORM_PARENT) {
        right = json_is_null(value);
    }
    if (!right)
        return err_set(err, ERR_CORRUPT, "%s must be %s", field->key, forms[field->form]);
    return 0;
}

static int read_fields(const json_t *json, const struct field *fields, void *base, struct err *err)
{
    if (!json_is_object(json))
        return err_set(err, ERR_CORRUPT, "must be a JSON object");
    for (const struct field *field = fields; field->key != NULL; field++) {
        const json_t *from = json;

        if (field->section != NULL) {
            from = json_object_get(json, field->section);
            if (!json_is_object(from))
                return err_set(err, ERR_CORRUPT, "%s must be a JSON object", field->section);
        }
        if (read_field(from, field, base, err) < 0)
            return field->section == NULL ? -1 : err_wrap(err, "%s", field->section);
    }
    return 0;
}

/* An array of min to max items; returns NULL when it is not. */
static const json_t *read_array(const json_t *json, const char *key, size_t min, size_t max,
                                struct err *err)
{
    const json_t *array = json_object_get(json, key);

    if (json_is_array(array) && json_array_size(array) >= min && json_array_size(array) <= max)
        return array;
    err_set(err, ERR_CORRUPT, "%s must be an array of %zu to %zu", key, min, max);
    return NULL;
}

static int read_pieces(const json_t *json, struct manifest_object *object, struct err *err)
{
    const json_t *array = read_array(json, "pieces", 1, MAX_PIECES, err);
    uint64_t sum = 0;

    if (array == NULL)
        return -1;
    object->pieces = mem_calloc(json_array_size(array), sizeof *object->pieces);
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct manifest_piece *piece = &object->pieces[i];

        object->piece_count = i + 1;
        if (read_fields(json_array_get(array, i), piece_fields, piece, err) < 0)
            return err_wrap(err, "pieces[%zu]", i);
        if (i > 0 && strcmp(piece[-1].name, piece->name) >= 0)
            return err_set(err, ERR_CORRUPT, "pieces[%zu]: name must sort after the one before", i);
        if (piece->bytes > INT64_MAX - sum)
            return err_set(err, ERR_CORRUPT, "pieces are impossibly large");
        sum += piece->bytes;
    }
    return 0;
}

static int read_object(const json_t *json, struct manifest_object *object, struct err *err)
{
    const json_t *stored;

    if (read_fields(json, object_fields, object, err) < 0 ||
        read_fields(json, object_tail_fields, object, err) < 0 ||
        read_pieces(json, object, err) < 0)
        return -1;
    stored = json_object_get(json, "stored_bytes");
    if (!json_is_integer(stored) || json_integer_value(stored) < 0 ||
        (uint64_t)json_integer_value(stored) != manifest_object_stored_bytes(object))
        return err_set(err, ERR_CORRUPT, "stored_bytes must be the sum of its pieces, %" PRIu64,
                       manifest_object_stored_bytes(object));
    return 0;
}

/* All objects lie in one folder: no two pieces of the same name. */
static int check_names(const struct manifest *manifest, struct err *err)
{
    int rc = 0;
    size_t count = 0;
    json_t *objects = json_object();
    json_t *seen = json_object();

    for (size_t i = 0; rc == 0 && i < manifest->object_count; i++) {
        const struct manifest_object *object = &manifest->objects[i];

        if (json_object_get(objects, object->name) != NULL)
            rc = err_set(err, ERR_CORRUPT, "objects[%zu]: name must be unique", i);
        json_object_set_new(objects, object->name, json_true());
        for (size_t j = 0; rc == 0 && j < object->piece_count; j++, count++) {
            if (count == MAX_PIECES || json_object_get(seen, object->pieces[j].name) != NULL)
                rc = err_set(err, ERR_CORRUPT,
                             "objects[%zu]: pieces[%zu]: must be one of at most %d, name unique", i,
                             j, MAX_PIECES);
            json_object_set_new(seen, object->pieces[j].name, json_true());
        }
    }
    json_decref(objects);
    json_decref(seen);
    return rc;
}

static int read_objects(const json_t *json, struct manifest *manifest, struct err *err)
{
    /* A topic may be empty, or hold nothing new. */
    size_t min = strcmp(manifest->system, "kafka") == 0 ? 0 : 1;
    const json_t *array = read_array(json, "objects", min, MAX_OBJECTS, err);
    uint64_t plain = 0;
    uint64_t stored = 0;

    if (array == NULL)
        return -1;
    manifest->objects = mem_calloc(json_array_size(array) + 1, sizeof *manifest->objects);
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct manifest_object *object = &manifest->objects[i];

        manifest->object_count = i + 1;
        if (read_object(json_array_get(array, i), object, err) < 0)
            return err_wrap(err, "objects[%zu]", i);
        if (object->plain_bytes > INT64_MAX - plain ||
            manifest_object_stored_bytes(object) > INT64_MAX - stored)
            return err_set(err, ERR_CORRUPT, "objects are impossibly large");
        plain += object->plain_bytes;
        stored += manifest_object_stored_bytes(object);
    }
    return check_names(manifest, err);
}

/* Writers before it had none. */
static int read_log(json_t *log, struct manifest *manifest, struct err *err)
{
    if (log == NULL)
        return 0;
    if (!json_is_array(log) || json_array_size(log) > MAX_LOG_LINES)
        return err_set(err, ERR_CORRUPT, "log must be an array of at most %d texts", MAX_LOG_LINES);
    for (size_t i = 0; i < json_array_size(log); i++)
        if (!json_is_string(json_array_get(log, i)))
            return err_set(err, ERR_CORRUPT, "log[%zu]: must be a text", i);
    json_decref(manifest->log);
    manifest->log = json_incref(log);
    return 0;
}

static int check_kind(const json_t *json, const struct manifest *manifest, struct err *err)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    bool full = manifest->parent[0] == '\0';

    if (strcmp(kind, "full") != 0 && strcmp(kind, "incremental") != 0)
        return err_set(err, ERR_NOT_YET,
                       "kind is neither full nor incremental, which is all that this version "
                       "reads: use the lifeboat that wrote it, or a newer one");
    if (full != (strcmp(kind, "full") == 0))
        return err_set(err, ERR_CORRUPT,
                       "kind must be full without a parent, and incremental "
                       "with one");
    return 0;
}

static int read_manifest(const json_t *json, struct manifest *manifest, struct err *err)
{
    const json_t *restored_from = json_object_get(json, "restored_from");
    json_t *facts = json_object_get(json, "facts");

    if (read_fields(json, manifest_fields, manifest, err) < 0 ||
        check_kind(json, manifest, err) < 0 || read_objects(json, manifest, err) < 0)
        return -1;
    if (!json_is_null(restored_from) &&
        read_fields(restored_from, restored_from_fields, manifest, err) < 0)
        return err_wrap(err, "restored_from");
    if (!json_is_object(facts))
        return err_set(err, ERR_CORRUPT, "facts must be a JSON object");
    json_decref(manifest->facts);
    manifest->facts = json_incref(facts);
    return read_log(json_object_get(json, "log"), manifest, err);
}

int manifest_parse(const char *data, size_t len, struct manifest **manifest, struct err *err)
{
    int rc = -1;
    json_error_t where;
    json_t *json = NULL;
    struct manifest *found = manifest_new();

    if (check_shape(data, len, err) < 0)
        goto out;
    json = json_loadb(data, len, JSON_REJECT_DUPLICATES, &where);
    if (json == NULL) {
        err_set(err, ERR_CORRUPT, "must be JSON; it is not at line %d, column %d", where.line,
                where.column);
        goto out;
    }
    if (read_manifest(json, found, err) < 0)
        goto out;
    *manifest = found;
    found = NULL;
    rc = 0;
out:
    if (rc < 0)
        err_wrap(err, "manifest");
    json_decref(json);
    manifest_free(found);
    return rc;
}
