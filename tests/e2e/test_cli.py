# SPDX-License-Identifier: Apache-2.0
"""The command line: usage, configuration errors, exit statuses, the question, the progress line, stopping."""
import json
import os
import signal
import subprocess
import time

import pytest

import configs
import sample
from harness.faults import FakeTools
from harness.process import alive, wait_until
from harness.terminal import Terminal

DATABASE = "cli"


@pytest.fixture(scope="module", autouse=True)
def _database(pg):
    pg.createdb(DATABASE)
    pg.psql("CREATE TABLE orders AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 40000) i",
            dbname=DATABASE)


@pytest.fixture(name="boat")
def _boat(pg, agent, tmp_path):
    before = pg.databases()
    yield agent(configs.config(tmp_path, configs.component(pg, DATABASE)))
    for name in pg.databases() - before:
        pg.sql(f"DROP DATABASE {sample.quoted(pg, name)}")


def rows(pg):
    return pg.sql("SELECT count(*)::int FROM orders", dbname=DATABASE)[0][0]


# -- usage

@pytest.mark.parametrize("args,says", [
    ([], "which command"),
    (["bakcup"], "did you mean backup"),
    (["nonsense"], "there is no command"),
    (["backup", "--nonsense"], "--nonsense"),
    (["backup", "--yes"], "backup has no option --yes"),
    (["restore", "--to"], "--to needs a value"),
    (["run", "orders-db"], "usage: lifeboat-agent run"),
    (["upload"], "no fallback"),
    (["restore", "--yes"], "exactly one COMPONENT"),
    (["restore", "--yes", "a", "b"], "exactly one COMPONENT"),
    (["show"], "exactly one COMPONENT"),
    (["backup", "order-db"], "order-db"),
    (["backup", configs.NAME, "other"], "it has: orders-db"),
    (["list", "--store", "s3", configs.NAME], "it has: disk"),
    (["list", "--from", "x", configs.NAME], "CLUSTER/NAMESPACE/COMPONENT"),
    (["show", f"{configs.NAME}@yesterday"], "yesterday"),
    (["restore", f"{configs.NAME}@latest", "--to", "x", "--drop-old"], "--drop-old"),
])
def test_wrong_usage(boat, tmp_path, args, says):
    if args[:1] == ["show"] and "@" in args[-1]:
        boat.run("backup")
    stored = configs.files(tmp_path)
    result = boat.run(*args, expect=2)
    assert says in result.stderr, str(result)
    assert result.stdout == ""
    assert configs.files(tmp_path) == stored


@pytest.mark.parametrize("args,says", [
    (["--replace"], "are for Kafka"),
    (["--until", "2026-11-23T07:00Z"], "are for Kafka"),
    (["--no-safety"], "keeps it anyway"),
    (["--if-empty"], "--to FILE of a Redis component"),
])
def test_options_of_other_systems(boat, args, says):
    assert says in boat.run("restore", configs.NAME, "--yes", *args, expect=2).stderr


def test_help_and_version(boat):
    assert "restore" in boat.run("--help").stdout
    assert boat.run("--version").stdout.startswith("lifeboat-agent ")
    text = boat.run("restore", "--help").stdout
    assert "--yes" in text and "--drop-old" in text and "--dry-run" not in text


def test_store_option_names_the_one_there_is(boat):
    boat.run("backup")
    assert len(boat.run("list", "--json", "--store", "disk").json) == 1


# -- configuration

GOOD = """\
identity: {{ cluster: test, namespace: e2e }}
state: {{ path: {folder}/state }}
components:
  - name: orders-db
    system: postgres
    postgres:
      conninfo: "{conninfo}"
    stores: [disk]
    retention: {{ keep_last: 2 }}
stores:
  - {{ name: disk, type: local, path: {folder}/store }}
"""


