# SPDX-License-Identifier: Apache-2.0
"""What the tests of Kafka share: fixtures, a component, its backups and their manifests, and records that are hard to keep."""
from __future__ import annotations

import configs
import pytest
from harness.kafka import VERSIONS, Kafka, KafkaError, Record
from harness.process import wait_until

NAME = "streams"


def component(bootstrap, *topics, **more):
    """A component; kafka={...} adds to its section, other keys stand beside it."""
    section = {"bootstrap": bootstrap, "topics": list(topics) or ["re:.*"], "timeout": "10s", **more.pop("kafka", {})}
    return {"name": NAME, "system": "kafka", "kafka": section, "stores": ["disk"], "retention": "forever",
            "attempts": 1, **more}


@pytest.fixture(name="boat")
def _boat(agent, tmp_path):
    """make(bootstrap, topic, ..., kafka={...}): lifeboat with one component of this cluster."""
    return lambda bootstrap, *topics, **more: agent(configs.config(tmp_path, component(bootstrap, *topics, **more)))


@pytest.fixture(name="broker", scope="module", params=VERSIONS)
def _broker(request):
    """Each version in turn, shared by the file: each test has topics of its own."""
    with Kafka(request.param) as broker:
        yield broker


@pytest.fixture(name="topic")
def _topic(request):
    """A name of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:80]


def backup(boat, *args):
    return boat.run("backup", "--json", *args).json[-1]


def manifest(tmp_path, result):
    return configs.manifests(tmp_path, NAME)[result["backup"]]


def partition(tmp_path, result, topic, number=0):
    return manifest(tmp_path, result)["facts"]["topics"][topic]["partitions"][number]


def any_time(broker):
    """The setting that lets the times of STRANGE in; Kafka 3.5 knows no such bound."""
    return {} if broker.version == "3.5" else {"message.timestamp.after.max.ms": str(2 ** 62)}


def seen(broker, topic, number=0, to=None):
    return [(one.offset, one.timestamp, one.key, one.value) for one in broker.read(topic, number, to=to)]


def restore(boat, *args, target=NAME):
    """What it found; both are the last lines."""
    return boat.run("restore", "--json", "--yes", target, *args).json[-1]["findings"]


def whole(records):
    """All that makes a record, without its offset."""
    return [(one.timestamp, one.key, one.value, one.headers) for one in records]


def placed(records):
    return [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in records]


def note(tmp_path):
    return tmp_path / "state" / "kafka" / f"{NAME}.restoring"


def lost(broker, topic):
    """The disaster: it returns what was there."""
    before = broker.read(topic)
    broker.delete(topic)
    return before


def begun(on, broker, *words, into=None):
    """A restore or drill under way that has made a topic and written to it; into(name): whether that is the topic."""
    before = broker.topics()
    into = into or (lambda name: name not in before and not name.startswith("__"))
    running = on.start(*words)

    def written():
        assert running.running(), running.stderr
        for name in broker.topics():
            try:
                if into(name) and broker.offsets(name)[0][2] > 100:
                    return True
            except KafkaError:
                continue
        return False

    wait_until(written, 60, "records are there", step_s=0.02)
    return running


STRANGE = [Record(b"v", b"k", (("h", b"1"), ("h", b"2"), ("h", None), ("", b""))), Record(None, b"tombstone"),
           Record(b"", b""), Record(b"no key", None), Record(None, None, (("only", None),)),
           Record(bytes(range(256)), b"\x00\xff"), Record(b"x" * 1_000_000, b"large"),
           Record(b"long ago", b"t", timestamp=1), Record(b"a month later", b"t", timestamp=30 * 86_400_000),
           Record(b"far ahead", b"t", timestamp=4_102_444_800_000)]
