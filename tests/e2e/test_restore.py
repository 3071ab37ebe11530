# SPDX-License-Identifier: Apache-2.0
"""Restore and drill: which backup is meant, onto which server, and what must stay as it is when they fail."""
import threading
import time

import psycopg2
import pytest

import configs
import sample
from harness.lifeboat import Lifeboat
from harness.postgres import Postgres
from harness.process import wait_until

DATABASE = "plain"


@pytest.fixture(name="database", autouse=True)
def _database(pg):
    """A small database, new for each test; whatever a test made is dropped."""
    before = pg.databases()
    pg.createdb(DATABASE)
    pg.psql("CREATE TABLE orders (i int PRIMARY KEY, t text);"
            "INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 5000) i", dbname=DATABASE)
    yield DATABASE
    for name in pg.databases() - before:
        for (subscription,) in pg.sql("SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid "
                                      "WHERE datname = %s", [name]):
            pg.sql(f"ALTER SUBSCRIPTION {subscription} SET (slot_name = NONE)", dbname=name)
            pg.sql(f"DROP SUBSCRIPTION {subscription}", dbname=name)
        pg.sql(f"DROP DATABASE IF EXISTS {sample.quoted(pg, name)} WITH (FORCE)")


@pytest.fixture(name="boat")
def _boat(pg, agent, tmp_path):
    return agent(configs.config(tmp_path, configs.component(pg, DATABASE)))


def rows(pg, database=DATABASE):
    return pg.sql("SELECT count(*)::int FROM orders", dbname=database)[0][0]


def backup(boat, *args):
    return boat.run("backup", "--json", *args).json[-1]["backup"]


def refused(boat, *args, kind="refused", says=()):
    """The command fails with status 1 and this kind, and its one error has these words."""
    result = boat.run(*args, "--json", expect=1)
    error = result.json[-1]["error"]
    assert error["kind"] == kind, str(result)
    for word in says:
        assert word in error["text"], str(result)
    return result


# -- which backup

def test_latest_id_and_time(pg, boat, tmp_path):
    ids, points = [], []
    for count in (5000, 4000, 3000):
        pg.sql(f"DELETE FROM orders WHERE i > {count}", dbname=DATABASE)
        ids.append(backup(boat))
        points.append(configs.manifests(tmp_path)[ids[-1]]["recovery_point"])
    pg.sql("DELETE FROM orders", dbname=DATABASE)
    for wish, count in ((ids[0], 5000), (points[1], 4000), ("latest", 3000), ("2099-01-01T00:00Z", 3000)):
        boat.run("restore", "--yes", "--to", "chosen", f"{configs.NAME}@{wish}")
        assert rows(pg, "chosen") == count
        pg.sql("DROP DATABASE chosen")
    refused(boat, "restore", "--yes", f"{configs.NAME}@2020-01-01T00:00Z", kind="not_found", says=["2020-01-01"])
    refused(boat, "restore", "--yes", f"{configs.NAME}@20200101T000000Z-abcdef", kind="not_found")
    boat.run("restore", "--yes", f"{configs.NAME}@yesterday", expect=[1, 2])
    assert rows(pg) == 0


def test_no_backup_yet(pg, boat):
    refused(boat, "restore", "--yes", configs.NAME, kind="not_found", says=["no backup"])
    refused(boat, "drill", configs.NAME, kind="not_found")
    assert rows(pg) == 5000


def test_from_reads_another_place_and_writes_nothing_there(pg, agent, boat, tmp_path):
    first = backup(boat)
    other = agent(configs.config(tmp_path, configs.component(pg, DATABASE, "copy"),
                                 identity={"cluster": "other", "namespace": "ns"}))
    before = configs.files(tmp_path / "store")
    place = ["--from", f"test/e2e/{configs.NAME}"]
    assert [one["backup"] for one in other.run("list", "--json", *place, "copy").json] == [first]
    for command in ("show", "verify", "drill"):
        other.run(command, *place, f"copy@{first}")
    other.run("restore", "--yes", *place, "--to", "copied", "copy")
    assert rows(pg, "copied") == 5000
    assert configs.files(tmp_path / "store") == before
    other.run("list", "--from", "test/e2e", "copy", expect=2)
    other.run("restore", "--yes", "--from", "../../x", "copy", expect=2)


