// SPDX-License-Identifier: Apache-2.0
// What belongs to the database itself and is in no archive: owner, encoding, locale, tablespace,
// limits, settings (also of a role in it), grants, comment. Taken from a manifest's facts.
#pragma once

#include "session.h"

struct manifest;

/* Makes an empty database of that name, as the recorded one was made. */
int pg_database_create(struct pg_session *session, const struct manifest *manifest,
                       const char *name, struct err *err);
/* Gives the database of that name everything else that was recorded. */
int pg_database_apply(struct pg_session *session, const struct manifest *manifest, const char *name,
                      struct err *err);
/* ERR_MISMATCH names the first property that is not as recorded (name and size aside). */
int pg_database_compare(struct pg_session *session, const struct manifest *manifest,
                        const char *name, struct err *err);
/* Drops it if it is there, its connections with it. */
int pg_database_drop(struct pg_session *session, const char *name, struct err *err);
