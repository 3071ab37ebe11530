# SPDX-License-Identifier: Apache-2.0
"""There and back: a database with one of everything, damaged, restored, and equal to what it was."""
import configs
import sample
from harness.postgres import Postgres

ROWS = 100_000
MILLIONS = 5_000_000


def findings(result):
    """What a restore says that it did."""
    return result.json[-1]["findings"]


def test_round_trip(any_pg, agent, tmp_path):
    database = sample.make(any_pg, rows=ROWS)
    names = any_pg.databases()
    boat = agent(configs.config(tmp_path, configs.component(any_pg, database, **{
        "assert": [f"SELECT count(*) = {ROWS} FROM public.orders", 'SELECT EXISTS (SELECT FROM sales.customers)']})))
    before = sample.truth(any_pg, database, tmp_path / "before.sql")

    backup = boat.run("backup", "--json").json[-1]["backup"]
    assert list(configs.manifests(tmp_path)) == [backup]

    # Rows proven by verify and drill are exact; a table is counted under whatever name.
    boat.run("verify", f"{configs.NAME}@{backup}")
    boat.run("drill", configs.NAME)
    assert any_pg.databases() == names
    assert [record["by"] for record in configs.records(tmp_path)] == ["verify", "drill"]

    sample.damage(any_pg, database)
    assert sample.is_damaged(any_pg, database)
    result = boat.run("restore", "--json", "--yes", configs.NAME, timeout_s=600)
    assert findings(result)["database"] == database
    before.assert_same(sample.truth(any_pg, database, tmp_path / "after.sql"))

    # The data that was there is kept, and only that.
    old = findings(result)["old_database"]
    assert any_pg.databases() == names | {old}
    assert sample.is_damaged(any_pg, old)

    # With --drop-old nothing more is left behind, whatever was there before.
    sample.damage(any_pg, database)
    result = boat.run("restore", "--json", "--yes", "--drop-old", f"{configs.NAME}@latest", timeout_s=600)
    assert any_pg.databases() == names | {old}
    before.assert_same(sample.truth(any_pg, database, tmp_path / "after.sql"))

    # --to restores beside and swaps nothing.
    sample.damage(any_pg, database)
    beside = "Neu €'s \"copy\""
    result = boat.run("restore", "--json", "--yes", "--to", beside, f"{configs.NAME}@{backup}", timeout_s=600)
    assert findings(result)["database"] == beside
    assert sample.checksums(any_pg, beside) == before.sums
    assert sample.is_damaged(any_pg, database)
    assert any_pg.databases() == names | {old, beside}
    boat.run("restore", "--yes", "--to", beside, configs.NAME, expect=1)
    assert sample.checksums(any_pg, beside) == before.sums
    for name in (old, beside, database):
        any_pg.sql(f"DROP DATABASE {sample.quoted(any_pg, name)}")


def test_round_trip_of_five_million_rows(agent, tmp_path):
    """On the version of the platform that lifeboat was made for."""
    with Postgres(16) as pg:
        database = sample.make(pg, rows=MILLIONS)
        boat = agent(configs.config(tmp_path, configs.component(pg, database)))
        before = sample.truth(pg, database, tmp_path / "before.sql")
        boat.run("backup")
        result = boat.run("verify", "--json")
        assert sum(findings(result)["tables"].values()) > MILLIONS
        sample.damage(pg, database)
        boat.run("restore", "--yes", configs.NAME)
        before.assert_same(sample.truth(pg, database, tmp_path / "after.sql"))


