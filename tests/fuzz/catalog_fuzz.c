// SPDX-License-Identifier: Apache-2.0
// A store that lists and gives whatever it likes: the input is keys, a line each, an empty line,
// and then what every manifest reads as. What is loaded must be safe to select from.
#include "catalog.h"

#include "log.h"
#include "mem.h"
#include "memory.h"
#include "options.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_store {
    struct store store;
    const char *keys;
    size_t keys_len;
    const char *manifest;
    size_t manifest_len;
};

static int fuzz_list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                     struct err *err)
{
    const struct fuzz_store *fuzz = (struct fuzz_store *)store;
    const char *end = fuzz->keys + fuzz->keys_len;
    int rc = 0;

    for (const char *at = fuzz->keys; rc == 0 && at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline == NULL ? (size_t)(end - at) : (size_t)(newline - at);
        char *name = mem_strndup(at, len);
        size_t prefix_len = strlen(prefix);
        char *key = mem_calloc(prefix_len + len + 1, 1);
        struct store_entry entry = {.key = key, .bytes = len, .modified_ms = (int64_t)len};

        memcpy(key, prefix, prefix_len);
        memcpy(key + prefix_len, name, strlen(name));
        rc = each(arg, &entry, err);
        free(key);
        free(name);
        at += len + 1;
    }
    return rc;
}

static int fuzz_get(struct store *store, const char *key, struct source **source, struct err *err)
{
    const struct fuzz_store *fuzz = (struct fuzz_store *)store;

    (void)key;
    (void)err;
    *source = memory_source_new(fuzz->manifest, fuzz->manifest_len);
    return 0;
}

static const struct store_ops fuzz_ops = {.name = "fuzz", .list = fuzz_list, .get = fuzz_get};

static void select_all(const struct catalog *catalog)
{
    static const char *const wishes[] = {NULL, "latest", "2026-11-23T07:15Z",
                                         "20261123T071500Z-7f3a9c", "x"};
    static const char *const owns[] = {NULL, "7312345678901234567"};

    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        for (size_t j = 0; j < sizeof owns / sizeof owns[0]; j++) {
            const struct backup *backup = NULL;
            struct err err = ERR_INIT;

            if (catalog_select(catalog, wishes[i], owns[j], &backup, &err) == 0 &&
                backup->manifest == NULL)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct ev_loop *loop;
    const char *text = (const char *)data;
    const char *blank = len == 0 ? NULL : memmem(text, len, "\n\n", 2);
    struct agent_options options = {.state_path = (char *)(uintptr_t) "/nonexistent"};
    struct fuzz_store store = {
        .store = {.ops = &fuzz_ops, .name = "fuzz"},
        .keys = text,
        .keys_len = blank == NULL ? len : (size_t)(blank - text),
        .manifest = blank == NULL ? "" : blank + 2,
        .manifest_len = blank == NULL ? 0 : len - (size_t)(blank + 2 - text),
    };
    struct site site = {
        .options = &options,
        .store = &store.store,
        .root = (char *)(uintptr_t) "cluster/namespace/component",
        .foreign = true,
    };
    struct catalog *catalog = NULL;
    struct err err = ERR_INIT;

    if (loop == NULL) {
        loop = ev_loop_new(EVFLAG_AUTO);
        log_setup(LOG_ERROR, false);
    }
    site.loop = loop;
    if (catalog_load(&site, &catalog, &err) == 0)
        select_all(catalog);
    catalog_free(catalog);
    return 0;
}
