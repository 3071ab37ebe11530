# SPDX-License-Identifier: Apache-2.0
"""Redis and Valkey: what is backed up is what was there, by either method; and each hazard of theirs is met.

The truth is a fresh server of the same kind that loads the stored file, and its DEBUG DIGEST.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import configs
from harness import redis, scene as scenes
from harness.certificates import Authority
from harness.faults import tmpfs
from harness.process import wait_until
from harness.redis import KINDS, Redis, Sentinel
from harness.redisstub import RedisStub
from harness.toxiproxy import Toxiproxy

NAME = "cache"
SECRET = "geheim-4711-secret"


def component(url, **more):
    """A component; redis={...} adds to its section, other keys stand beside it."""
    section = {"url": url, **more.pop("redis", {})}
    return {"name": NAME, "system": "redis", "redis": section, "stores": ["disk"], "retention": "forever",
            "attempts": 1, **more}


def bgsave(server, **more):
    return {"method": "bgsave", "rdb_path": str(server.rdb_path), **more}


@pytest.fixture(name="boat")
def _boat(agent, tmp_path):
    """make(url, redis={...}): lifeboat with one component of this server."""
    return lambda url, **more: agent(configs.config(tmp_path, component(url, **more)))


@pytest.fixture(name="any_redis", params=KINDS, scope="module")
def _any_redis(request):
    """Each server in turn, with one of everything, shared by the file."""
    with Redis(request.param) as server:
        redis.fill(server)
        yield server


@pytest.fixture(name="server")
def _server():
    """A Redis of the test's own, with a few keys."""
    with Redis() as server:
        server.call("DEBUG", "POPULATE", 1000, "key", 100)
        yield server


@contextlib.contextmanager
def loaded(kind, tmp_path, backup):
    """A fresh server that has loaded the stored file, unpacked by zstd's own program."""
    folder = tmp_path / f"loaded-{backup}"
    folder.mkdir()
    with open(folder / "dump.rdb", "wb") as plain:
        for piece in sorted(configs.data(tmp_path, backup).iterdir()):
            subprocess.run(["zstd", "-d", "-c", str(piece)], stdout=plain, check=True)
    with Redis(kind, folder=folder) as server:
        yield server


def take(boat):
    """A good backup that verify proves too; its id."""
    backup = boat.run("backup", "--json").json[-1]["backup"]
    boat.run("verify", f"{NAME}@{backup}")
    return backup


def manifest(tmp_path, backup):
    return configs.manifests(tmp_path, NAME)[backup]


def fails(boat, cause, kind=None):
    """A backup that fails with status 1, says why once, and leaves no manifest and no data."""
    result = boat.run("backup", "--json", expect=1)
    scenes.says_once(result, cause)
    if kind is not None:
        assert scenes.kind_of(result) == kind, str(result)
    store = boat.folder.parent / "store"
    assert not [path for path in store.rglob("*.json") if "manifests" in str(path)]
    boat.run("prune")
    assert not [path for path in store.rglob("*") if path.is_file() and "/data/" in str(path)]
    return result


def wait_gone(server):
    """No replica is counted any more."""
    assert server.info("replication")["connected_slaves"] == "0"


# --- there and back ---

@pytest.mark.parametrize("method", ["replication", "bgsave"])
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_what_was_there_is_in_the_file(any_redis, boat, tmp_path, method, diskless):
    any_redis.set("repl-diskless-sync", diskless)
    began = time.time()
    lifeboat = boat(any_redis.url, redis=bgsave(any_redis) if method == "bgsave" else {})
    expected = redis.digest(any_redis)
    backup = take(lifeboat)
    wait_gone(any_redis)
    found = manifest(tmp_path, backup)
    assert [one["name"] for one in found["objects"]] == ["dump.rdb"]
    assert found["objects"][0]["format"] == "RDB"
    assert found["system"]["name"] == "redis"
    assert found["system"]["lineage"] == NAME
    facts = found["facts"]
    assert facts["method"] == method
    assert facts["server"]["name"] == any_redis.kind
    assert facts["server"]["version"] == found["system"]["version"]
    assert facts["server"]["role"] == "master"
    assert facts["server"]["run_id"] == any_redis.info("server")["run_id"]
    # The moment is a whole second of the server's.
    recovery_point = subprocess.run(["date", "-d", found["recovery_point"], "+%s"], capture_output=True, check=True)
    assert int(began) <= int(recovery_point.stdout) <= time.time()
    with loaded(any_redis.kind, tmp_path, backup) as fresh:
        assert redis.digest(fresh) == expected


