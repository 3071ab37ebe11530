// SPDX-License-Identifier: Apache-2.0
// What a backup is: its description and its commit record, as JSON for people and programs.
// docs/FORMAT.md shows one. A manifest from a store is hostile until manifest_parse has passed it:
// bounded in size and counts, every field of its type, names without paths in them.
#pragma once

#include "backup_id.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_FORMAT    1
#define MANIFEST_MAX_BYTES ((size_t)16 << 20)

struct manifest_piece {
    char *name;      /* under the backup's folder; may hold slashes, but no step upwards */
    uint64_t bytes;  /* as stored */
    char sha256[65]; /* of the stored bytes, hexadecimal */
};

struct manifest_object {
    char *name;   /* "database.pgdump"; unique, as a piece's */
    char *format; /* "pg_dump custom archive", "SQL": what the plain bytes are */
    char *codec;  /* "zstd", "gzip", "none" */
    uint64_t plain_bytes;
    char plain_sha256[65];
    struct manifest_piece *pieces;
    size_t piece_count;
};

struct manifest {
    char id[BACKUP_ID_CAP];
    char *component;
    char *cluster, *namespace_, *workload, *pod;
    char *system;         /* "postgres" */
    char *system_version; /* "16.14" */
    char *lineage;
    char *agent_version;
    char parent[BACKUP_ID_CAP]; /* what an incremental one goes on from; "": it is a full one */
    int64_t started_ms, recovery_point_ms, ended_ms;
    uint64_t source_ms, lifeboat_ms, store_ms;          /* where the time went */
    char *restored_from_lineage, *restored_from_backup; /* NULL unless the first after a restore */
    struct manifest_object *objects;
    size_t object_count;
    json_t *facts; /* the system's own; an object */
    json_t *log;   /* lines of the job that made it: an array of texts */
};

/* Zeroed, with an empty facts object. */
struct manifest *manifest_new(void);
/* NULL is allowed. */
void manifest_free(struct manifest *manifest);

/* Pretty-printed text, ending in a newline; free() it. It checks nothing: parse it before it is
 * stored, for what cannot be read again is no commit. */
char *manifest_format(const struct manifest *manifest);
/* ERR_CORRUPT names the field that is wrong, and what it should be. ERR_NOT_YET: well-formed, but
 * of a later version; such a backup must neither be used nor removed. */
int manifest_parse(const char *data, size_t len, struct manifest **manifest, struct err *err);

/* NULL when there is none of that name. Lent. */
const struct manifest_object *manifest_object(const struct manifest *manifest, const char *name);
uint64_t manifest_plain_bytes(const struct manifest *manifest);
uint64_t manifest_stored_bytes(const struct manifest *manifest);
