# SPDX-License-Identifier: Apache-2.0
"""Promise 3 with Kafka: at most 64 MiB, summed over our own processes (PSS), however much there is, however large one batch
is, and however many partitions. Programs as they are shipped, for the sanitizers' shadow memory would be all that is measured.
"""
import os

import pytest

import configs
from harness.kafka import Kafka, Record
from harness.lifeboat import Lifeboat
from harness.release import release_programs

MIB = 1 << 20
LIMIT_BYTES = 64 * MIB
NAME = "streams"


@pytest.fixture(scope="module", autouse=True)
def _release_build():
    with release_programs("lifeboat-agent", "lifeboat-job"):
        yield


def fill_many(broker):
    broker.create("many", partitions=3)
    broker.fill("many", 1_500_000, size=200, config={"batch.size": "65536", "linger.ms": "5"})
    return 1_500_000


def fill_packed(broker):
    broker.create("packed", partitions=3)
    broker.fill("packed", 1_500_000, size=200, compression="lz4", config={"batch.size": "65536", "linger.ms": "5"})
    return 1_500_000


def fill_large(broker):
    """Batches of 10 MB, as large as this broker takes any."""
    size = 10_000_000
    broker.create("large", configs={"max.message.bytes": 10 << 20})
    for _ in range(10):
        broker.produce("large", [Record(os.urandom(size))],
                       config={"max.request.size": str(11 << 20), "buffer.memory": str(64 << 20)})
    return 10


def fill_wide(broker):
    broker.create("wide", partitions=200)
    broker.fill("wide", 20_000, size=100)
    return 20_000


DATA = {"many": fill_many, "packed": fill_packed, "large": fill_large, "wide": fill_wide}


@pytest.fixture(scope="module", name="broker")
def _broker():
    with Kafka("4.3") as broker:
        yield broker


@pytest.mark.parametrize("data", DATA)
def test_memory(broker, s3, tmp_path, request, data):
    records = DATA[data](broker)
    component = {"name": NAME, "system": "kafka", "kafka": {"bootstrap": broker.bootstrap, "topics": [data]},
                 "stores": ["disk"], "retention": "forever"}
    boat = Lifeboat(tmp_path / "agent", configs.config(tmp_path, component, stores=[configs.s3_store(s3)]))
    for command in ("backup", "verify", "restore", "drill"):
        words = {"backup": ["backup", "--full"], "restore": ["restore", "--yes", "--to-topic", "again-*"]}.get(command, [command])
        with boat.start(*words, NAME, "--json") as running, running.memory(step_s=0.005) as memory:
            result = running.wait(600)
        assert result.status == 0, str(result)
        assert memory.samples > 4
        request.config.pluginmanager.getplugin("terminalreporter").write_line(
            f"\n{command} of {data}: {memory.peak_bytes / MIB:.1f} MiB at most")
        assert memory.peak_bytes <= LIMIT_BYTES, f"{command}: {memory.peak_bytes / MIB:.1f} MiB"
        if command == "verify":
            assert result.json[-1]["findings"]["records"] == records
    broker.delete(data)
    broker.delete(f"again-{data}")
    s3.client.empty()
