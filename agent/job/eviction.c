// SPDX-License-Identifier: Apache-2.0
// One listing of the store tells whose backups are in it; each component's place is then a site
// with a catalog, as prune sees it.
#include "eviction.h"

#include "ancestry.h"
#include "log.h"
#include "mem.h"
#include "prune.h"
#include "removal.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct place {
    struct site site;
    struct component_options component; /* name alone is owned */
    struct catalog *catalog;
};

struct eviction {
    const struct agent_options *options;
    const struct component_options *like;
    struct store *store;
    struct ev_loop *loop;
    struct place *places;
    size_t count;
};

/* The length of "CLUSTER/NAMESPACE/COMPONENT" before "/LINEAGE/FOLDER/...", or 0. */
static size_t root_len(const char *key)
{
    size_t slashes = 0;
    size_t len = 0;

    for (size_t i = 0; key[i] != '\0'; i++)
        if (key[i] == '/' && ++slashes == 3)
            len = i;
    return slashes >= 5 ? len : 0;
}

static int on_entry(void *arg, const struct store_entry *entry, struct err *err)
{
    struct eviction *eviction = arg;
    size_t len = root_len(entry->key);
    struct place *place;

    (void)err;
    /* In byte order, so those of one root follow each other but for such as "a-b" within "a". */
    for (size_t i = 0; i < eviction->count; i++)
        if (strlen(eviction->places[i].site.root) == len &&
            strncmp(eviction->places[i].site.root, entry->key, len) == 0)
            return 0;
    if (len == 0)
        return 0;
    eviction->places =
        mem_realloc(eviction->places, (eviction->count + 1) * sizeof *eviction->places);
    place = &eviction->places[eviction->count++];
    *place = (struct place){.site = {.root = mem_strndup(entry->key, len)}};
    return 0;
}

/* The names of job records are the components', so a stand-in needs its own. */
static void furnish(const struct eviction *eviction, struct place *place)
{
    const char *name = strrchr(place->site.root, '/') + 1;
    const struct component_options *known = agent_options_component(eviction->options, name);

    place->component = known == NULL ? *eviction->like : *known;
    place->component.name = mem_strdup(name);
    place->site.options = eviction->options;
    place->site.component = &place->component;
    place->site.loop = eviction->loop;
    place->site.store = eviction->store;
}

int eviction_open(const struct agent_options *options, const struct component_options *like,
                  struct store *store, struct ev_loop *loop, struct eviction **eviction,
                  struct err *err)
{
    struct eviction *opened = mem_calloc(1, sizeof *opened);

    *opened = (struct eviction){.options = options, .like = like, .store = store, .loop = loop};
    if (store->ops->list(store, "", on_entry, opened, err) < 0 ||
        store->ops->list_uploads(store, "", on_entry, opened, err) < 0) {
        for (size_t i = 0; i < opened->count; i++)
            free(opened->places[i].site.root);
        free(opened->places);
        free(opened);
        return -1;
    }
    for (size_t i = 0; i < opened->count; i++)
        furnish(opened, &opened->places[i]);
    *eviction = opened;
    return 0;
}

void eviction_close(struct eviction *eviction)
{
    if (eviction == NULL)
        return;
    for (size_t i = 0; i < eviction->count; i++) {
        catalog_free(eviction->places[i].catalog);
        free(eviction->places[i].component.name);
        free(eviction->places[i].site.root);
    }
    free(eviction->places);
    free(eviction);
}

int eviction_sweep(struct eviction *eviction, struct err *err)
{
    struct prune_result result = {.kept = 0};
    struct text seen = TEXT_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < eviction->count; i++)
        rc = prune_sweep(&eviction->places[i].site, false, NULL, &result, &seen, err);
    text_fini(&seen);
    return rc;
}

