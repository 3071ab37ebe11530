# SPDX-License-Identifier: Apache-2.0
"""Backups of Kafka: log segments that Kafka's own tool reads record for record, exact ranges, chains that know when they
are broken, and manifests that say what is there.
"""
from __future__ import annotations

import contextlib
import signal
import subprocess
import time

import configs
import pytest
from harness import kafka, scene as scenes
from harness.certificates import Authority
from harness.kafka import Cluster, Kafka, Record
from harness.process import wait_until
from harness.toxiproxy import Toxiproxy
from streams import NAME, STRANGE, any_time, backup, component, manifest, partition, restore, seen
from streams import _boat, _broker, _topic  # noqa: F401, fixtures


def segments(tmp_path, result, topic, number=0):
    """The segments of a partition, decompressed by another tool, as Kafka's tool wants them named."""
    folder = configs.data(tmp_path, result["backup"]) / topic / str(number)
    plain = tmp_path / "plain" / result["backup"] / topic / str(number)
    plain.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(folder.glob("*")) if folder.exists() else []:
        to = plain / path.name.removesuffix(".zst")
        if path.suffix == ".zst":
            subprocess.run(["zstd", "-dqf", path, "-o", to], check=True)
        else:
            to.write_bytes(path.read_bytes())
        found.append(to)
    return found


def dumped(tmp_path, broker, result, topic, number=0):
    """What Kafka's tool says of the segments: batches in order."""
    return [batch for path in segments(tmp_path, result, topic, number) for batch in kafka.dump(path, broker.version)]


def on_disk(broker, topic, number=0):
    """What the broker itself has stored."""
    return b"".join(path.read_bytes() for path in broker.segments(topic, number))


def stored(tmp_path, result, topic, number=0):
    return b"".join(path.read_bytes() for path in segments(tmp_path, result, topic, number))


def committed(batches, aborted=()):
    """The records that a reader of what is committed sees, by the rule of the protocol: (offset, timestamp, key, value)."""
    waiting, active, found = sorted(aborted, key=lambda one: one[1]), set(), []
    for batch in batches:
        while waiting and waiting[0][1] <= batch.last_offset:
            active.add(waiting.pop(0)[0])
        if batch.control:
            active.discard(batch.producer)
        elif not (batch.transactional and batch.producer in active):
            found += [(one.offset, one.timestamp, one.key, one.value) for one in batch.records]
    return found


# --- exact ---

@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_bytes_of_the_broker(boat, broker, topic, tmp_path, codec):
    broker.create(topic, configs=any_time(broker))
    for batch in (STRANGE, STRANGE[:3], STRANGE * 3):
        broker.produce(topic, batch, compression=codec)
    on = boat(broker.bootstrap, topic)
    result = backup(on)
    assert stored(tmp_path, result, topic) == on_disk(broker, topic)
    at = partition(tmp_path, result, topic)
    assert (at["from"], at["end"], at["records"], at["missing_offsets"], at["aborted"]) == (0, 43, 43, 0, [])
    (codec_used,) = {one["codec"] for one in manifest(tmp_path, result)["objects"]}
    assert codec_used == ("zstd" if codec == "none" else "none")
    assert committed(dumped(tmp_path, broker, result, topic)) == seen(broker, topic)
    assert on.run("verify", "--json").json[-1]["findings"] == {"segments": 1, "batches": at["batches"], "records": 43}


def test_times_of_the_broker_and_its_own_codec(boat, broker, topic, tmp_path):
    broker.create(topic, configs={"message.timestamp.type": "LogAppendTime", "compression.type": "zstd",
                                  "retention.ms": 10_000_000, "cleanup.policy": "compact,delete"})
    broker.produce(topic, [one for one in STRANGE if one.key])
    result = backup(boat(broker.bootstrap, topic))
    assert stored(tmp_path, result, topic) == on_disk(broker, topic)
    of = manifest(tmp_path, result)["facts"]["topics"][topic]
    assert of["config"]["message.timestamp.type"] == "LogAppendTime" and of["config"]["retention.ms"] == "10000000"
    assert of["id"] == broker.describe(topic)["id"]