def test_valkey_gives_its_own_format(boat, tmp_path):
    """It gives a replica that does not say its version the format of an older one."""
    with Redis("valkey") as server:
        server.call("HSET", "hash", "field", "value")
        server.call("HPEXPIREAT", "hash", 4_102_444_800_123, "FIELDS", 1, "field")
        backup = take(boat(server.url))
        with loaded("valkey", tmp_path, backup) as fresh:
            assert fresh.call("HPEXPIRETIME", "hash", "FIELDS", 1, "field") == [4_102_444_800_123]
            assert (fresh.folder / "dump.rdb").read_bytes().startswith(b"VALKEY080")


def test_an_empty_server(boat, tmp_path, server):
    server.call("FLUSHALL")
    backup = take(boat(server.url))
    with loaded("redis", tmp_path, backup) as fresh:
        assert fresh.call("DBSIZE") == 0


def test_lists_shows_and_prunes(boat, tmp_path, server):
    lifeboat = boat(server.url, retention={"keep_last": 1})
    first, second = take(lifeboat), take(lifeboat)
    listed = lifeboat.run("list", "--json").json
    assert second in json.dumps(listed)
    assert lifeboat.run("show", "--json", f"{NAME}@{second}").json[-1]["manifest"]["facts"]["rdb"]
    lifeboat.run("prune")
    assert list(configs.manifests(tmp_path, NAME)) == [second] and first != second


# --- under load ---

WRITES_A_SECOND = 20_000


def write(number):
    """The write of this number: a change of some kind, and after it how many there were. Each makes another state."""
    kind, number = number % 2, number // 2
    if kind == 1:
        return redis.encode("INCR", "count")
    return (redis.encode("SET", f"string:{number % 5000}", number),
            redis.encode("HSET", f"hash:{number % 50}", f"field:{number % 333}", number),
            redis.encode("RPUSH", f"list:{number % 20}", number),
            redis.encode("ZADD", f"zset:{number % 30}", number, f"member:{number % 777}"),
            redis.encode("SET", f"expires:{number % 1000}", number, "PXAT", 4_102_444_800_000 + number))[number % 5]


def do_writes(client, numbers):
    client.socket.sendall(b"".join(write(number) for number in numbers))
    for _ in numbers:
        client.read()


class Writer(threading.Thread):
    """Writes 0, 1, 2, ... over one connection, by the clock, a quarter more a second than is asked for."""

    BATCH = 250

    def __init__(self, server):
        super().__init__(daemon=True)
        self.client, self.ended = server.client(), threading.Event()
        self.begun = self.done = 0

    def run(self):
        started = time.monotonic()
        while not self.ended.wait(max(0, started + self.done / (1.25 * WRITES_A_SECOND) - time.monotonic())):
            self.begun = self.done + self.BATCH
            do_writes(self.client, range(self.done, self.begun))
            self.done = self.begun

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def state_after(client, fewest, digest):
    """How many writes, of fewest and one more, make that digest in an empty server with the other keys in it."""
    client.call("DEBUG", "POPULATE", UNTOUCHED, "key", 100)
    for number in range(0, fewest, 1000):
        do_writes(client, range(number, min(number + 1000, fewest)))
    if client.call("DEBUG", "DIGEST") == digest:
        return fewest
    do_writes(client, [fewest])
    return fewest + 1 if client.call("DEBUG", "DIGEST") == digest else None


UNTOUCHED = 300_000