def test_encoding_locale_and_tablespace(any_pg, agent, tmp_path):
    """A database unlike its server, with settings that would stop a restore that they apply to."""
    space = any_pg.folder / "socket" / f"space-{tmp_path.name}"
    any_pg.psql(f"\\! install -d -o postgres -m 700 '{space}'\nCREATE TABLESPACE \"Space e's\" LOCATION '{space}';")
    any_pg.createdb("latin", "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 TABLESPACE \"Space e's\"")
    any_pg.psql("""
        CREATE TABLE "Tabelle ä" (t text) TABLESPACE pg_default;
        INSERT INTO "Tabelle ä" SELECT 'äöüß' || i FROM generate_series(1, 1000) i;
        COMMENT ON DATABASE latin IS 'ä';
        ALTER DATABASE latin SET default_transaction_read_only TO on;
        ALTER DATABASE latin SET standard_conforming_strings TO off;
        ALTER DATABASE latin SET session_replication_role TO replica;
        ALTER DATABASE latin SET client_encoding TO latin1;
        ALTER DATABASE latin SET row_security TO off;
        ALTER DATABASE latin SET default_transaction_isolation TO serializable;
        """, dbname="latin")
    boat = agent(configs.config(tmp_path, configs.component(any_pg, "latin")))
    before = sample.truth(any_pg, "latin", tmp_path / "before.sql")
    boat.run("backup")
    any_pg.psql("SET default_transaction_read_only TO off; TRUNCATE \"Tabelle ä\"", dbname="latin")
    boat.run("verify")
    boat.run("drill")
    boat.run("restore", "--yes", "--drop-old", configs.NAME)
    before.assert_same(sample.truth(any_pg, "latin", tmp_path / "after.sql"))
    assert any_pg.sql("SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace "
                      "WHERE datname = 'latin'") == [("Space e's",)]
    any_pg.sql("DROP DATABASE latin")
    any_pg.sql("DROP TABLESPACE \"Space e's\"")


def test_names_as_long_as_they_can_be(pg, agent, tmp_path):
    """63 bytes, with a character of several bytes wherever a name for old or new data would be cut."""
    for database in ("é" * 31 + "x", "x" + "é" * 31, "d" * 63):
        pg.createdb(database)
        pg.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i", dbname=database)
        boat = agent(configs.config(tmp_path, configs.component(pg, database)))
        boat.run("backup")
        pg.sql("DROP TABLE t", dbname=database)
        for _ in range(2):
            old = findings(boat.run("restore", "--json", "--yes", configs.NAME))["old_database"]
            assert pg.sql("SELECT count(*) FROM t", dbname=database) == [(10,)]
            assert old != database and old in pg.databases()
            pg.sql(f"DROP DATABASE {sample.quoted(pg, old)}")
        boat.run("drill", configs.NAME)
        pg.sql(f"DROP DATABASE {sample.quoted(pg, database)}")


def test_empty_database(pg, agent, tmp_path):
    pg.createdb("empty")
    boat = agent(configs.config(tmp_path, configs.component(pg, "empty")))
    boat.run("backup")
    boat.run("verify")
    boat.run("drill")
    boat.run("restore", "--yes", "--drop-old", configs.NAME)
    pg.sql("DROP DATABASE empty")


def test_rows_that_change_during_the_dump(pg, agent, tmp_path):
    """The backup is of one moment: what is counted in it agrees with itself, not with the server of later."""
    pg.createdb("busy")
    pg.psql("CREATE TABLE a (i int); CREATE TABLE b (i int); INSERT INTO a SELECT generate_series(1, 200000);"
            "INSERT INTO b SELECT generate_series(1, 200000)", dbname="busy")
    boat = agent(configs.config(tmp_path, configs.component(pg, "busy")))
    with boat.start("backup") as running:
        moved = 0
        while running.running():
            moved += 1
            pg.psql(f"BEGIN; DELETE FROM a WHERE i = {moved}; INSERT INTO b VALUES (-{moved}); COMMIT", dbname="busy")
        assert running.wait().status == 0
    boat.run("drill", configs.NAME)
    boat.run("restore", "--yes", "--to", "moment", configs.NAME)
    a, b = (pg.sql(f"SELECT count(*) FROM {table}", dbname="moment")[0][0] for table in "ab")
    assert a + b == 400000 and a >= 200000 - moved
    for name in ("busy", "moment"):
        pg.sql(f"DROP DATABASE {name}")


def test_tools_are_found_by_the_version_of_the_server(any_pg, agent, tmp_path):
    """Without postgres.tools: the distribution's of this version, else what PATH has."""
    any_pg.createdb("toolless")
    section = configs.component(any_pg, "toolless")
    del section["postgres"]["tools"]
    boat = agent(configs.config(tmp_path, section), path=[any_pg.pg_bin])
    boat.run("backup")
    (manifest,) = configs.manifests(tmp_path).values()
    assert manifest["facts"]["tools"]["pg_dump"].split(".")[0] == str(any_pg.version)
    boat.run("drill", configs.NAME)
    any_pg.sql("DROP DATABASE toolless")
