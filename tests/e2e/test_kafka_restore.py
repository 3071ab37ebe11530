# SPDX-License-Identifier: Apache-2.0
"""Restores and drills of Kafka: the records as they were, in offset order, what read_committed sees of them and no more;
groups that go on at just the next record; nothing left of a restore that failed or died.
"""
from __future__ import annotations

import datetime
import json
import signal

import configs
import pytest
from harness import scene as scenes
from harness.kafka import Cluster, Kafka, Record
from harness.process import wait_until
from streams import NAME, STRANGE, any_time, backup, begun, component, lost, manifest, note, placed, restore, whole
from streams import _boat, _broker, _topic  # noqa: F401, fixtures


def by_partition(records):
    found = {}
    for one in records:
        found.setdefault(one.partition, []).append(one)
    return {number: placed(found[number]) for number in sorted(found)}


# --- the records ---

@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_round_trip(boat, broker, topic, tmp_path, codec):
    configured = {**any_time(broker), "retention.ms": str(2 ** 62)}
    broker.create(topic, configs=configured)
    for batch in (STRANGE, STRANGE[:3], STRANGE * 3):
        broker.produce(topic, batch, compression=codec)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = broker.read(topic)
    digest = broker.digest(topic)
    broker.delete(topic)
    found = restore(on)
    assert placed(broker.read(topic)) == placed(before)
    at = found["topics"][topic]
    assert (at["to"], at["records"]) == (topic, 43)
    assert at["partitions"][0]["offsets"] == [[0, 0, 43]] and at["partitions"][0]["sha256"] == digest[0]["sha256"]
    assert broker.describe(topic)["configs"] == configured
    assert not note(tmp_path).exists()


