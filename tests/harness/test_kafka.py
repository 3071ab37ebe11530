# SPDX-License-Identifier: Apache-2.0
"""The Kafka starter and its client themselves."""
import hashlib
import signal
import struct

import pytest

from . import process
from .certificates import Authority
from .kafka import VERSIONS, Cluster, Kafka, KafkaError, Record

DAY_MS = 86_400_000
MARCH_MS = 1_709_251_200_000


@pytest.fixture(name="broker", scope="module", params=VERSIONS)
def _broker(request):
    with Kafka(request.param) as broker:
        yield broker


def canonical(records):
    """The digest of the driver, computed anew."""
    def field(value):
        return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value

    total = hashlib.sha256()
    for one in records:
        total.update(struct.pack(">q", one.timestamp) + field(one.key) + field(one.value))
        total.update(struct.pack(">i", len(one.headers)))
        for name, value in one.headers:
            total.update(field(name.encode()) + field(value))
    return total.hexdigest()


@pytest.mark.parametrize("codec", ("none", "gzip", "snappy", "lz4", "zstd"))
def test_records_come_back_as_they_were(broker, codec):
    topic = f"round-{codec}"
    broker.create(topic, partitions=2)
    sent = [Record(b"v", b"k", (("a", b"1"), ("b", None), ("a", b""), ("a", b"1")), MARCH_MS),
            Record(None, b"tombstone", (), MARCH_MS - 30 * DAY_MS), Record(b"", b"", (), MARCH_MS + 30 * DAY_MS),
            Record(b"\x00\xff\n", None, (("ü", b"\x00"),), MARCH_MS), Record(b"x" * 1_000_000, timestamp=MARCH_MS)]
    sent += [Record(b"other", timestamp=1, partition=1)]
    assert broker.produce(topic, sent, compression=codec) == [0, 1, 2, 3, 4, 0]
    read = broker.read(topic, None)
    assert read == sent and [one.offset for one in read] == [0, 1, 2, 3, 4, 0]
    assert {one.timestamp_type for one in read} == {"CreateTime"}
    assert broker.read(topic, start=1, to=3) == sent[1:3]
    assert broker.digest(topic)[0]["sha256"] == canonical(sent[:5])
    batches = [batch for path in broker.segments(topic) for batch in broker.dump(path)]
    assert all(batch.valid and batch.codec == codec and batch.magic == 2 for batch in batches)
    dumped = [one for batch in batches for one in batch.records]
    assert [(one.key, one.value, one.timestamp) for one in dumped] == [(r.key, r.value, r.timestamp) for r in sent[:5]]
    assert dumped[0].header_names == "a,b,a,a"


def test_topics_are_made_changed_and_deleted(broker):
    first = broker.create("made", configs={"retention.ms": 1000, "message.timestamp.type": "LogAppendTime"})
    broker.add_partitions("made", 3)
    broker.set_config("made", retention_ms=None, max_message_bytes=2000)
    found = broker.describe("made")
    assert found["configs"] == {"max.message.bytes": "2000", "message.timestamp.type": "LogAppendTime"}
    assert found["id"] == first and [one["leader"] for one in found["partitions"]] == [1, 1, 1]
    broker.produce("made", [Record(b"a", timestamp=5), Record(b"b", partition=2)], alone=True)
    assert [(one.timestamp_type, one.timestamp > MARCH_MS) for one in broker.read("made")] == [("LogAppendTime", True)]
    broker.delete("made")
    assert broker.create("made") != first and broker.offsets("made") == [(0, 0, 0)]
    with pytest.raises(KafkaError, match="TopicExistsException"):
        broker.create("made")


def test_an_aborted_transaction_whose_marker_lies_above_the_stable_offset(broker):
    broker.create("tx")
    broker.begin("b", compression="lz4")
    assert broker.produce("tx", [Record(b"b%d" % i) for i in range(3)], transaction="b") == [0, 1, 2]
    broker.begin("a")
    assert broker.produce("tx", [Record(b"a")], transaction="a") == [3]
    assert broker.produce("tx", [Record(b"plain")]) == [4]
    broker.end("b", commit=False)
    assert broker.offsets("tx") == [(0, 3, 6)]
    assert broker.read("tx") == [] and len(broker.read("tx", committed=False)) == 5
    marker = broker.dump(broker.segments("tx")[0])[-1]
    assert (marker.base_offset, marker.control, marker.records[0].marker) == (5, True, "ABORT")
    assert sorted(one["open_at"] for one in broker.producers("tx") if one["open_at"] is not None) == [3]
    assert broker.abort_hanging("tx") == 1
    process.wait_until(lambda: broker.offsets("tx")[0][1] == 7, 10, "nothing is open")
    assert [one.value for one in broker.read("tx")] == [b"plain"]
    broker.begin("b")
    broker.produce("tx", [Record(b"kept")], transaction="b")
    broker.end("b")
    assert [one.value for one in broker.read("tx")] == [b"plain", b"kept"]


def test_compaction_leaves_gaps_and_a_tail_without_records(broker):
    broker.create("compact", configs={"cleanup.policy": "compact", "segment.ms": DAY_MS,
                                      "min.cleanable.dirty.ratio": 0.01})
    # Old timestamps: the marker, which has the time of now, rolls the segment, and what is before it can be cleaned.
    broker.produce("compact", [Record(b"%d" % i, b"key-%d" % (i % 4 if i > 9 else 9), timestamp=MARCH_MS)
                               for i in range(20)], alone=True)
    broker.begin("compact")
    broker.produce("compact", [Record(b"gone", b"key-1", timestamp=MARCH_MS)] * 5, transaction="compact", alone=True)
    broker.end("compact", commit=False)
    process.wait_until(lambda: len(broker.read("compact", committed=False)) == 5, 30, "cleaned")
    assert [one.offset for one in broker.read("compact")] == [9, 16, 17, 18, 19]
    assert broker.offsets("compact") == [(0, 26, 26)] and broker.read("compact", start=20) == []
    left = [batch for path in broker.segments("compact") for batch in broker.dump(path)]
    assert [(one.base_offset, one.last_offset, one.count) for one in left[-2:]] == [(24, 24, 0), (25, 25, 1)]
    assert left[-1].control and all(batch.valid for batch in left)


