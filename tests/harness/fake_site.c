// SPDX-License-Identifier: Apache-2.0
// What a site of the tests is made of.
#include "fake_store.h"

#include "fakes.h"
#include "manifest.h"
#include "mem.h"

#include <ev.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void fake_site_init(struct fake_site *fake, int64_t now_ms)
{
    *fake = (struct fake_site){
        .site = {.options = &fake->options,
                 .component = &fake->component,
                 .store = &fake->store.store,
                 .root = mem_strdup("prod/aipx/orders-db")},
        .store = {.store = {.ops = &fake_store_ops, .name = "memory"}, .now_ms = now_ms},
        .options = {.state_path = fake->state_path},
        .component = {.name = (char *)"orders-db",
                      .retention = {.forever = true},
                      .orphan_age_ms = INT64_C(24) * 3600 * 1000,
                      .piece_bytes = 1 << 20},
    };
    snprintf(fake->state_path, sizeof fake->state_path, "/tmp/lifeboat-state-XXXXXX");
    if (mkdtemp(fake->state_path) == NULL)
        abort();
    fake->site.loop = ev_loop_new(EVFLAG_AUTO);
    step_clock_set(now_ms);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void fake_site_fini(struct fake_site *fake)
{
    nftw(fake->state_path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    ev_loop_destroy(fake->site.loop);
    store_close(&fake->store.store);
    free(fake->site.root);
    step_clock_end();
}

static char *make_manifest(const char *lineage, const char *id, const char *parent,
                           int64_t recovery_point_ms, size_t bytes)
{
    struct manifest *manifest = manifest_new();
    char *text;

    memcpy(manifest->id, id, strlen(id) + 1);
    memcpy(manifest->parent, parent, strlen(parent) + 1);
    manifest->component = mem_strdup("orders-db");
    manifest->cluster = mem_strdup("prod");
    manifest->namespace_ = mem_strdup("aipx");
    manifest->system = mem_strdup("postgres");
    manifest->system_version = mem_strdup("16.14");
    manifest->lineage = mem_strdup(lineage);
    manifest->agent_version = mem_strdup("0.1.0");
    manifest->started_ms = manifest->recovery_point_ms = manifest->ended_ms = recovery_point_ms;
    manifest->objects = mem_calloc(1, sizeof *manifest->objects);
    manifest->object_count = 1;
    manifest->objects[0] = (struct manifest_object){
        .name = mem_strdup("database.pgdump"),
        .format = mem_strdup("pg_dump custom archive"),
        .codec = mem_strdup("none"),
        .plain_bytes = bytes,
        .plain_sha256 = NO_SHA256,
        .pieces = mem_calloc(1, sizeof *manifest->objects[0].pieces),
        .piece_count = 1,
    };
    manifest->objects[0].pieces[0] = (struct manifest_piece){
        .name = mem_strdup("database.pgdump"), .bytes = bytes, .sha256 = NO_SHA256};
    text = manifest_format(manifest);
    manifest_free(manifest);
    return text;
}

static void add_manifest(struct fake_site *fake, const char *lineage, const char *id,
                         const char *parent, int64_t recovery_point_ms, size_t bytes)
{
    char *text = make_manifest(lineage, id, parent, recovery_point_ms, bytes);
    char *key = site_manifest_key(&fake->site, lineage, id);

    fake_store_add(&fake->store, key, NULL, text, strlen(text), recovery_point_ms);
    free(key);
    free(text);
}

void fake_site_add_manifest(struct fake_site *fake, const char *lineage, const char *id,
                            int64_t recovery_point_ms, size_t bytes)
{
    add_manifest(fake, lineage, id, "", recovery_point_ms, bytes);
}

void fake_site_add_data(struct fake_site *fake, const char *lineage, const char *id, size_t bytes,
                        int64_t modified_ms)
{
    char *key = site_data_key(&fake->site, lineage, id, "database.pgdump");
    uint8_t *data = fake_bytes(bytes, 1);

    fake_store_add(&fake->store, key, NULL, data, bytes, modified_ms);
    free(data);
    free(key);
}

void fake_site_add_backup(struct fake_site *fake, const char *lineage, const char *id,
                          int64_t recovery_point_ms, size_t bytes)
{
    fake_site_add_data(fake, lineage, id, bytes, recovery_point_ms);
    fake_site_add_manifest(fake, lineage, id, recovery_point_ms, bytes);
}

void fake_site_add_child(struct fake_site *fake, const char *lineage, const char *id,
                         const char *parent, int64_t recovery_point_ms, size_t bytes)
{
    fake_site_add_data(fake, lineage, id, bytes, recovery_point_ms);
    add_manifest(fake, lineage, id, parent, recovery_point_ms, bytes);
}

void fake_site_add_record(struct fake_site *fake, const char *folder, const char *lineage,
                          const char *id, const char *suffix)
{
    char *key = site_record_key(&fake->site, folder, lineage, id, suffix);

    fake_store_add(&fake->store, key, NULL, "{}", 2, fake->store.now_ms);
    free(key);
}
