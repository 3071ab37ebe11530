// SPDX-License-Identifier: Apache-2.0
// What a database consists of, so that a restored one can be compared with what was backed up. Only
// what a dump surely recreates under the same name is listed: no members of extensions (their
// version decides), nothing that PostgreSQL makes along with something else (arrays and row types,
// clones of constraints and triggers for partitions), no invalid indexes, which pg_dump leaves out.
#include "facts.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TABLES 100000 /* beyond, the manifest would grow past its bound */

static const char objects_query[] =
    "WITH member AS MATERIALIZED (SELECT classid, objid FROM pg_depend"
    "  WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass),"
    " inner_one AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'i'),"
    " space AS MATERIALIZED (SELECT oid, nspname FROM pg_namespace"
    "  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),"
    " rel AS MATERIALIZED (SELECT c.oid, c.relname, c.relkind, s.nspname FROM pg_class AS c"
    "  JOIN space AS s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f',"
    "  'c') AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass"
    "  AND m.objid = c.oid)),"
    " object (schema, kind, name) AS ("
    "SELECT nspname, CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table'"
    "  WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'"
    "  WHEN 'f' THEN 'foreign table' ELSE 'composite type' END, relname::text FROM rel"
    " UNION ALL SELECT r.nspname, 'column', r.relname || '.' || a.attname || ' '"
    "  || format_type(a.atttypid, a.atttypmod) FROM rel AS r JOIN pg_attribute AS a"
    "  ON a.attrelid = r.oid WHERE r.relkind IN ('r', 'p', 'f', 'c') AND a.attnum > 0"
    "  AND NOT a.attisdropped"
    " UNION ALL SELECT r.nspname, 'index', c.relname || ' ON ' || r.relname FROM rel AS r"
    "  JOIN pg_index AS i ON i.indrelid = r.oid JOIN pg_class AS c ON c.oid = i.indexrelid"
    "  WHERE (i.indisvalid OR r.relkind = 'p') AND i.indisready"
    " UNION ALL SELECT r.nspname, 'constraint', k.conname || ' ON ' || r.relname || ' ' || "
    "k.contype::text"
    "  FROM rel AS r JOIN pg_constraint AS k ON k.conrelid = r.oid"
    "  WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0"
    " UNION ALL SELECT r.nspname, 'trigger', t.tgname || ' ON ' || r.relname FROM rel AS r"
    "  JOIN pg_trigger AS t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal AND t.tgparentid = 0"
    " UNION ALL SELECT r.nspname, 'policy', p.polname || ' ON ' || r.relname FROM rel AS r"
    "  JOIN pg_policy AS p ON p.polrelid = r.oid"
    " UNION ALL SELECT r.nspname, 'rule', w.rulename || ' ON ' || r.relname FROM rel AS r"
    "  JOIN pg_rewrite AS w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'"
    " UNION ALL SELECT s.nspname, CASE p.prokind WHEN 'p' THEN 'procedure'"
    "  WHEN 'a' THEN 'aggregate' ELSE 'function' END,"
    "  p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'"
    "  FROM pg_proc AS p JOIN space AS s ON s.oid = p.pronamespace WHERE NOT EXISTS (SELECT FROM"
    "  (SELECT * FROM member UNION ALL SELECT * FROM inner_one) AS m"
    "  WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)"
    " UNION ALL SELECT s.nspname, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END,"
    "  t.typname::text FROM pg_type AS t JOIN space AS s ON s.oid = t.typnamespace"
    "  WHERE t.typtype IN ('b', 'd', 'e', 'r') AND t.typisdefined AND NOT EXISTS (SELECT FROM"
    "  (SELECT * FROM member UNION ALL SELECT * FROM inner_one) AS m"
    "  WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)"
    " UNION ALL SELECT s.nspname, x.kind, x.name FROM (SELECT 'pg_operator'::regclass AS classid,"
    "   oid, oprnamespace AS space, 'operator' AS kind, oprname || '(' || format_type(oprleft, -1)"
    "   || ',' || format_type(oprright, -1) || ')' AS name FROM pg_operator"
    "  UNION ALL SELECT 'pg_opclass'::regclass, c.oid, c.opcnamespace, 'operator class',"
    "   c.opcname || ' USING ' || a.amname FROM pg_opclass AS c JOIN pg_am AS a"
    "   ON a.oid = c.opcmethod"
    "  UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace, 'collation', collname"
    "   FROM pg_collation"
    "  UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace, 'conversion', conname"
    "   FROM pg_conversion"
    "  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace, 'text search configuration',"
    "   cfgname FROM pg_ts_config"
    "  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace, 'text search dictionary',"
    "   dictname FROM pg_ts_dict"
    "  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace, 'statistics object',"
    "   stxname FROM pg_statistic_ext) AS x JOIN space AS s ON s.oid = x.space"
    "  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = x.classid AND m.objid = x.oid)"
    " UNION ALL SELECT '', x.kind, x.name FROM (SELECT 'pg_cast'::regclass AS classid, oid,"
    "   'cast' AS kind, format_type(castsource, -1) || ' AS ' || format_type(casttarget, -1)"
    "   AS name FROM pg_cast WHERE oid >= 16384"
    "  UNION ALL SELECT 'pg_event_trigger'::regclass, oid, 'event trigger', evtname"
    "   FROM pg_event_trigger"
    "  UNION ALL SELECT 'pg_publication'::regclass, oid, 'publication', pubname"
    "   FROM pg_publication"
    "  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, 'foreign server', srvname"
    "   FROM pg_foreign_server"
    "  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 'foreign data wrapper', fdwname"
    "   FROM pg_foreign_data_wrapper"
    "  UNION ALL SELECT 'pg_language'::regclass, oid, 'language', lanname FROM pg_language"
    "   WHERE oid >= 16384) AS x"
    "  WHERE NOT EXISTS (SELECT FROM (SELECT * FROM member UNION ALL SELECT * FROM inner_one) AS m"
    "  WHERE m.classid = x.classid AND m.objid = x.oid)"
    " UNION ALL SELECT '', 'extension', extname::text FROM pg_extension"
    " UNION ALL SELECT nspname, 'schema', '' FROM space)"
    " SELECT jsonb_object_agg(schema, kinds) FROM (SELECT schema, jsonb_object_agg(kind,"
    "  jsonb_build_object('count', n, 'digest', digest)) AS kinds FROM (SELECT schema, kind,"
    "  count(*) AS n, left(encode(sha256(convert_to(string_agg(name, E'\\n' ORDER BY name"
    "  COLLATE \"C\"), getdatabaseencoding())), 'hex'), 16) AS digest FROM object"
    "  GROUP BY schema, kind) AS counted GROUP BY schema) AS grouped";

