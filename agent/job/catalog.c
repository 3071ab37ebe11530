// SPDX-License-Identifier: Apache-2.0
// Loading is one listing and one read of each manifest; a manifest that cannot be read is reported
// and kept as a backup without a description, so that nothing takes its data for an orphan.
#include "catalog.h"

#include "cache.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_MANIFEST, KIND_DATA, KIND_VERIFIED, KIND_ADOPTED, KIND_CLAIM, KIND_OTHER };

static const char *const folders[] = {
    [KIND_MANIFEST] = "manifests", [KIND_DATA] = "data",    [KIND_VERIFIED] = "verified",
    [KIND_ADOPTED] = "adopted",    [KIND_CLAIM] = "claims",
};

/* "<root>/<lineage>/<folder>/<rest>" taken apart. */
struct key_parts {
    const char *lineage;
    int lineage_len;
    int kind;
    const char *rest;
};

static bool take_apart(const char *root, const char *key, struct key_parts *parts)
{
    const char *lineage = key + strlen(root) + 1;
    const char *folder = strchr(lineage, '/');
    const char *rest = folder == NULL ? NULL : strchr(folder + 1, '/');

    if (rest == NULL)
        return false;
    parts->lineage = lineage;
    parts->lineage_len = (int)(folder - lineage);
    parts->rest = rest + 1;
    for (parts->kind = 0; parts->kind < KIND_OTHER; parts->kind++) {
        size_t len = strlen(folders[parts->kind]);

        if ((size_t)(rest - folder - 1) == len &&
            strncmp(folder + 1, folders[parts->kind], len) == 0)
            break;
    }
    return parts->kind != KIND_OTHER;
}

/* The backup id that a file name begins with; what follows it, or NULL. */
static const char *take_id(const char *name, char *id)
{
    size_t len = strcspn(name, "/.-");

    if (name[len] == '-')
        len += 1 + strcspn(name + len + 1, "/.-");
    if (len >= BACKUP_ID_CAP)
        return NULL;
    snprintf(id, BACKUP_ID_CAP, "%.*s", (int)len, name);
    return backup_id_valid(id) ? name + len : NULL;
}

bool catalog_place(const struct site *site, const char *key, struct catalog_place *place)
{
    struct key_parts parts;

    if (!take_apart(site->root, key, &parts) || take_id(parts.rest, place->id) == NULL ||
        (size_t)parts.lineage_len >= sizeof place->lineage)
        return false;
    snprintf(place->lineage, sizeof place->lineage, "%.*s", parts.lineage_len, parts.lineage);
    return true;
}

struct loading {
    struct site *site;
    struct catalog *catalog;
};

static struct backup *add_backup(struct catalog *catalog, struct site *site,
                                 const struct key_parts *parts, const char *id)
{
    struct backup *backup;

    catalog->backups =
        mem_realloc(catalog->backups, (catalog->count + 1) * sizeof *catalog->backups);
    backup = &catalog->backups[catalog->count++];
    *backup = (struct backup){.site = site,
                              .lineage = mem_strndup(parts->lineage, (size_t)parts->lineage_len)};
    snprintf(backup->id, sizeof backup->id, "%s", id);
    return backup;
}

static void add_file(struct catalog *catalog, const struct key_parts *parts, const char *id,
                     const struct store_entry *entry)
{
    struct backup_file *file;

    catalog->files =
        mem_realloc(catalog->files, (catalog->file_count + 1) * sizeof *catalog->files);
    file = &catalog->files[catalog->file_count++];
    *file = (struct backup_file){
        .key = mem_strdup(entry->key),
        .lineage = mem_strndup(parts->lineage, (size_t)parts->lineage_len),
        .is_data = parts->kind == KIND_DATA,
        .bytes = entry->bytes,
        .modified_ms = entry->modified_ms,
    };
    snprintf(file->id, sizeof file->id, "%s", id);
}

static void add_claim(struct catalog *catalog, const struct store_entry *entry)
{
    catalog->claims =
        mem_realloc(catalog->claims, (catalog->claim_count + 1) * sizeof *catalog->claims);
    catalog->claims[catalog->claim_count++] =
        (struct claim_file){.key = mem_strdup(entry->key), .modified_ms = entry->modified_ms};
}

static int on_entry(void *arg, const struct store_entry *entry, struct err *err)
{
    struct loading *loading = arg;
    struct key_parts parts;
    char id[BACKUP_ID_CAP];
    const char *tail;

    (void)err;
    if (!take_apart(loading->site->root, entry->key, &parts))
        return 0;
    if (parts.kind == KIND_CLAIM) {
        add_claim(loading->catalog, entry);
        return 0;
    }
    tail = take_id(parts.rest, id);
    if (tail == NULL)
        return 0;
    if (parts.kind == KIND_MANIFEST && strcmp(tail, ".json") == 0)
        add_backup(loading->catalog, loading->site, &parts, id);
    else if (parts.kind != KIND_MANIFEST)
        add_file(loading->catalog, &parts, id, entry);
    return 0;
}

static void strip(struct manifest *manifest)
{
    json_decref(manifest->facts);
    manifest->facts = json_object();
    json_array_clear(manifest->log);
    for (size_t i = 0; i < manifest->object_count; i++) {
        struct manifest_object *object = &manifest->objects[i];

        for (size_t j = 0; j < object->piece_count; j++)
            free(object->pieces[j].name);
        free(object->pieces);
        object->pieces = NULL;
        object->piece_count = 0;
    }
}

