// SPDX-License-Identifier: Apache-2.0
// Keys, small files, and the way of an object from the store to whoever wants its plain bytes.
#include "site.h"

#include "chain.h"
#include "mem.h"
#include "memory.h"
#include "pieces.h"
#include "pump.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool three_names(const char *from)
{
    size_t slashes = 0;

    for (const char *at = from; *at != '\0'; at++) {
        bool empty = *at == '/' && (at == from || at[1] == '/' || at[1] == '\0');
        bool dots = *at == '.' && (at == from || at[-1] == '/');

        if (empty || dots || (unsigned char)*at <= ' ')
            return false;
        slashes += *at == '/';
    }
    return slashes == 2;
}

struct site *site_new(const struct agent_options *options,
                      const struct component_options *component, const char *from,
                      struct store *store, struct ev_loop *loop)
{
    struct site *site = mem_calloc(1, sizeof *site);

    *site = (struct site){
        .options = options,
        .component = component,
        .system = system_get(component->system),
        .loop = loop,
        .store = store,
        .root = from != NULL ? mem_strdup(from)
                             : text_format("%s/%s/%s", options->identity.cluster,
                                           options->identity.namespace_, component->name),
        .foreign = from != NULL,
    };
    return site;
}

int site_open(const struct agent_options *options, const struct component_options *component,
              const char *from, struct ev_loop *loop, struct site **site, struct err *err)
{
    struct store *store = NULL;

    if (from != NULL && !three_names(from))
        return err_set(err, ERR_USAGE,
                       "--from \"%s\" is not of the form CLUSTER/NAMESPACE/COMPONENT", from);
    if (store_open(component->store, loop, &store, err) < 0)
        return -1;
    *site = site_new(options, component, from, store, loop);
    return 0;
}

void site_close(struct site *site)
{
    if (site == NULL)
        return;
    store_close(site->store);
    free(site->root);
    free(site);
}

char *site_manifest_key(const struct site *site, const char *lineage, const char *id)
{
    return text_format("%s/%s/manifests/%s.json", site->root, lineage, id);
}

char *site_data_key(const struct site *site, const char *lineage, const char *id, const char *name)
{
    return text_format("%s/%s/data/%s/%s", site->root, lineage, id, name);
}

char *site_record_key(const struct site *site, const char *folder, const char *lineage,
                      const char *id, const char *suffix)
{
    return text_format("%s/%s/%s/%s%s.json", site->root, lineage, folder, id, suffix);
}

int site_put(struct site *site, const char *key, const void *data, size_t len, struct err *err)
{
    struct sink *sink = NULL;

    if (site->foreign)
        return err_set(err, ERR_REFUSED, "what --from names is read, never written");
    if (site->store->ops->put(site->store, key, &sink, err) < 0)
        return -1;
    return pump_move(memory_source_new(data, len), NULL, 0, sink, site->loop, NULL, NULL, NULL,
                     err);
}

int site_get(struct site *site, const char *key, size_t max_bytes, char **data, size_t *len,
             struct err *err)
{
    struct source *source = NULL;
    struct text text = TEXT_INIT;

    if (site->store->ops->get(site->store, key, &source, err) < 0)
        return -1;
    if (pump_move(source, NULL, 0, memory_sink_new(&text, max_bytes), site->loop, NULL, NULL, NULL,
                  err) < 0) {
        text_fini(&text);
        return err_wrap(err, "%s", key);
    }
    *len = text.len;
    *data = text_take(&text);
    return 0;
}

int site_get_manifest_text(struct site *site, const char *lineage, const char *id, char **data,
                           size_t *len, struct manifest **manifest, struct err *err)
{
    int rc = -1;
    struct manifest *parsed = NULL;
    char *key = site_manifest_key(site, lineage, id);
    char *text = NULL;

    if (site_get(site, key, MANIFEST_MAX_BYTES, &text, len, err) < 0)
        goto out;
    if (manifest_parse(text, *len, &parsed, err) < 0) {
        err_wrap(err, "%s", key);
        goto out;
    }
    /* A manifest that was moved or copied would name the data of another backup. */
    if (strcmp(parsed->id, id) != 0 || strcmp(parsed->lineage, lineage) != 0) {
        err_set(err, ERR_CORRUPT, "%s: it says it is backup %s of lineage %s", key, parsed->id,
                parsed->lineage);
        goto out;
    }
    *manifest = parsed;
    *data = text;
    parsed = NULL;
    text = NULL;
    rc = 0;
out:
    manifest_free(parsed);
    free(text);
    free(key);
    return rc;
}

int site_get_manifest(struct site *site, const char *lineage, const char *id,
                      struct manifest **manifest, struct err *err)
{
    char *data = NULL;
    size_t len = 0;
    int rc = site_get_manifest_text(site, lineage, id, &data, &len, manifest, err);

    free(data);
    return rc;
}

struct reading {
    struct site *site;
    const struct manifest *manifest;
    const struct manifest_object *object;
    struct digest_result expected;
};

static int open_piece(void *arg, size_t index, struct source **source, struct err *err)
{
    const struct reading *reading = arg;
    char *key = site_data_key(reading->site, reading->manifest->lineage, reading->manifest->id,
                              reading->object->pieces[index].name);
    int rc = reading->site->store->ops->get(reading->site->store, key, source, err);

    free(key);
    return rc;
}

static const struct digest_result *expected_piece(void *arg, size_t index)
{
    struct reading *reading = arg;

    reading->expected.bytes = reading->object->pieces[index].bytes;
    memcpy(reading->expected.sha256, reading->object->pieces[index].sha256,
           sizeof reading->expected.sha256);
    return &reading->expected;
}

static const char *piece_name(void *arg, size_t index)
{
    return ((struct reading *)arg)->object->pieces[index].name;
}

int site_read_object(struct site *site, const struct manifest *manifest,
                     const struct manifest_object *object, struct sink *sink,
                     int64_t deadline_mono_us, const struct pump_watcher *watcher,
                     struct pump_status *status, struct err *err)
{
    struct reading reading = {.site = site, .manifest = manifest, .object = object};
    const struct piece_reader reader = {
        .open = open_piece,
        .expected = expected_piece,
        .name = piece_name,
        .arg = &reading,
        .count = object->piece_count,
    };
    const struct pump_limits limits = {
        .deadline_mono_us = deadline_mono_us,
        .stall_ms = site->component->stall_timeout_ms,
    };
    struct digest_result plain = {.bytes = object->plain_bytes};
    struct chain chain;

    memcpy(plain.sha256, object->plain_sha256, sizeof plain.sha256);
    if (chain_outwards(object->codec, &plain, object->name, &chain, err) < 0) {
        sink_close(sink);
        return -1;
    }
    if (pump_move(pieces_source_new(&reader), chain.stages, chain.count, sink, site->loop, &limits,
                  watcher, status, err) < 0)
        return err_wrap(err, "%s", object->name);
    return 0;
}