@pytest.mark.parametrize("old,new,line,says", [
    ("stores: [disk]", "stores: [dusk]", 8, ["stores", "dusk", "did you mean disk"]),
    ("stores: [disk]", "stores: [disk, disk]", 8, ["stores", "not in this version yet"]),
    ("stores: [disk]", "stores: []", 8, ["stores", "empty"]),
    ("stores: [disk]", "store: [disk]", 8, ["store", "did you mean stores"]),
    ("keep_last: 2", "keep_last: 0", 9, ["keep_last", "out of range"]),
    ("keep_last: 2", "keep_last: two", 9, ["keep_last", "whole number"]),
    ("keep_last: 2", "keep_within: 30", 9, ["keep_within", "30d"]),
    ("keep_last: 2", "", 9, ["retention", "keep_within"]),
    ("    retention: {{ keep_last: 2 }}\n", "", 4, ["retention", "required"]),
    ("retention: {{ keep_last: 2 }}", "retention: never", 9, ["retention", "forever"]),
    ("system: postgres", "system: postgre", 5, ["system", "postgres"]),
    ("system: postgres", "system: kafka", 6, ["postgres", "belongs to system: postgres"]),
    ("system: postgres", "system: redis", 6, ["postgres", "belongs to system: postgres"]),
    ("name: orders-db", "name: orders db", 4, ["name", "orders db"]),
    ("name: orders-db", "name: ..", 4, ["name"]),
    ("name: orders-db", "name: a/b", 4, ["name", "a/b"]),
    ("      conninfo: \"{conninfo}\"\n", "      lock_timeout: 5s\n", 6, ["conninfo", "required"]),
    ("\"{conninfo}\"", "\"${{NOT_SET}}\"", 7, ["conninfo", "NOT_SET", "conninfo_file"]),
    ("\"{conninfo}\"", "nonsense", 7, ["conninfo", "postgresql://"]),
    ("conninfo: \"{conninfo}\"", "conninfo_file: /does/not/exist", 7, ["conninfo_file", "/does/not/exist"]),
    ("conninfo: \"{conninfo}\"", "conninfo_file: relative", 7, ["conninfo_file", "absolute"]),
    ("type: local", "type: gcs", 11, ["type", "not in this version yet"]),
    ("type: local", "type: disk", 11, ["type", "local"]),
    ("path: {folder}/store", "path: store", 11, ["path", "absolute"]),
    (", path: {folder}/store", "", 11, ["path", "required"]),
    (", path: {folder}/store", ", path: {folder}/store, bucket: b", 11, ["bucket", "unknown key"]),
    ("stores:\n", "fallback: {{ store: disk }}\nstores:\n", 10, ["fallback.max_bytes", "required"]),
    ("stores:\n", "fallback: {{ store: disk, max_bytes: 1GiB }}\nstores:\n", 10, ["fallback.store", "already"]),
    ("stores:\n", "http: {{ listen: \"x\" }}\nstores:\n", 10, ["http.listen", "x"]),
    ("stores:\n", "colector: {{}}\nstores:\n", 10, ["colector", "unknown key"]),
    ("    stores: [disk]", "    stores: [disk]\n    stores: [disk]", 8, ["stores", "twice"]),
    ("    stores: [disk]", "\tstores: [disk]", 8, ["tab"]),
    ("    stores: [disk]", "    stores: [disk", 9, []),
    ("    stores: [disk]", "    stores: [disk]\n    compress: zstd:19", 9, ["compress", "zstd:1"]),
    ("    stores: [disk]", "    stores: [disk]\n    deadline: 48h", 4, ["orphan_age", "deadline"]),
    ("    stores: [disk]", "    stores: [disk]\n    run_on: each", 9, ["run_on", "not in this version yet"]),
    ("    stores: [disk]", "    stores: [disk]\n    schedule: \"61 * * * *\"", 9, ["schedule"]),
    ("    stores: [disk]", "    stores: [disk]\n    assert: SELECT 1", 9, ["assert", "list"]),
])
def test_wrong_configuration(pg, boat, tmp_path, old, new, line, says):
    """Status 2, before anything is done; the text names file, line and key, and what would be right."""
    assert old in GOOD
    values = {"folder": tmp_path, "conninfo": pg.conninfo(DATABASE)}
    boat.configure(GOOD.replace(old, new, 1).format(**values))
    result = boat.run("backup", expect=2)
    assert f"{boat.config_path}:{line}: " in result.stderr, result.stderr
    for word in says:
        assert word in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""
    assert not (tmp_path / "store").exists() and not (tmp_path / "state").exists()


def test_configuration_that_is_not_there(pg, boat, tmp_path):
    boat.configure(GOOD.format(folder=tmp_path, conninfo=pg.conninfo(DATABASE)))
    boat.run("backup")
    for path in ("/does/not/exist.yaml", str(tmp_path)):
        result = boat.run("backup", "-c", path, expect=2)
        assert path in result.stderr
    boat.configure("")
    boat.run("backup", expect=2)


def test_variables_and_files(pg, boat, tmp_path):
    """${VAR} anywhere, KEY_file for secrets; the file's last newline does not count."""
    (tmp_path / "secret").write_text(pg.conninfo(DATABASE) + "\n")
    config = configs.config(tmp_path, configs.component(pg, DATABASE))
    section = config["components"][0]["postgres"]
    del section["conninfo"]
    section["conninfo_file"] = "${WHERE}/secret"
    config["identity"]["cluster"] = "c-${CLUSTER}"
    boat.configure(config)
    boat.run("backup", env={"WHERE": str(tmp_path), "CLUSTER": "7"})
    assert [one["identity"]["cluster"] for one in configs.manifests(tmp_path).values()] == ["c-7"]


