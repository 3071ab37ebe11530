// SPDX-License-Identifier: Apache-2.0
// adopt: the backup that shrank is meant to be so small; retention goes on. The word is a record at
// the site, so that every agent of the component heeds it.
#include "catalog.h"
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "prune.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_record(struct site *site, const char *lineage, const struct retention_hold *hold,
                        struct err *err)
{
    char when[CLOCK_TEXT_CAP];
    char *key = site_record_key(site, "adopted", lineage, hold->id, "");
    json_t *record = json_pack(
        "{s:s, s:s, s:I, s:I}", "backup", hold->id, "time", clock_format(clock_wall_ms(), when),
        "plain_bytes", (json_int_t)hold->bytes, "usual_bytes", (json_int_t)hold->usual_bytes);
    char *text = json_dumps(record, JSON_INDENT(2));
    int rc = site_put(site, key, text, strlen(text), err);

    free(text);
    json_decref(record);
    free(key);
    return rc;
}

static void tell(const struct job *job, const struct target *target,
                 const struct retention_hold *hold)
{
    char size[24], usual[24];

    if (!job->in->json)
        printf("%s@%s adopted: %s is the usual size from now on, it was %s\n",
               target->component->name, hold->id, text_show_bytes(hold->bytes, size, sizeof size),
               text_show_bytes(hold->usual_bytes, usual, sizeof usual));
    job_report(job, target,
               json_pack("{s:s, s:I, s:I}", "backup", hold->id, "plain_bytes",
                         (json_int_t)hold->bytes, "usual_bytes", (json_int_t)hold->usual_bytes));
}

/* Sizes may have fallen in steps: every backup that holds is meant. */
static int adopt_lineage(struct job *job, const struct target *target, struct catalog *catalog,
                         size_t first, size_t *adopted, struct err *err)
{
    const char *lineage = catalog->backups[first].lineage;
    struct retention_hold hold;

    for (prune_hold(target->site, catalog, lineage, &hold); hold.held;
         prune_hold(target->site, catalog, lineage, &hold)) {
        if (write_record(target->site, lineage, &hold, err) < 0)
            return -1;
        tell(job, target, &hold);
        (*adopted)++;
        for (size_t i = first; i < catalog->count; i++)
            if (strcmp(catalog->backups[i].id, hold.id) == 0)
                catalog->backups[i].adopted = true;
    }
    return 0;
}

static int adopt(struct job *job, const struct target *target, struct err *err)
{
    struct catalog *catalog = NULL;
    size_t adopted = 0;
    int rc = catalog_load(target->site, &catalog, err);

    for (size_t i = 0; rc == 0 && i < catalog->count; i++)
        if (i == 0 || strcmp(catalog->backups[i].lineage, catalog->backups[i - 1].lineage) != 0)
            rc = adopt_lineage(job, target, catalog, i, &adopted, err);
    if (rc == 0 && adopted == 0)
        rc = err_set(err, ERR_REFUSED,
                     "no backup of %s holds retention, so there is nothing to adopt",
                     target->component->name);
    catalog_free(catalog);
    return rc;
}

int cmd_adopt(struct job *job)
{
    return job_only(job, adopt);
}
