// SPDX-License-Identifier: Apache-2.0
// list: the backups of each component, oldest first, lineage by lineage, those on local disk among
// them. Done in part when that was all that could be looked at.
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

#define ROW "%-16s %-24s %-24s %10s %10s %10s  %-24s %-12s %s\n"

static json_t *when_or_null(int64_t ms)
{
    char when[CLOCK_TEXT_CAP];

    return ms == 0 ? json_null() : json_string(clock_format(ms, when));
}

static void print_json(const struct job *job, const struct target *target,
                       const struct backup *backup)
{
    if (backup->manifest == NULL)
        job_report(job, target,
                   json_pack("{s:s, s:s, s:s, s:b}", "backup", backup->id, "lineage",
                             backup->lineage, "store", backup->site->store->name, "readable", 0));
    else
        job_report(
            job, target,
            json_pack("{s:s, s:s*, s:s, s:s, s:b, s:o, s:I, s:I, s:I, s:o, s:b}", "backup",
                      backup->id, "parent",
                      backup->manifest->parent[0] == '\0' ? NULL : backup->manifest->parent,
                      "lineage", backup->lineage, "store", backup->site->store->name, "readable", 1,
                      "recovery_point", when_or_null(backup->manifest->recovery_point_ms),
                      "plain_bytes", (json_int_t)backup->plain_bytes, "stored_bytes",
                      (json_int_t)backup->stored_bytes, "duration_ms",
                      (json_int_t)(backup->manifest->ended_ms - backup->manifest->started_ms),
                      "verified", when_or_null(backup->verified_ms), "adopted", backup->adopted));
}

static void print_row(const struct target *target, const struct backup *backup)
{
    char point[CLOCK_TEXT_CAP] = "unreadable manifest";
    char verified[CLOCK_TEXT_CAP] = "never";
    char plain[24] = "-", stored[24] = "-", took[24] = "-";

    if (backup->manifest != NULL) {
        clock_format(backup->manifest->recovery_point_ms, point);
        text_show_bytes(backup->plain_bytes, plain, sizeof plain);
        text_show_bytes(backup->stored_bytes, stored, sizeof stored);
        text_show_duration(backup->manifest->ended_ms - backup->manifest->started_ms, took,
                           sizeof took);
    }
    if (backup->verified_ms != 0)
        clock_format(backup->verified_ms, verified);
    printf(ROW, target->component->name, backup->id, point, plain, stored, took, verified,
           backup->site->store->name, backup->lineage);
}

static int list(struct job *job, const struct target *target, struct err *err)
{
    struct catalog *catalog = NULL;
    bool away;

    if (job_catalog(target, &catalog, &away, err) < 0)
        return -1;
    if (!job->in->json && catalog->count > 0)
        printf(ROW, "COMPONENT", "BACKUP", "RECOVERY POINT", "PLAIN", "STORED", "TOOK", "VERIFIED",
               "STORE", "LINEAGE");
    for (size_t i = 0; i < catalog->count; i++) {
        if (job->in->json)
            print_json(job, target, &catalog->backups[i]);
        else
            print_row(target, &catalog->backups[i]);
    }
    if (!job->in->json && catalog->count == 0)
        printf("%s has no backup in %s\n", target->component->name, target->site->store->name);
    catalog_free(catalog);
    return away ? JOB_IN_PART : 0;
}

int cmd_list(struct job *job)
{
    return job_each(job, list);
}
