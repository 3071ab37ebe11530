// SPDX-License-Identifier: Apache-2.0
// A store in memory that does as it is told: it fails at a call, shows a clock of its own, keeps
// uploads of dead writers, and writes down what was asked of it. And a site over it, with a state
// folder of its own, filled with backups by one call each.
#pragma once

#include "site.h"
#include "store.h"
#include "text.h"

#include <stdbool.h>

enum fake_op {
    FAKE_PUT,
    FAKE_WRITE,
    FAKE_COMMIT,
    FAKE_GET,
    FAKE_READ,
    FAKE_STAT,
    FAKE_LIST,
    FAKE_LIST_UPLOADS,
    FAKE_ABORT_UPLOAD,
    FAKE_REMOVE,
    FAKE_CLOCK,
    FAKE_OP_COUNT
};

struct fake_object {
    char *key;
    char *upload; /* NULL: an object, else an upload that nobody ended */
    uint8_t *data;
    size_t len;
    int64_t modified_ms;
};

struct fake_store {
    struct store store;
    struct fake_object *objects;
    size_t count;
    int64_t now_ms;      /* its clock; what is put gets this time */
    bool uploads_stay;   /* a put that is closed before its commit leaves its upload */
    struct text journal; /* "put KEY\n", "remove KEY\n", ...: what changed something */
    /* Runs before each call, with what it asks for; may change the store. NULL: nothing. */
    void (*before)(void *arg, struct fake_store *store, enum fake_op op, const char *key);
    void *arg;
    struct {
        unsigned calls, fail_at; /* fail_at: this call fails; 0: none */
        enum err_kind kind;
    } ops[FAKE_OP_COUNT];
};

/* open is left out: the store lies in the test. */
extern const struct store_ops fake_store_ops;

/* The n-th call of op from now on fails with kind. */
void fake_store_fail(struct fake_store *store, enum fake_op op, unsigned n, enum err_kind kind);
/* As if they had been put at modified_ms; upload: NULL for an object. Bytes are copied. */
void fake_store_add(struct fake_store *store, const char *key, const char *upload, const void *data,
                    size_t len, int64_t modified_ms);
/* NULL when it is not there. Lent until the next change. */
const struct fake_object *fake_store_find(const struct fake_store *store, const char *key);
/* Every object and upload, a line each, in byte order: "KEY\n", "KEY UPLOAD\n". free() it. */
char *fake_store_show(struct fake_store *store);

struct fake_site {
    struct site site;
    struct fake_store store;
    struct agent_options options;
    struct component_options component;
    char state_path[64];
};

/* Component orders-db at prod/aipx, one-day orphan_age, retention forever; clocks at now_ms. */
void fake_site_init(struct fake_site *fake, int64_t now_ms);
/* Removes the state folder too. */
void fake_site_fini(struct fake_site *fake);

/* One backup: a manifest, and a data object of bytes bytes, both put at the recovery point. */
void fake_site_add_backup(struct fake_site *fake, const char *lineage, const char *id,
                          int64_t recovery_point_ms, size_t bytes);
/* One that goes on from parent. */
void fake_site_add_child(struct fake_site *fake, const char *lineage, const char *id,
                         const char *parent, int64_t recovery_point_ms, size_t bytes);
/* The data alone, put at modified_ms. */
void fake_site_add_data(struct fake_site *fake, const char *lineage, const char *id, size_t bytes,
                        int64_t modified_ms);
/* Its manifest alone. */
void fake_site_add_manifest(struct fake_site *fake, const char *lineage, const char *id,
                            int64_t recovery_point_ms, size_t bytes);
/* folder, suffix as site_record_key. */
void fake_site_add_record(struct fake_site *fake, const char *folder, const char *lineage,
                          const char *id, const char *suffix);
