# SPDX-License-Identifier: Apache-2.0
"""Redis and Valkey: what is restored is what was backed up, the server is a primary afterwards, whatever happens, and
what must not be done is refused before the server hears of it.
"""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import configs
from harness import process, redis, scene as scenes
from harness.certificates import Authority
from harness.process import wait_until
from harness.redis import KINDS, Redis, Sentinel

NAME = "cache"
SECRET = "geheim-4711-secret"


def component(url, **more):
    """A component; redis={...} adds to its section, other keys stand beside it."""
    section = {"url": url, **more.pop("redis", {})}
    return {"name": NAME, "system": "redis", "redis": section, "stores": ["disk"], "retention": "forever",
            "attempts": 1, **more}


@pytest.fixture(name="boat")
def _boat(agent, tmp_path):
    """make(url, redis={...}): lifeboat with one component of this server."""
    return lambda url, **more: agent(configs.config(tmp_path, component(url, **more)))


@pytest.fixture(name="server")
def _server():
    """A Redis of the test's own, with a few keys."""
    with Redis() as server:
        server.call("DEBUG", "POPULATE", 1000, "key", 100)
        yield server


def backup(boat):
    return boat.run("backup", "--json").json[-1]["backup"]


def restore(boat, *args, **more):
    return boat.run("restore", "--json", "--yes", *args, **more)


def findings(result):
    return result.json[-1]["findings"]


def state(server):
    """What must be as it was when nothing was to be done to a server."""
    told = server.info("replication")
    return server.call("DEBUG", "DIGEST"), told["role"], told["master_replid"]


def primary(server):
    assert server.info("replication")["role"] == "master"


def refused(boat, server, *args, cause, kind="refused", expect=1):
    """The command fails, says why once, and nothing has happened to the server."""
    before = state(server)
    result = restore(boat, *args, NAME, expect=expect)
    scenes.says_once(result, cause)
    assert scenes.kind_of(result) == kind, str(result)
    assert state(server) == before
    return result


# --- there and back ---

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aof", ["yes", "no"])
def test_every_type_comes_back(boat, kind, aof):
    with Redis(kind, {"appendonly": aof}) as server:
        redis.fill(server)
        before = redis.digest(server)
        on = boat(server.url)
        id_ = backup(on)
        server.call("FLUSHALL")
        server.call("FUNCTION", "FLUSH")
        server.call("SET", "other", 1)
        other = redis.digest(server)
        result = restore(on, f"{NAME}@{id_}")
        primary(server)
        assert redis.digest(server) == before
        assert sum(findings(result)["keys"].values()) > 1900
        # The data survives a death right after, and with an append-only file only when that was rewritten.
        server.stop(signal.SIGKILL)
        server.start()
        assert redis.digest(server) == before
        # And what was there before is a backup.
        restore(on, f"{NAME}@{findings(result)['safety_backup']}")
        assert redis.digest(server) == other


def test_it_says_what_it_does(boat, server):
    on = boat(server.url)
    backup(on)
    result = on.run("restore", "--yes", NAME)
    assert "replaces all data of redis 7.0.15" in result.stderr and "1000 keys" in result.stderr
    assert "the keys of each database counted" in result.stdout
    assert "the data that was there is backup 2" in result.stdout
    on.run("restore", NAME, expect=2)


def test_no_safety(boat, server):
    on = boat(server.url)
    backup(on)
    server.call("FLUSHALL")
    assert "safety_backup" not in findings(restore(on, "--no-safety", NAME))
    assert server.call("DBSIZE") == 1000
    assert len(on.run("list", "--json").json) == 1


def test_password_unix_socket_and_masterauth(boat):
    with Redis(password=SECRET, options={"masterauth": "another-secret-0815"}) as server:
        server.call("DEBUG", "POPULATE", 100)
        before = state(server)[0]
        on = boat(f"unix://{server.unix_path}", redis={"password": SECRET})
        backup(on)
        server.call("FLUSHALL")
        result = restore(on, NAME)
        assert state(server)[0] == before
        assert server.call("CONFIG", "GET", "masterauth")[1] == b"another-secret-0815"
        primary(server)
        assert SECRET not in str(result) and "another-secret" not in str(result)


