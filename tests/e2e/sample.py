# SPDX-License-Identifier: Apache-2.0
"""A database with one of everything (sample.sql), and what makes two databases equal."""
from __future__ import annotations

import dataclasses
import difflib
import itertools
import pathlib
import re
from typing import Iterable, Iterator

import psycopg2
from psycopg2.extensions import quote_ident

from harness.postgres import Postgres

SCRIPT = pathlib.Path(__file__).with_name("sample.sql")
NAME = "Zahl€n \"db\" 'x' $$"
OWNER = "Owner €"
ROLES = """
CREATE ROLE "Owner €" CREATEDB;
CREATE ROLE reader CONNECTION LIMIT 3 VALID UNTIL '2099-01-01';
CREATE ROLE "wri'ter" LOGIN PASSWORD 'wri''ter"s secret' NOINHERIT;
CREATE ROLE app LOGIN REPLICATION;
GRANT reader TO app WITH ADMIN OPTION;
GRANT "Owner €" TO "wri'ter";
ALTER ROLE app SET work_mem = '5MB';
COMMENT ON ROLE app IS 'an ''app'' €';
"""
# What belongs to the database itself. The time limits would end any longer query of a tool that does not mind them.
DATABASE = """
COMMENT ON DATABASE {db} IS 'it''s "ours" € \\';
ALTER DATABASE {db} SET search_path TO "$user", "Schéma €", public;
ALTER DATABASE {db} SET "our.setting" TO 'it''s "quoted", \\ and €';
ALTER DATABASE {db} SET DateStyle TO 'German, DMY';
ALTER DATABASE {db} SET bytea_output TO 'escape';
ALTER DATABASE {db} SET statement_timeout TO '300ms';
ALTER DATABASE {db} SET idle_in_transaction_session_timeout TO '300ms';
ALTER ROLE app IN DATABASE {db} SET search_path TO sales, "Schéma €";
ALTER ROLE "wri'ter" IN DATABASE {db} SET "our.setting" TO '';
GRANT CONNECT ON DATABASE {db} TO app WITH GRANT OPTION;
REVOKE CONNECT ON DATABASE {db} FROM PUBLIC;
GRANT CREATE ON DATABASE {db} TO "wri'ter";
SET ROLE app;
GRANT CONNECT ON DATABASE {db} TO reader;
RESET ROLE;
ALTER DATABASE {db} CONNECTION LIMIT 17;
"""


def quoted(pg: Postgres, name: str) -> str:
    """An SQL identifier."""
    connection = pg.connect()
    try:
        return quote_ident(name, connection)
    finally:
        connection.close()


def make(pg: Postgres, name: str = NAME, rows: int = 1000) -> str:
    """The database with all of sample.sql; roles are shared by the server's databases and made once."""
    if not pg.sql("SELECT FROM pg_roles WHERE rolname = 'app'"):
        pg.psql(ROLES)
    pg.createdb(name, f"OWNER {quoted(pg, OWNER)} TEMPLATE template0 LC_COLLATE 'C'")
    pg.psql(f"\\set rows {rows}\n" + SCRIPT.read_text(encoding="utf-8"), dbname=name)
    pg.psql(DATABASE.format(db=quoted(pg, name)))
    return name


def damage(pg: Postgres, name: str) -> None:
    """What a restore is for: tables dropped, rows deleted and changed, a large object gone."""
    pg.psql("SET statement_timeout = 0; DROP TABLE sales.customers CASCADE; DELETE FROM orders WHERE id % 2 = 0;"
            "UPDATE every_type SET t = 'damaged'; SELECT lo_unlink(400003); CREATE TABLE damaged (i int);", dbname=name)


def is_damaged(pg: Postgres, name: str) -> bool:
    """Does it hold what damage() left?"""
    return query(pg, name, "SELECT count(*)::int FROM pg_class WHERE relname IN ('damaged', 'customers')") == [(1,)]


def query(pg: Postgres, name: str, text: str) -> list[tuple]:
    """One query without the database's own time limits."""
    connection = pg.connect(name)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def checksums(pg: Postgres, name: str) -> dict[str, tuple]:
    """Of each table and filled materialised view: rows, and a sum over hashes of rows that no order changes."""
    tables = query(pg, name, "SELECT format('%I.%I', nspname, relname), c.oid::bigint FROM pg_class c "
                   "JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm') AND relispopulated "
                   "AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_' ORDER BY 1")
    return {table: query(pg, name, "SELECT count(*), coalesce(sum(hashtextextended(row::text, 0)::numeric), 0)::text "
                         f"FROM ONLY {table} AS row")[0] for table, _ in tables}


@dataclasses.dataclass
class Truth:
    """What a database was at one moment; equal databases have equal ones but for their names."""
    dump: pathlib.Path
    sums: dict[str, tuple]

    def assert_same(self, other: "Truth") -> None:
        assert {table: (self.sums.get(table), other.sums.get(table)) for table in {**self.sums, **other.sums}
                if self.sums.get(table) != other.sums.get(table)} == {}
        with open(self.dump, encoding="utf-8", errors="replace") as one, \
             open(other.dump, encoding="utf-8", errors="replace") as two:
            for number, (left, right) in enumerate(itertools.zip_longest(one, two), 1):
                if left != right:
                    rest = ["".join(x for x in [line, *itertools.islice(file, 40)] if x).splitlines()
                            for line, file in ((left, one), (right, two))]
                    raise AssertionError(f"pg_dump differs from line {number} on:\n" +
                                         "\n".join(difflib.unified_diff(*rest, "before", "after", lineterm="")))


def _normal(lines: Iterable[str]) -> Iterator[str]:
    """The lines without what differs between equal databases: the random token by which newer versions guard the
    script, and the order of settings of roles, which is the server's."""
    token = re.compile(r"\\(un)?restrict \w+\n")
    of_roles: list[str] = []
    for line in lines:
        if line.startswith("ALTER ROLE ") and " IN DATABASE " in line:
            of_roles.append(line)
            continue
        yield from sorted(of_roles)
        of_roles.clear()
        if line[0] != "\\" or not token.fullmatch(line):
            yield line


def truth(pg: Postgres, name: str, dump: pathlib.Path) -> Truth:
    """Dumps the database to this file with pg_dump -C, and sums up its tables."""
    raw = dump.with_suffix(".raw")
    pg.tool("pg_dump", "-C", "-f", str(raw), "-d", psycopg2.extensions.make_dsn(dbname=name))
    with open(raw, encoding="utf-8", errors="surrogateescape", newline="") as source, \
         open(dump, "w", encoding="utf-8", errors="surrogateescape", newline="") as target:
        target.writelines(_normal(source))
    raw.unlink()
    return Truth(dump, checksums(pg, name))
