# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every kind of instant of backup, restore, drill and prune, and a prune beside a backup that runs.

Instants are chosen by what happens: each request to the store in turn (lost, or carried out after the death), a tool
half-way, the swap waiting for its lock, a database just made or just renamed; and by slices of a measured run. After
each of them the live database serves under its own name with all its rows, every committed backup verifies, the same
command runs, and nothing is left behind.

LIFEBOAT_KILL_INSTANTS: so many random instants besides (tests/campaign/kill.sh).
"""
import collections
import contextlib
import itertools
import os
import random
import shutil
import signal
import time

import pytest

from harness import process
from harness import scene as scenes
from harness.faults import FakeTools, wait_until
from harness.s3stub import Hold
from harness.scene import Scene

RANDOM_INSTANTS = int(os.environ.get("LIFEBOAT_KILL_INSTANTS", "0"))
SEED = int(os.environ.get("LIFEBOAT_KILL_SEED", "0")) or random.randrange(1, 1 << 30)
DATA, MANIFEST = r"/data/.*/database\.pgdump", r"/manifests/"
struck: collections.Counter = collections.Counter()
missed: collections.Counter = collections.Counter()
both = itertools.cycle([False, True])


@pytest.fixture(scope="module", autouse=True)
def _databases(pg):
    scenes.fill(pg, "small", 5_000)
    scenes.fill(pg, "large", 17_000, width=32)


@pytest.fixture(scope="module", autouse=True)
def _summary(request):
    yield
    where = ", ".join(f"{name} {count}" for name, count in sorted(struck.items()))
    request.config.pluginmanager.getplugin("terminalreporter").write_line(
        f"\nkilled at {sum(struck.values())} instants: {where}; ended before the kill: {sum(missed.values())}; "
        f"seed {SEED}")


def kill(running, name):
    """kill -9 of the job; every second time of its tools at the same moment. True when it was still at work."""
    pids = running.tree()
    with_tools = next(both)
    if running.running():
        os.kill(running.pid, signal.SIGKILL)
    if with_tools:
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    result = running.wait(10)
    wait_until(lambda: not any(process.alive(pid) for pid in pids), 10, "its tools die with it")
    alive = result.status == -signal.SIGKILL
    assert alive or result.status == 0, str(result)
    (struck if alive else missed)[name] += 1
    return alive


def slices(count):
    """Shares of a run, evenly spread."""
    return [(i + 0.5) / count for i in range(count)]


def after(scene, command, verify="verify --all"):
    """What must hold after a kill, and after the next run of the same command."""
    scene.live_untouched()
    scene.run(verify)
    scene.run(command)
    scene.live_untouched()
    if command == "verify":
        scene.prune_cleans()
    scene.is_clean()


def measure(scene, command, backup=""):
    began = time.monotonic()
    scene.run(command, backup)
    return time.monotonic() - began


# --- backup

def test_backup_to_a_folder_by_time(pg, tmp_path):
    scene = Scene(tmp_path, pg, "large", component={"retention": {"keep_last": 2}})
    whole_s = measure(scene, "backup")
    for share in slices(10):
        last = scene.manifests()[-1]
        with scene.start("backup") as running:
            time.sleep(whole_s * share)
            kill(running, "backup, local")
        assert last in scene.manifests()
        after(scene, "backup")


@pytest.mark.parametrize("tool", ["pg_dump", "pg_dumpall"])
def test_backup_with_a_tool_half_way(pg, tmp_path, tool):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = Scene(tmp_path, pg, "large", tools=tools)
    scene.backup()
    tools.hang(tool, 100 if tool == "pg_dumpall" else 10_000_000)
    with scene.start("backup") as running:
        wait_until(lambda: tools.hanging(tool), 30, "half-way")
        assert kill(running, "backup, tool half-way")
    tools.clear()
    wait_until(lambda: not pg.sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'large'"), 10, "its backends gone")
    after(scene, "backup")


def strike_requests(scene, stub, command, name, carried_out, backup=""):
    """Kills the command at its first request, its second, and so on until one run gets by unharmed."""
    for nth in itertools.count(1):
        yield "before", nth
        rule = stub.fail("*", Hold(), nth=nth)
        with scene.start(command, backup) as running:
            wait_until(lambda: rule.action.reached.is_set() or not running.running(), 60, f"request {nth}")
            if not rule.action.reached.is_set():
                assert running.wait(10).status == 0
                stub.clear()
                return
            assert kill(running, name)
        seen = stub.count()
        if carried_out:
            rule.action.release()
        else:
            rule.action.drop()
        wait_until(lambda: stub.idle(), 10, "the held request is over")
        stub.clear()
        assert stub.count() >= seen
        yield "after", nth


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost", "carried out"])
def test_backup_to_s3_by_request(pg, stub, tmp_path, carried_out):
    scene = Scene(tmp_path, pg, "large", server=stub, component={"retention": {"keep_last": 2}})
    whole = of_backup(stub, scene.backup())
    for when, _ in strike_requests(scene, stub, "backup", "backup, S3", carried_out):
        if when == "before":
            continue
        scene.live_untouched()
        assert whole.items() <= stub.objects.items()
        if scene.manifests()[-1] not in next(iter(whole)):
            scene.run("verify")
            whole = of_backup(stub, scene.manifests()[-1])
        scene.run("prune")
        scene.is_clean()
    scene.run("verify --all")
    scene.is_clean()


def of_backup(stub, backup):
    """The objects of a backup, as they are now."""
    return {key: stored for key, stored in stub.objects.items() if backup in key}


def test_backup_to_a_real_s3_by_time(pg, s3, tmp_path):
    scene = Scene(tmp_path, pg, "large", server=s3, component={"retention": {"keep_last": 2}})
    whole_s = measure(scene, "backup")
    for share in slices(6):
        last = scene.manifests()[-1]
        with scene.start("backup") as running:
            time.sleep(whole_s * share)
            kill(running, "backup, real S3")
        assert last in scene.manifests()
        after(scene, "backup")
    s3.client.empty()


# --- restore and drill

class Restoring:
    """A live database that has moved on since its backup, so that it can be told which of the two is live."""

    def __init__(self, pg, scene):
        self.pg, self.scene = pg, scene
        self.backup = scene.backup()
        self.restored = scene.before
        self.move_on()

    def move_on(self):
        self.pg.sql("INSERT INTO orders VALUES (-1, 'since the backup') ON CONFLICT DO NOTHING",
                    dbname=self.scene.database)
        self.moved_on = scenes.fingerprint(self.pg, self.scene.database)

    def live(self):
        """Which data is live: whole in either case."""
        found = scenes.fingerprint(self.pg, self.scene.database)
        assert found in (self.restored, self.moved_on)
        return "restored" if found == self.restored else "moved on"

    def drop_old(self):
        for name in self.scene.extra_databases():
            self.pg.sql(f'DROP DATABASE "{name}"')

    def after(self, command):
        live = self.live()
        kept = {name for name in self.scene.extra_databases() if "old" in name}
        assert len(kept) == (live == "restored"), (live, kept)
        for name in kept:
            assert scenes.fingerprint(self.pg, name) == self.moved_on
        self.scene.run("verify", self.backup)
        self.scene.run(command, self.backup)
        assert self.live() == ("restored" if command == "restore" else live)
        left = {name for name in self.scene.extra_databases() if "old" in name}
        assert kept <= left and len(left) == len(kept) + (command == "restore")
        self.scene.is_clean(left)
        self.drop_old()
        self.move_on()


@pytest.fixture(name="restoring")
def _restoring(pg, tmp_path):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    name = f"live_{next(_numbers)}"
    scenes.fill(pg, name, 20_000)
    scene = Scene(tmp_path, pg, name, tools=tools)
    scene.tools = tools
    yield Restoring(pg, scene)
    for database in {name} | scene.extra_databases():
        pg.sql(f'DROP DATABASE "{database}" WITH (FORCE)')


_numbers = itertools.count(1)


@pytest.mark.parametrize("command,count", [("restore", 12), ("drill", 6)])
def test_restore_by_time(restoring, command, count):
    scene = restoring.scene
    whole_s = measure(scene, command, restoring.backup)
    restoring.drop_old()
    restoring.move_on()
    for share in slices(count):
        with scene.start(command, restoring.backup) as running:
            time.sleep(whole_s * share)
            kill(running, command)
        restoring.after(command)


@pytest.mark.parametrize("after_bytes", [0, 500_000, 1 << 40], ids=["at its start", "half-way", "at its end"])
@pytest.mark.parametrize("command", ["restore", "drill"])
def test_restore_with_pg_restore_half_way(restoring, command, after_bytes):
    scene = restoring.scene
    scene.tools.hang("pg_restore", after_bytes)
    with scene.start(command, restoring.backup) as running:
        wait_until(lambda: scene.tools.hanging("pg_restore"), 30, "half-way")
        assert kill(running, f"{command}, pg_restore half-way")
    scene.tools.clear()
    restoring.after(command)


def kill_when(scene, command, backup, condition, name):
    """Kills as soon as the server shows the condition."""
    with scene.start(command, backup) as running:
        wait_until(lambda: condition() or not running.running(), 60, name, step_s=0.001)
        return kill(running, name)


@pytest.mark.parametrize("command", ["restore", "drill"])
def test_restore_when_the_new_database_appears(restoring, command):
    assert kill_when(restoring.scene, command, restoring.backup, restoring.scene.extra_databases,
                     f"{command}, new database")
    restoring.after(command)


def test_restore_right_after_the_swap(restoring):
    scene = restoring.scene
    kill_when(scene, "restore", restoring.backup,
              lambda: any("old" in name for name in scene.extra_databases()), "restore, after the swap")
    assert restoring.live() == "restored"
    restoring.after("restore")


def test_restore_in_the_middle_of_the_swap(pg, restoring):
    """Another session holds the live database's row: the swap's transaction is open, and waits."""
    scene = restoring.scene
    other = pg.connect("postgres", autocommit=False)
    try:
        other.cursor().execute(f"ALTER DATABASE {scene.database} CONNECTION LIMIT 7")
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%RENAME%'"
        assert kill_when(scene, "restore", restoring.backup, lambda: pg.sql(waiting), "restore, in the swap")
    finally:
        other.rollback()
        other.close()
    wait_until(lambda: not pg.sql(waiting), 10, "the server noticed")
    assert restoring.live() == "moved on"
    restoring.after("restore")


# --- prune

def prepare_prune(scene, stub):
    """Backups of which some may go, an orphan and an upload of a dead job. What to put back for the next run."""
    kept = [scene.backup() for _ in range(4)]
    held = stub.fail("PutObject", Hold(), key=MANIFEST)
    with scene.start("backup") as running:
        assert held.action.reached.wait(60)
        running.kill_ours()
        running.wait(10)
    held.action.drop()
    wait_until(stub.idle, 10, "dropped")
    stub.clear()
    stub.begin_upload(stub.seen("PutObject", r"/data/")[-1].key)
    scene.run("verify", kept[1])
    scene.configure(component={"retention": {"keep_last": 1}})
    shutil.copytree(scene.state, scene.folder / "kept-state")
    return kept, dict(stub.objects), dict(stub.uploads)


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost", "carried out"])
def test_prune_on_s3_by_request(pg, stub, tmp_path, carried_out):
    scene = Scene(tmp_path, pg, "small", server=stub)
    kept, objects, uploads = prepare_prune(scene, stub)
    for when, _ in strike_requests(scene, stub, "prune", "prune, S3", carried_out):
        if when == "before":
            with stub.lock:
                stub.objects, stub.uploads = dict(objects), dict(uploads)
            shutil.rmtree(scene.state)
            shutil.copytree(scene.folder / "kept-state", scene.state)
            continue
        assert {kept[1], kept[3]} <= set(scene.manifests())
        scene.run("verify", kept[1])
        scene.run("prune")
        assert scene.manifests() == [kept[1], kept[3]]
        scene.is_clean()
    scene.run("verify --all")
    scene.live_untouched()


def test_prune_of_a_folder_by_time(pg, tmp_path):
    scene = Scene(tmp_path, pg, "small")
    kept = [scene.backup() for _ in range(6)]
    scene.run("verify", kept[1])
    scene.configure(component={"retention": {"keep_last": 1}})
    for name in ("store", "state"):
        shutil.copytree(scene.folder / name, scene.folder / f"kept-{name}")
    whole_s = 0.0
    for share in [0.0, *slices(8)]:
        for name in ("store", "state"):
            shutil.rmtree(scene.folder / name)
            shutil.copytree(scene.folder / f"kept-{name}", scene.folder / name)
        if not whole_s:
            whole_s = measure(scene, "prune")
            continue
        with scene.start("prune") as running:
            time.sleep(whole_s * share)
            kill(running, "prune, local")
        assert {kept[1], kept[5]} <= set(scene.manifests())
        after(scene, "prune")
        assert scene.manifests() == kept[5:]  # the newest is verified by now


# --- a prune beside a backup that runs

@pytest.mark.parametrize("shares_state", [True, False], ids=["one state", "another state"])
@pytest.mark.parametrize("operation,key,nth", [("UploadPart", "", 2), ("CompleteMultipartUpload", "", 1),
                                               ("HeadObject", "", 1), ("PutObject", MANIFEST, 1)])
def test_prune_beside_a_backup(pg, stub, tmp_path, operation, key, nth, shares_state):
    """Whoever prunes changes nothing for the backup that runs."""
    scene = Scene(tmp_path / "one", pg, "large", server=stub)
    first = scene.backup()
    other = Scene(tmp_path / "other", pg, "large", server=stub, state_path=scene.state if shares_state else None)
    held = stub.fail(operation, Hold(), key=key, nth=nth)
    with scene.start("backup") as running:
        assert held.action.reached.wait(60)
        before = (scene.store.keys(), scene.store.uploads(), scene.records())
        other.run("prune")
        assert (scene.store.keys(), scene.store.uploads(), scene.records()) == before
        held.action.release()
        result = running.wait(60)
    assert result.status == 0, str(result)
    second = result.json[0]["backup"]
    assert scene.manifests() == sorted([first, second])
    scene.run("verify --all")
    scene.prune_cleans()


@pytest.mark.parametrize("shares_state", [True, False], ids=["one state", "another state"])
def test_prune_beside_a_backup_to_a_folder(pg, tmp_path, shares_state):
    scene = Scene(tmp_path / "one", pg, "large")
    first = scene.backup()
    other = Scene(tmp_path / "other", pg, "large", store_path=scene.store_path,
                  state_path=scene.state if shares_state else None)
    with scene.start("backup") as running:
        wait_until(scene.store.uploads, 30, "a part", step_s=0.001)
        os.kill(running.pid, signal.SIGSTOP)
        parts = scene.store.uploads()
        assert parts
        other.run("prune")
        assert scene.store.uploads() == parts
        os.kill(running.pid, signal.SIGCONT)
        result = running.wait(60)
    assert result.status == 0, str(result)
    assert scene.manifests() == sorted([first, result.json[0]["backup"]])
    scene.run("verify --all")
    scene.prune_cleans()


def test_what_another_agent_left_goes_when_it_is_old(pg, stub, tmp_path):
    """Without the dead job's record only age counts, by the store's clock."""
    scene = Scene(tmp_path / "one", pg, "large", server=stub)
    first = scene.backup()
    other = Scene(tmp_path / "other", pg, "large", server=stub)
    held = stub.fail("UploadPart", Hold(), nth=2)
    with scene.start("backup") as running:
        assert held.action.reached.wait(60)
        assert kill(running, "backup, S3")
    held.action.drop()
    stub.clear()
    wait_until(stub.idle, 10, "dropped")
    for hours, gone in ((0, False), (23, False), (2, True)):
        for entry in stub.uploads.values():
            entry.initiated -= hours * 3600
        for entry in stub.objects.values():
            entry.modified -= hours * 3600
        other.run("prune")
        assert bool(scene.store.uploads()) != gone and bool(scene.orphans()) != gone
    assert scene.manifests() == [first]
    scene.run("verify", first)


# --- the campaign

@pytest.mark.skipif(not RANDOM_INSTANTS, reason="the campaign runs outside of CI: tests/campaign/kill.sh")
def test_random_instants(pg, s3, tmp_path):
    chance = random.Random(SEED)
    scenes.fill(pg, "campaign", 20_000, width=16)
    scene = Scene(tmp_path, pg, "campaign", server=s3, component={"retention": {"keep_last": 100_000}})
    restoring = Restoring(pg, scene)
    whole_s = {command: measure(scene, command) for command in ("backup", "drill", "prune", "verify")}
    whole_s["restore"] = measure(scene, "restore", restoring.backup)
    restoring.drop_old()
    restoring.move_on()
    for _ in range(RANDOM_INSTANTS):
        command = chance.choice(["backup", "backup", "restore", "restore", "drill", "prune", "verify"])
        restores = command in ("drill", "restore")
        with scene.start(command, restoring.backup if restores else "") as running:
            time.sleep(whole_s[command] * chance.random())
            kill(running, f"{command}, random")
        if restores:
            restoring.after(command)
        else:
            scene.before = restoring.moved_on
            after(scene, command, "verify")


def test_there_were_enough(request):
    """The last test of this file counts, unless only some of it was asked for."""
    if not request.config.getoption("keyword") and not any("::" in word for word in request.config.args):
        assert sum(struck.values()) >= 50, struck
