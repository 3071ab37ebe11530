# SPDX-License-Identifier: Apache-2.0
"""Restores of Kafka over topics that are there: --replace, which deletes nothing before its replacement is proven, and
--append, which doubles nothing however often it is stopped.
"""
from __future__ import annotations

import signal

import configs
import pytest
from harness import scene as scenes
from harness.kafka import Record
from streams import NAME, STRANGE, any_time, backup, begun, note, placed, restore, whole
from streams import _boat, _broker, _topic  # noqa: F401, fixtures


def of_lifeboat(broker):
    return [name for name in broker.topics() if name.startswith("lifeboat-")]


def damage(tmp_path, result):
    path = next(configs.data(tmp_path, result["backup"]).glob("*/0/*.log"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


# --- --replace ---

def test_replace(boat, broker, topic, tmp_path):
    configured = {**any_time(broker), "retention.ms": str(2 ** 62)}
    broker.create(topic, partitions=2, configs=configured)
    broker.begin(topic)
    broker.produce(topic, [Record(b"aborted")], transaction=topic)
    broker.end(topic, commit=False)
    broker.produce(topic, STRANGE)
    broker.produce(topic, [Record(b"%d" % i, partition=1) for i in range(20)])
    broker.group_commit(topic, {topic: {0: 4, 1: 7}})
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = {number: broker.read(topic, number) for number in (0, 1)}
    broker.delete(topic)
    broker.create(topic, partitions=3, configs={"cleanup.policy": "compact"})
    broker.produce(topic, [Record(b"wrong", b"k")] * 5)
    broker.create(topic + "-other")
    result = on.run("restore", "--json", "--yes", NAME, "--replace")
    assert "deletes 1 topics (5 offsets)" in result.stderr
    found = result.json[-1]["findings"]
    assert {number: whole(broker.read(topic, number)) for number in (0, 1)} == {n: whole(r) for n, r in before.items()}
    assert len(broker.describe(topic)["partitions"]) == 2
    assert broker.describe(topic)["configs"] == configured
    at = found["topics"][topic]
    assert at["to"] == topic and at["partitions"][0]["offsets"] == [[before[0][0].offset, 0, len(STRANGE)]]
    assert at["partitions"][0]["sha256"] == broker.digest(topic)[0]["sha256"]
    assert broker.group_offsets(topic) == {topic: {0: 4 - before[0][0].offset, 1: 7}}
    assert of_lifeboat(broker) == [] and not note(tmp_path).exists()


def test_one_of_a_chain_and_another_name(boat, broker, topic):
    broker.create(topic)
    broker.produce(topic, [Record(b"full")])
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.produce(topic, [Record(b"new")])
    backup(on)
    broker.create(topic + "-copy", partitions=4)
    restore(on, "--replace", "--to-topic", topic + "-copy")
    assert [one.value for one in broker.read(topic + "-copy")] == [b"full", b"new"]
    assert [one.value for one in broker.read(topic)] == [b"full", b"new"]


def test_replace_begins_with_the_proof(boat, broker, topic, tmp_path):
    broker.create(topic)
    broker.fill(topic, 20_000, size=200, compressible=False)
    on = boat(broker.bootstrap, topic, compress="none")
    damage(tmp_path, backup(on))
    broker.produce(topic, [Record(b"newer")])
    there = broker.describe(topic), broker.digest(topic)
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--replace", expect=1),
                     "checksum|sha-?256|other bytes|digest")
    assert (broker.describe(topic), broker.digest(topic)) == there
    assert of_lifeboat(broker) == [] and not note(tmp_path).exists()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_replace_stopped(boat, broker, topic, tmp_path, when, how):
    """Before the old topic is deleted all is as it was; from then on the new records stand in the scratch topic."""
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    saved = broker.digest(topic)
    broker.produce(topic, [Record(b"newer")])
    old = broker.describe(topic)

    def is_copy(name):
        return name == topic and broker.describe(name)["id"] != old["id"]

    with begun(on, broker, "restore", "--json", "--yes", NAME, "--replace",
               into=is_copy if when == "after" else lambda name: name.startswith("lifeboat-replace")) as running:
        if how == signal.SIGKILL:
            running.kill_ours()
        else:
            running.signal(how)
        running.wait(30)
    pruned = on.run("prune")
    if when == "before":
        assert broker.describe(topic) == old and broker.offsets(topic)[0][2] == 300_001
        assert of_lifeboat(broker) == [] and not note(tmp_path).exists()
        restore(on, "--replace")
    else:
        assert topic not in broker.topics()
        scratch, = of_lifeboat(broker)
        assert broker.digest(scratch)[0]["sha256"] == saved[0]["sha256"]
        assert "was being replaced" in pruned.stderr and scratch in pruned.stderr
        restore(on)
    assert broker.digest(topic) == saved
    assert of_lifeboat(broker) == [] and not note(tmp_path).exists()


# --- --append ---

def test_append(boat, broker, topic, tmp_path):
    broker.create(topic, partitions=2, configs={"retention.ms": str(2 ** 62)})
    broker.produce(topic, [Record(b"%d" % i, timestamp=5) for i in range(5)])
    broker.produce(topic, [Record(b"other", partition=1)])
    broker.group_commit(topic, {topic: {0: 2}})
    on = boat(broker.bootstrap, topic)
    backup(on)
    broker.delete(topic)
    broker.create(topic, partitions=2, configs={"retention.ms": str(2 ** 61), "message.timestamp.type": "LogAppendTime"})
    broker.produce(topic, [Record(b"there")] * 3)
    there = placed(broker.read(topic))
    found = restore(on, "--append")
    assert placed(broker.read(topic))[:3] == there
    assert whole(broker.read(topic)[3:]) == [(5, None, b"%d" % i, ()) for i in range(5)]
    assert [one.value for one in broker.read(topic, 1)] == [b"other"]
    at = found["topics"][topic]["partitions"]
    assert (at[0]["start"], at[0]["offsets"], at[1]["offsets"]) == (3, [[0, 3, 5]], [[0, 0, 1]])
    assert broker.describe(topic)["configs"] == {"retention.ms": str(2 ** 61), "message.timestamp.type": "LogAppendTime"}
    assert found["groups"] == [] and broker.group_offsets(topic) == {}
    assert not note(tmp_path).exists()


def test_append_to_what_is_not_there(boat, broker, topic):
    broker.create(topic, configs=any_time(broker))
    broker.produce(topic, STRANGE)
    on = boat(broker.bootstrap, topic)
    backup(on)
    before = broker.read(topic)
    broker.delete(topic)
    restore(on, "--append")
    assert placed(broker.read(topic)) == placed(before)
    broker.delete(topic)
    broker.create(topic, partitions=2)
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--append", expect=1), "exists with 2 partitions")


def test_append_goes_on(boat, broker, topic, tmp_path):
    """Killed in its middle and run again it writes the rest; another backup may not, and nothing is doubled."""
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    saved = broker.digest(topic)
    on = boat(broker.bootstrap, topic)
    first = backup(on)
    configured = broker.describe(topic)["configs"]
    with begun(on, broker, "restore", "--json", "--yes", NAME, "--append",
               into=lambda name: name == topic and broker.offsets(name)[0][2] > 300_000) as running:
        running.kill_ours()
        running.wait(30)
    high = broker.offsets(topic)[0][2]
    assert 300_000 < high <= 600_000
    on.run("prune")
    assert broker.describe(topic)["configs"] == configured and broker.offsets(topic)[0][2] >= high
    backup(on)
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--append", expect=1), "was begun to be appended")
    found = restore(on, "--append", target=f"{NAME}@{first['backup']}")
    at = found["topics"][topic]["partitions"][0]
    assert (at["start"], at["records"], at["sha256"]) == (300_000, 300_000, saved[0]["sha256"])
    assert broker.offsets(topic)[0][2] == 600_000 and broker.describe(topic)["configs"] == configured
    assert not note(tmp_path).exists()


def test_append_beside_a_producer(boat, broker, topic, tmp_path):
    """It cannot be proven then: it fails, says so, and leaves nothing that could be gone on from."""
    broker.create(topic)
    broker.fill(topic, 300_000, size=300, compressible=False)
    on = boat(broker.bootstrap, topic)
    backup(on)
    with begun(on, broker, "restore", "--json", "--yes", NAME, "--append",
               into=lambda name: name == topic and broker.offsets(name)[0][2] > 300_000) as running:
        broker.produce(topic, [Record(b"mine")])
        result = running.wait(60)
    assert result.status == 1 and scenes.kind_of(result) == "mismatch", str(result)
    assert "from_offsets=[300000]" in result.stderr
    assert broker.describe(topic)["configs"] == {} and broker.offsets(topic)[0][2] > 300_000
    assert not note(tmp_path).exists()


def test_one_or_the_other(boat, broker, topic):
    broker.create(topic)
    on = boat(broker.bootstrap, topic)
    scenes.says_once(on.run("restore", "--json", "--yes", NAME, "--append", "--replace", expect=2), "give one of them")