/* Readable, and its data is there in full. */
static bool is_complete(const struct catalog *catalog, const struct backup *backup)
{
    uint64_t there = 0;

    for (size_t i = 0; i < catalog->file_count; i++) {
        const struct backup_file *file = &catalog->files[i];

        if (file->is_data && strcmp(file->id, backup->id) == 0 &&
            strcmp(file->lineage, backup->lineage) == 0)
            there += file->bytes;
    }
    return backup->manifest != NULL && there == backup->stored_bytes;
}

/* So is all that it goes on from. */
static bool is_whole(const struct catalog *catalog, const struct backup *backup)
{
    for (size_t steps = 0; steps <= ANCESTRY_MAX; steps++) {
        if (backup == NULL || !is_complete(catalog, backup))
            return false;
        if (backup->manifest->parent[0] == '\0')
            return true;
        backup = ancestry_parent(catalog, backup);
    }
    return false;
}

bool eviction_replaced(const struct catalog *catalog, const struct backup *backup)
{
    const struct backup *end = catalog->backups + catalog->count;

    for (const struct backup *newer = backup + 1;
         newer < end && strcmp(newer->lineage, backup->lineage) == 0; newer++)
        if (is_whole(catalog, newer) && !ancestry_has(catalog, newer, backup->id))
            return true;
    return false;
}

/* Another one goes on from it: that one goes first. */
static bool is_parent(const struct catalog *catalog, const struct backup *backup)
{
    for (size_t i = 0; i < catalog->count; i++) {
        const struct backup *other = &catalog->backups[i];

        if (other->manifest != NULL && strcmp(other->manifest->parent, backup->id) == 0 &&
            strcmp(other->lineage, backup->lineage) == 0)
            return true;
    }
    return false;
}

/* Something that may go, of the place. */
struct candidate {
    struct place *place;
    const struct backup *backup;
};

static int oldest_first(const void *a, const void *b)
{
    const struct backup *left = ((const struct candidate *)a)->backup;
    const struct backup *right = ((const struct candidate *)b)->backup;

    if (left->manifest->recovery_point_ms != right->manifest->recovery_point_ms)
        return left->manifest->recovery_point_ms < right->manifest->recovery_point_ms ? -1 : 1;
    return strcmp(left->id, right->id);
}

static int find_candidates(struct eviction *eviction, struct candidate **candidates, size_t *count,
                           struct err *err)
{
    for (size_t i = 0; i < eviction->count; i++) {
        struct place *place = &eviction->places[i];

        catalog_free(place->catalog);
        place->catalog = NULL;
        if (catalog_load(&place->site, &place->catalog, err) < 0)
            return -1;
        for (size_t j = 0; j < place->catalog->count; j++) {
            const struct backup *backup = &place->catalog->backups[j];

            if (backup->manifest == NULL || is_parent(place->catalog, backup) ||
                !eviction_replaced(place->catalog, backup))
                continue;
            *candidates = mem_realloc(*candidates, (*count + 1) * sizeof **candidates);
            (*candidates)[(*count)++] = (struct candidate){.place = place, .backup = backup};
        }
    }
    if (*count > 0)
        qsort(*candidates, *count, sizeof **candidates, oldest_first);
    return 0;
}

int eviction_run(struct eviction *eviction, bool *gone, struct err *err)
{
    struct candidate *candidates = NULL;
    size_t count = 0;
    int rc = find_candidates(eviction, &candidates, &count, err);

    *gone = false;
    for (size_t i = 0; rc == 0 && !*gone && i < count; i++) {
        struct candidate *one = &candidates[i];
        bool busy = false;

        rc = removal_run(&one->place->site, one->place->catalog, one->backup, "evict", &busy, err);
        *gone = rc == 0 && !busy;
        if (*gone)
            log_warn("removed from local disk to make room: a newer one is there",
                     LOG_TEXT("component", one->place->component.name),
                     LOG_TEXT("backup", one->backup->id),
                     LOG_NUMBER("bytes", one->backup->stored_bytes));
    }
    free(candidates);
    return rc;
}
