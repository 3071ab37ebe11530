# SPDX-License-Identifier: Apache-2.0
"""The store is away, or dies in the middle: the backup goes to local disk, within its bound, and later where it belongs.

What holds at every moment: no more than max_bytes and never the last of the file system; the newest complete backup of
each component; and what has a manifest, in either place, has all its data.
"""
import copy
import fcntl
import itertools
import os
import pathlib
import signal

import pytest

from harness import process
from harness import scene as scenes
from harness.faults import DiskSampler, FakeTools, tmpfs, wait_until
from harness.s3stub import Corrupt, Hold, Reset, status
from harness.scene import COMPONENT, Folder, Scene, kind_of, says_once
from harness.toxiproxy import Toxiproxy

DATA = r"/data/.*/database\.pgdump"
MANIFEST = r"/manifests/"
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _databases(pg):
    scenes.fill(pg, "small", 2_000)
    scenes.fill(pg, "medium", 3_000, width=32)  # 3 MiB as a dump
    scenes.fill(pg, "large", 17_000, width=32)  # 17 MiB: three parts


class Boat(Scene):
    """A scene with a fallback. away() and back() are the store's."""

    def __init__(self, folder, pg, database, *, stub=None, disk=None, max_bytes="64MiB", **more):
        self.tools = FakeTools(pg.pg_bin, pathlib.Path(folder) / "tools")
        store = {"retry_deadline": "1s", "stall_timeout": "2s"} if stub is not None else {}
        super().__init__(folder, pg, database, server=stub, tools=self.tools, **{"store": store, **more})
        self.disk = Folder(pathlib.Path(disk or self.folder / "disk"))
        self.disk.path.mkdir(exist_ok=True)
        self.config["stores"].append({"name": "disk", "type": "local", "path": str(self.disk.path)})
        self.bound(max_bytes)

    def bound(self, max_bytes):
        self.config["fallback"] = {"store": "disk", "max_bytes": max_bytes}
        self.lifeboat.configure(self.config)

    def away(self):
        """It refuses everything, which is the quickest way to be away: nothing is repeated."""
        self.server.fail("*", status(403, "AccessDenied"), times=None)

    def back(self):
        self.server.clear()

    def falls_back(self, **more):
        """A backup that goes to local disk; its id."""
        result = self.run("backup", expect=3, **more)
        line = result.json[-1]
        assert (line["result"], line["store"], line["error"]["store"]) == ("in_part", "disk", "main"), str(result)
        assert "Sanitizer" not in result.stderr
        return line["backup"]

    def waiting(self):
        return sorted(pathlib.PurePath(key).stem for key in self.disk.keys() if "/manifests/" in key)

    def local(self):
        """The files on local disk, with their bytes."""
        return {key: (self.disk.path / key).read_bytes() for key in self.disk.keys()}

    def disk_is_empty(self):
        assert not self.disk.keys() and not self.disk.uploads()

    def arrived(self, files):
        """In the store, to the byte."""
        assert files and files.items() <= {key: stored.data for key, stored in self.server.objects.items()}.items()


@pytest.fixture(name="make")
def _make(pg, stub, tmp_path):
    return lambda database="small", **more: Boat(tmp_path, pg, database, stub=stub, **more)


# --- when it falls back, and when not