def test_the_rights_that_are_documented(boat):
    rights = "+replicaof +info +select +config|get +pubsub +ping"
    with Redis(users=[f"restorer on >{SECRET} ~* &* -@all {rights} +psync +replconf"]) as server:
        server.call("DEBUG", "POPULATE", 100)
        before = state(server)[0]
        on = boat(server.url, redis={"user": "restorer", "password": SECRET})
        backup(on)
        server.call("FLUSHALL")
        restore(on, NAME)
        assert state(server)[0] == before
        without = boat(server.url, redis={"user": "restorer", "password": SECRET})
        server.call("ACL", "SETUSER", "restorer", "-replicaof")
        refused(without, server, "--no-safety", cause="REPLICAOF.*(NOPERM|permission)", kind="denied")


def test_tls(boat, tmp_path):
    authority = Authority(tmp_path / "authority")
    own = authority.issue("lifeboat", alt="IP:127.0.0.1")
    with Redis(options={"tls-replication": "yes"}, tls=authority) as server:
        server.call("DEBUG", "POPULATE", 1000)
        before = state(server)[0]
        tls = {"ca_file": str(authority.cert), "cert_file": str(own.cert), "key_file": str(own.key)}
        on = boat(f"rediss://localhost:{server.tls_port}", redis=tls)
        backup(on)
        server.call("FLUSHALL")
        restore(on, NAME)
        assert state(server)[0] == before
        primary(server)
        # Without a certificate to show, it is refused before anything is done.
        refused(boat(server.url), server, cause="tls-replication", kind="config", expect=2)


def test_replicas_of_the_server_follow(boat, server):
    before = state(server)[0]
    on = boat(server.url)
    with Redis() as replica:
        replica.call("REPLICAOF", "127.0.0.1", server.port)
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30, "the replica is in step")
        backup(on)
        server.call("FLUSHALL")
        restore(on, NAME)
        wait_until(lambda: replica.call("DEBUG", "DIGEST") == before, 30, "the replica has the restored data")
        told = replica.info("replication")
        assert (told["role"], told["master_port"]) == ("slave", str(server.port))
        primary(server)


def test_keys_past_their_time(boat, server):
    for number in range(50):
        server.call("SET", f"short:{number}", 1, "PX", 3000)
    on = boat(server.url)
    backup(on)
    wait_until(lambda: server.call("DBSIZE") == 1000, 30, "the short keys are gone")
    result = restore(on, NAME)
    assert findings(result)["keys"] == {"0": 1050}
    wait_until(lambda: server.call("DBSIZE") == 1000, 30, "they are gone again")
    on.run("drill", NAME)


def test_assertions(boat, server):
    server.call("SET", "motd", "good day")
    good = ["DBSIZE > 1000", "GET motd == \"good day\"", "@3 DBSIZE == 0", "EXISTS motd", "GET nothing == nil"]
    on = boat(server.url, **{"assert": good})
    backup(on)
    restore(on, NAME)
    on.run("drill", NAME)
    bad = boat(server.url, **{"assert": ["DBSIZE > 1000", "GET motd == \"bad day\""]})
    result = restore(bad, NAME, expect=1)
    scenes.says_once(result, "bad day.*does not hold.*good day")
    assert "(the data that was there is backup 2" in result.stderr
    primary(server)
    bad.run("drill", NAME, expect=1)
    wrong = boat(server.url, **{"assert": ["GET motd >"]})
    refused(wrong, server, cause="nothing to compare", kind="config", expect=2)


# --- refused before the server hears of it ---

def test_a_damaged_backup(boat, server, tmp_path):
    on = boat(server.url, compress="none")
    id_ = backup(on)
    (piece,) = configs.data(tmp_path, id_).iterdir()
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(piece, 0o600)
    piece.write_bytes(data)
    server.call("SET", "more", 1)
    refused(on, server, cause="digest|sha-?256|other bytes|checksum", kind="corrupt")
    assert len(on.run("list", "--json").json) == 1