def test_segments_roll_at_batches(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=2)
    broker.fill(topic, 20_000, size=200, compressible=False, config={"batch.size": "16384"})
    result = backup(boat(broker.bootstrap, topic, kafka={"segment_bytes": "256KiB"}))
    for number in (0, 1):
        at = partition(tmp_path, result, topic, number)
        assert len(at["segments"]) > 5 and at["records"] == 10_000
        assert stored(tmp_path, result, topic, number) == on_disk(broker, topic, number)
        files = segments(tmp_path, result, topic, number)
        assert [int(path.stem) for path in files] == [one["base"] for one in at["segments"]]
        assert [one["end"] for one in at["segments"][:-1]] == [one["base"] for one in at["segments"][1:]]
    assert committed(dumped(tmp_path, broker, result, topic, 1)) == seen(broker, topic, 1)


def test_empty_partition_and_topic(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=3)
    broker.produce(topic, [Record(b"only", partition=1)])
    on = boat(broker.bootstrap, topic)
    result = backup(on)
    assert [partition(tmp_path, result, topic, n)["records"] for n in range(3)] == [0, 1, 0]
    assert [partition(tmp_path, result, topic, n)["last_offset"] for n in range(3)] == [None, 0, None]
    broker.create(topic + "-2")
    on = boat(broker.bootstrap, topic + "-2")
    on.run("backup", "--full")
    assert on.run("verify", "--json").json[-1]["findings"] == {}


