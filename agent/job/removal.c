// SPDX-License-Identifier: Apache-2.0
// Manifest, copy of the manifest, files.
#include "removal.h"

#include "cache.h"
#include "cancel.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

static int remove_key(struct site *site, const char *key, struct err *err)
{
    if (site->store->ops->remove(site->store, key, err) < 0)
        return err_wrap(err, "remove %s", key);
    return 0;
}

static int remove_files(struct site *site, const struct catalog *catalog,
                        const struct backup *backup, struct err *err)
{
    for (size_t i = 0; i < catalog->file_count; i++) {
        const struct backup_file *file = &catalog->files[i];

        if (strcmp(file->id, backup->id) == 0 && strcmp(file->lineage, backup->lineage) == 0 &&
            remove_key(site, file->key, err) < 0)
            return -1;
    }
    return 0;
}

int removal_of(struct site *site, const struct catalog *catalog, const struct backup *backup,
               struct err *err)
{
    char *key = site_manifest_key(site, backup->lineage, backup->id);
    int rc = remove_key(site, key, err);

    free(key);
    if (rc < 0)
        return -1;
    cache_forget(site, backup->lineage, backup->id);
    return remove_files(site, catalog, backup, err);
}

int removal_run(struct site *site, const struct catalog *catalog, const struct backup *backup,
                const char *job, bool *busy, struct err *err)
{
    struct record *record = NULL;
    int rc;

    *busy = false;
    if (cancel_check(err) < 0)
        return -1;
    if (record_open(site->options->state_path, site->component->name, backup->id, job, &record,
                    err) < 0) {
        *busy = err->kind == ERR_REFUSED;
        if (!*busy)
            return -1;
        err_clear(err);
        return 0;
    }
    rc = removal_of(site, catalog, backup, err);
    if (rc == 0)
        record_finish(record);
    else
        record_abandon(record);
    return rc;
}
