# SPDX-License-Identifier: Apache-2.0
"""What the tests of Kafka share: a component, its backups and their manifests, and records that are hard to keep."""
from __future__ import annotations

import configs
from harness.kafka import Record

NAME = "streams"


def component(bootstrap, *topics, **more):
    """A component; kafka={...} adds to its section, other keys stand beside it."""
    section = {"bootstrap": bootstrap, "topics": list(topics) or ["re:.*"], "timeout": "10s", **more.pop("kafka", {})}
    return {"name": NAME, "system": "kafka", "kafka": section, "stores": ["disk"], "retention": "forever",
            "attempts": 1, **more}


def backup(boat, *args):
    return boat.run("backup", "--json", *args).json[-1]


def manifest(tmp_path, result):
    return configs.manifests(tmp_path, NAME)[result["backup"]]


def partition(tmp_path, result, topic, number=0):
    return manifest(tmp_path, result)["facts"]["topics"][topic]["partitions"][number]


def seen(broker, topic, number=0, to=None):
    return [(one.offset, one.timestamp, one.key, one.value) for one in broker.read(topic, number, to=to)]


STRANGE = [Record(b"v", b"k", (("h", b"1"), ("h", b"2"), ("h", None), ("", b""))), Record(None, b"tombstone"),
           Record(b"", b""), Record(b"no key", None), Record(None, None, (("only", None),)),
           Record(bytes(range(256)), b"\x00\xff"), Record(b"x" * 1_000_000, b"large"),
           Record(b"long ago", b"t", timestamp=1), Record(b"a month later", b"t", timestamp=30 * 86_400_000),
           Record(b"far ahead", b"t", timestamp=4_102_444_800_000)]