@pytest.mark.parametrize("method,diskless", [("replication", "yes"), ("replication", "no"), ("bgsave", "no")])
@pytest.mark.parametrize("kind", KINDS)
def test_one_moment_under_load(kind, method, diskless, boat, tmp_path):
    """20,000 writes a second, one after the other: the file holds exactly the state after one of them, which was made
    after the backup began and before its first byte was given out.
    """
    with Redis(kind, {"repl-diskless-sync": diskless}) as server:
        server.call("DEBUG", "POPULATE", UNTOUCHED, "key", 100)
        lifeboat = boat(server.url, redis=bgsave(server) if method == "bgsave" else {})
        with Writer(server) as writer:
            wait_until(lambda: writer.done > 5000)
            before, started = writer.done, time.monotonic()
            with lifeboat.start("backup", "--json") as running:
                wait_until(lambda: "backup begun" in running.stderr, 30)
                after = writer.begun
                result = running.wait(60)
            rate = (writer.done - before) / (time.monotonic() - started)
        assert result.status == 0, str(result)
    with loaded(kind, tmp_path, result.json[-1]["backup"]) as fresh:
        found, digest = 2 * int(fresh.call("GET", "count")), fresh.call("DEBUG", "DIGEST")
    with Redis(kind) as empty, empty.client() as client:
        count = state_after(client, found, digest)
    assert count is not None, f"no state of the server's: not that after {found} writes, nor after one more"
    assert before <= count <= after
    assert rate >= WRITES_A_SECOND


# --- ways in ---

def test_tls(boat, tmp_path):
    """With Debian's server: the part's is built without TLS."""
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "another authority")
    own, foreign = authority.issue("lifeboat"), other.issue("lifeboat")
    with Redis(tls=authority, password=SECRET) as server:
        server.call("DEBUG", "POPULATE", 100_000, "key", 100)
        url = f"rediss://localhost:{server.tls_port}"
        files = {"ca_file": str(authority.cert), "cert_file": str(own.cert), "key_file": str(own.key)}
        lifeboat = boat(url, redis={**files, "password": SECRET})
        backup = take(lifeboat)
        with loaded("redis", tmp_path, backup) as fresh:
            assert fresh.call("DEBUG", "DIGEST") == server.call("DEBUG", "DIGEST")
        for wrong, cause in [
                ({**files, "ca_file": str(other.cert)}, "certificate is not accepted"),
                ({"ca_file": str(authority.cert)}, "refused TLS|closed the connection"),
                ({**files, "cert_file": str(foreign.cert), "key_file": str(foreign.key)},
                 "refused TLS|closed the connection"),
                ({**files, "ca_file": str(tmp_path / "absent")}, "absent")]:
            lifeboat = boat(url, redis={**wrong, "password": SECRET})
            scenes.says_once(lifeboat.run("backup", "--json", expect=(1, 2)), cause)
        # A certificate for localhost and 127.0.0.1 is none for another name of this host.
        lifeboat = boat(f"rediss://127.0.0.2:{server.tls_port}", redis={**files, "password": SECRET})
        server.set("bind", "127.0.0.1 127.0.0.2")
        scenes.says_once(lifeboat.run("backup", "--json", expect=1), "mismatch")
        # The port for TLS, asked without, and the other way round.
        lifeboat = boat(f"redis://127.0.0.1:{server.tls_port}", redis={"password": SECRET})
        scenes.says_once(lifeboat.run("backup", "--json", expect=1), "closed the connection")
        lifeboat = boat(f"rediss://127.0.0.1:{server.port}", redis={**files, "password": SECRET, "timeout": "1s"})
        scenes.says_once(lifeboat.run("backup", "--json", expect=1), "TLS")


@pytest.mark.parametrize("method", ["replication", "bgsave"])
def test_unix_socket(boat, tmp_path, server, method):
    lifeboat = boat(f"unix://{server.unix_path}", redis=bgsave(server) if method == "bgsave" else {})
    backup = take(lifeboat)
    with loaded("redis", tmp_path, backup) as fresh:
        assert fresh.call("DEBUG", "DIGEST") == server.call("DEBUG", "DIGEST")
    os.unlink(server.unix_path)
    scenes.says_once(lifeboat.run("backup", "--json", expect=1), "redis.sock: No such file")


def test_password(boat, tmp_path):
    with Redis(password=SECRET) as server:
        server.call("SET", "a", "b")
        (tmp_path / "password").write_text(SECRET + "\n")
        take(boat(server.url, redis={"password_file": str(tmp_path / "password")}))
        for section, cause in [({}, "NOAUTH"), ({"password": "wrong-" + SECRET}, "WRONGPASS"),
                               ({"user": "nobody", "password": "wrong-" + SECRET}, "WRONGPASS")]:
            result = boat(server.url, redis=section).run("backup", "--json", expect=1)
            scenes.says_once(result, cause)
            assert scenes.kind_of(result) == "denied"
            assert SECRET not in result.stdout + result.stderr
    with Redis() as server:
        result = boat(server.url, redis={"password": SECRET}).run("backup", "--json", expect=1)
        scenes.says_once(result, "AUTH")
        assert scenes.kind_of(result) == "denied"