def test_transactions(boat, broker, topic):
    """Committed, aborted and interleaved ones, and an abort whose marker is above the stable offset."""
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
    broker.begin(two)
    broker.produce(topic, [Record(b"aborted above")], transaction=two)
    broker.produce(topic, [Record(b"open")], transaction=one)
    broker.end(two, commit=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = broker.read(topic)
    broker.end(one)
    broker.delete(topic)
    found = restore(on)
    assert [one.value for one in before] == [b"2-0", b"2-1", b"2-2", b"plain"]
    assert whole(broker.read(topic)) == whole(before)
    assert found["topics"][topic]["partitions"][0]["offsets"] == [[1, 0, 1], [3, 1, 1], [5, 2, 1], [7, 3, 1]]


def test_a_transaction_that_ends_in_the_next_backup(boat, broker, topic):
    broker.create(topic)
    a, b = topic + "-a", topic + "-b"
    broker.begin(a)
    broker.begin(b)
    broker.produce(topic, [Record(b"b%d" % i) for i in range(3)], transaction=b)
    broker.produce(topic, [Record(b"a%d" % i) for i in range(2)], transaction=a)
    broker.end(b, commit=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.end(a)
    assert backup(on)["parent"]
    before = lost(broker, topic)
    restore(on)
    assert whole(broker.read(topic)) == whole(before) and [one.value for one in before] == [b"a0", b"a1"]


def test_a_chain(boat, broker, topic):
    """A full one and two that go on from it, with a partition that came later; and each of them by its name."""
    broker.create(topic, partitions=2)
    on = boat(broker.bootstrap, topic)
    states, ids = [], []
    for turn in range(3):
        broker.produce(topic, [Record(b"%d-%d" % (turn, i), partition=i % 2) for i in range(10)])
        if turn == 1:
            broker.add_partitions(topic, 3)
            broker.produce(topic, [Record(b"late", partition=2)])
        ids.append(backup(on)["backup"])
        states.append(by_partition(broker.read(topic, None)))
    for identity, state in zip(ids, states):
        broker.delete(topic)
        restore(on, target=f"{NAME}@{identity}")
        assert by_partition(broker.read(topic, None)) == state


def test_compacted_with_a_group_in_the_middle(boat, broker, topic):
    """Offsets change at the gaps; a Java group that had read half goes on at just the next record."""
    config = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
              "delete.retention.ms": "0", "min.compaction.lag.ms": "0"}
    broker.create(topic, configs=config)
    for turn in range(5):
        broker.produce(topic, [Record(b"%d" % turn, b"k%d" % i) for i in range(turn, 20 + turn)], alone=True)
    wait_until(lambda: broker.fill(topic, 1, keys=1) and len(broker.read(topic)) < 40, 60, "it is compacted", step_s=0.3)
    group = topic + "-group"
    read = broker.group_read(group, [topic], 10)
    on = boat(broker.bootstrap, topic, kafka={"timeout": "20s"})
    # Compaction goes on: what the backup has is what counts.
    backup(on)
    before = broker.read(topic)
    broker.group_delete(group)
    broker.delete(topic)
    found = restore(on)
    after = broker.read(topic)
    assert {(one.key, one.value) for one in before} <= {(one.key, one.value) for one in after}
    assert broker.describe(topic)["configs"] == config
    runs = found["topics"][topic]["partitions"][0]["offsets"]
    assert len(runs) > 1 and sum(count for _, _, count in runs) == found["records"]
    assert found["groups"] == [group] and found["groups_left"] == {}
    old = {new + i: old + i for old, new, count in runs for i in range(count)}
    next_one = broker.group_read(group, [topic], 1)[0]
    assert old[next_one.offset] == min(one for one in old.values() if one > max(one.offset for one in read))


def test_log_start_in_the_middle_of_a_batch(boat, broker, topic):
    broker.create(topic)
    broker.produce(topic, [Record(b"%d" % i) for i in range(10)])
    broker.produce(topic, [Record(b"%d" % i) for i in range(10, 20)])
    broker.delete_records(topic, 0, 14)
    group = topic + "-group"
    broker.group_commit(group, {topic: {0: 17}})
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = lost(broker, topic)
    found = restore(on)
    assert whole(broker.read(topic)) == whole(before) and len(before) == 6
    assert found["topics"][topic]["partitions"][0]["offsets"] == [[14, 0, 6]]
    assert broker.group_offsets(group) == {topic: {0: 3}}


def test_old_records_outlive_the_restore(boat, broker, topic):
    """Retention that would take them at once is put on last; the broker looks twice a second."""
    broker.create(topic, configs={"segment.ms": 86_400_000})
    broker.produce(topic, [Record(b"old", timestamp=1000 + i) for i in range(1000)])
    broker.set_config(topic, retention_ms=10 ** 13)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = lost(broker, topic)
    restore(on)
    assert whole(broker.read(topic)) == whole(before) and len(before) == 1000
    assert broker.describe(topic)["configs"]["retention.ms"] == str(10 ** 13)


def test_times_of_the_broker(boat, broker, topic):
    broker.create(topic, configs={"message.timestamp.type": "LogAppendTime"})
    broker.produce(topic, [one for one in STRANGE if one.key])
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = lost(broker, topic)
    restore(on)
    assert whole(broker.read(topic)) == whole(before)
    assert broker.describe(topic)["configs"] == {"message.timestamp.type": "LogAppendTime"}


def test_timestamp_zero(boat, broker, topic):
    broker.create(topic)
    broker.produce(topic, [Record(b"a", timestamp=0), Record(b"b", timestamp=5)])
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    assert restore(on)["timestamps_moved"] == 1
    assert [one.timestamp for one in broker.read(topic)] == [1, 5]


# --- where to ---

def test_what_is_there_is_kept(boat, broker, topic):
    broker.create(topic, partitions=2)
    broker.produce(topic, [Record(b"value", partition=1)])
    on = boat(broker.bootstrap, topic)
    backup(on)
    result = on.run("restore", "--json", "--yes", NAME, expect=1)
    assert scenes.kind_of(result) == "exists"
    scenes.says_once(result, "is not empty")
    broker.delete(topic)
    broker.create(topic, partitions=3)
    result = on.run("restore", "--json", "--yes", NAME, expect=1)
    scenes.says_once(result, "exists with 3 partitions, the backup has 2")
    assert broker.read(topic, None) == []


def test_an_empty_topic_is_filled(boat, broker, topic):
    broker.create(topic, configs={"retention.ms": str(2 ** 62)})
    broker.produce(topic, [Record(b"no key", timestamp=5)])
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    identity = broker.create(topic, configs={"cleanup.policy": "compact"})
    restore(on)
    assert broker.describe(topic)["id"] == identity
    assert broker.describe(topic)["configs"] == {"retention.ms": str(2 ** 62)}
    assert whole(broker.read(topic)) == [(5, None, b"no key", ())]


def test_one_topic_and_other_names(boat, broker, topic):
    for name in ("a", "b"):
        broker.create(f"{topic}.{name}", configs={"retention.ms": "123456789012"})
        broker.produce(f"{topic}.{name}", [Record(name.encode())])
    broker.group_commit(topic, {f"{topic}.a": {0: 1}})
    on = boat(broker.bootstrap, f"re:{topic}\\..")
    backup(on)
    found = restore(on, "--to-topic", "restored-*")
    assert "groups" not in found
    for name in ("a", "b"):
        assert broker.read(f"restored-{topic}.{name}")[0].value == name.encode()
        assert broker.describe(f"restored-{topic}.{name}")["configs"] == {"retention.ms": "123456789012"}
    result = on.run("restore", "--json", "--yes", NAME, "--to-topic", "all-in-one", expect=2)
    scenes.says_once(result, "2 topics are restored")
    restore(on, "--topic", f"{topic}.b", "--to-topic", f"{topic}-one")
    assert broker.read(f"{topic}-one")[0].value == b"b"
    broker.delete(f"{topic}.a")
    broker.delete(f"{topic}.b")
    restore(on, "--topic", f"{topic}.b")
    assert f"{topic}.b" in broker.topics() and f"{topic}.a" not in broker.topics()
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--topic", "nothing", expect=1), "holds no topic nothing")
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--to", "place", expect=2), "--to-topic")


def test_until(boat, broker, topic):
    """In offset order: one that is late ends it, what comes after is not looked at."""
    base = 1_700_000_000_000
    broker.create(topic, partitions=2)
    broker.produce(topic, [Record(b"%d" % i, timestamp=base + i * 1000, partition=0) for i in range(10)])
    broker.produce(topic, [Record(b"x", timestamp=base + t * 1000, partition=1) for t in (1, 9, 2)])
    group = topic + "-group"
    broker.group_commit(group, {topic: {0: 9, 1: 1}})
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    until = datetime.datetime.fromtimestamp(base / 1000 + 5, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    restore(on, "--until", until)
    assert [one.value for one in broker.read(topic, 0)] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert [one.timestamp for one in broker.read(topic, 1)] == [base + 1000]
    assert broker.group_offsets(group) == {topic: {0: 6, 1: 1}}
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--until", "yesterday", expect=2), "is no time")


def test_another_cluster(agent, boat, broker, topic, tmp_path):
    """Of another version too: what it no longer has as a setting is left out, and said."""
    kept = {"retention.ms": str(2 ** 62), "segment.bytes": "20000000"}
    gone = {"message.timestamp.difference.max.ms": "86400000000000"} if broker.version != "4.3" else {}
    broker.create(topic, partitions=2, configs={**kept, **gone})
    broker.produce(topic, [Record(b"%d" % i, partition=i % 2) for i in range(10)])
    on = boat(broker.bootstrap, topic)
    result = backup(on)
    before = broker.read(topic, None)
    with Kafka("3.9" if broker.version == "4.3" else "4.3") as other:
        away = agent(configs.config(tmp_path, component(other.bootstrap, topic)))
        found = restore(away, target=f"{NAME}@{result['backup']}")
        after = other.read(topic, None)
        assert other.describe(topic)["configs"] == kept
    assert by_partition(after) == by_partition(before)
    assert len(found["warnings"]) == len(gone)
    assert all(any(f"{name}=" in said for said in found["warnings"]) for name in gone)


def test_a_group_with_members_is_left(boat, broker, topic):
    broker.create(topic)
    broker.produce(topic, [Record(b"%d" % i) for i in range(4)])
    for name in ("-busy", "-idle"):
        broker.group_commit(topic + name, {topic: {0: 2}})
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    broker.create(topic + "-other")
    with broker.member(topic + "-busy", [topic + "-other"]):
        result = on.run("restore", "--json", "--yes", NAME, expect=3)
    found = result.json[-1]["findings"]
    assert found["groups"] == [topic + "-idle"] and list(found["groups_left"]) == [topic + "-busy"]
    assert "the offsets of a group are not set" in result.stderr and topic + "-busy" in result.stderr
    assert broker.group_offsets(topic + "-idle") == {topic: {0: 2}}


# --- when it fails ---

def test_a_damaged_backup_leaves_no_topic(boat, broker, topic, tmp_path):
    broker.create(topic)
    for _ in range(3):
        broker.fill(topic, 20_000, size=200, compressible=False)
    on = boat(broker.bootstrap, topic, compress="none")
    result = backup(on)
    path = next(configs.data(tmp_path, result["backup"]).glob("*/0/*.log"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    broker.delete(topic)
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, expect=1), "checksum|sha-?256|other bytes|digest")
    assert topic not in broker.topics() and not note(tmp_path).exists()
    # One that was there is empty again, and configured as it was.
    broker.create(topic, configs={"retention.ms": "123456789012"})
    on.run("restore", "--json", "--yes", NAME, expect=1)
    assert broker.read(topic) == [] and broker.describe(topic)["configs"] == {"retention.ms": "123456789012"}


def test_a_backup_with_a_part_missing(boat, broker, topic, tmp_path):
    """A manifest that accounts for more than it lists."""
    broker.create(topic)
    broker.fill(topic, 20_000, size=200, compressible=False)
    on = boat(broker.bootstrap, topic, kafka={"segment_bytes": "128KiB"})
    result = backup(on)
    path = next((tmp_path / "store").glob(f"*/*/{NAME}/*/manifests/{result['backup']}.json"))
    said = json.loads(path.read_text())
    assert len(said["objects"]) > 3
    del said["objects"][1]
    path.chmod(0o600)
    path.write_text(json.dumps(said))
    broker.delete(topic)
    failed = on.run("restore", "--json", "--yes", NAME, expect=1)
    scenes.says_once(failed, "segments the backup holds")
    assert scenes.kind_of(failed) == "corrupt" and topic not in broker.topics()


def test_somebody_else_writes(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    with begun(on, broker, "restore", "--json", "--yes", NAME) as running:
        broker.produce(topic, [Record(b"mine")])
        result = running.wait(60)
    assert result.status == 1 and scenes.kind_of(result) == "mismatch", str(result)
    assert topic not in broker.topics() and not note(tmp_path).exists()


@pytest.mark.parametrize("how", ["kill", "term"])
def test_stopped_in_the_middle(boat, broker, topic, tmp_path, how):
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = broker.digest(topic)
    broker.delete(topic)
    with begun(on, broker, "restore", "--json", "--yes", NAME) as running:
        if how == "kill":
            running.kill_ours()
        else:
            running.signal(signal.SIGTERM)
        running.wait(30)
    assert (topic in broker.topics()) == (how == "kill") and note(tmp_path).exists() == (how == "kill")
    restore(on)
    assert broker.digest(topic) == before
    assert not note(tmp_path).exists()


def test_died_at_its_end(boat, broker, topic, tmp_path):
    """Proven, and somebody may have written since: it is ended by the next job, never taken back."""
    identity = broker.create(topic)
    broker.produce(topic, [Record(b"restored")])
    on = boat(broker.bootstrap, topic)
    backup(on)
    note(tmp_path).parent.mkdir(parents=True, exist_ok=True)
    note(tmp_path).write_text(json.dumps({
        "cluster": broker.cluster_id, "proven": True, "kept": [], "appended": [], "topics": [
            {"name": topic, "id": identity, "there": False, "filling": True, "append": False, "config": None,
             "settings": {"retention.ms": str(2 ** 62)}}]}))
    on.run("prune")
    assert [one.value for one in broker.read(topic)] == [b"restored"]
    assert broker.describe(topic)["configs"] == {"retention.ms": str(2 ** 62)} and not note(tmp_path).exists()


def test_a_leader_that_dies_in_the_middle(boat, topic):
    """Its successor takes what comes; nothing is lost, doubled or out of order."""
    with Cluster(options={"min.insync.replicas": 2}) as cluster:
        cluster.create(topic, partitions=3)
        cluster.fill(topic, 300_000, size=300, compressible=False)
        on = boat(cluster.bootstrap, topic)
        saved = backup(on)
        before = cluster.digest(topic)
        cluster.delete(topic)
        with begun(on, cluster, "restore", "--json", "--yes", NAME) as running:
            victim = cluster.node(cluster.leader(topic, 0))
            victim.stop(signal.SIGKILL)
            result = running.wait(180)
        assert result.status == 0, str(result)
        assert {n: (one["records"], one["sha256"]) for n, one in cluster.digest(topic).items()} == \
            {n: (one["records"], one["sha256"]) for n, one in before.items()}
        assert len(cluster.describe(topic)["partitions"][0]["replicas"]) == 3
    # Of another cluster, so it is named: with as many replicas as there are brokers.
    with Kafka() as alone:
        restore(boat(alone.bootstrap, topic), target=f"{NAME}@{saved['backup']}")
        assert [len(one["replicas"]) for one in alone.describe(topic)["partitions"]] == [1, 1, 1]
        assert sum(one["records"] for one in alone.digest(topic).values()) == 300_000


SECRET = "geheim-4711-secret"


def test_rights(agent, topic, tmp_path):
    """What docs/OPERATIONS.md names is enough; without a part of it the error says so, and nothing is left."""
    with Kafka("3.9", users={"lifeboat": SECRET}, rights=True) as broker:
        broker.create(topic)
        broker.produce(topic, [Record(b"%d" % i) for i in range(10)])
        broker.group_commit(topic, {topic: {0: 5}})
        for kind, words in {"TOPIC": ["DESCRIBE", "READ", "DESCRIBE_CONFIGS", "DELETE"], "GROUP": ["DESCRIBE"]}.items():
            for word in words:
                broker.allow("lifeboat", word, kind)
        own = component(broker.address("SASL_PLAINTEXT"), topic,
                        kafka={"security": "sasl_plaintext", "user": "lifeboat", "password": SECRET, "mechanism": "plain"})
        on = agent(configs.config(tmp_path, own))
        backup(on)
        before = lost(broker, topic)
        for kind, word in (("TOPIC", "CREATE"), ("TOPIC", "WRITE"), ("TOPIC", "ALTER_CONFIGS"), ("", "")):
            result = on.run("restore", "--json", "--yes", NAME, expect=None)
            if result.status == 3:
                break
            assert scenes.kind_of(result) == "denied", (word, str(result))
            assert topic not in broker.topics()
            broker.allow("lifeboat", word, kind)
        found = result.json[-1]["findings"]
        assert placed(broker.read(topic)) == placed(before)
        # Without the right to read as the group, that is left.
        assert found["groups"] == [] and "authorization" in found["groups_left"][topic].lower()
        assert topic in found["hint"]
        broker.allow("lifeboat", "READ", "GROUP")
        broker.delete(topic)
        assert restore(on)["groups"] == [topic]


def test_a_drill(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=2)
    broker.fill(topic, 2000, size=100)
    broker.group_commit(topic, {topic: {0: 1}})
    on = boat(broker.bootstrap, topic)
    result = backup(on)
    before = broker.topics(), broker.offsets(topic)
    found = on.run("drill", "--json").json[-1]["findings"]
    assert found["topics"][topic]["to"].startswith(f"lifeboat-drill-{NAME}-") and found["records"] == 2000
    assert (broker.topics(), broker.offsets(topic)) == before and "groups" not in found
    assert [(one["by"], one["backup"]) for one in configs.records(tmp_path)] == [("drill", result["backup"])]
    assert manifest(tmp_path, result)["id"] == result["backup"] and not note(tmp_path).exists()


def test_a_drill_that_is_killed(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = broker.topics()
    with begun(on, broker, "drill", "--json") as running:
        running.kill_ours()
        running.wait(30)
    assert set(broker.topics()) > set(before)
    on.run("prune")
    assert broker.topics() == before and not note(tmp_path).exists()


def test_many_partitions(boat, broker, topic):
    broker.create(topic, partitions=500)
    broker.fill(topic, 5000, size=50)
    before = broker.digest(topic)
    on = boat(broker.bootstrap, topic, kafka={"timeout": "30s"})
    backup(on)
    broker.delete(topic)
    restore(on)
    assert broker.digest(topic) == before
    broker.delete(topic)
