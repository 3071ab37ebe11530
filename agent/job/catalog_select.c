// SPDX-License-Identifier: Apache-2.0
// Which backup a person means: by id, by time, or the newest, of the lineage that is meant.
#include "catalog.h"

#include "clock.h"
#include "text.h"

#include <string.h>

/* The newest readable backup of a lineage whose recovery point is not after at_ms. */
static const struct backup *newest_at(const struct catalog *catalog, const char *lineage,
                                      int64_t at_ms)
{
    const struct backup *newest = NULL;

    for (size_t i = 0; i < catalog->count; i++) {
        const struct backup *backup = &catalog->backups[i];

        if (backup->manifest != NULL && strcmp(backup->lineage, lineage) == 0 &&
            backup->manifest->recovery_point_ms <= at_ms)
            newest = backup;
    }
    return newest;
}

const struct backup *catalog_newest(const struct catalog *catalog, const char *lineage)
{
    return newest_at(catalog, lineage, INT64_MAX);
}

static int select_id(const struct catalog *catalog, const char *id, const struct backup **backup,
                     struct err *err)
{
    for (size_t i = 0; i < catalog->count; i++) {
        if (strcmp(catalog->backups[i].id, id) != 0)
            continue;
        if (catalog->backups[i].manifest == NULL)
            return err_set(err, ERR_CORRUPT, "backup %s: its manifest cannot be read", id);
        *backup = &catalog->backups[i];
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "there is no backup %s", id);
}

/* The lineage that is meant: the server's own, or else the only one. */
static int choose_lineage(const struct catalog *catalog, const char *own, const char **lineage,
                          struct err *err)
{
    struct text choices = TEXT_INIT;
    const char *only = NULL;
    size_t count = 0;

    for (size_t i = 0; i < catalog->count; i++) {
        const struct backup *backup = &catalog->backups[i];

        if (own != NULL && strcmp(backup->lineage, own) == 0) {
            text_fini(&choices);
            *lineage = own;
            return 0;
        }
        /* Sorted by lineage and time: the last of each is its newest. */
        if (i + 1 < catalog->count && strcmp(backup->lineage, backup[1].lineage) == 0)
            continue;
        only = backup->lineage;
        count++;
        text_add(&choices, "%s@%s (server %s)", count == 1 ? "" : ", ", backup->id,
                 backup->lineage);
    }
    if (count == 1)
        *lineage = only;
    else if (count > 1)
        err_set(err, ERR_REFUSED,
                "these backups come from several servers, none of them this one; name one: %s",
                text_str(&choices));
    else
        err_set(err, ERR_NOT_FOUND, "there is no backup yet");
    text_fini(&choices);
    return count == 1 ? 0 : -1;
}

int catalog_select(const struct catalog *catalog, const char *wish, const char *own_lineage,
                   const struct backup **backup, struct err *err)
{
    const char *lineage = NULL;
    int64_t at_ms = INT64_MAX;
    bool latest = wish == NULL || strcmp(wish, "latest") == 0;
    const struct backup *found;

    if (!latest && backup_id_valid(wish))
        return select_id(catalog, wish, backup, err);
    if (!latest && clock_parse(wish, &at_ms) < 0)
        return err_set(err, ERR_USAGE,
                       "\"%s\" is neither a backup id, nor latest, nor a time such as "
                       "2026-11-23T07:00Z",
                       wish);
    if (choose_lineage(catalog, own_lineage, &lineage, err) < 0)
        return -1;
    found = newest_at(catalog, lineage, at_ms);
    if (found == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no readable backup%s%s",
                       latest ? "" : " at or before ", latest ? "" : wish);
    *backup = found;
    return 0;
}