GRANTED = {"replication": "+ping +info +replconf +psync", "bgsave": "+ping +info +bgsave"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["replication", "bgsave"])
def test_rights(kind, method, boat):
    """What check --grants prints is enough, and each right less is named."""
    with Redis(kind) as server:
        server.call("SET", "a", "b")
        section = {"user": "boat", "password": SECRET, **(bgsave(server) if method == "bgsave" else {})}
        lifeboat = boat(server.url, redis=section)
        server.call("ACL", "SETUSER", "boat", "on", f">{SECRET}", "-@all")
        printed = lifeboat.run("check", "--grants", expect=1)
        grant = next(line for line in printed.stdout.splitlines() if "ACL SETUSER" in line)
        words = grant[grant.index("ACL SETUSER"):].replace("PASSWORD", SECRET).split()
        assert " ".join(words).endswith(GRANTED[method])
        server.call(*words)
        assert "FAIL" not in lifeboat.run("check").stdout
        take(lifeboat)
        for right in GRANTED[method].split():
            server.call("ACL", "SETUSER", "boat", "-" + right[1:])
            command = right[1:]
            result = lifeboat.run("backup", "--json", expect=1)
            scenes.says_once(result, f"NOPERM.*{command}")
            assert scenes.kind_of(result) == "denied"
            checked = lifeboat.run("check", expect=1).stdout
            assert re.search(f"FAIL .*NOPERM.*{command}", checked), checked
            server.call("ACL", "SETUSER", "boat", right)
        assert SECRET not in printed.stdout + printed.stderr


def test_check_does_nothing(boat, server):
    """Its probes begin no save and no transfer."""
    saved = server.info("persistence")["rdb_last_save_time"]
    for section in ({}, bgsave(server)):
        boat(server.url, redis=section).run("check")
    assert server.info("persistence")["rdb_bgsave_in_progress"] == "0"
    assert server.info("persistence")["rdb_last_save_time"] == saved
    assert server.info("stats")["total_forks"] == "0"
    assert server.info("stats")["sync_full"] == "0"


def test_run_on(boat, server, tmp_path):
    with Redis(options={"replicaof": f"127.0.0.1 {server.port}"}) as replica:
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30)
        for section in ({}, bgsave(replica)):
            scenes.says_once(boat(replica.url, redis=section).run("backup", "--json", expect=1), "run_on says primary")
            backup = take(boat(replica.url, redis=section, run_on="replica"))
            assert manifest(tmp_path, backup)["facts"]["server"]["role"] == "slave"
        result = boat(server.url, run_on="replica").run("backup", "--json", expect=1)
        scenes.says_once(result, "run_on says replica")
        assert scenes.kind_of(result) == "elsewhere"
        server.stop()
        wait_until(lambda: replica.info("replication")["master_link_status"] == "down", 30)
        for section in ({}, bgsave(replica)):
            result = boat(replica.url, redis=section, run_on="replica").run("backup", "--json", expect=1)
            scenes.says_once(result, "no connection to its primary")


def test_no_server(boat, server):
    server.stop()
    result = fails(boat(server.url), "Connection refused", "unreachable")
    assert server.url[8:] in result.stderr


def test_a_server_that_loads(boat):
    with Redis() as server:
        server.call("DEBUG", "POPULATE", 5000, "key", 100)
        server.call("SAVE")
        server.stop()
        server.options.update({"key-load-delay": 2000, "loading-process-events-interval-bytes": 1024})
        starting = threading.Thread(target=server.start, daemon=True)
        lifeboat = boat(server.url)
        starting.start()
        wait_until(lambda: _error_of(server) == "LOADING", 20)
        fails(lifeboat, "LOADING", "unreachable")
        starting.join()


def _error_of(server):
    try:
        with server.client() as client:
            client.call("PING")
    except redis.ReplyError as error:
        return str(error).split()[0]
    except OSError:
        pass
    return ""


