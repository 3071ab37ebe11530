// SPDX-License-Identifier: Apache-2.0
// A store: a place where backups live. Keys are relative paths of the store's own root
// ("prod/aipx/orders-db/7312/manifests/20261123T071500Z-7f3a9c.json"); the store puts its bucket,
// prefix or folder before them. Nothing is ever overwritten.
//
// Streams (put, get) follow pipeline/stream.h. The other calls do one small thing and wait for it,
// on the loop given at open (so never from inside a turn of the pump); they return early with
// ERR_CANCELLED when a stop is wished for. A job does one thing at a time, so nothing is gained by
// making them callbacks (docs/decisions/0002-blocking-small-calls.md).
#pragma once

#include "stream.h"

#include <stdint.h>

struct ev_loop;
struct store_options;

struct store {
    const struct store_ops *ops;
    char name[64]; /* as configured */
};

struct store_entry {
    const char *key; /* lent for the call */
    uint64_t bytes;
    int64_t modified_ms; /* by the store's own clock; for an upload: when it was begun */
    const char *upload;  /* list_uploads: how abort_upload finds it again; else NULL */
};

/* 0 to go on, -1 with err set to stop. */
typedef int store_each_fn(void *arg, const struct store_entry *entry, struct err *err);

struct store_ops {
    const char *name;
    int (*open)(const struct store_options *options, struct ev_loop *loop, struct store **store,
                struct err *err);
    /* Create-only: commit fails with ERR_EXISTS when the key is there with other bytes; equal
     * bytes (an answer that was lost, then repeated) are success. Nothing under the key is visible
     * before commit's END. */
    int (*put)(struct store *store, const char *key, struct sink **sink, struct err *err);
    /* ERR_NOT_FOUND may come here or from the first read. The source fails unless it delivers
     * exactly the object's length. */
    int (*get)(struct store *store, const char *key, struct source **source, struct err *err);
    /* ERR_NOT_FOUND when it is not there. entry->key is left alone. */
    int (*stat)(struct store *store, const char *key, struct store_entry *entry, struct err *err);
    /* Every object whose key starts with prefix, in byte order of the keys. each() must not call
     * the store. */
    int (*list)(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                struct err *err);
    /* The same for puts that were begun and neither committed nor aborted, by anybody. */
    int (*list_uploads)(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                        struct err *err);
    /* Takes back what a list_uploads entry stands for; one that is gone is fine. */
    int (*abort_upload)(struct store *store, const char *key, const char *upload, struct err *err);
    /* An object that is not there is fine. */
    int (*remove)(struct store *store, const char *key, struct err *err);
    /* The store's own clock, to the second. */
    int (*clock)(struct store *store, int64_t *wall_ms, struct err *err);
    void (*close)(struct store *store);
};

/* Opens the store that the options describe. */
int store_open(const struct store_options *options, struct ev_loop *loop, struct store **store,
               struct err *err);
/* NULL is allowed. */
void store_close(struct store *store);
