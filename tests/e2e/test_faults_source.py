# SPDX-License-Identifier: Apache-2.0
"""What fails on this side of the store: tools that die, hang or lie, a server that goes away, a disk that is full.

Whatever it is: no manifest, status 1, one line that names the cause, the live database as it was, and nothing left
after the next prune.
"""
import contextlib
import os
import signal
import subprocess

import pytest

from harness import scene as scenes
from harness.faults import FakeTools, tmpfs, wait_until
from harness.scene import Scene, says_once
from harness.toxiproxy import Toxiproxy

HALF = 500_000  # bytes of the small database's dump, which has about a million


@pytest.fixture(scope="module", autouse=True)
def _databases(pg):
    scenes.fill(pg, "small", 20_000)
    scenes.fill(pg, "big", 20_000, width=32)


@pytest.fixture(scope="module", name="lab")
def _lab(pg, tmp_path_factory):
    """A scene with one good backup and lying tools, shared: no fault may leave anything that the next one sees."""
    folder = tmp_path_factory.mktemp("lab")
    tools = FakeTools(pg.pg_bin, folder / "tools")
    scene = Scene(folder, pg, "small", tools=tools)
    scene.good = scene.backup()
    return scene, tools


@pytest.fixture(name="scene")
def _scene(lab):
    yield lab[0]
    lab[0].configure(component={"stall_timeout": "60s", "deadline": "5m"})


@pytest.fixture(name="tools")
def _tools(lab):
    yield lab[1]
    lab[1].clear()


@pytest.fixture(name="slow")
def _slow(pg, tmp_path):
    """A scene whose server is behind a narrow line, so that a dump lasts until something happens to it."""
    with Toxiproxy(pg.port) as proxy:
        scene = Scene(tmp_path, pg, "big", pg_port=proxy.port)
        scene.proxy = proxy
        scene.good = scene.backup()
        scene.toxic = proxy.add("bandwidth", rate=1000)
        yield scene


def dumping(pg):
    """The backend of a pg_dump that sends rows."""
    rows = pg.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY %orders%' AND state = 'active' AND "
                  "pid <> pg_backend_pid()")
    return rows[0][0] if rows else None


# --- pg_dump dies

@pytest.mark.parametrize("after_bytes", [0, HALF, 1 << 40], ids=["at once", "half-way", "after the last byte"])
@pytest.mark.parametrize("number", [1, 2, 127])
def test_pg_dump_ends_with_a_status(scene, tools, number, after_bytes):
    tools.exit("pg_dump", number, after_bytes, stderr="pg_dump: error: scripted end")
    scene.fails("backup", f"pg_dump.*status {number}.*scripted end")
    scene.nothing_happened([scene.good])


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM", "PIPE"])
def test_pg_dump_ends_by_a_signal(scene, tools, name):
    number = getattr(signal, "SIG" + name)
    tools.signal("pg_dump", number, HALF)
    scene.fails("backup", f"pg_dump.*(signal {number:d}|{signal.strsignal(number)})")
    scene.nothing_happened([scene.good])


def test_pg_dump_warns(pg, tmp_path):
    """What a tool says although all is well is logged, and stays in the manifest."""
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        saying = "echo 'pg_dump: warning: mind the gap' >&2; " if name == "pg_dump" else ""
        (wrapped / name).write_text(f'#!/bin/sh\n{saying}exec {pg.pg_bin / name} "$@"\n')
        (wrapped / name).chmod(0o755)
    scene = Scene(tmp_path, pg, "small", postgres={"tools": str(wrapped)})
    result = scene.run("backup")
    assert "mind the gap" in result.stderr
    log = scenes.manifest(scene, result.json[-1]["backup"])["log"]
    assert any("level=warn" in line and "mind the gap" in line for line in log), log


def test_pg_dump_cannot_be_started(scene, tools, tmp_path):
    tools.folder.joinpath("pg_dump").rename(tmp_path / "pg_dump")
    try:
        says_once(scene.run("backup", expect=2), "no pg_dump")
    finally:
        (tmp_path / "pg_dump").rename(tools.folder / "pg_dump")
    scene.nothing_happened([scene.good])


@pytest.mark.parametrize("limit,cause", [({"stall_timeout": "2s"}, "pgdump: no byte moved for 2 s"),
                                         ({"deadline": "3s"}, "deadline")], ids=["stall_timeout", "deadline"])
def test_pg_dump_hangs(scene, tools, limit, cause):
    tools.hang("pg_dump", HALF)
    scene.configure(component=limit)
    scene.fails("backup", cause)
    scene.nothing_happened([scene.good])
    assert not any(os.path.exists(f"/proc/{call.pid}") for call in tools.calls("pg_dump")[-1:])


