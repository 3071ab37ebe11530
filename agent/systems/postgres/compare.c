// SPDX-License-Identifier: Apache-2.0
// Is what was restored what was backed up? The objects of each schema against the manifest, the
// rows of each table against the COPY blocks of the archive, and what the operator asserts.
#include "restoring.h"

#include "clock.h"
#include "facts.h"
#include "log.h"
#include "manifest.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct comparison {
    struct restoring *restoring;
    struct pg_session *session; /* in the new database */
    uint64_t rows;
    size_t tables;
};

static const char tables_query[] =
    "SELECT n.nspname, c.relname, EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid"
    "  AND d.classid = 'pg_class'::regclass AND d.deptype = 'e') FROM pg_class AS c"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
    " AND c.relpersistence <> 't' ORDER BY c.oid";

static long long count_of(const json_t *schema, const char *kind)
{
    return json_integer_value(json_object_get(json_object_get(schema, kind), "count"));
}

/* Names the first kind of object in which two schemas differ. */
static int schema_differs(const char *name, json_t *expected, json_t *found, struct err *err)
{
    char *place = name[0] == '\0' ? text_format("the database") : text_format("schema %s", name);
    json_t *all = json_copy(expected == NULL ? found : expected);
    const char *kind;
    const json_t *ignored;

    json_object_update_missing(all, found);
    json_object_foreach (all, kind, ignored) {
        long long is = count_of(found, kind), was = count_of(expected, kind);

        (void)ignored;
        if (json_equal(json_object_get(expected, kind), json_object_get(found, kind)))
            continue;
        if (is != was)
            err_set(err, ERR_MISMATCH, "%s has %lld of kind %s, the backup %lld", place, is, kind,
                    was);
        else
            err_set(err, ERR_MISMATCH, "the names of kind %s in %s are not those of the backup",
                    kind, place);
        break;
    }
    json_decref(all);
    free(place);
    return -1;
}

static int compare_objects(struct comparison *comparison, struct err *err)
{
    const struct manifest *manifest = comparison->restoring->request.manifest;
    json_t *expected = (json_t *)(uintptr_t)pg_fact(manifest, "objects", NULL);
    json_t *found = NULL;
    json_t *all;
    const char *schema;
    const json_t *ignored;
    int rc = 0;

    if (!json_is_object(expected))
        return err_set(err, ERR_CORRUPT, "the manifest does not list the objects of the database");
    if (pg_objects_take(comparison->session, &found, err) < 0)
        return -1;
    all = json_copy(expected);
    json_object_update_missing(all, found);
    json_object_foreach (all, schema, ignored) {
        json_t *was = json_object_get(expected, schema), *is = json_object_get(found, schema);

        (void)ignored;
        if (rc == 0 && !json_equal(was, is))
            rc = schema_differs(schema, was, is, err);
    }
    json_decref(all);
    json_decref(found);
    return rc;
}

/* Members of an extension hold what CREATE EXTENSION put there besides what the dump has. */
static int compare_table(struct comparison *comparison, const char *schema, const char *table,
                         bool is_member, const json_t *expected, struct err *err)
{
    char *quoted_schema = pg_quote_name(schema), *quoted_table = pg_quote_name(table);
    char *sql = text_format("SELECT count(*) FROM ONLY %s.%s", quoted_schema, quoted_table);
    char *count = NULL;
    json_int_t was = json_integer_value(expected);
    long long is;
    int rc = -1;

    if (pg_query_text(comparison->session, sql, NULL, 0, &count, err) < 0)
        goto out;
    is = count == NULL ? -1 : strtoll(count, NULL, 10);
    if (is_member ? is < was : is != was) {
        err_set(err, ERR_MISMATCH, "%s.%s has %lld rows, the archive %lld", quoted_schema,
                quoted_table, is, (long long)was);
        goto out;
    }
    comparison->rows += (uint64_t)is;
    comparison->tables++;
    rc = 0;
out:
    free(quoted_schema);
    free(quoted_table);
    free(sql);
    free(count);
    return rc;
}

static int compare_each_table(struct comparison *comparison, json_t *left, struct err *err)
{
    PGresult *result = NULL;
    const char *missing;
    int rc = 0;

    if (pg_query(comparison->session, tables_query, NULL, 0, &result, err) < 0)
        return -1;
    for (int i = 0; rc == 0 && i < PQntuples(result); i++) {
        const char *schema = PQgetvalue(result, i, 0), *table = PQgetvalue(result, i, 1);
        bool is_member = strcmp(PQgetvalue(result, i, 2), "t") == 0;
        char *key = pg_table_key(schema, table);
        json_t *expected = json_incref(json_object_get(left, key));

        if (expected != NULL)
            rc = compare_table(comparison, schema, table, is_member, expected, err);
        json_decref(expected);
        json_object_del(left, key);
        free(key);
    }
    PQclear(result);
    missing = json_object_iter_key(json_object_iter(left));
    if (rc == 0 && missing != NULL)
        rc = err_set(err, ERR_MISMATCH, "table %s of the archive is not there", missing);
    return rc;
}

