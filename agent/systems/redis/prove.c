// SPDX-License-Identifier: Apache-2.0
// Proof of an RDB file without a server: it is read to its end, its checksum compared, and it must
// hold as many keys of each type in each database as the manifest says.
#include "redis_prove.h"

#include "manifest.h"
#include "mem.h"
#include "rdb_facts.h"

#include <stdlib.h>
#include <string.h>

struct rdb_sink {
    struct sink sink;
    const struct manifest *manifest;
    struct rdb *rdb;
    json_t *findings; /* lent */
};

static enum step rdb_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct rdb_sink *to = (struct rdb_sink *)sink;

    if (rdb_feed(to->rdb, in->data + in->pos, in->len - in->pos, err) < 0)
        return STEP_ERROR;
    in->pos = in->len;
    return STEP_OK;
}

static int differs(const char *what, const json_t *is, const json_t *was, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: the file has %lld, its manifest says %lld", what,
                   (long long)json_integer_value(is), (long long)json_integer_value(was));
}

static int match_database(const char *name, const json_t *found, const json_t *expected,
                          struct err *err)
{
    static const char *const counts[] = {"keys", "expires"};
    const json_t *is = json_object_get(found, "types"), *was = json_object_get(expected, "types");
    char what[64];

    for (int i = 0; i < RDB_TYPES; i++) {
        const char *type = rdb_type_names[i];

        snprintf(what, sizeof what, "database %.24s, type %s", name, type);
        if (json_integer_value(json_object_get(is, type)) !=
            json_integer_value(json_object_get(was, type)))
            return differs(what, json_object_get(is, type), json_object_get(was, type), err);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        is = json_object_get(found, counts[i]);
        was = json_object_get(expected, counts[i]);
        snprintf(what, sizeof what, "database %.24s, %s", name, counts[i]);
        if (json_integer_value(is) != json_integer_value(was))
            return differs(what, is, was, err);
    }
    return 0;
}

static int match(const json_t *found, const json_t *expected, struct err *err)
{
    json_t *is = json_object_get(found, "databases"), *was = json_object_get(expected, "databases");
    json_t *all = json_object();
    const char *name;
    const json_t *ignored;
    int rc = -1;

    if (!json_is_object(was)) {
        err_set(err, ERR_CORRUPT, "the manifest does not say what the file holds (facts.rdb)");
        goto out;
    }
    json_object_update(all, was);
    json_object_update(all, is);
    json_object_foreach (all, name, ignored) {
        (void)ignored;
        if (match_database(name, json_object_get(is, name), json_object_get(was, name), err) < 0)
            goto out;
    }
    is = json_object_get(found, "functions");
    was = json_object_get(expected, "functions");
    if (json_integer_value(is) != json_integer_value(was)) {
        differs("libraries of functions", is, was, err);
        goto out;
    }
    rc = 0;
out:
    json_decref(all);
    return rc;
}

static enum step rdb_commit(struct sink *sink, struct err *err)
{
    struct rdb_sink *to = (struct rdb_sink *)sink;
    json_t *found;
    int rc;

    if (rdb_finish(to->rdb, err) < 0)
        return STEP_ERROR;
    found = redis_facts_json(rdb_facts(to->rdb));
    rc = match(found, json_object_get(to->manifest->facts, "rdb"), err);
    if (rc == 0) {
        json_object_set(to->findings, "databases", json_object_get(found, "databases"));
        json_object_set(to->findings, "functions", json_object_get(found, "functions"));
    }
    json_decref(found);
    return rc == 0 ? STEP_END : STEP_ERROR;
}

static void rdb_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void rdb_close(struct sink *sink)
{
    struct rdb_sink *to = (struct rdb_sink *)sink;

    rdb_free(to->rdb);
    free(to);
}

static const struct sink_ops rdb_sink_ops = {
    .name = "proof of an RDB file",
    .write = rdb_write,
    .commit = rdb_commit,
    .arm = rdb_arm,
    .close = rdb_close,
};

int redis_prove(const struct component_options *component, const struct manifest *manifest,
                const char *object, json_t *findings, struct sink **sink, struct err *err)
{
    struct rdb_sink *to;

    (void)component;
    if (strcmp(object, REDIS_OBJECT) != 0)
        return err_set(err, ERR_CORRUPT, "a backup of Redis holds no object %s", object);
    to = mem_calloc(1, sizeof *to);
    to->sink.ops = &rdb_sink_ops;
    to->manifest = manifest;
    to->rdb = rdb_new();
    to->findings = findings;
    *sink = &to->sink;
    return 0;
}
