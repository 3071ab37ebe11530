// SPDX-License-Identifier: Apache-2.0
// What a manifest says of an RDB file, as a restore needs it, and which servers read that file.
#include "redis_restoring.h"

#include "manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALKEY_FIRST 80

static const json_t *rdb_of(const struct manifest *manifest)
{
    return json_object_get(manifest->facts, "rdb");
}

int redis_backup_check(const struct manifest *manifest, struct err *err)
{
    const json_t *rdb = rdb_of(manifest);
    const json_t *databases = json_object_get(rdb, "databases");

    if (manifest->object_count == 1 && strcmp(manifest->objects[0].name, REDIS_OBJECT) == 0 &&
        json_is_integer(json_object_get(rdb, "version")) && json_is_object(databases))
        return 0;
    return err_set(err, ERR_CORRUPT, "the manifest of %s does not describe an RDB file",
                   manifest->id);
}

int64_t redis_backup_version(const struct manifest *manifest, bool *valkey)
{
    int64_t version = json_integer_value(json_object_get(rdb_of(manifest), "version"));

    /* Valkey counts on from 80. */
    *valkey = version >= VALKEY_FIRST;
    return version;
}

/* The newest version of the file that a server of "7.0.15" reads; of one that is newer than this
 * list, that of the list's end. */
static int64_t newest_version(bool valkey, int major, int minor)
{
    if (valkey)
        return major >= 9 ? VALKEY_FIRST : 11;
    if (major < 7)
        return 9;
    if (major == 7)
        return minor < 2 ? 10 : minor < 4 ? 11 : 12;
    return 12;
}

/* Versions as one number; 0 when there is none. */
static int release(const char *version)
{
    int major = 0, minor = 0;

    return version != NULL && sscanf(version, "%3d.%3d", &major, &minor) == 2 ? major * 1000 + minor
                                                                              : 0;
}

int redis_version_fits(const struct manifest *manifest, bool valkey, const char *version,
                       const char *what, struct err *err)
{
    bool file_valkey;
    int64_t file_version = redis_backup_version(manifest, &file_valkey);
    const char *kind =
        json_string_value(json_object_get(json_object_get(manifest->facts, "server"), "name"));
    int here = release(version);
    int64_t newest = newest_version(valkey, here / 1000, here % 1000);
    bool same_kind = kind != NULL && (strcmp(kind, "valkey") == 0) == valkey;

    if (here == 0)
        return err_set(err, ERR_SOURCE, "%s says no version", what);
    if (same_kind && here >= release(manifest->system_version))
        return 0;
    /* Valkey refuses what Redis calls 12 and more. */
    if ((!file_valkey && file_version <= (valkey && newest > 11 ? 11 : newest)) ||
        (file_valkey && valkey && file_version <= newest))
        return 0;
    return err_set(err, ERR_REFUSED,
                   "%s is %s %s, which does not read this file: it is of %s %s (RDB version %lld); "
                   "restore onto a server of that version",
                   what, valkey ? "valkey" : "redis", version, kind == NULL ? "redis" : kind,
                   manifest->system_version, (long long)file_version);
}

uint64_t redis_backup_keys(const struct manifest *manifest)
{
    const json_t *databases = json_object_get(rdb_of(manifest), "databases");
    const char *number;
    const json_t *database;
    uint64_t keys = 0;

    json_object_foreach ((json_t *)(uintptr_t)databases, number, database)
        keys += (uint64_t)json_integer_value(json_object_get(database, "keys"));
    return keys;
}

uint64_t redis_backup_last_database(const struct manifest *manifest)
{
    const json_t *databases = json_object_get(rdb_of(manifest), "databases");
    const char *number;
    const json_t *database;
    uint64_t last = 0;

    json_object_foreach ((json_t *)(uintptr_t)databases, number, database) {
        uint64_t value = strtoull(number, NULL, 10);

        (void)database;
        if (value > last)
            last = value;
    }
    return last;
}
