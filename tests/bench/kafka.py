# SPDX-License-Identifier: Apache-2.0
"""The measuring behind kafka.sh."""
from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import tempfile

from measure import Scene, table
from harness.kafka import Kafka
from harness.kafkaclient import home
from harness.s3 import VersityGw

TOPIC, PARTITIONS = "orders", 3
JVM = ["-XX:TieredStopAtLevel=4", "-Xmx1g"]


def counting(folder: pathlib.Path) -> pathlib.Path:
    """The program that counts, as a person would build it."""
    program = folder / "kafka_count"
    source = pathlib.Path(__file__).with_name("kafka_count.c")
    subprocess.run(["cc", "-O2", "-std=gnu11", "-o", program, source, "-lrdkafka"], check=True)
    return program


class Bench(Scene):
    """One broker with the topic, one S3 server, and the ways from the one to the other."""

    def __init__(self, broker: Kafka, s3: VersityGw, folder: pathlib.Path):
        super().__init__(s3, folder, "kafka", {"bootstrap": broker.bootstrap, "topics": [TOPIC]}, {}, pathlib.Path("/usr/bin"))
        self.broker, self.program = broker, counting(folder)

    def ways(self, records: int):
        target, from_ = f"s3://{self.s3.bucket}/topic", self.broker.bootstrap
        console = (f"{home(self.broker.version)}/kafka-java org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server {from_} "
                   f"--topic {TOPIC} --from-beginning --max-messages {records} 2>/dev/null")
        return {
            "counting through librdkafka, one handle (the limit)":
                lambda: self.shell(f"{self.program} {from_} {TOPIC} {PARTITIONS} >/dev/null"),
            "`kcat \\| zstd -3 \\| aws s3 cp`":
                lambda: self.shell(f"kcat -b {from_} -C -t {TOPIC} -o beginning -e -q | zstd -3 | aws s3 cp - {target} --quiet"),
            "console consumer `\\| gzip \\| aws s3 cp`":
                lambda: self.shell(f"{console} | gzip | aws s3 cp - {target} --quiet"),
            "`lifeboat-agent backup` to S3": lambda: self.boat.run("backup", "--full", timeout_s=3600),
        }


def measure(broker: Kafka, folder: str, records: int, repeat: int, compression: str) -> None:
    broker.create(TOPIC, partitions=PARTITIONS)
    broker.fill(TOPIC, records, size=200, compression=compression, config={"batch.size": "65536", "linger.ms": "5"})
    with VersityGw() as s3:
        bench = Bench(broker, s3, pathlib.Path(folder))
        limit, kcat, console, ours = measured = bench.backups(bench.ways(records), repeat)
        print(f"\n{records:,} records of 200 bytes (they compress well) in {PARTITIONS} partitions, {compression}, least of {repeat}\n")
        table(measured, True)

        def middle(one, other):
            return statistics.median(a / b for a, b in zip(one, other))
        print(f"\nlifeboat, median of the rounds: {middle(ours.wall_s, limit.wall_s):.2f} of the limit's time; "
              f"{middle(ours.wall_s, kcat.wall_s):.2f} of kcat's time and {middle(ours.cpu_s, kcat.cpu_s):.2f} of its CPU; "
              f"{middle(ours.wall_s, console.wall_s):.2f} and {middle(ours.cpu_s, console.cpu_s):.2f} of the console consumer's.")
    broker.delete(TOPIC)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=5_000_000)
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    with Kafka("4.3", jvm=JVM) as broker:
        for compression in ("none", "lz4"):
            with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as folder:
                measure(broker, folder, chosen.records, chosen.repeat, compression)


main()