static const char tables_query[] =
    "SELECT n.nspname, c.relname, c.reltuples::bigint FROM pg_class AS c"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " AND (c.relpersistence = 'p' OR (c.relpersistence = 'u' AND NOT pg_is_in_recovery()))"
    " AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass"
    "  AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.oid LIMIT 100001";

int pg_objects_take(struct pg_session *session, json_t **objects, struct err *err)
{
    return pg_query_json(session, objects_query, NULL, 0, objects, err);
}

int pg_tables_take(struct pg_session *session, json_t **tables, struct err *err)
{
    PGresult *result = NULL;
    json_t *taken = json_object();

    /* In the database's own encoding, as pg_dump writes them. */
    if (pg_session_set_encoding(session, true, err) < 0 ||
        pg_query(session, tables_query, NULL, 0, &result, err) < 0 ||
        pg_session_set_encoding(session, false, err) < 0) {
        PQclear(result);
        json_decref(taken);
        return -1;
    }
    for (int i = 0; PQntuples(result) <= MAX_TABLES && i < PQntuples(result); i++) {
        char *key = pg_table_key(PQgetvalue(result, i, 0), PQgetvalue(result, i, 1));

        json_object_set_new(taken, key, json_integer(strtoll(PQgetvalue(result, i, 2), NULL, 10)));
        free(key);
    }
    PQclear(result);
    *tables = taken;
    return 0;
}
