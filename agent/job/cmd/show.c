// SPDX-License-Identifier: Apache-2.0
// show: one backup in full. With --json the manifest as it is stored.
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_object(const struct manifest_object *object)
{
    char plain[24], stored[24];
    uint64_t stored_bytes = 0;

    for (size_t i = 0; i < object->piece_count; i++)
        stored_bytes += object->pieces[i].bytes;
    printf("  %s: %s, %s, %s stored (%s)\n", object->name, object->format,
           text_show_bytes(object->plain_bytes, plain, sizeof plain),
           text_show_bytes(stored_bytes, stored, sizeof stored), object->codec);
    for (size_t i = 0; i < object->piece_count; i++)
        printf("    %s  %s\n", object->pieces[i].sha256, object->pieces[i].name);
}

/* Lines of a manifest are anybody's text: what would steer a terminal is shown as '?'. */
static void print_log(const json_t *log)
{
    for (size_t i = 0; i < json_array_size(log); i++) {
        const char *at = json_string_value(json_array_get(log, i));

        fputs("  ", stdout);
        for (; at != NULL && *at != '\0'; at++) {
            bool c1 = (unsigned char)at[0] == 0xc2 && (unsigned char)at[1] < 0xa0;

            putchar((unsigned char)*at < 0x20 || *at == 0x7f || c1 ? '?' : *at);
        }
        putchar('\n');
    }
}

static void print_manifest(const struct manifest *manifest, const char *store)
{
    char when[CLOCK_TEXT_CAP], took[24], shares[64];
    char *facts = json_dumps(manifest->facts, JSON_INDENT(2));

    printf("backup          %s\n", manifest->id);
    printf("component       %s (%s %s) in %s/%s\n", manifest->component, manifest->system,
           manifest->system_version, manifest->cluster, manifest->namespace_);
    printf("lineage         %s\n", manifest->lineage);
    printf("store           %s\n", store);
    printf("recovery point  %s\n", clock_format(manifest->recovery_point_ms, when));
    printf("committed       %s\n", clock_format(manifest->ended_ms, when));
    printf("took            %s (%s)\n",
           text_show_duration(manifest->ended_ms - manifest->started_ms, took, sizeof took),
           progress_shares((int64_t)manifest->source_ms, (int64_t)manifest->store_ms,
                           (int64_t)manifest->lifeboat_ms, shares));
    if (manifest->restored_from_backup != NULL)
        printf("restored from   %s of %s\n", manifest->restored_from_backup,
               manifest->restored_from_lineage);
    if (manifest->parent[0] != '\0')
        printf("goes on from    %s\n", manifest->parent);
    printf("objects\n");
    for (size_t i = 0; i < manifest->object_count; i++)
        print_object(&manifest->objects[i]);
    printf("facts\n%s\n", facts == NULL ? "{}" : facts);
    printf("log\n");
    print_log(manifest->log);
    free(facts);
}

static int show(struct job *job, const struct target *target, struct err *err)
{
    struct chosen chosen;
    char *text;
    int rc = job_choose(target, &chosen, err);

    if (rc == 0 && job->in->json) {
        text = manifest_format(chosen.manifest);
        job_report(job, target, json_pack("{s:o}", "manifest", json_loads(text, 0, NULL)));
        free(text);
    } else if (rc == 0) {
        print_manifest(chosen.manifest, chosen.site->store->name);
    }
    chosen_fini(&chosen);
    return rc;
}

int cmd_show(struct job *job)
{
    return job_only(job, show);
}
