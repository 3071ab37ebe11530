# SPDX-License-Identifier: Apache-2.0
"""The lying tools and the small disk."""
import errno
import signal
import subprocess

import pytest

from . import process
from .faults import FakeTools, tmpfs, wait_until
from .postgres import Postgres


@pytest.fixture(scope="module", name="pg")
def _pg():
    with Postgres(15) as server:
        server.sql("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i")
        yield server


@pytest.fixture(name="tools")
def _tools(pg, tmp_path):
    return FakeTools(pg.pg_bin, tmp_path / "tools")


def run(pg, tools, tool, *args, stdin=None):
    return subprocess.run([str(tools.folder / tool), *args, "-d", pg.conninfo()], input=stdin, capture_output=True,
                          check=False)


def test_delegates_and_notes_the_call(pg, tools):
    done = run(pg, tools, "pg_dump", "-Fc", "-Z0")
    assert done.returncode == 0 and len(done.stdout) > 500000
    assert subprocess.run([str(tools.folder / "pg_dump"), "--version"], check=False).returncode == 0
    assert [(call.tool, call.argv[0]) for call in tools.calls()] == [("pg_dump", "-Fc")]
    listing = subprocess.run([str(tools.folder / "pg_restore"), "-l"], input=done.stdout, capture_output=True,
                             check=False)
    assert listing.returncode == 0 and b"TABLE DATA" in listing.stdout


def test_cut_status_signal_corrupt(pg, tools):
    whole = run(pg, tools, "pg_dump", "-Z0").stdout
    tools.exit("pg_dump", 0, 100000)
    done = run(pg, tools, "pg_dump", "-Z0")
    assert (done.returncode, len(done.stdout)) == (0, 100000)
    tools.exit("pg_dump", 3, 10, stderr="pg_dump: error: scripted")
    done = run(pg, tools, "pg_dump")
    assert (done.returncode, len(done.stdout), done.stderr) == (3, 10, b"pg_dump: error: scripted\n")
    tools.signal("pg_dump", signal.SIGSEGV, 10)
    assert run(pg, tools, "pg_dump").returncode == -signal.SIGSEGV
    tools.corrupt("pg_dump", 70000)
    done = run(pg, tools, "pg_dump", "-Z0")
    differ = [at for at, (one, two) in enumerate(zip(whole, done.stdout)) if one != two]
    assert (done.returncode, len(done.stdout)) == (0, len(whole)) and 70000 in differ
    tools.exit("pg_dump", 3, when="--schema-only")
    assert run(pg, tools, "pg_dump").returncode == 0
    tools.clear()
    assert run(pg, tools, "pg_dump", "--schema-only").returncode == 0


def test_restore_dies_on_its_input(pg, tools):
    dump = run(pg, tools, "pg_dump", "-Fc", "-Z0").stdout
    tools.exit("pg_restore", 1, 200000, stderr="pg_restore: error: scripted")
    pg.createdb("target")
    restore = subprocess.Popen([str(tools.folder / "pg_restore"), "-d", pg.conninfo("target")], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        restore.communicate(dump)
    except BrokenPipeError:
        pass
    assert restore.returncode == 1


def test_hanging_tool_takes_the_real_one_along(pg, tools):
    tools.hang("pg_dump", 1000)
    child = process.spawn([tools.folder / "pg_dump", "-d", pg.conninfo()], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: tools.hanging("pg_dump"), 10, "hanging")
        below = process.descendants(child.pid)
        assert below
    finally:
        child.kill()
        child.wait()
    wait_until(lambda: not any(process.alive(pid) for pid in below), 10, "real pg_dump gone")


def test_tmpfs_fills_up():
    with tmpfs("1m") as folder:
        with pytest.raises(OSError) as caught:
            (folder / "big").write_bytes(b"x" * (2 << 20))
        assert caught.value.errno == errno.ENOSPC
    assert not folder.exists()