def test_logs_as_json(boat, tmp_path):
    boat.configure({**boat.config, "log": {"format": "json"}})
    lines = [json.loads(line) for line in boat.run("backup").stderr.splitlines()]
    assert any(line["msg"] == "backup committed" and line["component"] == configs.NAME for line in lines)


# -- exit statuses

def test_one_of_two_components_fails(pg, boat, tmp_path):
    boat.configure(configs.config(tmp_path, configs.component(pg, "not_there", "broken"),
                                  configs.component(pg, DATABASE)))
    result = boat.run("backup", "--json", expect=3)
    assert [(one["component"], one["result"]) for one in result.json] == [("broken", "failed"), (configs.NAME, "done")]
    assert "not_there" in result.json[0]["error"]["text"]
    assert boat.run("backup", "broken", expect=1).stderr.count("level=error") == 1
    boat.run("backup", configs.NAME)
    assert len(configs.manifests(tmp_path)) == 2


# -- check

def test_check_of_what_is_well(pg, boat):
    before = pg.databases()
    result = boat.run("check", "--json")
    assert all(one["outcome"] in ("ok", "warn") for one in result.json), str(result)
    assert {"store", "clock", "configuration"} <= {one["check"] for one in result.json}
    text = boat.run("check").stdout
    assert "FAIL" not in text and text.count("ok ") >= 3
    assert pg.databases() == before


def test_check_names_what_nobody_protects(pg, boat, tmp_path):
    def names_billing():
        return any("billing" in one["detail"] and one["outcome"] == "warn"
                   for one in boat.run("check", "--json", configs.NAME).json)

    pg.createdb("billing")
    assert names_billing()
    billing = configs.component(pg, "billing", name="billing-db")
    elsewhere = configs.component(pg, "billing", name="billing-elsewhere", postgres={
        "conninfo": pg.conninfo("billing").replace(f"port={pg.port}", "port=1")})
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE), elsewhere))
    assert names_billing()
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE), billing))
    assert not names_billing()


@pytest.mark.parametrize("break_it,says", [
    (lambda one, folder: one["postgres"].update(conninfo="host=127.0.0.1 port=1 dbname=x user=postgres"), "port 1"),
    (lambda one, folder: one["postgres"].update(tools=str(folder)), "pg_dump"),
    (lambda one, folder: one["postgres"].update(conninfo=one["postgres"]["conninfo"].replace("cli", "nowhere")),
     "nowhere"),
    (lambda one, folder: one["postgres"].update(
        restore_conninfo=one["postgres"]["restore_conninfo"].replace("user=postgres", "user=nobody")), "nobody"),
], ids=["server", "tools", "database", "role"])
def test_check_finds_what_would_fail(pg, boat, tmp_path, break_it, says):
    config = configs.config(tmp_path, configs.component(pg, DATABASE))
    break_it(config["components"][0], tmp_path)
    boat.configure(config)
    result = boat.run("check", "--json", expect=1)
    failed = [one for one in result.json if one.get("outcome") == "FAIL"]
    assert any(says in one["detail"] for one in failed), str(result)


def test_check_warns_of_a_role_that_may_change(pg, boat, tmp_path):
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, run_on="replica")))
    (line,) = [one for one in boat.run("check", "--json").json if one["check"] == "run_on"]
    assert line["outcome"] == "warn" and "it is a primary now" in line["detail"]


def test_check_of_a_store_that_cannot_be_written(pg, boat, tmp_path):
    (tmp_path / "file").write_text("")
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE), stores=[
        {"name": "disk", "type": "local", "path": str(tmp_path / "file" / "below")}]))
    result = boat.run("check", expect=1)
    assert "/file" in result.stdout + result.stderr


def test_grants_are_what_a_backup_needs(pg, boat, tmp_path):
    """The SQL that check --grants prints, given to a role that has nothing, makes check and backup succeed."""
    database = sample.make(pg, "granted")
    pg.sql("ALTER DATABASE granted RESET ALL")
    pg.sql("CREATE ROLE backup_role LOGIN")
    pg.sql("CREATE ROLE restore_role LOGIN")
    boat.configure(configs.config(tmp_path, configs.component(pg, database, postgres={
        "conninfo": pg.conninfo(database, "backup_role"), "restore_conninfo": pg.conninfo("postgres", "restore_role")})))
    result = boat.run("check", "--grants", "--json", expect=1)
    script = "\n".join(one["detail"] for one in result.json if one.get("check") == "grant")
    assert "backup_role" in script and "restore_role" in script, str(result)
    pg.psql(script, dbname=database)
    # What cannot be written down beforehand is said in a remark.
    assert "LARGE OBJECT" in script
    pg.psql("SELECT format('GRANT SELECT ON LARGE OBJECT %s TO backup_role', oid) FROM pg_largeobject_metadata \\gexec",
            dbname=database)
    boat.run("check")
    boat.run("backup")
    boat.run("verify")


