-- SPDX-License-Identifier: Apache-2.0
-- One of everything that a database can hold, and of what has broken backups of it elsewhere. For psql, in an empty
-- database of sample.py's making, as a superuser; the roles are there. Parts that a server was not built with are
-- left out.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SELECT count(*) FILTER (WHERE name = 'hstore') > 0 AS have_contrib,
       count(*) FILTER (WHERE name = 'vector') > 0 AS have_vector FROM pg_available_extensions \gset
SELECT :SERVER_VERSION_NUM >= 180000 AS is_18 \gset

-- Schemas, extensions, types

CREATE SCHEMA "Schéma €" AUTHORIZATION "Owner €";
CREATE SCHEMA sales;
CREATE SCHEMA "empty one";
COMMENT ON SCHEMA sales IS 'two lines:
COPY sales.nothing (a) FROM stdin;
1	2
\.
it''s "quoted" and ends with a backslash \';

\if :have_contrib
    CREATE EXTENSION hstore SCHEMA sales;
    CREATE EXTENSION citext;
    CREATE EXTENSION pg_trgm;
    CREATE EXTENSION pgcrypto;
    COMMENT ON EXTENSION pgcrypto IS 'ours';
\endif
\if :have_vector
    CREATE EXTENSION vector;
\endif

CREATE TYPE sales.mood AS ENUM ('sad', 'ok', 'happ''y €');
ALTER TYPE sales.mood ADD VALUE 'so-so' BEFORE 'ok';
CREATE TYPE sales.address AS (street text, zip int);
CREATE TYPE sales.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN sales.positive AS int DEFAULT 1 CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON TYPE sales.mood IS 'how it is';
COMMENT ON DOMAIN sales.positive IS 'more than nothing';
CREATE COLLATION sales.plain (provider = libc, locale = 'C');
COMMENT ON COLLATION sales.plain IS 'byte by byte';
DO $$ BEGIN
    CREATE COLLATION sales.german (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;

-- Every common type, at its edges

CREATE TABLE every_type (
    id int PRIMARY KEY, i2 smallint, i8 bigint, n numeric, n2 numeric(20, 5), f4 real, f8 double precision, t text,
    vc varchar(20), c char(10), b bytea, bo boolean, d date, ti time, titz timetz, ts timestamp, tstz timestamptz,
    iv interval, u uuid, j json, jb jsonb, ai int[], ax text[][], r int4range, nr numrange, tr tstzrange, dr daterange,
    mr int4multirange, fr sales.floatrange, en sales.mood, co sales.address, coa sales.address[], dom sales.positive,
    ip inet, net cidr, mac macaddr, mac8 macaddr8, bi bit(5), vb varbit, tsv tsvector, tsq tsquery, pt point, ln line,
    ls lseg, bx box, pa path, po polygon, cr circle, mo money, oi oid, rc regclass, rt regtype, lsn pg_lsn,
    jp jsonpath, x8 xid8, sn pg_snapshot, nm name, ch "char");
INSERT INTO every_type VALUES
(1, 32767, 9223372036854775807, '123456789012345678901234567890.123456789012345678901234567890', 1.00000, 3.4028235e38,
 1.7976931348623157e308, E'tab\tnewline\nreturn\rbackslash\\ bell\a vertical\v "quote" ''tick'' {brace} ü€😀', 'ü€😀',
 'pad', '\x00ff5c2e0a', true, '9999-12-31', '23:59:59.999999', '23:59:59.999999+14', '294276-12-31 23:59:59.999999',
 '2026-03-29 01:30:00+00', '1 year -2 mons 3 days -04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
 ' {"a" : 1, "a":2} ', '{"b": [1, null, "\u20ac\\n"], "a": 1e400}', '{1,NULL,3}', '{{"a,b","c\"d"},{"NULL",NULL}}',
 '[1,5)', '(,1.5]', '[2026-01-01 00:00+00,infinity]', 'empty', '{[1,3),[7,9)}', '[0.1,0.3)', 'happ''y €',
 '("a ""street"", \\ 1",12)', '{"(x,1)",NULL}', 5, '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03',
 '08:00:2b:01:02:03:04:05', B'10101', B'101', 'a:1A fat:2B,4C ''q''''t'':3', '''fat'' & (''rat'' | !''cat'':AB)',
 '(1.5,-2)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(1,1),2>',
 '-92233720368547758.08', 4294967295, 'pg_class', 'sales.mood', '16/B374D848', '$."a"[*] ? (@ > 1)', '42',
 '10:20:10,14', 'name', 'x'),
(2, -32768, -9223372036854775808, 'NaN', '-99999.99999', '-Infinity', 'NaN', '\.', '\N', '', '', false,
 '4713-01-01 BC', '00:00', '00:00-14', '-infinity', '-infinity', '-178000000 years', NULL, 'null', 'null', '{}', '{}',
 'empty', 'empty', NULL, '[-infinity,infinity]', '{}', 'empty', 'sad', '(,)', '{}', 1, '0.0.0.0/0', '::/0', NULL, NULL,
 B'00000', B'', '', '', '(NaN,Infinity)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL, 0, 0, NULL, NULL, '0/0', NULL,
 '18446744073709551615', NULL, '', '\000'),
(3, 0, 0, 'Infinity', 0, '-0', '-0', '', '', NULL, '\x', NULL, 'infinity', '24:00', NULL, 'infinity', 'infinity',
 '-00:00:00.000001', NULL, '[]', '[]', '[2:3]={1,2}', NULL, '[-2147483648,2147483647)', NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, '::ffff:1.2.3.4/128', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO every_type (id) VALUES (4);
INSERT INTO every_type (id, n, f4, f8, t)
SELECT 10, '-Infinity', 1.17549435e-38, 5e-324, string_agg(chr(i), '') FROM generate_series(1, 1000) i;
INSERT INTO every_type (id, t, b)
SELECT 11, string_agg(md5(i::text), E'\\.\n' ORDER BY i), decode(string_agg(md5(i::text), '' ORDER BY i), 'hex')
FROM generate_series(1, 60000) i;
DO $$ BEGIN
    CREATE TABLE with_xml (x xml);
    INSERT INTO with_xml VALUES ('<a b="1">&lt;é</a>'), ('text only'), (NULL);
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
\if :have_contrib
    CREATE TABLE with_contrib (h sales.hstore, ci citext PRIMARY KEY, digest bytea);
    INSERT INTO with_contrib VALUES ('"a b"=>"c\"d", e=>NULL', 'MiXed', digest('x', 'sha256'));
    CREATE INDEX ON with_contrib USING gin ((ci::text) gin_trgm_ops);
\endif
\if :have_vector
    CREATE TABLE with_vector (id int PRIMARY KEY, v vector(3), h halfvec(2), s sparsevec(5));
    INSERT INTO with_vector VALUES (1, '[1,2.5,-3]', '[1,2]', '{1:1.5,3:2}/5'), (2, NULL, NULL, NULL);
    CREATE INDEX ON with_vector USING hnsw (v vector_l2_ops);
\endif

-- Text that looks like a dump

CREATE TABLE look_alike (id int, t text);
INSERT INTO look_alike VALUES (1, E'COPY public.look_alike (id, t) FROM stdin;\n1\tx\n\\.\n'), (2, '\.'), (3, '\\.'),
    (4, E'\n'), (5, E'\\N'), (6, E'\r\n'), (7, '--'), (8, E'$$;\nDROP TABLE look_alike;'), (9, ' '), (10, '');
CREATE FUNCTION sales.looks_like_a_dump() RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
    /*
COPY public.look_alike (id, t) FROM stdin;
1	x
2	y
\.
    */
    RETURN $$
COPY public.no_such_table (a) FROM stdin;
never	ended
$$;
END
$body$;
COMMENT ON FUNCTION sales.looks_like_a_dump() IS '
COPY public.look_alike (id, t) FROM stdin;
3	z';
CREATE VIEW looks_like_one_too AS SELECT '
COPY public.look_alike (id, t) FROM stdin;
'::text AS t;

-- Names

CREATE TABLE "Schéma €"."Zahl€n "" ' $$ x" ("Spalte "" ' €" int PRIMARY KEY, "select" text, "CamelCase" int, " " int);
INSERT INTO "Schéma €"."Zahl€n "" ' $$ x" SELECT i, 'v' || i, i, -i FROM generate_series(1, 100) i;
ALTER TABLE "Schéma €"."Zahl€n "" ' $$ x" OWNER TO "Owner €";
COMMENT ON TABLE "Schéma €"."Zahl€n "" ' $$ x" IS '€ '' " $$ \';
COMMENT ON COLUMN "Schéma €"."Zahl€n "" ' $$ x"."Spalte "" ' €" IS 'column';
CREATE TABLE "line
break" ("a
b" int, "
COPY public.look_alike (id, t) FROM stdin;" int);
INSERT INTO "line
break" VALUES (1, 2), (3, 4);
CREATE TABLE "(a) FROM stdin;" (i int);
INSERT INTO "(a) FROM stdin;" VALUES (1), (2), (3);
CREATE TABLE "select" ("from" int, "table" int);
INSERT INTO "select" VALUES (1, 2);
CREATE TABLE a234567890123456789012345678901234567890123456789012345678901_€ (i int);
CREATE TABLE sales."same name" (i int);
CREATE TABLE "same name" (i int);
INSERT INTO sales."same name" VALUES (1);
INSERT INTO "same name" VALUES (1), (2);

-- Tables of odd shapes

CREATE TABLE no_rows (i int, t text);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE no_columns_no_rows ();
CREATE TABLE dropped_columns (a int, b text, c int, d text DEFAULT 'd');
INSERT INTO dropped_columns SELECT i, 'b' || i, -i FROM generate_series(1, 50) i;
ALTER TABLE dropped_columns DROP COLUMN b;
ALTER TABLE dropped_columns ADD COLUMN e int DEFAULT 7;
CREATE TABLE all_dropped (a int);
INSERT INTO all_dropped VALUES (1), (2);
ALTER TABLE all_dropped DROP COLUMN a;
CREATE UNLOGGED TABLE unlogged (i int PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 10);
CREATE TABLE tuned (a text COMPRESSION pglz, b text) WITH (fillfactor = 70, autovacuum_enabled = off);
ALTER TABLE tuned ALTER a SET STORAGE EXTERNAL, ALTER b SET STATISTICS 500, ALTER b SET (n_distinct = -0.5);
INSERT INTO tuned SELECT repeat(md5(i::text), 200), 'b' FROM generate_series(1, 20) i;
CREATE TABLE sales.of_type OF sales.address (zip WITH OPTIONS DEFAULT 5);
INSERT INTO sales.of_type VALUES ('s', 1);

-- Sequences, identity, generated columns

CREATE SEQUENCE sales.counter START 100 INCREMENT 7 CACHE 3;
SELECT nextval('sales.counter') FROM generate_series(1, 5) \g /dev/null
CREATE SEQUENCE sales.downwards AS smallint INCREMENT -1 MINVALUE -5 MAXVALUE 5 START 5 CYCLE;
SELECT nextval('sales.downwards') FROM generate_series(1, 13) \g /dev/null
CREATE SEQUENCE never_used;
CREATE UNLOGGED SEQUENCE unlogged_sequence;
CREATE SEQUENCE "Schéma €"."Séq €";
ALTER SEQUENCE "Schéma €"."Séq €" OWNER TO "Owner €";
ALTER SEQUENCE "Schéma €"."Séq €" OWNED BY "Schéma €"."Zahl€n "" ' $$ x"."Spalte "" ' €";
CREATE TABLE identities (
    always int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5), by_default bigint GENERATED BY DEFAULT AS IDENTITY,
    v text, twice int GENERATED ALWAYS AS (by_default::int * 2) STORED, serial serial);
INSERT INTO identities (v) SELECT 'v' || i FROM generate_series(1, 20) i;
INSERT INTO identities (always, v) OVERRIDING SYSTEM VALUE VALUES (1000, 'over');
\if :is_18
    CREATE TABLE virtual_columns (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL, c int GENERATED ALWAYS AS (a * 2));
    INSERT INTO virtual_columns VALUES (1), (2);
    CREATE TABLE temporal (id int4range, during int4range, PRIMARY KEY (id, during WITHOUT OVERLAPS));
    INSERT INTO temporal VALUES ('[1,2)', '[1,5)'), ('[1,2)', '[5,9)');
    CREATE TABLE not_null_later (a int CONSTRAINT a_there NOT NULL NO INHERIT, b int);
    INSERT INTO not_null_later VALUES (1, NULL);
    ALTER TABLE not_null_later ADD CONSTRAINT b_there NOT NULL b NOT VALID;
\endif

-- Partitions and inheritance

CREATE TABLE measured (at timestamptz NOT NULL, kind text NOT NULL, v numeric, PRIMARY KEY (at, kind))
    PARTITION BY RANGE (at);
CREATE TABLE measured_2025 PARTITION OF measured FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00')
    PARTITION BY LIST (kind);
CREATE TABLE measured_2025_a PARTITION OF measured_2025 FOR VALUES IN ('a', 'A');
CREATE TABLE sales.measured_2025_rest PARTITION OF measured_2025 DEFAULT;
CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01 00:00+00') TO (MAXVALUE)
    PARTITION BY HASH (kind);
CREATE TABLE measured_2026_0 PARTITION OF measured_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE measured_2026_1 PARTITION OF measured_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE TABLE partitioned_without_partitions (i int) PARTITION BY LIST (i);
CREATE INDEX ON measured (v) WHERE v > 0;
INSERT INTO measured
SELECT '2024-12-31 00:00+00'::timestamptz + i * interval '13 h', (ARRAY['a', 'A', 'b', 'c'])[1 + i % 4], i
FROM generate_series(0, 999) i;
CREATE TABLE attached (v numeric, kind text NOT NULL, dropped int, at timestamptz NOT NULL);
ALTER TABLE attached DROP COLUMN dropped;
ALTER TABLE measured DETACH PARTITION measured_rest;
INSERT INTO attached SELECT v, kind, at FROM measured_rest;
DROP TABLE measured_rest;
ALTER TABLE measured ATTACH PARTITION attached DEFAULT;

CREATE TABLE parent (i int CHECK (i > 0), t text);
CREATE TABLE child (extra int) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 5) i;
INSERT INTO child SELECT i, 'c', i FROM generate_series(1, 7) i;
INSERT INTO grandchild SELECT i, 'g', i FROM generate_series(1, 11) i;

