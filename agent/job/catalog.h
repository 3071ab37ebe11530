// SPDX-License-Identifier: Apache-2.0
// What lies at a site (or at two, merged): one listing of it, sorted out into backups (with their
// records) and data that no manifest names. Manifests are kept without their facts and pieces, so
// that the memory of thousands stays small.
#pragma once

#include "manifest.h"
#include "site.h"

#include <stdbool.h>

struct backup {
    struct site *site; /* where it was found; lent */
    char id[BACKUP_ID_CAP];
    char *lineage;
    struct manifest *manifest; /* facts and pieces left out; NULL when it cannot be read */
    uint64_t plain_bytes, stored_bytes;
    int64_t verified_ms; /* newest verified record, 0 when there is none */
    bool adopted;
};

/* A stored file of a backup: its data, or a record about it. */
struct backup_file {
    char *key;
    char id[BACKUP_ID_CAP];
    char *lineage;
    bool is_data;
    uint64_t bytes;
    int64_t modified_ms; /* by the store's clock */
};

/* A file in claims/: of a slot of the schedule, of no backup. */
struct claim_file {
    char *key;
    int64_t modified_ms; /* by the store's clock */
};

struct catalog {
    struct backup *backups; /* by lineage, then by recovery point, oldest first */
    size_t count;
    struct backup_file *files; /* in the order of their keys */
    size_t file_count;
    struct claim_file *claims;
    size_t claim_count;
    size_t unreadable; /* backups whose manifest is NULL; each was logged */
};

int catalog_load(struct site *site, struct catalog **catalog, struct err *err);
/* Moves the backups of other (takes it) into catalog; what is in both stays as catalog has it. The
 * files stay those of catalog. */
void catalog_merge(struct catalog *catalog, struct catalog *other);
/* NULL is allowed. */
void catalog_free(struct catalog *catalog);

/* NULL when there is none. Lent. */
const struct backup *catalog_find(const struct catalog *catalog, const char *lineage,
                                  const char *id);
/* The newest readable one of a lineage, or NULL. Lent. */
const struct backup *catalog_newest(const struct catalog *catalog, const char *lineage);

/* The backup that a person means: an id, "latest" (or NULL), or a time (the newest whose recovery
 * point is not after it). own_lineage is the server's own, NULL when it cannot be asked. Without
 * backups of the server's own the only other lineage is meant; of several, none is guessed:
 * ERR_REFUSED lists them. */
int catalog_select(const struct catalog *catalog, const char *wish, const char *own_lineage,
                   const struct backup **backup, struct err *err);

/* Which backup a key at the site belongs to; false when it is of no backup. */
struct catalog_place {
    char id[BACKUP_ID_CAP];
    char lineage[128];
};
bool catalog_place(const struct site *site, const char *key, struct catalog_place *place);
