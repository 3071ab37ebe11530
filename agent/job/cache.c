// SPDX-License-Identifier: Apache-2.0
// <state.path>/manifests/<store>/<key of the manifest>. Whatever is wrong with a copy or with
// making one is no error: the store has the manifest.
#include "cache.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *copy_path(const struct site *site, const char *lineage, const char *id)
{
    char *key = site_manifest_key(site, lineage, id);
    char *path =
        text_format("%s/manifests/%s/%s", site->options->state_path, site->store->name, key);

    free(key);
    return path;
}

static struct manifest *read_copy(const char *path, const char *lineage, const char *id)
{
    struct err err = ERR_INIT;
    struct manifest *manifest = NULL;
    char *data = NULL;
    size_t len = 0;

    if (file_read(path, MANIFEST_MAX_BYTES, &data, &len, &err) == 0 &&
        manifest_parse(data, len, &manifest, &err) == 0 &&
        (strcmp(manifest->id, id) != 0 || strcmp(manifest->lineage, lineage) != 0)) {
        manifest_free(manifest);
        manifest = NULL;
    }
    free(data);
    return manifest;
}

static void write_copy(const char *path, const struct manifest *manifest)
{
    struct err err = ERR_INIT;
    char *data = manifest_format(manifest);

    if (file_make_parents(path, &err) < 0 || file_replace(path, data, strlen(data), &err) < 0)
        log_debug("manifest not copied", LOG_TEXT("err", err.text));
    free(data);
}

int cache_get_manifest(struct site *site, const char *lineage, const char *id,
                       struct manifest **manifest, struct err *err)
{
    char *path = copy_path(site, lineage, id);
    int rc = 0;

    *manifest = read_copy(path, lineage, id);
    if (*manifest == NULL) {
        rc = site_get_manifest(site, lineage, id, manifest, err);
        if (rc == 0 && !site->foreign)
            write_copy(path, *manifest);
    }
    free(path);
    return rc;
}

void cache_forget(const struct site *site, const char *lineage, const char *id)
{
    char *path = copy_path(site, lineage, id);

    unlink(path);
    free(path);
}
