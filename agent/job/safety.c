// SPDX-License-Identifier: Apache-2.0
// An ordinary backup and an ordinary verify of it. The site that is restored from may be another
// one's (--from) or another store (--store), so the component's own is opened besides.
#include "safety.h"

#include "fallback.h"
#include "log.h"
#include "progress.h"
#include "snapshot.h"
#include "verify.h"

static int take(struct site *own, struct site *fallback, json_t *findings, struct err *err)
{
    struct snapshot_taken taken = {.manifest = NULL};
    struct snapshot_wish wish = {.full = false};
    struct progress progress;
    json_t *proven = json_object();
    int rc;

    progress_init(&progress, "safety backup", true, 0);
    wish.watcher = &progress.watcher;
    rc = snapshot_take(own, fallback, &wish, &taken, err);
    progress_fini(&progress);
    if (rc == 0) {
        rc = verify_backup(taken.site, taken.manifest, proven, err);
        if (rc < 0)
            err_wrap(err, "backup %s", taken.manifest->id);
    }
    if (rc == 0) {
        json_object_set_new(findings, "safety_backup", json_string(taken.manifest->id));
        log_info("the live data is backed up first", LOG_TEXT("component", own->component->name),
                 LOG_TEXT("backup", taken.manifest->id),
                 LOG_TEXT("store", taken.site->store->name));
    }
    manifest_free(taken.manifest);
    json_decref(proven);
    return rc;
}

int safety_take(const struct site *site, json_t *findings, struct err *err)
{
    const struct agent_options *options = site->options;
    struct site *own = NULL;
    struct site *fallback = NULL;
    int rc = -1;

    if (site_open(options, site->component, NULL, site->loop, &own, err) == 0) {
        if (options->fallback_store != NULL)
            fallback = fallback_open(options, site->component, site->loop);
        rc = take(own, fallback, findings, err);
    }
    if (rc < 0)
        err_wrap(err, "nothing was changed, for the safety backup of the live data failed "
                      "(--no-safety goes on without one)");
    site_close(own);
    site_close(fallback);
    return rc;
}