def test_away_at_the_start(make, stub):
    boat = make()
    stub.fail("*", Reset(), times=None)
    first = boat.falls_back()
    assert len(boat.tools.calls("pg_dump")) == 1  # none for the store that is not there
    assert boat.waiting() == [first] and not boat.records()
    text = boat.lifeboat.run("backup", expect=3)
    second = boat.waiting()[-1]
    assert f"{COMPONENT}@{second} on local disk only" in text.stdout and "store main: " in text.stdout
    boat.live_untouched()

    listed = boat.run("list", expect=3)
    assert [(one["backup"], one["store"]) for one in listed.json] == [(first, "disk"), (second, "disk")]
    assert "only what is on local disk is seen" in listed.stderr
    boat.run("verify")
    assert boat.run("drill").json[-1]["backup"] == second
    boat.run("list --store disk")
    boat.run("verify --store disk", first)
    restored = boat.run("restore", first)
    assert restored.json[-1]["backup"] == first
    boat.live_untouched()
    scenes.says_once(boat.run("prune", expect=1), "main|ListObjects")
    assert boat.waiting() == [first, second]
    boat.fails("upload", "ListObjects|HeadObject|reset|unreachable")
    assert boat.waiting() == [first, second]

    boat.back()
    assert {one["store"] for one in boat.run("list").json} == {"disk"}
    files = boat.local()
    assert any("/verified/" in key for key in files)
    sent = boat.run("upload").json
    assert [(one["backup"], one["store"], one["result"]) for one in sent] == [(first, "main", "done"),
                                                                            (second, "main", "done")]
    boat.arrived(files)
    boat.disk_is_empty()
    listed = boat.run("list").json
    assert [(one["backup"], one["store"]) for one in listed] == [(first, "main"), (second, "main")]
    assert all(one["verified"] for one in listed)
    boat.run("verify --all")
    assert boat.run("upload").stdout == "" and "nothing waits" in boat.lifeboat.run("upload").stdout
    for name in boat.extra_databases():
        boat.pg.sql(f'DROP DATABASE "{name}"')
    boat.prune_cleans()


@pytest.mark.parametrize("operation,key,answer,attempts,dumps", [
    ("UploadPart", "", Reset("body"), 2, 3), ("CompleteMultipartUpload", "", status(500), 1, 2),
    ("PutObject", MANIFEST, status(503, "SlowDown"), 1, 2), ("HeadObject", DATA, status(503), 1, 2),
    ("CreateMultipartUpload", "", status(403, "AccessDenied"), 2, 2)])
def test_the_store_dies_in_the_middle(make, stub, operation, key, answer, attempts, dumps):
    """Its attempts are used up where another can help, and not where none can; then one on local disk."""
    boat = make("large", component={"attempts": attempts})
    stub.fail(operation, answer, key=key, nth=2 if operation == "UploadPart" else 1, times=None)
    backup = boat.falls_back()
    assert len(boat.tools.calls("pg_dump")) == dumps
    assert boat.waiting() == [backup] and not boat.manifests()
    boat.run("verify", backup)
    files = boat.local()
    boat.back()
    boat.run("upload")
    boat.arrived(files)
    boat.disk_is_empty()
    assert boat.manifests() == [backup]
    boat.run("verify")
    boat.prune_cleans()


def test_the_manifest_was_committed_after_all(make, stub):
    """Only its answer was lost: two backups, both good, none shown that is not."""
    boat = make()
    stub.fail("PutObject", status(503, carried_out=True), key=MANIFEST, times=None)
    stub.fail("GetObject", status(503), key=MANIFEST, times=None)
    stub.fail("HeadObject", status(503), key=MANIFEST, times=None)
    backup = boat.falls_back()
    boat.back()
    boat.run("upload")
    assert len(boat.manifests()) == 2 and boat.manifests()[-1] == backup
    boat.run("verify --all")
    boat.prune_cleans()


def test_the_database_is_at_fault(make, stub):
    boat = make("large")
    boat.tools.exit("pg_dump", 1, 9_000_000, stderr="pg_dump: error: told to")
    boat.fails("backup", "told to")
    boat.disk_is_empty()
    boat.tools.clear()
    boat.configure(component={"postgres": {**boat.config["components"][0]["postgres"],
                                           "conninfo": "host=127.0.0.1 port=1 user=postgres dbname=large"}})
    boat.fails("backup", "connect")
    boat.disk_is_empty()
    boat.prune_cleans()


def test_the_database_dies_while_the_store_is_away(make):
    boat = make("large")
    boat.away()
    kept = boat.falls_back()
    before = boat.local()
    boat.tools.exit("pg_dump", 1, 9_000_000, stderr="pg_dump: error: told to")
    result = boat.fails("backup", "told to")
    assert "store main: " in result.stderr and "store disk" in result.stderr and kind_of(result) == "source"
    assert boat.local() == before and boat.waiting() == [kept] and not boat.disk.uploads()
    boat.back()
    boat.run("upload")
    boat.prune_cleans()