static int compare_rows(struct comparison *comparison, struct err *err)
{
    json_t *left = json_copy(json_object_get(comparison->restoring->counted, "tables"));
    int rc = -1;

    if (left == NULL)
        return err_set(err, ERR_INTERNAL, "the rows of the archive were not counted");
    /* Names as they were counted: in the database's own encoding. */
    if (pg_session_set_encoding(comparison->session, true, err) == 0 &&
        compare_each_table(comparison, left, err) == 0 &&
        pg_session_set_encoding(comparison->session, false, err) == 0)
        rc = 0;
    json_decref(left);
    return rc;
}

static int compare_large_objects(struct comparison *comparison, struct err *err)
{
    int64_t was = pg_fact_number(comparison->restoring->request.manifest, "large_objects", NULL, 0);
    char *count = NULL;
    long long is;

    if (pg_query_text(comparison->session, "SELECT count(*) FROM pg_largeobject_metadata", NULL, 0,
                      &count, err) < 0)
        return -1;
    is = count == NULL ? -1 : strtoll(count, NULL, 10);
    free(count);
    if (is != was)
        return err_set(err, ERR_MISMATCH, "there are %lld large objects, in the backup %lld", is,
                       (long long)was);
    return 0;
}

/* As a client of the database would ask, but for writing. */
static int check_assertion(struct comparison *comparison, const char *sql, struct err *err)
{
    PGresult *result = NULL;
    bool holds;

    if (pg_exec(comparison->session, err,
                "BEGIN READ ONLY; SET LOCAL search_path TO DEFAULT;"
                " SET LOCAL row_security TO DEFAULT") < 0 ||
        pg_query(comparison->session, sql, NULL, 0, &result, err) < 0 ||
        pg_exec(comparison->session, err, "ROLLBACK") < 0) {
        PQclear(result);
        return err_wrap(err, "assert \"%.200s\"", sql);
    }
    holds = PQntuples(result) == 1 && PQnfields(result) == 1 &&
            strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    if (!holds)
        err_set(err, ERR_MISMATCH, "assert \"%.200s\" does not hold: it gave %s%.100s", sql,
                PQntuples(result) == 1 ? "" : "no single row",
                PQntuples(result) == 1 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return holds ? 0 : -1;
}

static int check_assertions(struct comparison *comparison, struct err *err)
{
    const struct option_list *list = &comparison->restoring->request.component->assertions;

    for (size_t i = 0; i < list->count; i++)
        if (check_assertion(comparison, list->items[i], err) < 0)
            return -1;
    return 0;
}

static int64_t ms_since(int64_t *mark_us)
{
    int64_t now_us = clock_mono_us(), since_us = now_us - *mark_us;

    *mark_us = now_us;
    return since_us / 1000;
}

int pg_compare(struct restoring *restoring, json_t *findings, struct err *err)
{
    const struct component_options *component = restoring->request.component;
    struct comparison comparison = {.restoring = restoring};
    int64_t mark_us = clock_mono_us();
    int rc = -1;

    if (pg_session_open("restore_conninfo", component->postgres.restore_conninfo, restoring->made,
                        restoring->request.deadline_mono_us, &comparison.session, err) < 0)
        return -1;
    /* Without statistics the first queries after the swap would be planned blindly. */
    log_info("gathering the planner's statistics", LOG_TEXT("database", restoring->made));
    if (pg_exec(comparison.session, err, "ANALYZE") < 0)
        goto out;
    json_object_set_new(findings, "analyze_ms", json_integer(ms_since(&mark_us)));
    log_info("comparing with the backup", LOG_TEXT("database", restoring->made));
    if (compare_objects(&comparison, err) < 0 || compare_rows(&comparison, err) < 0 ||
        compare_large_objects(&comparison, err) < 0 || check_assertions(&comparison, err) < 0)
        goto out;
    json_object_set_new(findings, "compare_ms", json_integer(ms_since(&mark_us)));
    json_object_set_new(findings, "tables_compared", json_integer((json_int_t)comparison.tables));
    json_object_set_new(findings, "rows_compared", json_integer((json_int_t)comparison.rows));
    json_object_set_new(findings, "assertions",
                        json_integer((json_int_t)component->assertions.count));
    rc = 0;
out:
    pg_session_close(comparison.session);
    return rc;
}