def test_a_newer_version(boat, server, tmp_path):
    with Redis("valkey") as newer:
        newer.call("SET", "a", 1)
        backup(boat(newer.url))
    refused(boat(server.url), server, cause="does not read this file.*valkey 9")


def test_too_few_databases(boat, server):
    with Redis(options={"databases": 32}) as other:
        other.call("SELECT", 20)
        other.call("SET", "a", 1)
        backup(boat(other.url))
    refused(boat(server.url), server, cause="database 20.*databases")


def test_a_replica(boat, server):
    backup(boat(server.url))
    with Redis() as replica:
        replica.call("REPLICAOF", "127.0.0.1", server.port)
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30, "the replica is in step")
        refused(boat(replica.url), replica, cause="is a replica of 127.0.0.1.*onto the primary")


def test_cluster_mode(boat, server):
    backup(boat(server.url))
    with Redis(options={"cluster-enabled": "yes"}) as node:
        refused(boat(node.url), node, cause="cluster mode.*--to FILE")


def test_sentinel(boat, server):
    on = boat(server.url)
    backup(on)
    with Sentinel(server):
        wait_until(lambda: server.call("PUBSUB", "NUMSUB", "__sentinel__:hello")[1] == 1, 30, "Sentinel listens")
        refused(on, server, cause="Sentinel.*SENTINEL REMOVE.*--to FILE")


def test_a_safety_backup_that_fails(boat, server, tmp_path):
    on = boat(server.url)
    backup(on)
    elsewhere = boat(server.url, run_on="replica")
    refused(elsewhere, server, cause="safety backup.*--no-safety", kind="elsewhere")


# --- it comes to an end in the middle ---

@pytest.fixture(name="large")
def _large():
    """A server whose transfer takes a moment, with other data than its backup."""
    with Redis(options={"rdbcompression": "no"}) as server:
        server.call("DEBUG", "POPULATE", 150_000, "key", 1000)
        yield server


def begun(large, on):
    """A restore that has begun to send; the digest of before, and that of the backup."""
    backup(on)
    restored = large.call("DEBUG", "DIGEST")
    large.call("SET", "more", 1)
    return large.call("DEBUG", "DIGEST"), restored


def syncing(server):
    return server.info("replication").get("master_sync_in_progress") == "1"


def test_sigterm_in_the_middle(boat, large):
    on = boat(large.url, compress="none")
    old, _ = begun(large, on)
    with on.start("restore", "--yes", "--no-safety", NAME) as running:
        wait_until(lambda: syncing(large), 60, "the transfer runs", step_s=0.002)
        running.signal(signal.SIGTERM)
        began = time.monotonic()
        result = running.wait(20)
        assert time.monotonic() - began < 2
    assert result.status == 1 and "cancelled" in result.stderr, str(result)
    primary(large)
    assert large.call("DEBUG", "DIGEST") == old
    assert not list((on.folder.parent / "state" / "redis").iterdir())


@pytest.mark.parametrize("instant", ["proof", "transfer", "loading", "loaded"])
def test_kill_9_then_prune(boat, large, instant):
    on = boat(large.url, compress="none")
    old, restored = begun(large, on)
    if instant == "loading":
        large.set("key-load-delay", 20)
    watcher = large.client()
    with on.start("restore", "--yes", "--no-safety", NAME) as running:
        if instant == "proof":
            wait_until(lambda: process.executable(running.pid) == "lifeboat-job", 30, "the job runs", step_s=0.002)
        elif instant == "loading":
            wait_until(lambda: loading(watcher), 60, "the server loads", step_s=0.002)
        else:
            wait_until(lambda: syncing(large), 60, "the transfer runs", step_s=0.002)
            if instant == "loaded":
                wait_until(lambda: not loading(watcher) and not syncing(large), 60, "it is loaded", step_s=0.002)
        running.kill_ours()
        running.wait(20)
    wait_until(lambda: not loading(watcher), 60, "the server has loaded")
    watcher.close()
    on.run("prune")
    primary(large)
    assert large.call("DEBUG", "DIGEST") in (old, restored)
    if instant in ("proof", "transfer"):
        assert large.call("DEBUG", "DIGEST") == old
    folder = on.folder.parent / "state" / "redis"
    assert not folder.exists() or not list(folder.iterdir())
    restore(on, NAME)
    assert large.call("DEBUG", "DIGEST") == restored