# --- the replication method ---

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_replica_for_the_transfer_only(kind, diskless, boat):
    """Nobody counts on it: not for min-replicas-to-write, not a Sentinel, and not afterwards."""
    with Redis(kind, {"repl-diskless-sync": diskless, "min-replicas-to-write": 0}) as server, Sentinel(server) as watch:
        server.call("DEBUG", "POPULATE", 200_000, "key", 100)
        with Toxiproxy(server.port) as proxy:
            proxy.add("bandwidth", rate=50)
            running = boat(f"redis://127.0.0.1:{proxy.port}").start("backup")
            with running:
                seen = wait_until(lambda: server.info("replication").get("slave0"), 30)
                assert "ip=lifeboat-backup.invalid" in seen
                # The Sentinel looks every ten seconds; the transfer waits for it, then goes on without the brake.
                wait_until(lambda: "Failed to resolve" in watch.log.read_text(), 30)
                assert watch.replicas() == []
                assert server.info("replication")["connected_slaves"] == "1"
                server.set("min-replicas-to-write", 1)
                assert server.info("replication")["min_slaves_good_slaves"] == "0"
                server.set("min-replicas-to-write", 0)
                proxy.reset()
                assert running.wait(120).status == 0
        wait_gone(server)
        assert watch.replicas() == []


def test_signs_of_life_before_the_transfer(boat, server, tmp_path):
    """The server waits for further replicas, and sends newlines meanwhile; longer than one answer may take."""
    server.set("repl-diskless-sync", "yes")
    server.set("repl-diskless-sync-delay", 4)
    started = time.monotonic()
    lifeboat = boat(server.url, redis={"timeout": "2s"})
    take(lifeboat)
    assert time.monotonic() - started > 3
    # The same while it writes a file of its own first, which takes 4 ms a key.
    server.set("repl-diskless-sync", "no")
    server.set("rdb-key-save-delay", 4000)
    started = time.monotonic()
    take(lifeboat)
    assert time.monotonic() - started > 3


def test_a_store_slower_than_the_writes(boat, server, tmp_path):
    """Writes of far more than client-output-buffer-limit during a slow transfer: the server keeps none for us."""
    for diskless in ("yes", "no"):
        server.set("repl-diskless-sync", diskless)
        server.set("client-output-buffer-limit", "replica 1mb 512kb 1")
        server.set("repl-backlog-size", "16kb")
        server.call("DEBUG", "POPULATE", 50_000, "key", 100)
        with Toxiproxy(server.port) as proxy:
            proxy.add("bandwidth", rate=200)
            with boat(f"redis://127.0.0.1:{proxy.port}").start("backup") as running:
                wait_until(lambda: server.info("replication").get("slave0"), 30)
                for number in range(200):
                    server.call("SET", "large", b"x" * 100_000 + b"%d" % number)
                assert running.running()
                assert running.wait(120).status == 0, running.stderr


def test_a_transfer_that_the_server_ends(boat, server):
    """Nothing is read for repl-timeout: the server gives up, and the error names what it is."""
    server.set("repl-diskless-sync", "yes")
    server.set("repl-timeout", 2)
    with server.client() as client:  # far more than the sockets between hold
        client.pipeline([("SET", f"noise:{number}", os.urandom(100_000)) for number in range(500)])
    lifeboat = boat(server.url)
    with lifeboat.start("backup", "--json") as running:
        job = wait_until(lambda: [pid for pid in running.tree() if pid != running.pid] or [running.pid], 10)[-1]
        wait_until(lambda: server.info("replication").get("slave0"), 30)
        os.kill(job, signal.SIGSTOP)
        wait_until(lambda: "Disconnecting timedout replica (full sync)" in server.log_text() or
                   server.info("replication")["connected_slaves"] == "0", 60)
        os.kill(job, signal.SIGCONT)
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "repl-timeout")


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_connection_that_is_cut(boat, server, share):
    server.call("DEBUG", "POPULATE", 100_000, "key", 100)
    server.call("SAVE")
    with Toxiproxy(server.port) as proxy:
        lifeboat = boat(f"redis://127.0.0.1:{proxy.port}")
        proxy.add("limit_data", bytes=int(server.rdb_path.stat().st_size * share) + 6000)
        fails(lifeboat, "the server ended the transfer after", "unreachable")


def test_a_server_that_dies_in_the_transfer(boat, server):
    server.call("DEBUG", "POPULATE", 100_000, "key", 100)
    with Toxiproxy(server.port) as proxy:
        proxy.add("bandwidth", rate=200)
        lifeboat = boat(f"redis://127.0.0.1:{proxy.port}")
        with lifeboat.start("backup", "--json") as running:
            wait_until(lambda: server.info("replication").get("slave0"), 30)
            server.stop(signal.SIGKILL)
            result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "the server (ended the transfer|closed the connection)")