def test_killed_in_the_middle_of_a_fallback(make):
    """What it left would be in the way of the next, and goes first."""
    boat = make("large", max_bytes="20MiB")
    boat.away()
    with boat.start("backup") as running:
        wait_until(lambda: any("pgdump" in key for key in boat.disk.uploads()), 30, "a part", step_s=0.001)
        running.kill_ours()
        running.wait(10)
    assert not boat.waiting() and boat.disk.uploads() and boat.records()
    backup = boat.falls_back()
    assert boat.waiting() == [backup] and not boat.disk.uploads()
    assert {pathlib.PurePath(key).parent.name for key in boat.disk.keys() if "/data/" in key} == {backup}
    boat.back()
    boat.run("upload")
    boat.prune_cleans()


def test_a_store_that_cannot_be_opened(pg, tmp_path):
    (tmp_path / "file").write_text("no folder")
    boat = Boat(tmp_path, pg, "small", store_path=tmp_path / "file" / "store")
    backup = boat.falls_back()
    assert boat.run("list", expect=3).json[0]["backup"] == backup
    boat.run("verify")
    boat.fails("upload", "file")
    (tmp_path / "file").unlink()
    boat.run("upload")
    assert boat.manifests() == [backup]
    boat.disk_is_empty()
    boat.prune_cleans()


def test_a_fallback_that_cannot_be_opened(make, stub, tmp_path):
    """Nobody needs it while the store is there."""
    (tmp_path / "file").write_text("no folder")
    boat = make()
    boat.config["stores"][1]["path"] = str(tmp_path / "file" / "disk")
    boat.lifeboat.configure(boat.config)
    backup = boat.backup()
    boat.run("verify", backup)
    assert boat.run("list").json[0]["store"] == "main"
    says_once(boat.run("check", expect=1), "must be mended")
    boat.away()
    boat.fails("backup", "store main: .*fallback.*file")