@pytest.mark.parametrize("after_bytes", [0, 100, 1 << 40], ids=["at once", "half-way", "after the last byte"])
def test_pg_dumpall_fails(scene, tools, after_bytes):
    tools.exit("pg_dumpall", 1, after_bytes, stderr="pg_dumpall: error: scripted end")
    scene.fails("backup", "pg_dumpall.*status 1.*scripted end")
    scene.nothing_happened([scene.good])


def test_pg_dumpall_hangs(scene, tools):
    tools.hang("pg_dumpall")
    scene.configure(component={"stall_timeout": "2s"})
    scene.fails("backup", "globals.*no byte moved for 2 s")
    scene.nothing_happened([scene.good])


# --- pg_dump lies

CUTS = {"nothing": 0, "inside the header": 5, "behind the header": 40, "inside the table of contents": 1500,
        "inside the rows": HALF, "near the end": -200, "before the last bytes": -3, "before the last byte": -1}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_pg_dump_lies(pg, tmp_path, cut):
    """Status 0 with a cut stream: caught by verify and drill at the latest, and never restored over anything."""
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = Scene(tmp_path, pg, "small", tools=tools)
    good = scene.backup()
    whole = next(one["plain_bytes"] for one in scenes.manifest(scene, good)["objects"]
                 if one["name"] == "database.pgdump")
    tools.exit("pg_dump", 0, cut if cut >= 0 else whole + cut)
    result = scene.run("backup", expect=(0, 1))
    tools.clear()
    if result.status == 1:
        says_once(result, "pg_dump|pgdump")
        scene.nothing_happened([good])
        return
    bad = result.json[0]["backup"]
    for command in ("verify", "drill", "restore"):
        scene.fails(command, "database.pgdump|pg_restore", bad)
        scene.live_untouched()
        assert not scene.extra_databases(), command
        assert not [key for key in scene.store.keys() if "/verified/" in key]
    scene.run("verify", good)
    scene.run("drill", good)
    scene.prune_cleans()


@pytest.mark.parametrize("at", [1, HALF], ids=["of the header", "of a row"])
def test_pg_dump_changes_a_byte(pg, tmp_path, at):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = Scene(tmp_path, pg, "small", tools=tools)
    tools.corrupt("pg_dump", at)
    bad = scene.backup()
    tools.clear()
    for command in ("verify", "drill") if at == 1 else ("drill", "restore"):
        scene.fails(command, "pg_restore", bad)
        scene.live_untouched()
        assert not scene.extra_databases()


def test_pg_dumpall_lies(pg, tmp_path):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = Scene(tmp_path, pg, "small", tools=tools)
    tools.exit("pg_dumpall", 0, 150)
    result = scene.run("backup", expect=(0, 1))
    tools.clear()
    if result.status == 1:
        says_once(result, "globals")
        scene.nothing_happened()
    else:
        scene.fails("verify", "globals", result.json[0]["backup"])


# --- the server

@pytest.mark.parametrize("how", ["immediate", "kill"])
def test_server_stops_half_way(pg, slow, how):
    with slow.start("backup") as running:
        wait_until(lambda: dumping(pg), 30, "rows on their way")
        try:
            pg.kill() if how == "kill" else pg.stop("immediate")
            result = running.wait(60)
        finally:
            pg.start()
    assert result.status == 1
    says_once(result, "pg_dump|connect")
    slow.proxy.remove(slow.toxic)
    slow.nothing_happened([slow.good])


def test_line_to_the_server_breaks(pg, slow):
    with slow.start("backup") as running:
        wait_until(lambda: dumping(pg), 30, "rows on their way")
        slow.proxy.down()
        result = running.wait(60)
    assert result.status == 1
    says_once(result, "pg_dump|connect")
    slow.proxy.reset()
    slow.nothing_happened([slow.good])


def test_backend_of_pg_dump_is_terminated(pg, slow):
    with slow.start("backup") as running:
        pg.sql("SELECT pg_terminate_backend(%s)", (wait_until(lambda: dumping(pg), 30, "rows on their way"),))
        result = running.wait(60)
    assert result.status == 1
    says_once(result, "pg_dump.*(terminat|connection)")
    slow.proxy.remove(slow.toxic)
    slow.nothing_happened([slow.good])


def test_backend_of_the_snapshot_is_terminated(pg, slow):
    """pg_dump has its snapshot by then; the job either goes on to a whole backup, or fails like the rest."""
    with slow.start("backup") as running:
        wait_until(lambda: dumping(pg), 30, "rows on their way")
        pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'big' AND "
               "query NOT LIKE 'COPY %' AND pid <> pg_backend_pid()")
        slow.proxy.remove(slow.toxic)
        result = running.wait(60)
    if result.status == 1:
        says_once(result, "terminat|connection")
        slow.nothing_happened([slow.good])
    else:
        assert result.status == 0, str(result)
        slow.run("verify", result.json[0]["backup"])
        slow.run("drill", result.json[0]["backup"])
        slow.nothing_happened([slow.good, result.json[0]["backup"]])


