// SPDX-License-Identifier: Apache-2.0
// nanopb at work: encoding into a growing text, decoding with every text made clean.
#include "wire.h"

#include "frame.h"
#include "text.h"

#include <assert.h>
#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

/* What cannot be encoded breaks a bound that this program set itself. */
static size_t encoded_bytes(const pb_msgdesc_t *fields, const void *message)
{
    size_t bytes = 0;

    if (!pb_get_encoded_size(&bytes, fields, message) || bytes > FRAME_MAX_BYTES)
        abort();
    return bytes;
}

void wire_add(struct text *out, const pb_msgdesc_t *fields, const void *message)
{
    size_t bytes = encoded_bytes(fields, message);
    pb_ostream_t stream;

    text_reserve(out, bytes);
    stream = pb_ostream_from_buffer((pb_byte_t *)out->data + out->len, bytes);
    if (!pb_encode(&stream, fields, message))
        abort();
    out->len += bytes;
    out->data[out->len] = '\0';
}

void wire_add_frame(struct text *out, const pb_msgdesc_t *fields, const void *message)
{
    uint8_t head[FRAME_HEAD_BYTES];

    frame_head(encoded_bytes(fields, message), head);
    text_add_bytes(out, head, sizeof head);
    wire_add(out, fields, message);
}

static size_t item_count(const pb_field_iter_t *field)
{
    if (PB_HTYPE(field->type) == PB_HTYPE_REPEATED)
        return *(const pb_size_t *)field->pSize;
    if (PB_HTYPE(field->type) == PB_HTYPE_ONEOF)
        return *(const pb_size_t *)field->pSize == field->tag;
    return 1;
}

/* Whoever shows a text may trust it: nanopb does not look at what is in one. Depth is that of the
 * schema, which does not recur. */
static void clean_texts(const pb_msgdesc_t *fields, void *message)
{
    pb_field_iter_t field;

    if (!pb_field_iter_begin(&field, fields, message))
        return;
    do {
        for (size_t i = 0; i < item_count(&field); i++) {
            void *item = (char *)field.pData + i * field.data_size;

            if (PB_LTYPE(field.type) == PB_LTYPE_STRING)
                text_fix_utf8(item);
            else if (PB_LTYPE_IS_SUBMSG(field.type))
                clean_texts(field.submsg_desc, item);
        }
    } while (pb_field_iter_next(&field));
}

int wire_read(const pb_msgdesc_t *fields, const uint8_t *data, size_t len, void *message,
              struct err *err)
{
    pb_istream_t stream = pb_istream_from_buffer(data, len);

    if (!pb_decode(&stream, fields, message))
        return err_set(err, ERR_CORRUPT, "not a message of lifeboat: %s", PB_GET_ERROR(&stream));
    clean_texts(fields, message);
    return 0;
}

void wire_set_text(char *field, size_t cap, const char *text)
{
    const char *from = text == NULL ? "" : text;
    size_t len = strlen(from);

    assert(cap > 0);
    if (len >= cap) {
        len = cap - 1;
        while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(field, from, len);
    field[len] = '\0';
    text_fix_utf8(field);
}

void wire_set_error(lifeboat_v1_Error *message, const struct err *err)
{
    WIRE_SET(message->kind, err_kind_name(err->kind));
    WIRE_SET(message->text, err->text);
    WIRE_SET(message->hint, err_kind_hint(err->kind));
}

const char *wire_kind_name(lifeboat_v1_JobKind kind)
{
    static const char *const names[] = {
        [lifeboat_v1_JobKind_BACKUP] = "backup",   [lifeboat_v1_JobKind_VERIFY] = "verify",
        [lifeboat_v1_JobKind_RESTORE] = "restore", [lifeboat_v1_JobKind_DRILL] = "drill",
        [lifeboat_v1_JobKind_PRUNE] = "prune",     [lifeboat_v1_JobKind_UPLOAD] = "upload",
    };

    return kind < sizeof names / sizeof names[0] && names[kind] != NULL ? names[kind] : "unknown";
}

const char *wire_outcome_name(lifeboat_v1_Outcome outcome)
{
    static const char *const names[] = {
        [lifeboat_v1_Outcome_DONE] = "done",
        [lifeboat_v1_Outcome_FAILED] = "failed",
        [lifeboat_v1_Outcome_IN_PART] = "in_part",
        [lifeboat_v1_Outcome_SKIPPED] = "skipped",
    };

    return outcome < sizeof names / sizeof names[0] && names[outcome] != NULL ? names[outcome]
                                                                              : "unknown";
}
