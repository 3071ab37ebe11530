// SPDX-License-Identifier: Apache-2.0
// Retention lineage by lineage, then orphans: also those of the fallback, whose backups retention
// does not judge. A record of a dead job is forgotten once all sites that it may have written to
// were swept.
#include "prune.h"

#include "claim.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "orphan.h"
#include "removal.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_TOLERANCE_MS (5 * 60 * 1000)

/* The readable backups of one lineage are neighbours in the catalog: [begin, end). */
struct lineage_range {
    size_t begin, end;
};

static struct lineage_range range_from(const struct catalog *catalog, size_t begin)
{
    struct lineage_range range = {.begin = begin, .end = begin};

    while (range.end < catalog->count &&
           strcmp(catalog->backups[range.end].lineage, catalog->backups[begin].lineage) == 0)
        range.end++;
    return range;
}

/* Judgements of the readable backups in a range; backups[i] is the one judged. */
struct judged {
    struct retention_backup *judgements;
    const struct backup **backups;
    bool *busy; /* with another job: left to it */
    size_t count;
};

static struct judged judge(const struct site *site, const struct catalog *catalog,
                           struct lineage_range range, struct retention_hold *hold)
{
    size_t most = range.end - range.begin + 1;
    struct judged judged = {
        .judgements = mem_calloc(most, sizeof *judged.judgements),
        .backups = mem_calloc(most, sizeof *judged.backups),
        .busy = mem_calloc(most, sizeof *judged.busy),
    };

    for (size_t i = range.begin; i < range.end; i++) {
        const struct backup *backup = &catalog->backups[i];

        if (backup->manifest == NULL)
            continue;
        judged.backups[judged.count] = backup;
        judged.judgements[judged.count++] = (struct retention_backup){
            .id = backup->id,
            .parent = backup->manifest->parent[0] == '\0' ? NULL : backup->manifest->parent,
            .recovery_point_ms = backup->manifest->recovery_point_ms,
            .plain_bytes = backup->plain_bytes,
            .verified = backup->verified_ms != 0,
            .adopted = backup->adopted,
        };
    }
    retention_apply(&site->component->retention, clock_wall_ms(), judged.judgements, judged.count,
                    hold);
    return judged;
}

static void judged_free(struct judged *judged)
{
    free(judged->judgements);
    free(judged->backups);
    free(judged->busy);
}

void prune_hold(const struct site *site, const struct catalog *catalog, const char *lineage,
                struct retention_hold *hold)
{
    *hold = (struct retention_hold){.held = false};
    for (size_t i = 0; i < catalog->count; i = range_from(catalog, i).end) {
        if (strcmp(catalog->backups[i].lineage, lineage) == 0) {
            struct judged judged = judge(site, catalog, range_from(catalog, i), hold);

            judged_free(&judged);
        }
    }
}

struct pruning {
    struct site *site;
    const struct catalog *catalog;
    bool dry_run;
    const struct prune_watcher *watcher;
    struct prune_result *result;
};

/* The newest first: at no moment does one stand there whose parent is gone. first: of those that
 * are settled. */
static int remove_judged(struct pruning *pruning, struct judged *judged, size_t *first,
                         struct err *err)
{
    for (*first = judged->count; *first > 0; --*first) {
        size_t i = *first - 1;

        if (!judged->judgements[i].keep && !pruning->dry_run &&
            removal_run(pruning->site, pruning->catalog, judged->backups[i], "prune",
                        &judged->busy[i], err) < 0)
            return -1;
    }
    return 0;
}

static void tell(struct pruning *pruning, const struct backup *backup,
                 const struct retention_backup *judgement)
{
    if (judgement->keep) {
        pruning->result->kept++;
    } else {
        pruning->result->removed++;
        pruning->result->freed_bytes += backup->stored_bytes;
    }
    if (pruning->watcher != NULL)
        pruning->watcher->judged(pruning->watcher->arg, backup, judgement);
}

static int prune_lineage(struct pruning *pruning, struct lineage_range range, struct err *err)
{
    struct retention_hold hold = {.held = false};
    struct judged judged = judge(pruning->site, pruning->catalog, range, &hold);
    size_t first = 0;
    int rc;

    if (hold.held) {
        pruning->result->held = true;
        if (pruning->watcher != NULL)
            pruning->watcher->held(pruning->watcher->arg,
                                   pruning->catalog->backups[range.begin].lineage, &hold);
    }
    rc = remove_judged(pruning, &judged, &first, err);
    for (size_t i = first; i < judged.count; i++)
        if (!judged.busy[i])
            tell(pruning, judged.backups[i], &judged.judgements[i]);
    judged_free(&judged);
    return rc;
}

static int compare_clocks(struct site *site, int64_t *store_ms, struct err *err)
{
    int64_t local_ms;
    int64_t apart_ms;
    char shown[24];

    if (site->store->ops->clock(site->store, store_ms, err) < 0)
        return err_wrap(err, "ask %s for its time", site->store->name);
    local_ms = clock_wall_ms();
    apart_ms = local_ms > *store_ms ? local_ms - *store_ms : *store_ms - local_ms;
    if (apart_ms >= CLOCK_TOLERANCE_MS)
        return err_set(err, ERR_REFUSED,
                       "the clock here and that of store %s are %s apart; nothing is removed while "
                       "that is so",
                       site->store->name, text_show_duration(apart_ms, shown, sizeof shown));
    return 0;
}

int prune_sweep(struct site *site, bool dry_run, const struct prune_watcher *watcher,
                struct prune_result *result, struct text *seen, struct err *err)
{
    struct catalog *catalog = NULL;
    int rc = catalog_load(site, &catalog, err);

    if (rc == 0)
        rc = orphan_sweep(site, catalog, clock_wall_ms(), dry_run, watcher, result, seen, err);
    catalog_free(catalog);
    return rc;
}

static int retain(struct pruning *pruning, struct text *seen, struct err *err)
{
    struct site *site = pruning->site;
    struct catalog *catalog = NULL;
    int64_t store_ms = 0;
    int rc = -1;

    if (compare_clocks(site, &store_ms, err) < 0 || catalog_load(site, &catalog, err) < 0)
        goto out;
    pruning->catalog = catalog;
    for (size_t i = 0; i < catalog->count;) {
        struct lineage_range range = range_from(catalog, i);

        if (prune_lineage(pruning, range, err) < 0)
            goto out;
        i = range.end;
    }
    if (!pruning->dry_run && claim_sweep(site, catalog, store_ms, err) < 0)
        goto out;
    rc = orphan_sweep(site, catalog, store_ms, pruning->dry_run, pruning->watcher, pruning->result,
                      seen, err);
out:
    catalog_free(catalog);
    return rc;
}

int prune_run(struct site *site, struct site *fallback, bool dry_run,
              const struct prune_watcher *watcher, struct prune_result *result, struct err *err)
{
    struct pruning pruning = {
        .site = site, .dry_run = dry_run, .watcher = watcher, .result = result};
    struct text seen = TEXT_INIT;
    int rc;

    *result = (struct prune_result){.kept = 0};
    rc = retain(&pruning, &seen, err);
    if (rc == 0 && fallback != NULL &&
        prune_sweep(fallback, dry_run, watcher, result, &seen, err) < 0)
        rc = err_wrap(err, "fallback store %s", fallback->store->name);
    if (rc == 0 && !dry_run)
        rc = orphan_forget_records(site, &seen, err);
    text_fini(&seen);
    return rc;
}