def test_stopped_in_the_transfer(boat, server):
    server.call("DEBUG", "POPULATE", 100_000, "key", 100)
    with Toxiproxy(server.port) as proxy:
        proxy.add("bandwidth", rate=100)
        with boat(f"redis://127.0.0.1:{proxy.port}").start("backup") as running:
            wait_until(lambda: server.info("replication").get("slave0"), 30)
            running.signal(signal.SIGTERM)
            started = time.monotonic()
            assert running.wait(10).status == 1
            assert time.monotonic() - started < 3
    wait_until(lambda: server.info("replication")["connected_slaves"] == "0", 10)


# --- the bgsave method ---

def test_a_save_that_runs_already_is_joined(boat, server, tmp_path):
    server.set("rdb-key-save-delay", 1000)
    server.call("BGSAVE")
    lifeboat = boat(server.url, redis=bgsave(server))
    backup = take(lifeboat)
    assert server.info("stats")["total_forks"] == "1"
    with loaded("redis", tmp_path, backup) as fresh:
        assert fresh.call("DBSIZE") == 1000


def test_a_save_behind_a_rewrite_is_awaited(boat, tmp_path):
    """Scheduled: nothing runs yet of it, and all looks well."""
    with Redis(options={"appendonly": "yes", "aof-use-rdb-preamble": "yes"}) as server:
        server.call("DEBUG", "POPULATE", 1000, "key", 100)
        server.set("rdb-key-save-delay", 2000)
        server.call("BGREWRITEAOF")
        wait_until(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "1")
        server.set("rdb-key-save-delay", 0)
        server.call("SET", "late", "1")
        backup = take(boat(server.url, redis=bgsave(server)))
        with loaded("redis", tmp_path, backup) as fresh:
            assert fresh.call("GET", "late") == b"1"


def test_two_saves_within_one_second(boat, server, tmp_path):
    """The time of the last save has whole seconds: it may not move, though the save was well."""
    lifeboat = boat(server.url, redis=bgsave(server))
    for number in range(3):
        server.call("SET", "number", number)
        server.call("SAVE")
        server.call("SET", "late", number)
        with loaded("redis", tmp_path, take(lifeboat)) as fresh:
            assert fresh.call("GET", "late") == b"%d" % number


def test_a_killed_save_is_asked_for_again(boat, server):
    """Killed by the signal that counts as no failure."""
    server.set("rdb-key-save-delay", 100_000)
    with boat(server.url, redis=bgsave(server)).start("backup") as running:
        wait_until(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "1", 20)
        server.set("rdb-key-save-delay", 0)
        server.call("FLUSHALL")
        assert running.wait(60).status == 0, running.stderr


def test_a_full_disk_of_the_server(boat):
    with tmpfs("2m") as folder, Redis(folder=folder) as server:
        server.call("DEBUG", "POPULATE", 100, "key", 100)
        server.call("SAVE")
        for number in range(40):
            server.call("SET", f"noise:{number}", os.urandom(100_000))
        result = fails(boat(server.url, redis=bgsave(server)), "rdb_last_bgsave_status:err", "source")
        assert "the server could not save" in result.stderr
        # The state of the last save was bad before already: that is not taken for this one's.
        server.call("FLUSHALL")
        boat(server.url, redis=bgsave(server)).run("backup")


@pytest.mark.parametrize("answer,cause,kind", [
    (b"-ERR Can't BGSAVE right now\r\n", "BGSAVE: ERR Can't BGSAVE right now", "source"),
    (b"-NOPERM no permissions\r\n", "BGSAVE: NOPERM", "denied"),
    (b"+OK\r\n", "does not answer BGSAVE as Redis does", "corrupt"),
    (b":1\r\n", "does not answer BGSAVE as Redis does", "corrupt"),
    # All looks well all the time, and nothing is saved.
    (b"+Background saving scheduled\r\n", "await BGSAVE", "timeout"),
    (b"+Background saving started\r\n", "await BGSAVE", "timeout"),
])
def test_a_save_that_is_refused_or_never_comes(boat, tmp_path, answer, cause, kind):
    with RedisStub(answers={"BGSAVE": answer}) as stub:
        section = {"method": "bgsave", "rdb_path": str(tmp_path / "dump.rdb")}
        fails(boat(stub.url, redis=section, deadline="3s"), cause, kind)


