# SPDX-License-Identifier: Apache-2.0
"""The measuring behind kafka.sh."""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

from measure import Measured, Scene, table
from harness import process
from harness.kafka import Kafka
from harness.kafkaclient import home
from harness.s3 import VersityGw

TOPIC, WRITTEN, RESTORED, PARTITIONS, SIZE = "orders", "written", "again-orders", 3, 200
JVM = ["-XX:TieredStopAtLevel=4", "-Xmx1g"]
# As kafka-producer-perf-test.sh starts it.
TOOL_JVM = ["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent"]
# The tool takes records from a file, which it holds in memory, in any order: so many are enough.
SAMPLE = 10_000
LETTERS = ["--record-size", str(SIZE)]


def counting(folder: pathlib.Path) -> pathlib.Path:
    """The program that counts, as a person would build it."""
    program = folder / "kafka_count"
    source = pathlib.Path(__file__).with_name("kafka_count.c")
    subprocess.run(["cc", "-O2", "-std=gnu11", "-o", program, source, "-lrdkafka"], check=True)
    return program


def middle(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other))


class Tool:
    """Kafka's producer-performance tool, acks=all and idempotent as is its default, with properties of a producer."""

    def __init__(self, broker: Kafka, folder: pathlib.Path, records: int, payload: list[str], properties: list[str]):
        self.broker, self.folder, self.records = broker, folder, records
        self.argv = [f"{home(broker.version)}/kafka-java", *TOOL_JVM, "org.apache.kafka.tools.ProducerPerformance",
                     "--bootstrap-server", broker.bootstrap, "--num-records", str(records), "--throughput", "-1",
                     *payload, "--command-property", "acks=all", *properties, "--topic"]

    def write(self, topic: str) -> float:
        """The seconds by what it prints itself: without start and end of its JVM."""
        said = subprocess.run([*self.argv, topic], cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True).stdout
        whole = re.findall(rf"^{self.records} records sent, ([0-9.]+) records/sec", said, re.MULTILINE)
        if len(whole) != 1:
            raise RuntimeError(f"the tool did not write {self.records} records: {said}")
        return self.records / float(whole[0])

    def peak_bytes(self, topic: str) -> int:
        tool = process.spawn([*self.argv, topic], cwd=self.folder, stdout=subprocess.DEVNULL)
        with process.MemorySampler(tool.pid, "java") as memory:
            if tool.wait() != 0:
                raise RuntimeError("the tool failed")
        return memory.peak_bytes


