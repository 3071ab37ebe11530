// SPDX-License-Identifier: Apache-2.0
// The fields of a manifest as tables: one row per field gives its place in the JSON and in the
// struct, and its form. Writer (manifest.c) and reader (manifest_parse.c) both follow them; the
// order of the rows is the order in the file.
#pragma once

#include "manifest.h"

enum form {
    FORM_FIXED, /* the one value that this version knows; later ones may have more */
    FORM_ID,
    FORM_PARENT, /* an id; null, in memory "", for none */
    FORM_KIND,   /* of the parent at the same place: "full" without one, else "incremental" */
    FORM_NAME,   /* safe as a part of a key or a path */
    FORM_NAME_OR_NULL,
    FORM_PATH,   /* names with slashes between them */
    FORM_TEXT,   /* safe on a terminal */
    FORM_NUMBER, /* not negative */
    FORM_TIME,
    FORM_SHA256,
};

struct field {
    const char *section; /* the object that it stands in; NULL: not in one of its own */
    const char *key;
    enum form form;
    size_t offset;
    const char *fixed; /* FORM_FIXED: the value, as JSON */
};

/* Each ends with a row without a key. */
extern const struct field manifest_fields[];
extern const struct field restored_from_fields[];
extern const struct field object_fields[];      /* before its stored_bytes */
extern const struct field object_tail_fields[]; /* and after */
extern const struct field piece_fields[];

/* Sum over the pieces. */
uint64_t manifest_object_stored_bytes(const struct manifest_object *object);
