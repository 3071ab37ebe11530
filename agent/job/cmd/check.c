// SPDX-License-Identifier: Apache-2.0
// check: what would make the next backup or restore fail, found now. A line each; a failed line is
// a failed component.
#include "clock.h"
#include "commands.h"
#include "fallback.h"
#include "job.h"
#include "log.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const result_names[] = {
    [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL"};

struct checking {
    const struct job *job;
    const struct target *target;
    size_t failed;
};

static void line(void *arg, enum check_result result, const char *what, const char *detail)
{
    struct checking *checking = arg;

    checking->failed += result == CHECK_FAIL;
    if (checking->job->in->json)
        job_report(checking->job, checking->target,
                   json_pack("{s:s, s:s, s:s}", "check", what, "outcome", result_names[result],
                             "detail", detail));
    else
        printf("%-5s %-16s %-24s %s\n", result_names[result], checking->target->component->name,
               what, detail);
}

static void line_err(struct checking *checking, const char *what, const struct err *err)
{
    char *detail = text_format("%s (%s)", err->text, err_kind_hint(err->kind));

    log_mask(detail);
    line(checking, CHECK_FAIL, what, detail);
    free(detail);
}

/* A store that lets a second, different object take the place of the first would let a late writer
 * replace a committed manifest. */
static int try_create_only(struct site *site, const char *key, struct err *err)
{
    if (site_put(site, key, "first\n", 6, err) < 0)
        return err_wrap(err, "write");
    if (site_put(site, key, "second\n", 7, err) == 0)
        return err_set(err, ERR_STORE,
                       "an object was overwritten: this store does not honour "
                       "create-only writes");
    if (err->kind != ERR_EXISTS)
        return err_wrap(err, "create-only write");
    err_clear(err);
    return 0;
}

static void check_store(struct checking *checking)
{
    struct site *site = checking->target->site;
    struct err err = ERR_INIT;
    struct err ignored = ERR_INIT;
    char id[BACKUP_ID_CAP];
    char *key;
    char *data = NULL;
    size_t len = 0;

    backup_id_make(clock_wall_ms(), id);
    key = text_format("%s/check/%s", site->root, id);
    if (try_create_only(site, key, &err) < 0 || site_get(site, key, 64, &data, &len, &err) < 0)
        line_err(checking, "store", &err);
    else if (len != 6 || memcmp(data, "first\n", 6) != 0)
        line(checking, CHECK_FAIL, "store", "what was read is not what was written");
    else
        line(checking, CHECK_OK, "store", "writes once, reads back, overwrites nothing");
    if (site->store->ops->remove(site->store, key, &ignored) < 0)
        line_err(checking, "store", &ignored);
    free(data);
    free(key);
}

static void check_clock(struct checking *checking)
{
    struct site *site = checking->target->site;
    struct err err = ERR_INIT;
    int64_t store_ms = 0;
    int64_t apart_ms;
    char shown[24];
    char *detail;

    if (site->store->ops->clock(site->store, &store_ms, &err) < 0) {
        line_err(checking, "clock", &err);
        return;
    }
    apart_ms = llabs(clock_wall_ms() - store_ms);
    detail =
        text_format("%s apart from the store's", text_show_duration(apart_ms, shown, sizeof shown));
    line(checking, apart_ms >= 5 * 60 * 1000 ? CHECK_FAIL : CHECK_OK, "clock", detail);
    free(detail);
}

/* What of it the file system could not give is found before it is needed. */
static void check_fallback(struct checking *checking)
{
    struct site *site = checking->target->fallback;
    uint64_t max_bytes = checking->job->options->fallback_max_bytes;
    struct fallback_usage usage;
    struct catalog *catalog = NULL;
    struct err err = ERR_INIT;
    uint64_t waiting_bytes = 0;
    char waiting[24], used[24], most[24], room[24];
    int64_t clock_ms;
    char *detail;

    /* Asking for the time makes a file there. */
    if (site->store->ops->clock(site->store, &clock_ms, &err) < 0 ||
        fallback_usage(site, &usage, &err) < 0 || catalog_load(site, &catalog, &err) < 0) {
        line_err(checking, "fallback", &err);
        return;
    }
    for (size_t i = 0; i < catalog->count; i++)
        waiting_bytes += catalog->backups[i].stored_bytes;
    detail = text_format("%zu backups (%s) wait for upload; %s of %s used, the volume has %s more",
                         catalog->count, text_show_bytes(waiting_bytes, waiting, sizeof waiting),
                         text_show_bytes(usage.used_bytes, used, sizeof used),
                         text_show_bytes(max_bytes, most, sizeof most),
                         text_show_bytes(usage.free_bytes, room, sizeof room));
    line(checking,
         usage.used_bytes < max_bytes && usage.free_bytes < max_bytes - usage.used_bytes
             ? CHECK_WARN
             : CHECK_OK,
         "fallback", detail);
    catalog_free(catalog);
    free(detail);
}

static int check(struct job *job, const struct target *target, struct err *err)
{
    struct checking checking = {.job = job, .target = target};

    line(&checking, CHECK_OK, "configuration", job->in->config_path);
    check_store(&checking);
    check_clock(&checking);
    if (target->fallback != NULL)
        check_fallback(&checking);
    if (target->site->system->check(job->options, target->component, job->in->grants, line,
                                    &checking, err) < 0)
        return -1;
    if (checking.failed > 0)
        return err_set(err, ERR_REFUSED, "%zu of the lines above must be mended first",
                       checking.failed);
    return 0;
}

int cmd_check(struct job *job)
{
    return job_each(job, check);
}