def test_stopped_while_it_awaits_a_save(boat, server):
    server.set("rdb-key-save-delay", 100_000)
    with boat(server.url, redis=bgsave(server)).start("backup") as running:
        wait_until(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "1", 20)
        running.signal(signal.SIGTERM)
        started = time.monotonic()
        assert running.wait(10).status == 1
        assert time.monotonic() - started < 3


def test_a_file_that_is_replaced_while_it_is_read(boat, server, tmp_path):
    with server.client() as client:
        client.pipeline([("SET", f"noise:{number}", os.urandom(100_000)) for number in range(500)])
    expected = server.call("DEBUG", "DIGEST")
    with boat(server.url, redis=bgsave(server)).start("backup", "--json") as running:
        wait_until(lambda: "backup begun" in running.stderr, 30)
        for pid in running.tree():
            os.kill(pid, signal.SIGSTOP)
        server.call("FLUSHALL")
        server.call("SAVE")
        for pid in running.tree():
            os.kill(pid, signal.SIGCONT)
        result = running.wait(60)
    assert result.status == 0, str(result)
    with loaded("redis", tmp_path, result.json[-1]["backup"]) as fresh:
        assert fresh.call("DEBUG", "DIGEST") == expected


def test_an_older_file(boat, server, tmp_path):
    """rdb_path names a file that is not what the server has just written."""
    server.call("SAVE")
    old = tmp_path / "old.rdb"
    shutil.copy2(server.rdb_path, old)
    os.utime(old, (1, 1))
    result = boat(server.url, redis={"method": "bgsave", "rdb_path": str(old)}).run("backup", "--json", expect=2)
    scenes.says_once(result, "older than what the server has just saved")
    # Touched since, as by a copying tool: what it holds is of an earlier moment all the same.
    wait_until(lambda: int(time.time()) > int(server.info("persistence")["rdb_last_save_time"]) + 1)
    boat(server.url, redis=bgsave(server)).run("backup")
    os.utime(old)
    result = boat(server.url, redis={"method": "bgsave", "rdb_path": str(old)}).run("backup", "--json", expect=2)
    scenes.says_once(result, "a moment before the save")
    for path, cause in [(tmp_path / "absent.rdb", "No such file"), (tmp_path, "is no file")]:
        result = boat(server.url, redis={"method": "bgsave", "rdb_path": str(path)}).run("backup", "--json",
                                                                                           expect=(1, 2))
        scenes.says_once(result, cause)


def test_check_of_the_file(boat, server, tmp_path):
    result = boat(server.url, redis=bgsave(server)).run("check")
    assert "is not there" in result.stdout
    server.call("SAVE")
    assert "can be read" in boat(server.url, redis=bgsave(server)).run("check").stdout
    result = boat(server.url, redis={"method": "bgsave", "rdb_path": str(tmp_path / "x.rdb")}).run("check", expect=1)
    assert "the server's dbfilename is dump.rdb, not x.rdb" in result.stdout


# --- a server that lies ---

MARK = b"0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(name="rdb", scope="module")
def _rdb():
    """The bytes of a real file, small."""
    with Redis() as server:
        server.call("SET", "a", "b")
        server.call("SAVE")
        return server.rdb_path.read_bytes()


def test_the_mark_split_at_every_position(boat, rdb, tmp_path):
    """And what follows it at once is no part of the file."""
    tail = MARK + b"*1\r\n$4\r\nPING\r\n"
    for at in range(0, len(tail) + 1):
        with RedisStub([b"\n$EOF:" + MARK + b"\r\n", rdb + tail[:at], tail[at:] or b"\n"], pause_s=0.02) as stub:
            backup = boat(stub.url, compress="none").run("backup", "--json").json[-1]["backup"]
        assert b"".join(one.read_bytes() for one in configs.data(tmp_path, backup).iterdir()) == rdb


@pytest.mark.parametrize("size", [1, 7, 39, 40, 41])
def test_the_file_in_small_pieces(boat, rdb, tmp_path, size):
    for head, tail in [(b"$%d\r\n" % len(rdb), b"*1\r\n"), (b"$EOF:" + MARK + b"\r\n", MARK)]:
        whole = head + rdb + tail
        pieces = [whole[at:at + size] for at in range(0, len(whole), size)]
        with RedisStub(pieces, pause_s=0.001) as stub:
            backup = boat(stub.url, compress="none").run("backup", "--json").json[-1]["backup"]
        assert b"".join(one.read_bytes() for one in configs.data(tmp_path, backup).iterdir()) == rdb


