// SPDX-License-Identifier: Apache-2.0
// From parent to parent, through catalogs whose manifests are hostile: the steps are counted, so
// that a ring ends.
#include "ancestry.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static bool is_full(const struct backup *backup)
{
    return backup->manifest->parent[0] == '\0';
}

const struct backup *ancestry_parent(const struct catalog *catalog, const struct backup *backup)
{
    const struct backup *parent = NULL;

    if (backup->manifest != NULL && !is_full(backup))
        parent = catalog_find(catalog, backup->lineage, backup->manifest->parent);
    return parent == NULL || parent->manifest == NULL ? NULL : parent;
}

/* The full one and the number of steps to it. */
static int find_full(const struct catalog *catalog, const struct backup *backup,
                     const struct backup **full, size_t *steps, struct err *err)
{
    for (*steps = 0; !is_full(backup); ++*steps) {
        const struct backup *parent = ancestry_parent(catalog, backup);

        if (*steps == ANCESTRY_MAX)
            return err_set(err, ERR_CORRUPT, "there is no full one among its %d parents",
                           ANCESTRY_MAX);
        if (parent == NULL)
            return err_set(err, ERR_CORRUPT, "backup %s goes on from %s, which %s", backup->id,
                           backup->manifest->parent,
                           catalog_find(catalog, backup->lineage, backup->manifest->parent) == NULL
                               ? "is not there"
                               : "cannot be read");
        backup = parent;
    }
    *full = backup;
    return 0;
}

int ancestry_check(const struct catalog *catalog, const struct backup *backup, struct err *err)
{
    const struct backup *full;
    size_t steps;

    return find_full(catalog, backup, &full, &steps, err);
}

int ancestry_load(const struct catalog *catalog, const struct backup *backup,
                  struct ancestry *ancestry, struct err *err)
{
    const struct backup *full = NULL;
    size_t steps = 0;

    *ancestry = (struct ancestry){.count = 0};
    if (find_full(catalog, backup, &full, &steps, err) < 0)
        return -1;
    ancestry->count = steps + 1;
    ancestry->sites = mem_calloc(ancestry->count, sizeof(struct site *));
    ancestry->manifests = mem_calloc(ancestry->count, sizeof(struct manifest *));
    for (size_t i = ancestry->count; i-- > 0; backup = ancestry_parent(catalog, backup)) {
        ancestry->sites[i] = backup->site;
        if (site_get_manifest(backup->site, backup->lineage, backup->id, &ancestry->manifests[i],
                              err) < 0)
            return -1;
    }
    return 0;
}

void ancestry_fini(struct ancestry *ancestry)
{
    for (size_t i = 0; i < ancestry->count; i++)
        manifest_free(ancestry->manifests[i]);
    free(ancestry->manifests);
    free(ancestry->sites);
}

bool ancestry_has(const struct catalog *catalog, const struct backup *backup, const char *id)
{
    for (size_t steps = 0; backup != NULL && steps <= ANCESTRY_MAX; steps++) {
        if (strcmp(backup->id, id) == 0)
            return true;
        backup = ancestry_parent(catalog, backup);
    }
    return false;
}

/* NULL when backup can be gone on from; else why not. */
static char *why_full(const struct component_options *component, const struct catalog *catalog,
                      const struct backup *backup)
{
    const struct backup *full = NULL;
    struct err err = ERR_INIT;
    size_t steps = 0;
    int64_t age_ms;
    char shown[24];

    if (backup == NULL)
        return mem_strdup("it is the first one");
    if (find_full(catalog, backup, &full, &steps, &err) < 0)
        return mem_strdup(err.text);
    /* The next one must be restorable too. */
    if (steps + 1 >= ANCESTRY_MAX)
        return text_format("%zu have gone on from the last full one", steps);
    age_ms = clock_wall_ms() - full->manifest->recovery_point_ms;
    if (age_ms >= component->full_every_ms || age_ms < 0)
        return text_format("full_every: the last full one is %s old",
                           text_show_duration(age_ms < 0 ? 0 : age_ms, shown, sizeof shown));
    return NULL;
}

int ancestry_next(struct site *site, bool full, struct manifest **parent, char **full_because,
                  struct err *err)
{
    struct catalog *catalog = NULL;
    const struct backup *newest;
    char *lineage = NULL;
    int rc = -1;

    *parent = NULL;
    *full_because = NULL;
    if (full) {
        *full_because = mem_strdup("it was asked for");
        return 0;
    }
    if (site->system->lineage(site->component, &lineage, err) < 0 ||
        catalog_load(site, &catalog, err) < 0)
        goto out;
    newest = catalog_newest(catalog, lineage);
    *full_because = why_full(site->component, catalog, newest);
    rc = *full_because != NULL ? 0 : site_get_manifest(site, lineage, newest->id, parent, err);
    if (rc < 0 && (err->kind == ERR_CORRUPT || err->kind == ERR_NOT_FOUND)) {
        *full_because = mem_strdup(err->text);
        err_clear(err);
        rc = 0;
    }
out:
    free(lineage);
    catalog_free(catalog);
    return rc;
}