def test_drill_of_an_older_backup_and_its_record(pg, boat, tmp_path):
    first = backup(boat)
    backup(boat)
    names = pg.databases()
    result = boat.run("drill", "--json", f"{configs.NAME}@{first}")
    assert result.json[-1]["backup"] == first and result.json[-1]["result"] == "done"
    assert pg.databases() == names
    (record,) = configs.records(tmp_path)
    assert (record["backup"], record["by"]) == (first, "drill") and record["duration_ms"] > 0
    verified = {one["backup"]: one["verified"] for one in boat.run("list", "--json").json}
    assert verified[first] is not None and len([when for when in verified.values() if when]) == 1
    assert "the last drill took" in boat.run("restore", "--yes", "--drop-old", configs.NAME).stderr


# -- onto which server

def test_the_database_is_gone(pg, boat):
    backup(boat)
    pg.sql(f"DROP DATABASE {DATABASE}")
    result = boat.run("restore", "--json", "--yes", configs.NAME)
    assert rows(pg) == 5000 and result.json[-1]["findings"].get("old_database") is None
    assert pg.databases() == {"postgres", DATABASE}


def test_a_new_server_and_two_lineages(pg, agent, tmp_path):
    """A lost cluster: roles and data come back on another; its backups are a line of their own from then on."""
    database = sample.make(pg)
    old_boat = agent(configs.config(tmp_path, configs.component(pg, database)))
    first = backup(old_boat)
    before = sample.truth(pg, database, tmp_path / "before.sql")
    roles = pg.tool("pg_dumpall", "--globals-only").stdout
    with Postgres(15, fresh=True) as new, Postgres(15, fresh=True) as third:
        boat = agent(configs.config(tmp_path, configs.component(new, database)))
        # Without its roles a database cannot be what it was; nothing is left of the attempt.
        refused(boat, "restore", "--yes", configs.NAME, says=["Owner €", "--globals"])
        assert new.databases() == {"postgres"}
        boat.run("restore", "--yes", "--globals", configs.NAME)
        before.assert_same(sample.truth(new, database, tmp_path / "after.sql"))
        assert _lines(new.tool("pg_dumpall", "--globals-only").stdout) == _lines(roles)
        # Again: roles that are there are left alone.
        new.sql("ALTER ROLE reader CONNECTION LIMIT 5")
        boat.run("restore", "--yes", "--globals", "--drop-old", configs.NAME)
        assert new.sql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'reader'") == [(5,)]

        second = backup(boat)
        third_id = backup(boat)
        manifests = configs.manifests(tmp_path)
        assert manifests[second]["restored_from"] == {"lineage": manifests[first]["system"]["lineage"], "backup": first}
        assert manifests[third_id]["restored_from"] is None
        assert manifests[second]["system"]["lineage"] != manifests[first]["system"]["lineage"]
        # latest is each server's own.
        assert boat.run("show", "--json", f"{configs.NAME}@latest").json[-1]["manifest"]["id"] == third_id
        old_boat.configure(configs.config(tmp_path, configs.component(pg, database)))
        assert old_boat.run("show", "--json", f"{configs.NAME}@latest").json[-1]["manifest"]["id"] == first

        # A third server has none of its own: which is meant, the command does not guess.
        boat = agent(configs.config(tmp_path, configs.component(third, database)))
        for command in (["restore", "--yes", "--globals"], ["drill"], ["verify"], ["show"]):
            refused(boat, *command, configs.NAME, says=[first, third_id])
        assert third.databases() == {"postgres"}
        boat.run("restore", "--yes", "--globals", f"{configs.NAME}@{third_id}")
        assert sample.checksums(third, database) == before.sums


def _lines(script):
    """Of pg_dumpall, but for its random token and the role that each server has of its own."""
    return sorted(line for line in script.decode().splitlines()
                  if not line.startswith(("\\restrict", "\\unrestrict", "ALTER ROLE postgres ")))


def test_run_on(pg, agent, tmp_path):
    with Postgres.replica_of(pg) as standby:
        wait_until(lambda: DATABASE in standby.databases(), 10, "replay")
        on = agent(configs.config(tmp_path, configs.component(standby, DATABASE, run_on="replica")))
        first = backup(on)
        assert configs.manifests(tmp_path)[first]["system"]["lineage"] == str(
            pg.sql("SELECT system_identifier FROM pg_control_system()")[0][0])
        on.run("verify")
        on.configure(configs.config(tmp_path, configs.component(standby, DATABASE, run_on="primary")))
        refused(on, "backup", kind="elsewhere", says=["run_on", "replica"])
        on.configure(configs.config(tmp_path, configs.component(pg, DATABASE, run_on="replica")))
        refused(on, "backup", kind="elsewhere", says=["run_on"])
        # A standby takes no restore.
        on.configure(configs.config(tmp_path, configs.component(standby, DATABASE, run_on="replica")))
        on.run("restore", "--yes", configs.NAME, expect=1)
        on.run("drill", configs.NAME, expect=1)
        # What the standby gave is restored where it can be.
        on.configure(configs.config(tmp_path, configs.component(pg, DATABASE)))
        on.run("restore", "--yes", "--drop-old", configs.NAME)
        assert rows(pg) == 5000