def _lies(rdb):
    broken = bytearray(rdb)
    broken[-1] ^= 1
    return [
        ([b"HTTP/1.1 200 OK\r\n"], {}, "does not answer|where"),
        ([b"\x00\x01\x02\r\n"], {}, "does not answer PSYNC"),
        ([b"$x\r\n"], {}, "no payload"),
        ([b"$-1\r\n"], {}, "no payload"),
        ([b"$0\r\n"], {}, "no payload"),
        ([b"$99999999999999999999\r\n"], {}, "no payload"),
        ([b"$EOF:short\r\n"], {}, "no payload"),
        ([b"x" * 100_000], {}, "does not answer PSYNC"),
        ([b"-ERR no memory to fork\r\n"], {}, "PSYNC: ERR no memory to fork"),
        ([b"$%d\r\n" % len(rdb), rdb[:-1], None], {}, "ended the transfer"),
        ([b"$%d\r\n" % (len(rdb) - 1), rdb], {}, "no whole RDB"),
        ([b"$%d\r\n" % (len(rdb) + 1), rdb + b"x"], {}, "no RDB file that could"),
        ([b"$%d\r\n" % len(rdb), bytes(broken)], {}, "the checksum is"),
        ([b"$EOF:" + MARK + b"\r\n", rdb[:-1] + MARK], {}, "no whole RDB"),
        ([b"$EOF:" + MARK + b"\r\n", rdb, None], {}, "ended the transfer"),
        ([b"$EOF:" + MARK + b"\r\n", MARK], {}, "no whole RDB"),
        ([], {"PSYNC": b"+CONTINUE " + b"3" * 40 + b"\r\n"}, "where .FULLRESYNC"),
        ([], {"PSYNC": b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n"}, "NOMASTERLINK"),
        ([], {"PSYNC": None}, "closed the connection"),
        ([], {"PING": b"+PO"}, "no answer within"),
        ([], {"PING": b"HTTP/1.1 400 Bad Request\r\n"}, "does not answer as Redis does"),
        ([], {"PING": b"*2000000000\r\n"}, "does not answer as Redis does"),
        ([], {"INFO": b"$2000000000\r\n" + b"x" * (17 << 20)}, "more than 16 MiB"),
        ([], {"INFO": b"*0\r\n"}, "does not answer as Redis does"),
        ([], {"INFO": b"$0\r\n\r\n"}, "no version"),
        ([], {"INFO": None}, "closed the connection"),
    ]


@pytest.mark.parametrize("number", range(26))
def test_lies(boat, rdb, number):
    payload, answers, cause = _lies(rdb)[number]
    with RedisStub(payload, answers) as stub:
        fails(boat(stub.url, redis={"timeout": "1s"}), cause)


def test_an_old_server_that_knows_less_of_replicas(boat, rdb):
    """It has no rdb-only: the transfer is done without."""
    class Old(RedisStub):
        def _answer(self, connection, command):
            if command[:2] == [b"REPLCONF", b"rdb-only"]:
                self.commands.append(command)
                connection.sendall(b"-ERR Unrecognized REPLCONF option: rdb-only\r\n")
                return True
            return super()._answer(connection, command)
    with Old([b"$%d\r\n" % len(rdb), rdb]) as stub:
        boat(stub.url).run("backup")
        assert [b"PSYNC", b"?", b"-1"] in stub.commands


def test_secrets_are_nowhere(boat, tmp_path):
    """Not in what is said at the loudest, nor in the store or the state."""
    with Redis(password=SECRET) as server, RedisStub([], {"PSYNC": f"-ERR {SECRET}\r\n".encode()}) as stub:
        server.call("SET", "a", "b")
        for url in (server.url, stub.url):
            lifeboat = boat(url, redis={"password": SECRET})
            lifeboat.config["log"] = {"level": "debug"}
            lifeboat.configure(lifeboat.config)
            for command in ("check", "backup", "list"):
                result = lifeboat.run(command, expect=None)
                assert SECRET not in result.stdout + result.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "agent.yaml":
            assert SECRET.encode() not in path.read_bytes(), path