def test_a_deleted_beginning_in_the_middle_of_a_batch(broker):
    broker.create("cut")
    broker.produce("cut", [Record(b"%d" % i) for i in range(10)])
    broker.delete_records("cut", 0, 4)
    assert broker.offsets("cut") == [(4, 10, 10)] and broker.read("cut")[0].offset == 4


def test_groups_read_half_stay_and_are_set(broker):
    broker.create("read", partitions=2)
    broker.produce("read", [Record(b"%d" % i, partition=i % 2) for i in range(20)])
    first = broker.group_read("half", ["read"], 7)
    assert sum(broker.group_offsets("half")["read"].values()) == 7 == len(first)
    rest = broker.group_read("half", ["read"], 13)
    assert sorted(int(one.value) for one in first + rest) == list(range(20))
    with broker.member("half", ["read"]):
        assert broker.group("half") == {"state": "Stable", "members": 1}
        with pytest.raises(KafkaError):
            broker.group_commit("half", {"read": {0: 1}})
    process.wait_until(lambda: broker.group("half")["state"] == "Empty", 10, "the member has left")
    broker.group_commit("half", {"read": {0: 3}})
    assert broker.group_offsets("half") == {"read": {0: 3, 1: 10}} and "half" in broker.groups()
    broker.group_delete("half")
    assert "half" not in broker.groups()


def test_filling_until_the_end_of_a_body_and_by_number(broker):
    broker.create("fill", partitions=2)
    with broker.filling("fill", rate=2000, size=50, keys=3) as filled:
        process.wait_until(lambda: broker.offsets("fill")[1][2] > 20, 20, "records arrive")
    assert sum(end for _, _, end in broker.offsets("fill")) == filled["records"]
    made = broker.fill("fill", 1000, partitions=2, compressible=False, compression="zstd", seed=3, timestamp=MARCH_MS)
    assert made["records"] == 1000
    found = broker.digest("fill", offsets=True)
    assert found[0]["records"] + found[1]["records"] == filled["records"] + 1000
    again = broker.digest("fill", 1, offsets=True)
    assert again == {1: found[1]} and again != broker.digest("fill", 1)


def test_a_broker_goes_on_after_a_crash():
    with Kafka() as broker:
        broker.create("t")
        broker.produce("t", [Record(b"before")])
        identity = broker.cluster()["id"]
        broker.stop(signal.SIGKILL)
        broker.start()
        broker.produce("t", [Record(b"after")])
        assert [one.value for one in broker.read("t")] == [b"before", b"after"]
        assert broker.cluster()["id"] == identity
        folder, port, pid = broker.folder, broker.ports["PLAINTEXT"], broker.pid
    assert not folder.exists() and not process.accepts(port) and not process.alive(pid)


@pytest.mark.parametrize("version", VERSIONS)
def test_listeners_with_passwords_certificates_and_rights(version, tmp_path):
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "stranger")
    users = {"alice": "wonder-land", "bob": "builder"}
    with Kafka(version, tls=authority, client_certificates=True, users=users, rights=True) as broker:
        broker.create("t")
        broker.produce("t", [Record(b"v")])
        broker.allow("alice", "READ", "TOPIC", "t")
        broker.allow("CN=agent", "READ", "TOPIC", "t")
        agent = authority.issue("agent")
        assert broker.client("SSL", certificate=agent).read("t")[0].value == b"v"
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            for listener, certificate in (("SASL_PLAINTEXT", None), ("SASL_SSL", agent)):
                alice = broker.client(listener, user="alice", mechanism=mechanism, certificate=certificate)
                assert alice.read("t")[0].value == b"v"
        for refused, why in ((broker.client("SSL"), "Ssl"),
                             (broker.client("SSL", certificate=agent, authority=stranger), "Ssl"),
                             (broker.client("SASL_PLAINTEXT", user="alice", password="x"), "SaslAuthentication"),
                             (broker.client("SASL_PLAINTEXT", user="bob"), "TopicAuthorization")):
            with pytest.raises(KafkaError, match=why):
                refused.read("t", deadline_s=20)
        assert ["User:alice", "READ", "ALLOW", "TOPIC", "t", "LITERAL", "*"] in broker.rights()


def test_a_cluster_survives_a_killed_broker_and_moves_a_lead():
    with Cluster() as cluster:
        cluster.create("t", configs={"min.insync.replicas": 2}, assignment=[[1, 2, 3]])
        cluster.await_in_sync("t")
        with cluster.filling("t", rate=500) as filled:
            process.wait_until(lambda: cluster.offsets("t")[0][2] > 100, 20, "records arrive")
            cluster.node(1).stop(signal.SIGKILL)
            process.wait_until(lambda: cluster.leader("t") in (2, 3), 30, "another leads")
            moved = cluster.offsets("t")[0][2]
            process.wait_until(lambda: cluster.offsets("t")[0][2] > moved, 30, "writing goes on")
        assert cluster.digest("t")[0]["records"] == filled["records"]
        cluster.node(1).start()
        cluster.await_nodes(3)
        cluster.await_in_sync("t")
        cluster.move("t", 0, [3, 1, 2])
        assert cluster.leader("t") == 3
