// SPDX-License-Identifier: Apache-2.0
// Proof that a backup can be read back: every stored byte, every digest, and the structure of every
// object as its system understands it. A success is recorded at the site.
#pragma once

#include "manifest.h"
#include "site.h"

#include <jansson.h>

/* Reads all of it, but nothing that it goes on from. findings: what the system counted, an object
 * (lent). */
int verify_backup(struct site *site, const struct manifest *manifest, json_t *findings,
                  struct err *err);

/* Writes the record of a success: by is "verify" or "drill". At a foreign site, and where local
 * disk has no room for it, there is none. */
int verify_record(struct site *site, const struct manifest *manifest, const char *by,
                  int64_t began_ms, const json_t *findings, struct err *err);

/* How long the newest recorded drill took; -1 when there is none, or it cannot be read. */
int64_t verify_last_drill_ms(struct site *site, const char *lineage);