# -- the question and the progress line

def test_restore_asks_nobody_without_a_terminal(pg, boat):
    boat.run("backup")
    before = pg.databases()
    result = boat.run("restore", configs.NAME, expect=2, stdin="yes\n")
    assert "--yes" in result.stderr and pg.databases() == before


def test_restore_asks_on_a_terminal(pg, boat):
    boat.run("backup")
    before = pg.databases()
    client = pg.connect(DATABASE)
    for answer in ("no\n", "\n", "y\n", "\x04"):
        with Terminal(boat, "restore", configs.NAME) as term:
            stake = term.expect(r"(?s).*type yes to go on: ").group()
            term.type(answer)
            assert term.wait() == 1
            assert "not confirmed, nothing was changed" in term.screen
        for word in (DATABASE, "connected", "recovery point", "you lose", "no drill has proven"):
            assert word in stake
    with Terminal(boat, "restore", configs.NAME) as term:
        term.expect("type yes to go on: ")
        term.interrupt()
        assert term.wait() == 1
    assert pg.databases() == before and rows(pg) == 40000
    client.cursor().execute("SELECT 1")
    client.close()
    with Terminal(boat, "restore", configs.NAME) as term:
        term.expect("type yes to go on: ")
        term.type("yes\n")
        assert term.wait() == 0, term.screen
        assert "is kept as" in term.screen
    assert len(pg.databases()) == len(before) + 1


def test_progress_line(pg, boat, tmp_path, tools):
    """Bytes, rate and time on a terminal; the share where the size is known; no log lines."""
    fake = tools(pg.pg_bin)
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, postgres={"tools": str(fake.folder)})))
    fake.hang("pg_dump", 5_000_000)
    with Terminal(boat, "backup", configs.NAME) as term:
        term.expect(r"backup orders-db  [0-9.]+ MiB  [0-9.]+ [KM]?i?B/s  ")
        assert "time=" not in term.screen
        began = time.monotonic()
        term.interrupt()
        assert term.wait() == 1
        assert time.monotonic() - began < 2.5
    fake.clear()
    boat.run("backup")
    fake.hang("pg_restore", 10_000_000)
    with Terminal(boat, "verify", configs.NAME) as term:
        term.expect(r"database.pgdump  [0-9.]+ [KM]iB  .*[0-9]+ %")
        term.interrupt()
        assert term.wait() == 1


# -- stopping

def left_alone(pg, boat, folder, manifests):
    """Nothing of a stopped job is left: databases, sessions, objects; after the next prune not even its record."""
    assert list(configs.manifests(folder)) == manifests
    assert all(any(one in name for one in manifests) for name in configs.files(folder / "store"))
    boat.run("prune")
    assert list(configs.manifests(folder)) == manifests
    assert not [path for path in (folder / "state").glob("jobs/*/*")]
    wait_until(lambda: pg.sql("SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend' "
                              "AND pid <> pg_backend_pid()") == [(0,)], 5, "sessions end")


@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command,tool,at", [("backup", "pg_dump", 0), ("backup", "pg_dump", 1_000_000),
                                             ("verify", "pg_restore", 1_000_000),
                                             ("restore", "pg_restore", 1_000_000),
                                             ("drill", "pg_restore", 1_000_000)])
def test_stopped_in_the_middle(pg, boat, tmp_path, command, tool, at, number, group):
    fake = FakeTools(pg.pg_bin, tmp_path / "tools")
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, postgres={"tools": str(fake.folder)})))
    boat.run("backup")
    manifests = list(configs.manifests(tmp_path))
    before = pg.databases()
    fake.hang(tool, at)
    with boat.start(*([command, "--yes"] if command == "restore" else [command]), configs.NAME) as running:
        wait_until(lambda: fake.hanging(tool), 30, f"{tool} hangs")
        pids = running.tree()
        began = time.monotonic()
        running.signal(number, group=group)
        result = running.wait(10)
        took = time.monotonic() - began
    assert result.status == 1 and signal.Signals(number).name in result.stderr, str(result)
    assert result.stderr.count("level=error") == 1
    assert took < 2.5, f"took {took:.1f} s"
    wait_until(lambda: not any(alive(pid) for pid in pids), 2, "processes gone")
    assert pg.databases() == before and rows(pg) == 40000
    left_alone(pg, boat, tmp_path, manifests)


def test_output_that_nobody_reads(boat, tmp_path):
    """A closed pipe on standard output is no reason to lose a backup."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(boat.argv(["backup"]), env=boat.environment(), stdout=write_end, stderr=subprocess.PIPE,
                          check=False)
    os.close(write_end)
    assert done.returncode in (0, 1), done.stderr
    assert len(configs.manifests(tmp_path)) == 1