def test_log_start_in_the_middle_of_a_batch(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.produce(topic, [Record(b"%d" % i) for i in range(10)])
    broker.produce(topic, [Record(b"%d" % i) for i in range(10, 20)])
    broker.delete_records(topic, 0, 14)
    result = backup(boat(broker.bootstrap, topic))
    at = partition(tmp_path, result, topic)
    assert (at["log_start"], at["from"], at["end"], at["first_offset"]) == (14, 14, 20, 10)
    (batch,) = dumped(tmp_path, broker, result, topic)
    assert (batch.base_offset, batch.last_offset) == (10, 19)
    assert [one for one in committed([batch]) if one[0] >= 14] == seen(broker, topic)


def test_compacted(boat, broker, topic, tmp_path):
    """Gaps within, and a tail of which nothing is left but offsets."""
    broker.create(topic, configs={"cleanup.policy": "compact", "segment.ms": 100, "min.cleanable.dirty.ratio": 0.01,
                                  "delete.retention.ms": 0, "min.compaction.lag.ms": 0})
    for turn in range(5):
        broker.produce(topic, [Record(b"%d" % turn, b"k%d" % i) for i in range(20)], alone=True)
    for i in range(3):
        broker.produce(topic, [Record(None, b"k%d" % i)])
    wait_until(lambda: broker.fill(topic, 1, keys=1) and len(broker.read(topic)) < 30, 60, "it is compacted", step_s=0.3)
    end = broker.offsets(topic)[0][2]
    result = backup(boat(broker.bootstrap, topic))
    at = partition(tmp_path, result, topic)
    assert at["end"] == end and at["missing_offsets"] > 50
    assert at["records"] + at["missing_offsets"] == end
    assert at["segments"][-1]["end"] <= end


def test_ends_in_a_marker(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.begin(topic)
    broker.produce(topic, [Record(b"a"), Record(b"b")], transaction=topic)
    broker.end(topic)
    result = backup(boat(broker.bootstrap, topic))
    at = partition(tmp_path, result, topic)
    assert (at["end"], at["records"], at["control_batches"], at["last_offset"]) == (3, 2, 1, 2)
    assert stored(tmp_path, result, topic) == on_disk(broker, topic)


# --- transactions ---

def test_transactions(boat, broker, topic, tmp_path):
    """Committed, aborted and interleaved ones; the stable offset is that of the broker."""
    broker.create(topic)
    one, two = topic + "-1", topic + "-2"
    broker.begin(one)
    broker.begin(two)
    for turn in range(3):
        broker.produce(topic, [Record(b"1-%d" % turn)], transaction=one)
        broker.produce(topic, [Record(b"2-%d" % turn)], transaction=two)
    broker.end(one, commit=False)
    broker.produce(topic, [Record(b"plain")])
    broker.end(two)
    broker.begin(one)
    broker.produce(topic, [Record(b"1-again")], transaction=one)
    broker.end(one)
    result = backup(boat(broker.bootstrap, topic))
    at = partition(tmp_path, result, topic)
    assert at["aborted_batches"] == 3 and len(at["aborted"]) == 1 and at["control_batches"] == 3
    found = committed(dumped(tmp_path, broker, result, topic), at["aborted"])
    assert found == seen(broker, topic)
    assert [one[3] for one in found] == [b"2-0", b"2-1", b"2-2", b"plain", b"1-again"]


def test_an_open_transaction_and_an_abort_above_the_stable_offset(boat, broker, topic, tmp_path):
    """Data of B at 0 to 2, A opens at 3, B is aborted at 5: the stable offset is 3, and the marker is above it."""
    broker.create(topic)
    a, b = topic + "-a", topic + "-b"
    broker.begin(a)
    broker.begin(b)
    broker.produce(topic, [Record(b"b%d" % i) for i in range(3)], transaction=b)
    broker.produce(topic, [Record(b"a%d" % i) for i in range(2)], transaction=a)
    broker.end(b, commit=False)
    on = boat(broker.bootstrap, topic)
    first = on.run("backup", "--json")
    result = first.json[-1]
    at = partition(tmp_path, result, topic)
    assert (at["last_stable"], at["end"], at["high_watermark"]) == (3, 3, 6)
    assert len(at["aborted"]) == 1 and at["aborted"][0][1] == 0 and at["aborted_batches"] == 1
    assert "an open transaction holds records back" in first.stderr and "offsets=3" in first.stderr
    assert committed(dumped(tmp_path, broker, result, topic), at["aborted"]) == []
    # What was held back is in the next one.
    broker.end(a)
    second = backup(on)
    assert second["parent"] == result["backup"]
    after = partition(tmp_path, second, topic)
    assert (after["from"], after["end"], after["records"]) == (3, 7, 2)
    both = dumped(tmp_path, broker, result, topic) + dumped(tmp_path, broker, second, topic)
    found = committed(both, at["aborted"] + after["aborted"])
    assert found == seen(broker, topic) and [one[3] for one in found] == [b"a0", b"a1"]


# --- chains ---

def test_what_is_new(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=2)
    broker.produce(topic, [Record(b"%d" % i, partition=i % 2) for i in range(10)])
    on = boat(broker.bootstrap, topic)
    first = backup(on)
    assert manifest(tmp_path, first)["kind"] == "full"
    broker.produce(topic, [Record(b"new", partition=1)])
    broker.add_partitions(topic, 3)
    broker.produce(topic, [Record(b"new", partition=2)])
    second = backup(on)
    assert second["parent"] == first["backup"]
    whole = manifest(tmp_path, second)
    assert (whole["kind"], whole["parent"], whole["facts"]["full_because"]) == ("incremental", first["backup"], None)
    assert [(p["from"], p["end"]) for p in whole["facts"]["topics"][topic]["partitions"]] == [(5, 5), (5, 6), (0, 1)]
    third = backup(on)
    assert manifest(tmp_path, third)["objects"] == []
    verified = on.run("verify", "--json").json[-1]
    assert verified["backup"] == third["backup"] and verified["findings"]["records"] == 12
    for number in range(3):
        joined = stored(tmp_path, first, topic, number) + stored(tmp_path, second, topic, number)
        assert joined == on_disk(broker, topic, number)
    assert f"goes on from    {second['backup']}" in on.run("show", NAME).stdout
    # The parents stay as long as a child is kept.
    kept = boat(broker.bootstrap, topic, retention={"keep_last": 1})
    kept.run("prune")
    assert len(configs.manifests(tmp_path, NAME)) == 3
    fourth = backup(kept, "--full")
    kept.run("verify")
    kept.run("prune")
    assert list(configs.manifests(tmp_path, NAME)) == [fourth["backup"]]


def full_because(tmp_path, result):
    whole = manifest(tmp_path, result)
    assert whole["kind"] == "full" and whole["parent"] is None
    return whole["facts"]["full_because"]


def test_a_topic_that_was_made_anew(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.produce(topic, [Record(b"old")] * 5)
    on = boat(broker.bootstrap, topic)
    assert "the first one" in full_because(tmp_path, backup(on))
    broker.delete(topic)
    broker.create(topic)
    # It has grown beyond where the last backup ended: only its id tells.
    broker.produce(topic, [Record(b"new")] * 8)
    result = backup(on)
    assert f"{topic} was made anew" in full_because(tmp_path, result)
    assert partition(tmp_path, result, topic)["records"] == 8


def test_retention_overtook(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.produce(topic, [Record(b"old")] * 5)
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.produce(topic, [Record(b"gone")] * 5)
    broker.delete_records(topic, 0, 8)
    assert "removed before they were backed up" in full_because(tmp_path, backup(on))


def test_a_parent_that_is_gone_or_too_old(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.produce(topic, [Record(b"a")])
    on = boat(broker.bootstrap, topic)
    first = backup(on)
    second = backup(on)
    path = next((tmp_path / "store").glob(f"*/*/{NAME}/*/manifests/{first['backup']}.json"))
    path.unlink()
    scenes.says_once(on.run("verify", "--json", expect=1), f"goes on from {first['backup']}, which is not there")
    third = backup(on)
    assert f"{second['backup']} goes on from {first['backup']}" in full_because(tmp_path, third)
    assert "asked for" in full_because(tmp_path, backup(on, "--full"))
    asked_at = time.monotonic()
    wait_until(lambda: time.monotonic() > asked_at + 1, 10, "it is a second old")
    assert "full_every" in full_because(tmp_path, backup(boat(broker.bootstrap, topic, full_every="1s")))


def test_a_topic_that_was_deleted_is_no_reason(boat, broker, topic, tmp_path):
    for name in (topic + "-a", topic + "-b"):
        broker.create(name)
        broker.produce(name, [Record(b"x")])
    on = boat(broker.bootstrap, f"re:{topic}-.*")
    first = backup(on)
    assert sorted(manifest(tmp_path, first)["facts"]["topics"]) == [topic + "-a", topic + "-b"]
    broker.delete(topic + "-a")
    second = backup(on)
    assert second["parent"] == first["backup"]
    assert list(manifest(tmp_path, second)["facts"]["topics"]) == [topic + "-b"]


def test_a_chain_on_local_disk(agent, broker, topic, s3, tmp_path):
    """While the store is away a chain of its own begins on local disk; uploaded, it is gone on from."""
    broker.create(topic)
    with Toxiproxy(int(s3.endpoint.rsplit(":", 1)[1])) as proxy:
        own = component(broker.bootstrap, topic)
        away = configs.s3_store(s3, endpoint=proxy.endpoint, retry_deadline="1s")
        on = agent(configs.config(tmp_path, own, fallback={"store": "local", "max_bytes": "1GiB"}, stores=[
            away, {"name": "local", "type": "local", "path": str(tmp_path / "store")}]))
        backups = []

        def go_on(expect, store):
            broker.produce(topic, [Record(b"one more")])
            done = on.run("backup", "--json", expect=expect).json[-1]
            backups.append(done["backup"])
            assert done["store"] == store
            return on.run("show", "--json", f"{NAME}@{done['backup']}", expect=[0, 3]).json[-1]["manifest"]["parent"]

        assert go_on(0, "disk") is None
        assert go_on(0, "disk") == backups[0]
        proxy.down()
        assert go_on(3, "local") is None
        assert go_on(3, "local") == backups[2]
        proxy.up()
        on.run("upload")
        assert go_on(0, "disk") == backups[3]
        verified = on.run("verify", "--json").json[-1]
        assert verified["backup"] == backups[4] and verified["findings"]["records"] == 5
        assert on.run("verify", "--all", "--json").json
    s3.client.empty()


# --- with it ---

def test_groups_stand_where_the_backup_ends(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=2)
    broker.produce(topic, [Record(b"%d" % i, partition=i % 2) for i in range(10)])
    broker.group_commit(topic + "-half", {topic: {0: 2}})
    broker.begin(topic)
    broker.produce(topic, [Record(b"held back")], transaction=topic)
    broker.produce(topic, [Record(b"behind it")] * 3)
    broker.group_commit(topic + "-ahead", {topic: {0: 8, 1: 5}})
    result = backup(boat(broker.bootstrap, topic))
    broker.end(topic, commit=False)
    groups = manifest(tmp_path, result)["facts"]["groups"]
    assert groups[topic + "-half"]["offsets"] == {topic: {"0": 2}}
    assert groups[topic + "-ahead"]["offsets"] == {topic: {"0": 5, "1": 5}}


def test_a_damaged_segment(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.produce(topic, [Record(b"value")] * 5)
    on = boat(broker.bootstrap, topic, compress="none")
    result = backup(on)
    path = next(configs.data(tmp_path, result["backup"]).glob("*/0/*.log"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    scenes.says_once(on.run("verify", "--json", expect=1), "checksum|sha-?256|other bytes|digest")


def test_topics_that_are_not_there(boat, broker, topic):
    scenes.says_once(boat(broker.bootstrap, topic).run("backup", "--json", expect=1), topic)
    scenes.says_once(boat(broker.bootstrap, f"re:{topic}.*").run("backup", "--json", expect=1), topic)


def test_a_broker_that_is_not_there(boat):
    result = boat("127.0.0.1:1", "t", kafka={"timeout": "1s"}).run("backup", "--json", expect=1)
    scenes.says_once(result, "refused")
    assert scenes.kind_of(result) == "unreachable"


# --- security ---

SECRET = "geheim-4711-secret"


@pytest.fixture(name="secure", scope="module")
def _secure(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    # librdkafka 2.0.2 cannot log in to Kafka 4 by SCRAM (docs/decisions); test_kafka_cluster.py has PLAIN and TLS with both.
    with Kafka("3.9", tls=authority, client_certificates=True, users={"lifeboat": SECRET}) as broker:
        broker.create("secure")
        broker.produce("secure", [Record(b"x")] * 3)
        yield broker


@pytest.mark.parametrize("listener,mechanism", [("SSL", None)] + [
    (listener, mechanism) for listener in ("SASL_PLAINTEXT", "SASL_SSL")
    for mechanism in ("plain", "scram-sha-256", "scram-sha-512")])
def test_ways_in(boat, secure, tmp_path, listener, mechanism):
    own = secure.tls.issue("lifeboat", alt="DNS:lifeboat")
    kafka_ = {"security": listener.lower()}
    if "SSL" in listener:
        kafka_ |= {"ca_file": str(secure.tls.cert), "cert_file": str(own.cert), "key_file": str(own.key)}
    if "SASL" in listener:
        kafka_ |= {"user": "lifeboat", "password": SECRET, "mechanism": mechanism}
    on = boat(secure.address(listener), "secure", kafka=kafka_)
    result = on.run("backup", "--json")
    assert partition(tmp_path, result.json[-1], "secure")["records"] == 3
    assert SECRET not in str(result)
    if "SASL" in listener:
        wrong = boat(secure.address(listener), "secure", kafka={**kafka_, "password": "another-secret", "timeout": "3s"})
        denied = wrong.run("backup", "--json", expect=1)
        assert scenes.kind_of(denied) == "denied" and "another-secret" not in str(denied)


# --- while it runs ---

def test_a_producer_at_full_speed(boat, broker, topic, tmp_path):
    """20,000 records a second during the backup: it ends where it began to look, and the next one goes on there."""
    broker.create(topic, partitions=3)
    with broker.filling(topic, size=200, rate=20_000) as written:
        wait_until(lambda: sum(end for _, _, end in broker.offsets(topic)) > 40_000, 60, "records are there")
        on = boat(broker.bootstrap, topic)
        first = backup(on)
        second = backup(on)
    third = backup(on)
    assert written["records"] / written["seconds"] > 10_000
    for number in range(3):
        parts = [partition(tmp_path, one, topic, number) for one in (first, second, third)]
        assert parts[0]["end"] == parts[1]["from"] and parts[1]["end"] == parts[2]["from"]
        joined = b"".join(stored(tmp_path, one, topic, number) for one in (first, second, third))
        assert joined == on_disk(broker, topic, number)
    assert sum(partition(tmp_path, one, topic, n)["records"]
               for one in (first, second, third) for n in range(3)) == written["records"]


@pytest.fixture(name="cluster", scope="module")
def _cluster():
    with Cluster() as cluster:
        yield cluster


@contextlib.contextmanager
def slow_backup(agent, tmp_path, s3, bootstrap, topic, rate, **more):
    """A backup that is under way, as slow as its store; more: of the section kafka."""
    with Toxiproxy(int(s3.endpoint.rsplit(":", 1)[1])) as proxy:
        proxy.add("bandwidth", stream="upstream", rate=rate)
        own = component(bootstrap, topic, compress="none", kafka={"segment_bytes": "8MiB", "timeout": "10s", **more})
        on = agent(configs.config(tmp_path, own, stores=[configs.s3_store(s3, endpoint=proxy.endpoint)]))
        with on.start("backup", "--json") as running:
            wait_until(lambda: "object stored" in running.stderr, 60, "a segment is stored")
            yield on, running, proxy


def test_a_leader_that_moves_and_a_broker_that_dies(agent, cluster, s3, topic, tmp_path):
    cluster.create(topic, partitions=3)
    cluster.fill(topic, 150_000, size=500, compressible=False)
    before = cluster.digest(topic)
    with slow_backup(agent, tmp_path, s3, cluster.bootstrap, topic, 8000) as (on, running, proxy):
        cluster.add_partitions(topic, 4)
        victim = cluster.node(cluster.leader(topic, 2))
        victim.stop(signal.SIGKILL)
        wait_until(lambda: cluster.leader(topic, 2) not in (-1, victim.node), 30, "another leads")
        proxy.reset()
        result = running.wait(180)
        victim.start()
        assert result.status == 0, str(result)
        at = on.run("show", "--json", NAME).json[-1]["manifest"]["facts"]["topics"][topic]["partitions"]
        assert on.run("verify", "--json").json[-1]["findings"]["records"] == 150_000
    assert len(at) == 3 and [one["records"] for one in at] == [before[n]["records"] for n in range(3)]
    cluster.await_nodes(3)
    cluster.await_in_sync(topic)


def test_logins_that_expire(agent, s3, topic, tmp_path):
    """A broker closes the connection then; the backup, and the restore, go on with another one."""
    with Kafka("3.9", users={"lifeboat": SECRET}, options={"connections.max.reauth.ms": "500"}) as broker:
        broker.create(topic)
        broker.fill(topic, 60_000, size=500, compressible=False)
        before = broker.digest(topic)
        login = {"security": "sasl_plaintext", "mechanism": "plain", "user": "lifeboat", "password": SECRET}
        with slow_backup(agent, tmp_path, s3, broker.address("SASL_PLAINTEXT"), topic, 10_000, **login) as (on, running, _):
            result = running.wait(120)
            assert result.status == 0 and result.json[-1]["duration_ms"] > 1500, str(result)
            broker.delete(topic)
            restore(on)
        assert broker.digest(topic) == before


def test_many_partitions(agent, broker, topic, tmp_path):
    broker.create(topic, partitions=1000)
    broker.fill(topic, 5000, size=50)
    on = agent(configs.config(tmp_path, component(broker.bootstrap, topic, kafka={"timeout": "30s"})))
    result = backup(on)
    at = manifest(tmp_path, result)["facts"]["topics"][topic]["partitions"]
    assert len(at) == 1000 and sum(one["records"] for one in at) == 5000
    broker.produce(topic, [Record(b"one more", partition=999)])
    assert len(manifest(tmp_path, backup(on))["objects"]) == 1
    broker.delete(topic)
