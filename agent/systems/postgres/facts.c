// SPDX-License-Identifier: Apache-2.0
// Facts of a database. Columns that came or went between versions are read through to_jsonb(row),
// so that one query serves all. search_path is empty: only pg_catalog is looked into.
#include "facts.h"

#include "manifest.h"
#include "mem.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

static const char database_query[] =
    "SELECT jsonb_build_object("
    "'name', d.datname, 'owner', o.rolname, 'encoding', pg_encoding_to_char(d.encoding),"
    " 'locale_provider', CASE j->>'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin'"
    " ELSE 'libc' END,"
    " 'collate', d.datcollate, 'ctype', d.datctype,"
    " 'locale', coalesce(j->>'datlocale', j->>'daticulocale'), 'icu_rules', j->>'daticurules',"
    " 'tablespace', t.spcname, 'connection_limit', d.datconnlimit, 'is_template', d.datistemplate,"
    " 'comment', shobj_description(d.oid, 'pg_database'),"
    " 'acl', CASE WHEN d.datacl IS NOT NULL THEN coalesce((SELECT jsonb_agg(jsonb_build_object("
    "   'grantor', f.rolname, 'grantee', g.rolname, 'privilege', a.privilege_type,"
    "   'grantable', a.is_grantable) ORDER BY a.n)"
    "  FROM aclexplode(d.datacl) WITH ORDINALITY"
    "   AS a (grantor, grantee, privilege_type, is_grantable, n)"
    "  LEFT JOIN pg_roles AS f ON f.oid = a.grantor"
    "  LEFT JOIN pg_roles AS g ON g.oid = a.grantee), '[]') END,"
    " 'settings', coalesce((SELECT jsonb_agg(line ORDER BY n)"
    "  FROM pg_db_role_setting AS s, unnest(s.setconfig) WITH ORDINALITY AS u (line, n)"
    "  WHERE s.setdatabase = d.oid AND s.setrole = 0), '[]'),"
    " 'role_settings', coalesce((SELECT jsonb_object_agg(r.rolname,"
    "   (SELECT jsonb_agg(line ORDER BY n) FROM unnest(s.setconfig) WITH ORDINALITY"
    "   AS u (line, n)))"
    "  FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole"
    "  WHERE s.setdatabase = d.oid), '{}'),"
    " 'size_bytes', CASE WHEN has_database_privilege(d.oid, 'CONNECT')"
    "  OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(d.oid) END)"
    " FROM pg_database AS d JOIN pg_roles AS o ON o.oid = d.datdba"
    " JOIN pg_tablespace AS t ON t.oid = d.dattablespace, to_jsonb(d) AS j"
    " WHERE d.datname = $1";

/* Roles that own or are granted something, or have settings here. The bootstrap superuser (10) is
 * never recorded in pg_shdepend, so its objects are looked for. */
static const char cluster_query[] =
    "WITH db AS (SELECT * FROM pg_database WHERE datname = current_database())"
    " SELECT jsonb_build_object("
    "'server', jsonb_build_object('version_num', current_setting('server_version_num')::int,"
    "  'in_recovery', pg_is_in_recovery()),"
    " 'roles', (SELECT coalesce(jsonb_agg(r.rolname ORDER BY r.rolname COLLATE \"C\"), '[]')"
    "  FROM pg_roles AS r WHERE r.rolname !~ '^pg_' AND (r.oid = (SELECT datdba FROM db)"
    "  OR r.oid IN (SELECT s.refobjid FROM pg_shdepend AS s, db"
    "   WHERE s.refclassid = 'pg_authid'::regclass AND (s.dbid = db.oid"
    "   OR (s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = db.oid)))"
    "  OR r.oid IN (SELECT s.setrole FROM pg_db_role_setting AS s, db"
    "   WHERE s.setdatabase = db.oid)"
    "  OR (r.oid = 10 AND (EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n"
    "    ON n.oid = c.relnamespace WHERE c.relowner = 10 AND n.nspname !~ '^pg_'"
    "    AND n.nspname <> 'information_schema')"
    "   OR EXISTS (SELECT FROM pg_proc AS p WHERE p.proowner = 10 AND p.oid >= 16384)"
    "   OR EXISTS (SELECT FROM pg_type AS t WHERE t.typowner = 10 AND t.oid >= 16384)"
    "   OR EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspowner = 10 AND n.oid >= 16384))))),"
    " 'tablespaces', (SELECT coalesce(jsonb_agg(t.spcname ORDER BY t.spcname COLLATE \"C\"), '[]')"
    "  FROM pg_tablespace AS t WHERE t.spcname !~ '^pg_' AND (t.oid = (SELECT dattablespace"
    "  FROM db) OR t.oid IN (SELECT reltablespace FROM pg_class))),"
    " 'extensions', (SELECT coalesce(jsonb_object_agg(extname, extversion), '{}')"
    "  FROM pg_extension),"
    " 'subscriptions', (SELECT coalesce(jsonb_agg(s.subname ORDER BY s.subname COLLATE \"C\"),"
    "  '[]') FROM pg_subscription AS s, db WHERE s.subdbid = db.oid),"
    " 'slots', (SELECT coalesce(jsonb_agg(slot_name ORDER BY slot_name COLLATE \"C\"), '[]')"
    "  FROM pg_replication_slots WHERE database = current_database()),"
    " 'large_objects', (SELECT count(*) FROM pg_largeobject_metadata))";

int pg_query_json(struct pg_session *session, const char *sql, const char *const *params, int count,
                  json_t **json, struct err *err)
{
    char *text = NULL;
    char *clean;
    json_error_t failed;

    if (pg_query_text(session, sql, params, count, &text, err) < 0)
        return -1;
    if (text == NULL) {
        *json = json_null();
        return 0;
    }
    clean = pg_clean_text(text, "\\\\x");
    *json = json_loads(clean, JSON_DECODE_ANY | JSON_ALLOW_NUL, &failed);
    free(clean);
    free(text);
    if (*json == NULL)
        return err_set(err, ERR_SOURCE, "%s: the server's JSON cannot be read: %s",
                       pg_session_place(session), failed.text);
    return 0;
}

int pg_database_facts(struct pg_session *session, const char *name, json_t **json, struct err *err)
{
    const char *params[] = {name};

    return pg_query_json(session, database_query, params, 1, json, err);
}

int pg_facts_take(struct pg_session *session, json_t *facts, struct err *err)
{
    json_t *part = NULL;

    if (pg_query_json(session, cluster_query, NULL, 0, &part, err) < 0)
        return -1;
    json_object_update(facts, part);
    json_decref(part);
    if (pg_database_facts(session, PQdb(pg_session_connection(session)), &part, err) < 0)
        return -1;
    json_object_set_new(facts, "database", part);
    if (pg_objects_take(session, &part, err) < 0)
        return -1;
    json_object_set_new(facts, "objects", part);
    if (pg_tables_take(session, &part, err) < 0)
        return -1;
    json_object_set_new(facts, "tables", part);
    return 0;
}

const json_t *pg_fact(const struct manifest *manifest, const char *group, const char *key)
{
    const json_t *at = json_object_get(manifest->facts, group);

    return key == NULL ? at : json_object_get(at, key);
}

const char *pg_fact_text(const struct manifest *manifest, const char *group, const char *key)
{
    return json_string_value(pg_fact(manifest, group, key));
}

int64_t pg_fact_number(const struct manifest *manifest, const char *group, const char *key,
                       int64_t otherwise)
{
    const json_t *at = pg_fact(manifest, group, key);

    return json_is_integer(at) ? json_integer_value(at) : otherwise;
}