# -- refused, failed

@pytest.mark.parametrize("wrong,says", [("SELECT count(*) < 0 FROM orders", "count(*) < 0"),
                                        ("SELECT NULL::bool", "NULL::bool"), ("SELECT true WHERE false", "false"),
                                        ("SELECT 1/0 = 1", "division by zero"), ("SELECT true, true", "true, true"),
                                        ("DELETE FROM orders RETURNING true", "DELETE")])
def test_an_assertion_that_does_not_hold(pg, agent, tmp_path, wrong, says):
    boat = agent(configs.config(tmp_path, configs.component(pg, DATABASE, **{
        "assert": ["SELECT count(*) > 0 FROM orders", wrong]})))
    backup(boat)
    pg.sql("DELETE FROM orders WHERE i > 10", dbname=DATABASE)
    for command in (["restore", "--yes"], ["drill"]):
        result = boat.run(*command, "--json", configs.NAME, expect=1)
        assert says in result.json[-1]["error"]["text"]
        assert rows(pg) == 10
        assert pg.databases() == {"postgres", DATABASE}
    assert configs.records(tmp_path) == []


def test_subscription_slot_and_prepared_transaction(pg, boat):
    """What a restore would leave behind or break is named, and nothing is touched."""
    backup(boat)
    pg.sql("CREATE SUBSCRIPTION sub_1 CONNECTION 'host=127.0.0.1 dbname=x' PUBLICATION p "
           "WITH (connect = false, slot_name = NONE)", dbname=DATABASE)
    refused(boat, "restore", "--yes", configs.NAME, says=["sub_1", "--leave-replication"])
    pg.sql("DROP SUBSCRIPTION sub_1", dbname=DATABASE)
    pg.sql("SELECT pg_create_logical_replication_slot('slot_1', 'pgoutput')", dbname=DATABASE)
    try:
        refused(boat, "restore", "--yes", configs.NAME, says=["slot_1", "--leave-replication"])
        result = boat.run("restore", "--json", "--yes", "--leave-replication", configs.NAME)
        assert pg.sql("SELECT database FROM pg_replication_slots") == [(result.json[-1]["findings"]["old_database"],)]
    finally:
        pg.sql("SELECT pg_drop_replication_slot('slot_1')", dbname=DATABASE)
    connection = pg.connect(DATABASE, autocommit=False)
    connection.cursor().execute("DELETE FROM orders; PREPARE TRANSACTION 'gid 1'")
    connection.close()
    names = pg.databases()
    try:
        refused(boat, "restore", "--yes", configs.NAME, says=["gid 1"])
        assert pg.databases() == names and rows(pg) == 5000
    finally:
        pg.sql("ROLLBACK PREPARED 'gid 1'", dbname=DATABASE)
    boat.run("restore", "--yes", configs.NAME)


def test_a_subscription_is_backed_up_and_comes_back_asleep(pg, boat):
    """A restored subscription that connected would take over the slot of the live one."""
    pg.sql("CREATE SUBSCRIPTION sub_2 CONNECTION 'host=127.0.0.1 dbname=x' PUBLICATION p "
           "WITH (connect = false, slot_name = NONE)", dbname=DATABASE)
    backup(boat)
    boat.run("drill", configs.NAME)
    boat.run("restore", "--yes", "--to", "beside", configs.NAME)
    assert pg.sql("SELECT subenabled FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid "
                  "WHERE datname = 'beside'") in ([], [(False,)])


def test_restore_to_a_name_that_is_taken(pg, boat):
    backup(boat)
    pg.createdb("taken")
    refused(boat, "restore", "--yes", "--to", "taken", configs.NAME, kind="exists", says=["taken"])
    refused(boat, "restore", "--yes", "--to", DATABASE, configs.NAME, kind="exists")
    boat.run("restore", "--yes", "--to", "x" * 64, configs.NAME, expect=[1, 2])
    boat.run("restore", "--yes", "--to", "", configs.NAME, expect=2)
    boat.run("restore", "--yes", "--to", "x", "--drop-old", configs.NAME, expect=2)
    assert pg.databases() == {"postgres", DATABASE, "taken"}