def test_waiting_for_another_fallback_ends_at_once(make):
    boat = make()
    boat.away()
    boat.state.mkdir(exist_ok=True)
    with open(boat.state / "fallback.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with boat.start("backup") as running:
            wait_until(lambda: "goes to local disk" in running.stderr, 20)
            running.signal(signal.SIGTERM)
            assert running.wait(4).status == 1
        boat.configure(component={"deadline": "4s", "orphan_age": "1h"})
        boat.fails("backup", "deadline")
    boat.disk_is_empty()
    boat.falls_back()


# --- the bound

def test_the_bound_holds_at_every_moment(make):
    boat = make("medium", max_bytes="8MiB")
    boat.away()
    with DiskSampler(boat.disk.path) as seen:
        ids = [boat.falls_back() for _ in range(2)]
        assert boat.waiting() == ids
        for _ in range(4):
            ids.append(boat.falls_back())
            assert boat.waiting() == ids[-2:]  # the oldest went, no other
    assert 5 * MIB < seen.most <= 8 * MIB
    boat.run("verify --all", expect=3)

    # A second component, at the same time, on the same disk: what is the newest of either never goes.
    boat.config["components"].append({**copy.deepcopy(boat.config["components"][0]), "name": "second"})
    boat.lifeboat.configure(boat.config)
    with DiskSampler(boat.disk.path) as seen:
        with boat.start("backup") as one, boat.lifeboat.start("backup", "--json", "second") as two:
            results = [one.wait(60), two.wait(60)]
        assert {result.status for result in results} <= {1, 3} and results[1].status == 3, results
    assert seen.most <= 8 * MIB
    newest = boat.run("list --store disk").json[-1]["backup"]
    before = boat.local()
    # Both hold 3 MiB now: a third does not fit, and nothing may go for it.
    assert len(boat.waiting()) == 2
    result = boat.fails("backup", "fallback.max_bytes")
    assert kind_of(result) == "no_space"
    assert boat.local() == before and newest in boat.waiting() and not boat.disk.uploads()
    boat.bound("16MiB")
    boat.falls_back()
    assert newest in boat.waiting()
    boat.back()
    boat.lifeboat.run("upload")
    boat.disk_is_empty()


def test_what_is_too_large_is_refused(make):
    boat = make("large", max_bytes="8MiB")
    boat.away()
    with DiskSampler(boat.disk.path) as seen:
        assert kind_of(boat.fails("backup", "fallback.max_bytes")) == "no_space"
    assert seen.most <= 8 * MIB
    boat.disk_is_empty()


def test_a_small_file_system(pg, stub, tmp_path):
    """Less room than max_bytes: refused before it is full."""
    with tmpfs("12m") as disk:
        boat = Boat(tmp_path, pg, "medium", stub=stub, disk=disk, max_bytes="1GiB")
        check = boat.run("check").json
        assert [one["outcome"] for one in check if one["check"] == "fallback"] == ["warn"]
        boat.away()
        with DiskSampler(disk) as seen:
            ids = [boat.falls_back() for _ in range(5)]
            assert boat.waiting() == ids[-3:]
            boat.configure(component={"postgres": {**boat.config["components"][0]["postgres"],
                                                   "conninfo": pg.conninfo("large")}})
            result = boat.fails("backup", "nearly full")
            assert kind_of(result) == "no_space"
        assert seen.least_free >= MIB - 128 * 1024
        assert ids[-1] in boat.waiting() and not boat.disk.uploads()
        boat.run("verify --store disk", ids[-1])


def test_something_else_fills_the_disk(pg, stub, tmp_path):
    with tmpfs("40m") as disk:
        boat = Boat(tmp_path, pg, "large", stub=stub, disk=disk, max_bytes="1GiB")
        boat.away()
        kept = boat.falls_back()
        before = boat.local()
        with boat.start("backup") as running:
            wait_until(boat.disk.uploads, 30, "a part", step_s=0.001)
            for pid in running.tree():
                if process.executable(pid) == "lifeboat-job":
                    os.kill(pid, signal.SIGSTOP)
                    stopped = pid
            hog = disk / "hog"
            try:
                with open(hog, "wb", buffering=0) as file:
                    while True:
                        file.write(bytes(MIB))
            except OSError:
                pass
            os.kill(stopped, signal.SIGCONT)
            result = running.wait(60)
        assert result.status == 1 and kind_of(result) == "no_space", str(result)
        hog.unlink()
        assert boat.local() == before and boat.waiting() == [kept] and not boat.disk.uploads()
        boat.run("verify --store disk", kept)
        boat.falls_back()


# --- upload

def test_a_day_of_it_arrives_in_order(make):
    boat = make(component={"retention": "forever"})
    boat.away()
    ids = [boat.falls_back() for _ in range(6)]
    boat.run("verify --store disk", ids[3])
    files = boat.local()
    boat.back()
    line = next(one for one in boat.run("check").json if one["check"] == "fallback")
    assert line["outcome"] == "ok" and line["detail"].startswith("6 backups")
    since = len(boat.server.requests)
    assert [one["backup"] for one in boat.run("upload").json] == ids
    manifests = [request.key for request in boat.server.requests[since:]
                 if request.operation == "PutObject" and "/manifests/" in request.key]
    assert [pathlib.PurePath(key).stem for key in manifests] == ids
    boat.arrived(files)
    boat.disk_is_empty()
    boat.run("verify --all")
    boat.prune_cleans()


def good_everywhere(boat, files):
    """Each backup is whole in one place at least, and what has a manifest has its data."""
    objects = {key: stored.data for key, stored in boat.server.objects.items()}
    for place in (objects, boat.local()):
        for key in [key for key in place if "/manifests/" in key]:
            backup = pathlib.PurePath(key).stem
            wanted = {name: data for name, data in files.items() if f"/data/{backup}/" in name}
            assert wanted and wanted.items() <= place.items(), f"{backup} is not whole"
    assert {key for key in files if "/manifests/" in key} <= objects.keys() | set(boat.disk.keys())


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost", "carried out"])
def test_upload_is_killed_at_each_request(make, stub, carried_out):
    boat = make(component={"retention": "forever"})
    boat.away()
    ids = [boat.falls_back() for _ in range(2)]
    boat.run("verify --store disk", ids[0])
    files = boat.local()
    boat.back()
    strikes = 0
    for nth in itertools.count(1, 3 if carried_out else 2):
        rule = stub.fail("*", Hold(), nth=nth)
        with boat.start("upload") as running:
            wait_until(lambda: rule.action.reached.is_set() or not running.running(), 60)
            if not rule.action.reached.is_set():
                assert running.wait(10).status == 0
                stub.clear()
                break
            running.kill_ours()
            running.wait(10)
        strikes += 1
        if carried_out:
            rule.action.release()
        else:
            rule.action.drop()
        wait_until(stub.idle, 10)
        stub.clear()
        good_everywhere(boat, files)
        if strikes % 4 == 0:
            boat.run("prune")
            good_everywhere(boat, files)
        boat.run("upload")
        boat.arrived(files)
        boat.disk_is_empty()
        stub.objects.clear()
        for key, data in files.items():
            (boat.disk.path / key).parent.mkdir(parents=True, exist_ok=True)
            (boat.disk.path / key).write_bytes(data)
    assert strikes >= (8 if carried_out else 12)
    boat.arrived(files)
    boat.disk_is_empty()
    boat.run("verify --all")
    boat.prune_cleans()


def test_upload_is_killed_between_manifest_and_data(make):
    """Its data is on local disk alone, and no backup any more: the next upload frees it."""
    boat = make()
    boat.away()
    backup = boat.falls_back()
    files = boat.local()
    boat.back()
    boat.run("upload")
    record = boat.state / "jobs" / COMPONENT / f"{backup}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text('{"job": "upload"}\n')
    for key, data in files.items():
        if "/manifests/" not in key:
            (boat.disk.path / key).parent.mkdir(parents=True, exist_ok=True)
            (boat.disk.path / key).write_bytes(data)
    assert len(boat.run("list").json) == 1
    assert boat.run("upload").json == []
    boat.disk_is_empty()
    boat.arrived(files)
    boat.prune_cleans()


def test_a_corrupt_piece_is_not_sent_as_good(make):
    boat = make()
    boat.away()
    ids = [boat.falls_back() for _ in range(3)]
    piece = next((boat.disk.path / key) for key in boat.disk.keys() if ids[1] in key and "pgdump" in key)
    piece.write_bytes(bytes([piece.read_bytes()[0] ^ 1]) + piece.read_bytes()[1:])
    boat.back()
    result = boat.run("upload", expect=3)
    assert [(one.get("backup"), one["result"]) for one in result.json] == [
        (ids[0], "done"), (ids[1], "not_sent"), (ids[2], "done"), (None, "failed")]
    assert boat.manifests() == [ids[0], ids[2]] and boat.waiting() == [ids[1]]
    assert not any("pgdump" in key for key in boat.orphans())
    assert kind_of(boat.run("upload", expect=1)) == "corrupt"
    assert boat.waiting() == [ids[1]]
    boat.run("verify", ids[2])
    boat.run("prune")


def test_what_the_store_spoils_is_found_and_sent_again(make, stub):
    boat = make()
    boat.away()
    backup = boat.falls_back()
    files = boat.local()
    boat.back()
    stub.fail("PutObject", Corrupt(), key=DATA)
    boat.run("upload", expect=1)
    assert boat.waiting() == [backup] and not boat.manifests()
    boat.run("upload")
    boat.arrived(files)
    boat.disk_is_empty()
    boat.prune_cleans()


def test_two_uploads_at_once(make, stub):
    boat = make()
    boat.away()
    boat.falls_back()
    boat.back()
    held = stub.fail("PutObject", Hold(), key=DATA)
    with boat.start("upload") as first:
        assert held.action.reached.wait(30)
        assert boat.run("upload").json == []
        boat.run("prune")
        held.action.release()
        assert first.wait(60).status == 0
    boat.disk_is_empty()
    boat.run("verify")
    boat.prune_cleans()


def test_a_real_store_behind_a_bad_line(pg, s3, tmp_path):
    with Toxiproxy(s3.port) as proxy:
        boat = Boat(tmp_path, pg, "large", stub=s3, endpoint=proxy.endpoint)
        proxy.add("limit_data", stream="upstream", bytes=3_000_000)
        first = boat.falls_back()
        proxy.down()
        second = boat.falls_back()
        files = boat.local()
        proxy.reset()
        assert [one["backup"] for one in boat.run("upload").json] == [first, second]
        for key, data in files.items():
            assert s3.client.get(key) == data
        boat.disk_is_empty()
        boat.run("verify --all")
        boat.prune_cleans()