def loading(client):
    """A server that loads answers PING with an error, and INFO all the same."""
    return b"loading:1" in client.call("INFO", "persistence")


def test_the_next_restore_undoes_it_too(boat, large):
    on = boat(large.url, compress="none")
    _, restored = begun(large, on)
    with on.start("restore", "--yes", "--no-safety", NAME) as running:
        wait_until(lambda: syncing(large), 60, "the transfer runs", step_s=0.002)
        running.kill_ours()
        running.wait(20)
    assert large.info("replication")["role"] == "slave"
    restore(on, NAME)
    primary(large)
    assert large.call("DEBUG", "DIGEST") == restored


def test_the_server_dies_while_it_loads(boat, large):
    on = boat(large.url, compress="none")
    begun(large, on)
    large.set("key-load-delay", 50)
    watcher = large.client()
    with on.start("restore", "--yes", NAME) as running:
        wait_until(lambda: loading(watcher), 60, "the server loads", step_s=0.002)
        large.stop(signal.SIGKILL)
        result = running.wait(120)
    assert result.status == 1 and "the data that was there is backup 2" in result.stderr, str(result)
    large.start()
    primary(large)
    restore(on, NAME)


def test_strangers_are_shut_out(boat, large):
    """Whoever connects to the port besides the server gets not a byte of the data."""
    on = boat(large.url, compress="none")
    _, restored = begun(large, on)
    got = []

    def stranger(stop):
        while not stop.is_set():
            port = large_port(large)
            if port:
                try:
                    with socket.create_connection(("127.0.0.1", port), 1) as one:
                        one.settimeout(1)
                        one.sendall(b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n")
                        got.append(one.recv(100))
                except OSError:
                    pass

    def large_port(server):
        with server.client() as client:
            told = client.call("INFO", "replication").decode()
        return int(told.split("master_port:")[1].split("\r")[0]) if "master_port:" in told else 0

    stop = threading.Event()
    threads = [threading.Thread(target=stranger, args=(stop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        restore(on, "--no-safety", NAME)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert large.call("DEBUG", "DIGEST") == restored
    assert all(b"FULLRESYNC" not in one for one in got)


# --- into a file ---

@pytest.mark.parametrize("kind", KINDS)
def test_to_a_file(boat, tmp_path, kind):
    volume = tmp_path / "volume"
    volume.mkdir()
    with Redis(kind) as server:
        redis.fill(server)
        before = redis.digest(server)
        on = boat(server.url)
        backup(on)
    # The server is gone: nothing of it is needed.
    result = restore(on, "--to", str(volume / "dump.rdb"), "--if-empty", NAME)
    assert "CONFIG SET appendonly yes" in findings(result)["hint"]
    assert [path.name for path in volume.iterdir()] == ["dump.rdb"]
    with Redis(kind, folder=volume) as server:
        assert redis.digest(server) == before
        # As the hint says.
        server.set("appendonly", "yes")
        wait_until(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "0", 30, "it is written")
        server.options["appendonly"] = "yes"
        server.stop(signal.SIGKILL)
        server.start()
        assert redis.digest(server) == before


def test_to_a_file_that_is_there(boat, server, tmp_path):
    on = boat(server.url)
    backup(on)
    path = tmp_path / "volume" / "dump.rdb"
    path.parent.mkdir()
    restore(on, "--to", str(path), NAME)
    first = path.read_bytes()
    restore(on, "--to", str(path), NAME)
    assert path.read_bytes() == first
    path.write_bytes(first[:-1] + bytes([first[-1] ^ 1]))
    scenes.says_once(restore(on, "--to", str(path), NAME, expect=1), "something else than this backup")
    path.write_bytes(b"other")
    scenes.says_once(restore(on, "--to", str(path), NAME, expect=1), "something else than this backup")
    assert path.read_bytes() == b"other" and len(list(path.parent.iterdir())) == 1
    restore(on, "--to", "relative.rdb", NAME, expect=2)
    restore(on, "--to", str(tmp_path / "nowhere" / "dump.rdb"), NAME, expect=1)


def test_if_empty(boat, server, tmp_path):
    on = boat(server.url)
    volume = tmp_path / "volume"
    volume.mkdir()
    to = ["--to", str(volume / "dump.rdb")]
    # Where there is data, no store is asked for anything: there is no backup yet.
    (volume / "dump.rdb").write_bytes(b"data")
    result = restore(on, "--if-empty", *to, NAME)
    assert result.json[-1]["result"] == "not_needed" and (volume / "dump.rdb").read_bytes() == b"data"
    (volume / "dump.rdb").unlink()
    (volume / "appendonlydir").mkdir()
    (volume / "appendonlydir" / "appendonly.aof.1.incr.aof").write_bytes(b"")
    assert restore(on, "--if-empty", *to, NAME).json[-1]["result"] == "not_needed"
    backup(on)
    scenes.says_once(restore(on, *to, NAME, expect=1), "append-only file.*move it away")
    assert not (volume / "dump.rdb").exists()
    on.run("restore", "--yes", "--if-empty", NAME, expect=2)


def test_a_damaged_backup_makes_no_file(boat, server, tmp_path):
    on = boat(server.url, compress="none")
    (piece,) = configs.data(tmp_path, backup(on)).iterdir()
    data = bytearray(piece.read_bytes())
    data[-3] ^= 1
    os.chmod(piece, 0o600)
    piece.write_bytes(data)
    volume = tmp_path / "volume"
    volume.mkdir()
    restore(on, "--to", str(volume / "dump.rdb"), NAME, expect=1)
    assert not list(volume.iterdir())


# --- drill ---

@pytest.mark.parametrize("kind", KINDS)
def test_drill(boat, tmp_path, kind):
    with Redis(kind) as server:
        redis.fill(server)
        on = boat(server.url, redis={"server": redis.program(kind)}, **{"assert": ["DBSIZE > 0", "EXISTS stream"]})
        backup(on)
        before = state(server)
        samples = []
        for _ in range(2):
            found = findings(on.run("drill", "--json", NAME))
            samples.append(found["sample"])
            assert found["server"]["memory_bytes"] > 0 and found["server"]["name"] == kind
        assert samples[0] == samples[1] and samples[0]["keys"] > 100
        assert state(server) == before
        assert {one["by"] for one in configs.records(tmp_path)} == {"drill"}
        assert not list((tmp_path / "state" / "redis").iterdir())


def scratch_servers(folder):
    done = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False)
    return [pid for pid in done.stdout.split() if process.executable(int(pid)).startswith(("redis", "valkey"))]


def test_a_killed_drill_leaves_no_server(boat, large, tmp_path):
    on = boat(large.url, compress="none")
    backup(on)
    with on.start("drill", NAME) as running:
        wait_until(lambda: scratch_servers(tmp_path / "state"), 60, "the scratch server runs", step_s=0.002)
        running.kill_ours()
        running.wait(20)
        wait_until(lambda: not scratch_servers(tmp_path / "state"), 20, "it is gone")
    on.run("prune")
    assert not list((tmp_path / "state" / "redis").iterdir())


def test_drill_without_a_program(boat, server):
    with Redis("valkey") as newer:
        newer.call("SET", "a", 1)
        on = boat(newer.url, redis={"server": "/usr/bin/redis-server"})
        backup(on)
        result = on.run("drill", "--json", NAME, expect=1)
        scenes.says_once(result, "/usr/bin/redis-server is redis 7.*does not read this file")


def test_the_drill_is_measured_in_the_stake(boat, server):
    on = boat(server.url)
    backup(on)
    on.run("drill", NAME)
    assert "the last drill took" in on.run("restore", "--yes", NAME).stderr
