// SPDX-License-Identifier: Apache-2.0
// drill: a restore into a scratch place that is compared, measured, recorded and dropped.
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "recording.h"
#include "restore.h"
#include "text.h"
#include "verify.h"

#include <stdio.h>

static int drill(struct job *job, const struct target *target, struct err *err)
{
    const struct restore_wish wish = {.scratch = true, .globals = job->in->globals};
    struct chosen chosen;
    json_t *findings = json_object();
    int64_t began_ms = clock_wall_ms();
    int64_t took_ms;
    char took[24];
    int rc = job_choose(target, &chosen, err);
    struct manifest *manifest = chosen.manifest;

    if (rc == 0) {
        recording_describe(job, manifest);
        rc = restore_run(&chosen.ancestry, &wish, findings, err);
    }
    took_ms = clock_wall_ms() - began_ms;
    if (rc == 0)
        rc = verify_record(chosen.site, manifest, "drill", began_ms, findings, err);
    if (rc == 0) {
        log_info("drill succeeded", LOG_TEXT("component", target->component->name),
                 LOG_TEXT("backup", manifest->id), LOG_NUMBER("duration_ms", took_ms));
        if (!job->in->json)
            printf("%s@%s drilled: restored, compared and dropped again in %s\n",
                   target->component->name, manifest->id,
                   text_show_duration(took_ms, took, sizeof took));
        job_report(job, target,
                   json_pack("{s:s, s:I, s:O}", "backup", manifest->id, "duration_ms",
                             (json_int_t)took_ms, "findings", findings));
    } else if (manifest != NULL) {
        err_wrap(err, "backup %s", manifest->id);
    }
    json_decref(findings);
    chosen_fini(&chosen);
    return rc;
}

int cmd_drill(struct job *job)
{
    return job_each(job, drill);
}
