// SPDX-License-Identifier: Apache-2.0
// The place of one component in one store: where its backups, manifests and records lie
// (docs/FORMAT.md), and the small files there.
#pragma once

#include "err.h"
#include "manifest.h"
#include "options.h"
#include "store.h"
#include "system.h"

struct ev_loop;

struct site {
    const struct agent_options *options;
    const struct component_options *component;
    const struct system_ops *system;
    struct ev_loop *loop; /* lent */
    struct store *store;
    char *root;   /* "<cluster>/<namespace>/<component>", without a slash at its end */
    bool foreign; /* --from: read, never written */
};

/* Opens the component's store. from: "CLUSTER/NAMESPACE/COMPONENT" or NULL for its own place. */
int site_open(const struct agent_options *options, const struct component_options *component,
              const char *from, struct ev_loop *loop, struct site **site, struct err *err);
/* The same over a store that is open, which it takes. */
struct site *site_new(const struct agent_options *options,
                      const struct component_options *component, const char *from,
                      struct store *store, struct ev_loop *loop);
/* NULL is allowed. */
void site_close(struct site *site);

/* Keys; free() them. */
char *site_manifest_key(const struct site *site, const char *lineage, const char *id);
char *site_data_key(const struct site *site, const char *lineage, const char *id, const char *name);
/* folder: "verified" or "adopted"; suffix: "" or "-<time>-verify". */
char *site_record_key(const struct site *site, const char *folder, const char *lineage,
                      const char *id, const char *suffix);

/* Writes a small file, create-only. ERR_REFUSED at a foreign site. */
int site_put(struct site *site, const char *key, const void *data, size_t len, struct err *err);
/* Reads one whole; more than max_bytes is ERR_CORRUPT. free() *data. */
int site_get(struct site *site, const char *key, size_t max_bytes, char **data, size_t *len,
             struct err *err);
/* Reads the manifest of a backup, as it is stored and as it is understood, facts and all. */
int site_get_manifest_text(struct site *site, const char *lineage, const char *id, char **data,
                           size_t *len, struct manifest **manifest, struct err *err);
/* The second of the two alone. */
int site_get_manifest(struct site *site, const char *lineage, const char *id,
                      struct manifest **manifest, struct err *err);

/* Moves the plain bytes of one stored object into sink, which it takes: pieces, decompression,
 * digests. progress may be NULL. */
struct pump_watcher;
struct pump_status;
int site_read_object(struct site *site, const struct manifest *manifest,
                     const struct manifest_object *object, struct sink *sink,
                     int64_t deadline_mono_us, const struct pump_watcher *watcher,
                     struct pump_status *status, struct err *err);