-- Constraints and indexes

CREATE TABLE sales.customers (
    id int PRIMARY KEY, name text COLLATE sales.plain NOT NULL, boss int REFERENCES sales.customers DEFERRABLE
    INITIALLY DEFERRED, seat int4range, UNIQUE NULLS NOT DISTINCT (name, boss), EXCLUDE USING gist (seat WITH &&));
INSERT INTO sales.customers SELECT i, 'name ' || i, CASE WHEN i < 50 THEN i + 1 END, int4range(i, i + 1)
FROM generate_series(1, 50) i;
CREATE TABLE sales.invoices (
    id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES sales.customers
    ON DELETE CASCADE ON UPDATE SET NULL, total numeric CONSTRAINT sane CHECK (total > 0), last_line int);
CREATE TABLE sales.lines (
    invoice int REFERENCES sales.invoices DEFERRABLE, line int, PRIMARY KEY (invoice, line));
ALTER TABLE sales.invoices ADD CONSTRAINT circle FOREIGN KEY (id, last_line) REFERENCES sales.lines (invoice, line)
    DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO sales.invoices (customer, total, last_line) SELECT 1 + i % 50, i, 1 FROM generate_series(1, 200) i;
INSERT INTO sales.lines SELECT i, 1 FROM generate_series(1, 200) i;
COMMIT;
CREATE TABLE broken_rules (i int, customer int);
INSERT INTO broken_rules VALUES (-1, 12345);
ALTER TABLE broken_rules ADD CONSTRAINT later CHECK (i > 0) NOT VALID,
    ADD CONSTRAINT nobody FOREIGN KEY (customer) REFERENCES sales.customers NOT VALID;
