// SPDX-License-Identifier: Apache-2.0
// The messages of lifeboat.proto as C structs, and their frames. What is read is hostile: nanopb's
// bounds (lifeboat.options) hold, texts come out as valid UTF-8, and unknown fields are skipped.
#pragma once

#include "err.h"
#include "lifeboat.pb.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_PROTOCOL 1

struct text;

/* Appends one whole frame (length and message). A message that breaks a bound is a defect, and
 * aborts. fields: lifeboat_v1_Report_fields and so on. */
void wire_add_frame(struct text *out, const pb_msgdesc_t *fields, const void *message);
/* The same without the length: for files. */
void wire_add(struct text *out, const pb_msgdesc_t *fields, const void *message);
/* Reads one message; *message is overwritten, also on failure. ERR_CORRUPT. */
int wire_read(const pb_msgdesc_t *fields, const uint8_t *data, size_t len, void *message,
              struct err *err);

/* "backup", "verify", ...; "unknown". */
const char *wire_kind_name(lifeboat_v1_JobKind kind);
/* "done", "failed", "in_part", "skipped"; "unknown". */
const char *wire_outcome_name(lifeboat_v1_Outcome outcome);

/* The error as a message. */
void wire_set_error(lifeboat_v1_Error *message, const struct err *err);

/* Copies a text into a bounded field, cut at a whole character where it is too long; NULL is "". */
void wire_set_text(char *field, size_t cap, const char *text);
#define WIRE_SET(field, text) wire_set_text((field), sizeof(field), (text))