def test_server_is_away(pg, scene):
    pg.stop()
    try:
        scene.fails("backup", "connect")
        assert scene.manifests() == [scene.good]
        scene.run("verify", scene.good)
    finally:
        pg.start()
    scene.nothing_happened([scene.good])


def test_table_is_locked(pg, scene):
    other = pg.connect("small", autocommit=False)
    try:
        other.cursor().execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        scene.fails("backup", "lock")
    finally:
        other.close()
    scene.nothing_happened([scene.good])


# --- pg_restore

PG_RESTORE_FAULTS = {
    "status 1": lambda tools: tools.exit("pg_restore", 1, HALF, stderr="pg_restore: error: scripted end"),
    "status 0 too early": lambda tools: tools.exit("pg_restore", 0, HALF),
    "status 1 at the end": lambda tools: tools.exit("pg_restore", 1, 1 << 40, stderr="pg_restore: error: scripted end"),
    "SIGKILL": lambda tools: tools.signal("pg_restore", signal.SIGKILL, HALF),
    "SIGSEGV at once": lambda tools: tools.signal("pg_restore", signal.SIGSEGV, 0),
    "hangs": lambda tools: tools.hang("pg_restore", HALF),
    "hangs at the end": lambda tools: tools.hang("pg_restore", 1 << 40),
}


@pytest.mark.parametrize("command", ["verify", "drill", "restore"])
@pytest.mark.parametrize("fault", PG_RESTORE_FAULTS.values(), ids=PG_RESTORE_FAULTS.keys())
def test_pg_restore_fails(scene, tools, command, fault):
    verified = [key for key in scene.store.keys() if "/verified/" in key]
    fault(tools)
    scene.configure(component={"stall_timeout": "2s"})
    scene.fails(command, "pg_restore|rows|no byte moved|do not end", scene.good)
    assert [key for key in scene.store.keys() if "/verified/" in key] == verified
    scene.nothing_happened([scene.good])


@pytest.mark.parametrize("command", ["drill", "restore"])
def test_server_stops_during_a_restore(pg, tmp_path, command):
    """A crash of the server in the middle: the live database comes back with it, and the next run cleans up."""
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = Scene(tmp_path, pg, "small", tools=tools)
    scene.backup()
    tools.hang("pg_restore", HALF)
    with scene.start(command) as running:
        wait_until(lambda: tools.hanging("pg_restore"), 30, "half-way")
        scene.configure(component={"stall_timeout": "2s"})
        try:
            pg.kill()
            running.popen.send_signal(signal.SIGTERM)
            result = running.wait(30)
        finally:
            pg.start()
    assert result.status == 1
    says_once(result, "SIGTERM|pg_restore|connect")
    tools.clear()
    scene.live_untouched()
    scene.run("drill")
    scene.is_clean()


# --- disks

@contextlib.contextmanager
def read_only(size="1m"):
    with tmpfs(size) as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


def test_store_is_full(pg, tmp_path):
    with tmpfs("12m") as disk:
        scene = Scene(tmp_path, pg, "big", store_path=disk / "store")
        result = scene.fails("backup", "space")
        assert scenes.kind_of(result) == "no_space"
        scene.nothing_happened()


@pytest.mark.parametrize("inodes", [9, 11], ids=["before the second object", "before the manifest"])
def test_store_has_no_room_for_another_file(pg, tmp_path, inodes):
    """The data fits, what comes after it does not. Inodes: the root, six folders, the data, then a file each."""
    with tmpfs(f"16m,nr_inodes={inodes}") as disk:
        scene = Scene(tmp_path, pg, "small", store_path=disk / "store")
        result = scene.fails("backup", "space")
        assert scenes.kind_of(result) == "no_space"
        assert not scene.manifests()
        scene.live_untouched()
        subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(disk)], check=True)
        scene.nothing_happened()


def test_store_is_read_only(pg, tmp_path):
    with read_only() as disk:
        scene = Scene(tmp_path, pg, "small", store_path=disk)
        scene.fails("backup", "read-only file system")
        scene.live_untouched()


@pytest.mark.parametrize("where", ["is a file", "read-only", "full"])
def test_state_cannot_be_written(pg, tmp_path, where):
    with contextlib.ExitStack() as stack:
        if where == "is a file":
            folder = tmp_path / "file"
            folder.write_text("")
        else:
            folder = stack.enter_context(read_only() if where == "read-only" else tmpfs("16m,nr_inodes=3"))
        scene = Scene(tmp_path, pg, "small", state_path=folder / "state")
        scene.fails("backup", r"state|job record")
        assert not scene.manifests() and not scene.store.uploads() and not scene.orphans()
        scene.live_untouched()