class Bench(Scene):
    """One broker with the topic, one S3 server, and the ways from the one to the other and back."""

    def __init__(self, broker: Kafka, s3: VersityGw, folder: pathlib.Path, records: int):
        super().__init__(s3, folder, "kafka", {"bootstrap": broker.bootstrap, "topics": [TOPIC]}, {}, pathlib.Path("/usr/bin"))
        self.broker, self.records, self.program = broker, records, counting(folder)

    # --- backup ---

    def ways(self):
        target, from_ = f"s3://{self.s3.bucket}/topic", self.broker.bootstrap
        console = (f"{home(self.broker.version)}/kafka-java org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server {from_} "
                   f"--topic {TOPIC} --from-beginning --max-messages {self.records} 2>/dev/null")
        return {
            "counting through librdkafka, one handle (the limit)":
                lambda: self.shell(f"{self.program} {from_} {TOPIC} {PARTITIONS} >/dev/null"),
            "`kcat \\| zstd -3 \\| aws s3 cp`":
                lambda: self.shell(f"kcat -b {from_} -C -t {TOPIC} -o beginning -e -q | zstd -3 | aws s3 cp - {target} --quiet"),
            "console consumer `\\| gzip \\| aws s3 cp`":
                lambda: self.shell(f"{console} | gzip | aws s3 cp - {target} --quiet"),
            "`lifeboat-agent backup` to S3": lambda: self.boat.run("backup", "--full", timeout_s=3600),
        }

    def show_backups(self, repeat: int) -> None:
        limit, kcat, console, ours = measured = self.backups(self.ways(), repeat)
        table(measured, True)
        print(f"\nlifeboat, median of the rounds: {middle(ours.wall_s, limit.wall_s):.2f} of the limit's time; "
              f"{middle(ours.wall_s, kcat.wall_s):.2f} of kcat's time and {middle(ours.cpu_s, kcat.cpu_s):.2f} of its CPU; "
              f"{middle(ours.wall_s, console.wall_s):.2f} and {middle(ours.cpu_s, console.cpu_s):.2f} of the console consumer's.\n")

    # --- restore ---

    def payload(self) -> list[str]:
        """The records of the topic, for the tool."""
        path = self.folder / "records"
        found = self.broker.read(TOPIC, 0, to=min(SAMPLE, self.broker.offsets(TOPIC)[0][2]))
        path.write_bytes(b"\n".join(one.value for one in found))
        return ["--payload-file", str(path)]

    def write(self, tool: Tool, whole: Measured, printed: Measured) -> None:
        self.broker.create(WRITTEN, partitions=PARTITIONS)
        os.sync()  # what the way before left to be written is not this one's
        whole.run(lambda: printed.wall_s.append(tool.write(WRITTEN)))
        self.broker.delete(WRITTEN)

    def restore(self, whole: Measured, printed: Measured, moved: Measured) -> dict[str, int]:
        """The transfer as lifeboat tells it."""
        results = []
        os.sync()
        whole.run(lambda: results.append(self.boat.run("restore", "--json", "--yes", "--to-topic", "again-*", "bench",
                                                       timeout_s=3600)))
        self.broker.delete(RESTORED)
        told = results[0].json[-1]
        findings = told["findings"]
        if findings["records"] != self.records:
            raise RuntimeError(f"{findings['records']} records were restored")
        printed.wall_s.append(told["duration_ms"] / 1000)
        moved.wall_s.append(findings["transfer"]["total_ms"] / 1000)
        return findings["transfer"]

    def peaks(self, tools: dict[Tool, Measured], ours: Measured) -> None:
        """In runs of their own: looking at memory takes time."""
        for tool, whole in tools.items():
            self.broker.create(WRITTEN, partitions=PARTITIONS)
            whole.peak_bytes = tool.peak_bytes(WRITTEN)
            self.broker.delete(WRITTEN)
        with self.boat.start("restore", "--yes", "--to-topic", "again-*", "bench") as running, running.memory() as memory:
            if running.wait(3600).status != 0:
                raise RuntimeError("the restore failed")
        self.broker.delete(RESTORED)
        ours.peak_bytes = memory.peak_bytes

    def show_restores(self, repeat: int, compression: str, payload: list[str]) -> None:
        def tool(*properties: str) -> Tool:
            return Tool(self.broker, self.folder, self.records, payload, list(properties))

        self.boat.run("backup", "--full", timeout_s=3600)
        default, best = tool(f"compression.type={compression}"), tool("compression.type=lz4", "batch.size=65536")
        whole = Measured("producer-performance"), Measured("producer-performance, lz4, batches of 64 KiB")
        inside = [Measured("of that, as it prints: without its JVM's start and end") for _ in whole]
        ours = restore, _, transfer = (Measured("`lifeboat-agent restore` from S3"), Measured("of that, as it prints: the total"),
                                       Measured("of that, the transfer: without making topics, reading back and comparing"))
        for _ in range(repeat):
            self.write(default, whole[0], inside[0])
            self.write(best, whole[1], inside[1])
            told = self.restore(*ours)
        self.peaks({default: whole[0], best: whole[1]}, restore)
        self.stored()
        table([whole[0], inside[0], whole[1], inside[1], *ours], False, True)
        print()
        for name, one, part in zip(("the tool", "the tool with lz4 and 64 KiB"), whole, inside):
            print(f"lifeboat against {name}, median of the rounds: {middle(restore.wall_s, one.wall_s):.2f} of its time, "
                  f"{middle(restore.cpu_s, one.cpu_s):.2f} of its CPU, {middle(restore.wall_s, part.wall_s):.2f} of the time that "
                  f"it prints; the transfer alone {middle(transfer.wall_s, part.wall_s):.2f} of that.")
        print(f"The last transfer: {told['database_ms']} ms of Kafka, {told['store_ms']} of the store, {told['lifeboat_ms']} of lifeboat.\n")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=4_000_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--only", choices=("backup", "restore"))
    chosen = options.parse_args()
    with Kafka("4.3", jvm=JVM) as broker:
        # The tool's own records, random letters, compress little: they are for restores alone.
        for compression, text in (("none", True), ("lz4", True), ("none", False)):
            if not text and chosen.only == "backup":
                continue
            with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as folder, VersityGw() as s3:
                bench = Bench(broker, s3, pathlib.Path(folder), chosen.records)
                broker.create(TOPIC, partitions=PARTITIONS)
                if text:
                    broker.fill(TOPIC, chosen.records, size=SIZE, compression=compression,
                                config={"batch.size": "65536", "linger.ms": "5"})
                else:
                    Tool(broker, bench.folder, chosen.records, LETTERS, []).write(TOPIC)
                print(f"\n{chosen.records:,} records of {SIZE} bytes ({'they compress well' if text else 'random letters'}) in "
                      f"{PARTITIONS} partitions, {compression}, least of {chosen.repeat}\n")
                if text and chosen.only != "restore":
                    bench.show_backups(chosen.repeat)
                if chosen.only != "backup":
                    bench.show_restores(chosen.repeat, compression, bench.payload() if text else LETTERS)
                broker.delete(TOPIC)


main()