CREATE INDEX ON sales.customers ((lower(name)) DESC NULLS LAST) INCLUDE (boss) WHERE boss IS NOT NULL;
CREATE INDEX ON sales.customers USING hash (name);
CREATE INDEX ON every_type USING gin (jb jsonb_path_ops);
CREATE INDEX ON every_type USING brin (id) WITH (pages_per_range = 4);
CREATE INDEX clustered ON sales.invoices (customer);
ALTER TABLE sales.invoices CLUSTER ON clustered;
ALTER TABLE sales.lines REPLICA IDENTITY FULL;
COMMENT ON INDEX sales.clustered IS 'index';
COMMENT ON CONSTRAINT sane ON sales.invoices IS 'constraint';
CREATE STATISTICS sales.together (dependencies, ndistinct, mcv) ON customer, total FROM sales.invoices;
CREATE STATISTICS sales.computed ON (total * 2) FROM sales.invoices;
ALTER STATISTICS sales.together SET STATISTICS 200;
COMMENT ON STATISTICS sales.together IS 'statistics';

-- Functions, operators, views, rules, triggers

CREATE FUNCTION sales.add_tax(total numeric, rate numeric DEFAULT 0.2) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE COST 5 SET search_path = pg_catalog, pg_temp RETURN total * (1 + rate);
CREATE FUNCTION sales.add_tax(total int) RETURNS int LANGUAGE sql AS 'SELECT total * 2';
CREATE PROCEDURE "Schéma €"."Prozedur €"(INOUT i int) LANGUAGE plpgsql SECURITY DEFINER AS $_$ BEGIN i := i + 1; END $_$;
CREATE FUNCTION sales.rows_of() RETURNS TABLE (a int, b text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;
CREATE AGGREGATE sales.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE FUNCTION sales.near(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs($1 - $2) < 10';
CREATE OPERATOR sales.=~= (LEFTARG = int, RIGHTARG = int, FUNCTION = sales.near, COMMUTATOR = OPERATOR(sales.=~=));
CREATE FUNCTION sales.to_address(text) RETURNS sales.address LANGUAGE sql IMMUTABLE
    AS 'SELECT ROW($1, 0)::sales.address';
CREATE CAST (text AS sales.address) WITH FUNCTION sales.to_address(text) AS ASSIGNMENT;
CREATE VIEW sales.rich WITH (security_barrier, security_invoker) AS
    SELECT c.id, c.name, sum(i.total) AS total FROM sales.customers c JOIN sales.invoices i ON i.customer = c.id
    GROUP BY c.id;
CREATE VIEW sales.editable AS SELECT id, name FROM sales.customers WHERE id < 10 WITH CASCADED CHECK OPTION;
CREATE RECURSIVE VIEW sales.chain (id, depth) AS
    SELECT id, 0 FROM sales.customers WHERE boss IS NULL
    UNION ALL SELECT c.id, depth + 1 FROM sales.customers c JOIN chain ON c.boss = chain.id;
CREATE MATERIALIZED VIEW sales.totals AS SELECT *, sales.add_tax(total) AS gross FROM sales.rich;
CREATE UNIQUE INDEX ON sales.totals (id);
CREATE MATERIALIZED VIEW sales.totals_of_totals AS SELECT sum(total) FROM sales.totals;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE note AS ON UPDATE TO no_rows DO ALSO SELECT 1;
COMMENT ON VIEW sales.rich IS 'view';
COMMENT ON MATERIALIZED VIEW sales.totals IS 'materialised view';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' AND NEW.i = 666 THEN RAISE EXCEPTION 'a trigger fired on restored rows'; END IF;
    RETURN NEW;
END $$;
CREATE TABLE triggered (i int);
INSERT INTO triggered VALUES (666);
CREATE TRIGGER "Trigger €" BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW WHEN (NEW.i > 0) EXECUTE FUNCTION touch();
CREATE TRIGGER off AFTER DELETE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION touch();
CREATE TRIGGER always_on AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER later_on AFTER INSERT ON triggered DEFERRABLE FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE triggered DISABLE TRIGGER off, ENABLE ALWAYS TRIGGER always_on;
COMMENT ON TRIGGER off ON triggered IS 'trigger';

-- Rights

CREATE TABLE guarded (i int, owner name);
INSERT INTO guarded SELECT i, CASE WHEN i % 2 = 0 THEN 'app' ELSE 'nobody' END FROM generate_series(1, 40) i;
ALTER TABLE guarded OWNER TO "Owner €";
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded FOR SELECT TO "wri'ter" USING (owner = current_user);
CREATE POLICY "Policy €" ON guarded AS RESTRICTIVE FOR INSERT WITH CHECK (i > 0);
COMMENT ON POLICY own ON guarded IS 'policy';
GRANT USAGE ON SCHEMA sales TO reader, app;
GRANT SELECT ON ALL TABLES IN SCHEMA sales TO reader;
GRANT SELECT (id, name), UPDATE (name) ON sales.customers TO app WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE sales.counter TO app;
GRANT EXECUTE ON FUNCTION sales.add_tax(numeric, numeric) TO reader;
REVOKE EXECUTE ON FUNCTION sales.add_tax(int) FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO "wri'ter";
GRANT USAGE ON TYPE sales.mood TO reader;
SET ROLE app;
GRANT SELECT (id) ON sales.customers TO "wri'ter";
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE "Owner €" IN SCHEMA sales GRANT SELECT, INSERT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "Owner €" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO app;

-- Text search, foreign data, publications

CREATE TEXT SEARCH DICTIONARY sales.words (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION sales.ours (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION sales.ours ALTER MAPPING FOR asciiword WITH sales.words;
COMMENT ON TEXT SEARCH CONFIGURATION sales.ours IS 'configuration';
CREATE FOREIGN DATA WRAPPER dummy;
CREATE SERVER elsewhere TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER dummy OPTIONS (host 'no''where', port '1');
CREATE USER MAPPING FOR app SERVER elsewhere OPTIONS (user 'u', password 'p''w');
CREATE FOREIGN TABLE sales.far (i int OPTIONS (column_name 'x'), t text) SERVER elsewhere OPTIONS (table_name 't');
CREATE PUBLICATION chosen FOR TABLE sales.customers (id, name), sales.lines WHERE (line > 0)
    WITH (publish = 'insert, update');
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION "of schema" FOR TABLES IN SCHEMA "Schéma €";
COMMENT ON PUBLICATION chosen IS 'publication';

-- Large objects

SELECT lo_from_bytea(400001, 'small') \g /dev/null
SELECT lo_from_bytea(400002, '') \g /dev/null
SELECT lo_from_bytea(400003, decode(string_agg(md5(i::text), ''), 'hex')) FROM generate_series(1, 100000) i \g /dev/null
SELECT lo_create(400004) \g /dev/null
SELECT lo_put(400004, 5000, 'behind a hole') \g /dev/null
SELECT lo_from_bytea(400100 + i, decode(md5(i::text), 'hex')) FROM generate_series(1, 200) i \g /dev/null
ALTER LARGE OBJECT 400001 OWNER TO "Owner €";
GRANT SELECT ON LARGE OBJECT 400001 TO reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 400003 TO app WITH GRANT OPTION;
COMMENT ON LARGE OBJECT 400003 IS 'large ''object'' €';

-- The table that makes it big

CREATE TABLE orders (
    id bigint, customer int, total numeric(12, 2), placed timestamptz, note text);
INSERT INTO orders SELECT i, i % 1000, (i % 100000) / 100.0, '2020-01-01 00:00+00'::timestamptz + i * interval '1 min',
    substr(md5(i::text), 1, 12) FROM generate_series(1, :rows) i;
ALTER TABLE orders ADD PRIMARY KEY (id);

-- Last, or it would fire for the rest. pg_restore makes it last as well: would a restore make a table afterwards, the
-- log would have a row that the backup has not.
CREATE TABLE commands_seen (tag text);
CREATE FUNCTION note_command() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.commands_seen VALUES (tg_tag); END $$;
CREATE EVENT TRIGGER seen ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION note_command();
CREATE EVENT TRIGGER not_enabled ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION note_command();
ALTER EVENT TRIGGER not_enabled DISABLE;
COMMENT ON EVENT TRIGGER seen IS 'event trigger';