static int read_manifest(struct site *site, struct catalog *catalog, struct backup *backup,
                         struct err *err)
{
    if (cache_get_manifest(site, backup->lineage, backup->id, &backup->manifest, err) == 0) {
        backup->plain_bytes = manifest_plain_bytes(backup->manifest);
        backup->stored_bytes = manifest_stored_bytes(backup->manifest);
        strip(backup->manifest);
        return 0;
    }
    /* Only what is wrong with this one manifest (or too new in it) is passed over; a store that is
     * away is not. */
    if (err->kind != ERR_CORRUPT && err->kind != ERR_NOT_FOUND && err->kind != ERR_NOT_YET)
        return -1;
    log_warn("manifest cannot be read", LOG_TEXT("backup", backup->id), LOG_TEXT("err", err->text));
    err_clear(err);
    catalog->unreadable++;
    return 0;
}

static int64_t order_ms(const struct backup *backup)
{
    return backup->manifest == NULL ? INT64_MIN : backup->manifest->recovery_point_ms;
}

static int by_lineage_and_time(const void *a, const void *b)
{
    const struct backup *left = a;
    const struct backup *right = b;
    int lineage = strcmp(left->lineage, right->lineage);

    if (lineage != 0)
        return lineage;
    if (order_ms(left) != order_ms(right))
        return order_ms(left) < order_ms(right) ? -1 : 1;
    return strcmp(left->id, right->id);
}

/* "-<compact time>-verify.json" or "-drill.json", what follows the id in verified/. */
static bool take_time(const char *tail, int64_t *ms)
{
    char when[17];

    if (strlen(tail) < 17 || tail[0] != '-' ||
        (strcmp(tail + 17, "-verify.json") != 0 && strcmp(tail + 17, "-drill.json") != 0))
        return false;
    snprintf(when, sizeof when, "%.16s", tail + 1);
    return clock_parse(when, ms) == 0;
}

/* Files of other names in verified/ and adopted/ say nothing. */
static void apply_record(const struct site *site, struct catalog *catalog,
                         const struct backup_file *file)
{
    struct key_parts parts;
    struct backup *backup;
    char id[BACKUP_ID_CAP];
    const char *tail;
    int64_t ms;

    if (file->is_data || !take_apart(site->root, file->key, &parts))
        return;
    tail = take_id(parts.rest, id);
    backup = (struct backup *)(uintptr_t)catalog_find(catalog, file->lineage, file->id);
    if (tail == NULL || backup == NULL)
        return;
    if (parts.kind == KIND_ADOPTED && strcmp(tail, ".json") == 0)
        backup->adopted = true;
    if (parts.kind == KIND_VERIFIED && take_time(tail, &ms) && ms > backup->verified_ms)
        backup->verified_ms = ms;
}

int catalog_load(struct site *site, struct catalog **catalog, struct err *err)
{
    int rc = -1;
    struct loading loading = {.site = site, .catalog = mem_calloc(1, sizeof **catalog)};
    struct catalog *loaded = loading.catalog;
    char *prefix = text_format("%s/", site->root);

    if (site->store->ops->list(site->store, prefix, on_entry, &loading, err) < 0) {
        err_wrap(err, "list %s", site->store->name);
        goto out;
    }
    for (size_t i = 0; i < loaded->count; i++)
        if (read_manifest(site, loaded, &loaded->backups[i], err) < 0)
            goto out;
    if (loaded->count > 0)
        qsort(loaded->backups, loaded->count, sizeof *loaded->backups, by_lineage_and_time);
    for (size_t i = 0; i < loaded->file_count; i++)
        apply_record(site, loaded, &loaded->files[i]);
    *catalog = loaded;
    loaded = NULL;
    rc = 0;
out:
    catalog_free(loaded);
    free(prefix);
    return rc;
}

void catalog_merge(struct catalog *catalog, struct catalog *other)
{
    size_t own = catalog->count;

    catalog->unreadable += other->unreadable;
    catalog->backups =
        mem_realloc(catalog->backups, (own + other->count + 1) * sizeof *catalog->backups);
    for (size_t i = 0; i < other->count; i++) {
        struct backup *backup = &other->backups[i];

        if (catalog_find(catalog, backup->lineage, backup->id) != NULL) {
            catalog->unreadable -= backup->manifest == NULL;
            continue;
        }
        catalog->backups[catalog->count++] = *backup;
        *backup = (struct backup){.lineage = NULL};
    }
    if (catalog->count > 0)
        qsort(catalog->backups, catalog->count, sizeof *catalog->backups, by_lineage_and_time);
    catalog_free(other);
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    for (size_t i = 0; i < catalog->count; i++) {
        manifest_free(catalog->backups[i].manifest);
        free(catalog->backups[i].lineage);
    }
    for (size_t i = 0; i < catalog->file_count; i++) {
        free(catalog->files[i].key);
        free(catalog->files[i].lineage);
    }
    for (size_t i = 0; i < catalog->claim_count; i++)
        free(catalog->claims[i].key);
    free(catalog->claims);
    free(catalog->backups);
    free(catalog->files);
    free(catalog);
}

const struct backup *catalog_find(const struct catalog *catalog, const char *lineage,
                                  const char *id)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcmp(catalog->backups[i].id, id) == 0 &&
            strcmp(catalog->backups[i].lineage, lineage) == 0)
            return &catalog->backups[i];
    return NULL;
}