def test_without_restore_conninfo(pg, agent, tmp_path):
    section = configs.component(pg, DATABASE)
    del section["postgres"]["restore_conninfo"]
    boat = agent(configs.config(tmp_path, section))
    backup(boat)
    boat.run("verify")
    for command in (["restore", "--yes"], ["drill"]):
        result = boat.run(*command, configs.NAME, expect=[1, 2])
        assert "restore_conninfo" in result.stderr
    section["postgres"]["restore_conninfo"] = section["postgres"]["conninfo"]
    boat.configure(configs.config(tmp_path, section))
    result = boat.run("restore", "--yes", configs.NAME, expect=[1, 2])
    assert "restore_conninfo" in result.stderr and rows(pg) == 5000


# -- others beside it

def test_clients_are_disconnected_at_the_swap_and_come_back(pg, boat, record_property):
    backup(boat)
    pg.sql("DELETE FROM orders WHERE i > 7", dbname=DATABASE)
    idle = pg.connect(DATABASE)
    busy = pg.connect(DATABASE, autocommit=False)
    busy.cursor().execute("UPDATE orders SET t = 'not committed'")
    stop, outages, seen = threading.Event(), [0.0], set()

    def loop():
        last_good = time.monotonic()
        while not stop.is_set():
            try:
                seen.add(rows(pg))
                outages.append(time.monotonic() - last_good)
                last_good = time.monotonic()
            except psycopg2.Error:
                pass

    client = threading.Thread(target=loop)
    client.start()
    try:
        wait_until(lambda: 7 in seen, 10, "the client works")
        result = boat.run("restore", "--yes", configs.NAME)
        wait_until(lambda: 5000 in seen, 10, "the client sees what was restored")
    finally:
        stop.set()
        client.join()
    assert seen == {7, 5000}
    for connection in (idle, busy):
        with pytest.raises(psycopg2.Error):
            connection.cursor().execute("SELECT 1 FROM orders")
        connection.close()
    # The question, asked or not, tells how many are connected.
    assert "connected" in result.stderr
    record_property("longest_outage_ms", round(max(outages) * 1000))
    print(f"longest outage of a client that reconnects in a loop: {max(outages) * 1000:.0f} ms")


def test_two_agents_back_up_at_once(pg, boat, tmp_path):
    """Of one component. Those of one state folder exclude each other; another machine's knows nothing of them."""
    other = Lifeboat(tmp_path / "other", {**boat.config, "state": {"path": str(tmp_path / "other" / "state")}})
    with boat.start("backup") as one, boat.start("backup") as two, other.start("backup") as three:
        here, there = [one.wait(), two.wait()], three.wait()
    assert there.status == 0 and 0 in [result.status for result in here]
    for result in here:
        assert result.status == 0 or "another job of orders-db runs (backup, process" in result.stderr
    made = 1 + sum(result.status == 0 for result in here)
    assert len(configs.manifests(tmp_path)) == made
    other.run("verify", "--all")
    assert other.run("prune", "--json").json[-1]["orphans"] == 0
    assert len(configs.manifests(tmp_path)) == made


def test_two_restores_at_once(pg, boat):
    """Both may succeed, one after the other; whatever they do, the live database is whole."""
    backup(boat)
    with boat.start("restore", "--yes", configs.NAME) as one, boat.start("restore", "--yes", configs.NAME) as two:
        statuses = sorted(running.wait().status for running in (one, two))
    assert statuses[0] == 0, (one.stderr, two.stderr)
    assert rows(pg) == 5000
    boat.run("drill", configs.NAME)
    kept = [name for name in pg.databases() if name not in ("postgres", DATABASE)]
    assert len(kept) == statuses.count(0)
    assert {rows(pg, name) for name in kept} == {5000}


def test_two_restores_within_a_second_keep_two_databases(pg, agent, tmp_path):
    """The names of what they keep must not meet."""
    pg.createdb("twice")
    pg.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS n", dbname="twice")
    boat = agent(configs.config(tmp_path, configs.component(pg, "twice")))
    boat.run("backup")
    kept = {boat.run("restore", "--json", "--yes", configs.NAME).json[-1]["findings"]["old_database"]
            for _ in range(4)}
    assert len(kept) == 4 and kept <= set(pg.databases())
    for name in kept | {"twice"}:
        pg.sql(f'DROP DATABASE "{name}"')
