# SPDX-License-Identifier: Apache-2.0
"""A Kafka client for the tests: Kafka's own Java one, in one process of a version that lives as long as the tests.

client.create("t", partitions=2); client.produce("t", [Record(b"value", key=b"key")]); client.read("t", 0)
"""
from __future__ import annotations

import atexit
import base64
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
from typing import Any, Iterable, Iterator, Optional

from . import parts, process

VERSIONS = ("3.5", "3.9", "4.3")
_SOURCES = pathlib.Path(__file__).resolve().parent / "java"
_LOG_TO_STDERR = {
    "log4j.properties": "log4j.rootLogger={level}, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
                        "log4j.appender.out.target=System.err\n"
                        "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
                        "log4j.appender.out.layout.ConversionPattern=%d %p %c %m%n\n",
    "log4j2.properties": "rootLogger.level={level}\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\n"
                         "appender.out.name=out\nappender.out.target=SYSTEM_ERR\n"
                         "appender.out.layout.type=PatternLayout\n"
                         "appender.out.layout.pattern=%d %p %c %m%n\n",
}


def home(version: str) -> pathlib.Path:
    """The folder of that version: lib, kafka-java."""
    return parts.path(f"KAFKA{version.replace('.', '')}_HOME")


def log_options(folder: pathlib.Path, level: str) -> list[str]:
    """Options of a JVM that logs to its standard error; their files are written to the folder."""
    for name, text in _LOG_TO_STDERR.items():
        (folder / name).write_text(text.format(level=level))
    return [f"-Dlog4j.configuration=file:{folder}/log4j.properties",
            f"-Dlog4j2.configurationFile={folder}/log4j2.properties"]


class KafkaError(Exception):
    """What the client reported: the name of its exception and its text."""


@dataclasses.dataclass(frozen=True)
class Record:
    """timestamp in ms, None: now. headers: pairs of a name and bytes or None, names may repeat. What was read has an
    offset and a timestamp_type, CreateTime or LogAppendTime; they do not count in a comparison.
    """
    value: Optional[bytes]
    key: Optional[bytes] = None
    headers: tuple = ()
    timestamp: Optional[int] = None
    partition: int = 0
    offset: int = dataclasses.field(default=-1, compare=False)
    timestamp_type: str = dataclasses.field(default="", compare=False)


def _encode(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else base64.b64encode(value).decode()


def _decode(value: Optional[str]) -> Optional[bytes]:
    return None if value is None else base64.b64decode(value)


def _as_json(record: Record) -> dict[str, Any]:
    return {"partition": record.partition, "timestamp": record.timestamp, "key": _encode(record.key),
            "value": _encode(record.value), "headers": [[name, _encode(value)] for name, value in record.headers]}


def _as_record(found: dict[str, Any]) -> Record:
    return Record(_decode(found["value"]), _decode(found["key"]),
                  tuple((name, _decode(value)) for name, value in found["headers"]), found["timestamp"],
                  found["partition"], found["offset"], found["timestamp_type"])


@functools.lru_cache(maxsize=None)
def _classes(version: str) -> pathlib.Path:
    """The compiled client, kept beside the parts under a name that its content gives."""
    own = _SOURCES / f"decoder{version}"
    sources = sorted([*_SOURCES.glob("*.java"), *(own if own.exists() else _SOURCES / "decoder").glob("*.java")])
    digest = hashlib.sha256(str(home(version)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    folder = pathlib.Path(parts.environment()["LIFEBOAT_PARTS"]) / f"kafkadriver-{version}-{digest.hexdigest()[:16]}"
    if not folder.exists():
        making = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}.making.", dir=folder.parent))
        try:
            _compile(version, sources, making)
            # Another test run may have been quicker: its folder is as good.
            with contextlib.suppress(OSError):
                making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


def _compile(version: str, sources: list[pathlib.Path], folder: pathlib.Path) -> None:
    done = subprocess.run([parts.path("JAVA17_HOME") / "bin" / "javac", "-nowarn", "-cp", f"{home(version)}/lib/*",
                           "-d", folder, *sources], capture_output=True, text=True, env=process.clean_environment())
    if done.returncode != 0:
        raise RuntimeError(f"javac: {done.stderr}")


def archive(version: str) -> pathlib.Path:
    """Where a broker's classes are kept for a quicker start, if they are; another JDK would not take them."""
    text = f"{home(version)} {(parts.path('JAVA17_HOME') / 'release').read_text()}"
    return home(version).parent / f"kafkaclasses-{version}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsa"


class Driver:
    """The Java process of a version; Driver.of(version) is the one that all share."""

    def __init__(self, version: str):
        self.version = version
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-kafka-driver-", dir="/tmp"))
        self._lock = threading.Lock()
        self._log = open(self.folder / "log", "ab")
        self._process = process.spawn(
            [str(parts.path("JAVA17_HOME") / "bin" / "java"), "-Xmx1g", "-XX:+UseSerialGC",
             *([f"-XX:SharedArchiveFile={archive(version)}"] if archive(version).exists() else []),
             *log_options(self.folder, "WARN"), "-cp", f"{home(version)}/lib/*:{_classes(version)}", "KafkaDriver"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        atexit.register(self.close)

    @staticmethod
    @functools.lru_cache(maxsize=None)
    def of(version: str) -> "Driver":
        return Driver(version)

    def close(self) -> None:
        self._process.stdin.close()
        process.end(self._process)
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, request: dict[str, Any]) -> Any:
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Kafka driver is gone: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise KafkaError(answer["error"])
        return answer["ok"]

    def tool(self, name: str, *words: object) -> str:
        """What a command of Kafka prints, by its class; it must end with status 0."""
        handle, path = tempfile.mkstemp(dir=self.folder)
        os.close(handle)
        try:
            status = self.call({"op": "tool", "class": name, "args": [str(word) for word in words], "output": path})
            text = pathlib.Path(path).read_text(errors="replace")
        finally:
            os.unlink(path)
        if status != 0:
            raise KafkaError(f"{name} {' '.join(map(str, words))}: status {status}: {text}")
        return text


class Client:
    """Commands for a broker or a cluster at bootstrap; config: properties of Kafka's Java clients."""

    def __init__(self, version: str, bootstrap: str, config: Optional[dict[str, str]] = None, replication: int = 1):
        self.version, self._bootstrap, self.config, self.replication = version, bootstrap, config or {}, replication

    @property
    def bootstrap(self) -> str:
        return self._bootstrap

    def call(self, operation: str, /, **arguments: Any) -> Any:
        config = {**self.config, **(arguments.pop("config", None) or {})}
        return Driver.of(self.version).call(
            {"op": operation, "bootstrap": self.bootstrap, "config": config, **arguments})

    # --- topics ---

    def create(self, topic: str, partitions: int = 1, configs: Optional[dict[str, Any]] = None,
               replication: Optional[int] = None, assignment: Optional[list[list[int]]] = None) -> str:
        """Its topic id. assignment: the brokers of each partition, the preferred leader first."""
        identity = self.call("create_topic", topic=topic, partitions=partitions, configs=configs or {},
                             replication=replication or self.replication, assignment=assignment)
        self._await_partitions(topic, len(assignment or []) or partitions)
        return identity

    def delete(self, topic: str) -> None:
        self.call("delete_topic", topic=topic)
        process.wait_until(lambda: not any(topic in one.topics() for one in self._views()), 20,
                           f"topic {topic} is gone")

    def add_partitions(self, topic: str, total: int) -> None:
        self.call("add_partitions", topic=topic, total=total)
        self._await_partitions(topic, total)

    def _views(self) -> list["Client"]:
        """Whom to ask whether all brokers have heard of a change."""
        return [self]

    def _await_partitions(self, topic: str, count: int) -> None:
        def known(view: "Client") -> bool:
            try:
                leaders = [one["leader"] for one in view.describe(topic)["partitions"]]
                # A leader in name may have no log yet; a producer that asks it then may wait until its time is over.
                return len(leaders) == count and -1 not in leaders and len(view.offsets(topic)) == count
            except KafkaError:
                return False

        process.wait_until(lambda: all(known(one) for one in self._views()), 30, f"topic {topic} is known everywhere")

    def topics(self) -> list[str]:
        """Sorted, internal ones too."""
        return sorted(self.call("topics"))

    def describe(self, topic: str) -> dict[str, Any]:
        """id; partitions: leader, replicas and isr of each; configs: those of the topic itself."""
        return self.call("describe", topic=topic)

    def leader(self, topic: str, partition: int = 0) -> int:
        return self.describe(topic)["partitions"][partition]["leader"]

    def set_config(self, topic: str, **configs: Any) -> None:
        """retention_ms=1: retention.ms; None takes a value away."""
        self._set("TOPIC", topic, {name.replace("_", "."): value for name, value in configs.items()})

    def set_broker_config(self, configs: dict[str, Any], broker: str = "") -> None:
        """Of one broker, or of all."""
        self._set("BROKER", broker, configs)

    def _set(self, kind: str, name: str, configs: dict[str, Any]) -> None:
        self.call("set_config", kind=kind, name=name, configs=configs)

    def cluster(self) -> dict[str, Any]:
        """id, controller, nodes: the brokers that are alive."""
        return self.call("cluster")

    def offsets(self, topic: str) -> list[tuple[int, int, int]]:
        """Of each partition: its first offset, the last stable one, its end (the high watermark)."""
        return [tuple(one) for one in self.call("offsets", topic=topic)]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        self.call("delete_records", topic=topic, partition=partition, before=before)

    def move(self, topic: str, partition: int, replicas: list[int]) -> None:
        """To these brokers, and the lead to the first of them; returns when that is so."""
        self.call("reassign", topic=topic, partition=partition, replicas=replicas)
        process.wait_until(lambda: self._moved(topic, partition, replicas), 30, "the partition has moved")

    def _moved(self, topic: str, partition: int, replicas: list[int]) -> bool:
        now = self.describe(topic)["partitions"][partition]
        if now["replicas"] != replicas or sorted(now["isr"]) != sorted(replicas):
            return False
        if now["leader"] != replicas[0]:
            with contextlib.suppress(KafkaError):
                self.call("elect_preferred", topic=topic, partition=partition)
            return False
        return True

    def allow(self, user: str, operation: str, kind: str = "TOPIC", name: str = "*", pattern: str = "LITERAL", *,
              host: str = "*", permission: str = "ALLOW") -> None:
        """A right: allow("alice", "READ", "TOPIC", "orders-", "PREFIXED"); kinds are TOPIC, GROUP, CLUSTER. DENY takes
        it away.
        """
        self.call("allow", principal=f"User:{user}", operation=operation, kind=kind, name=name, pattern=pattern,
                  host=host, permission=permission)

    def revoke(self, user: Optional[str] = None) -> int:
        """Removes all that was said of a user, or of all; how many."""
        return self.call("revoke", principal=user and f"User:{user}")

    def rights(self) -> list[list[str]]:
        """Principal, operation, permission, kind, name, pattern and host of each, sorted."""
        return sorted(self.call("rights"))

    # --- writing ---

    def produce(self, topic: str, records: Iterable[Record], *, compression: str = "none", idempotent: bool = True,
                transaction: Optional[str] = None, alone: bool = False,
                config: Optional[dict[str, str]] = None) -> list[int]:
        """Their offsets. One batch per partition (below 900 kB), or alone: one per record. compression counts for a
        transaction when it begins.
        """
        more = {"compression.type": compression, "enable.idempotence": str(idempotent).lower(), **(config or {})}
        return self.call("produce", topic=topic, records=[_as_json(one) for one in records], transaction=transaction,
                         alone=alone, config=more)

    def begin(self, transaction: str, *, compression: str = "none", timeout_ms: int = 600_000) -> None:
        """Opens a transaction under that id, any number beside each other; an open one of an earlier process under the
        same id is aborted. It stays open until end(), its timeout, or for ever once its broker is stopped.
        """
        self.call("begin", transaction=transaction,
                  config={"compression.type": compression, "transaction.timeout.ms": str(timeout_ms)})

    def end(self, transaction: str, commit: bool = True) -> None:
        """Returns when its markers are written: the client is told before that."""
        self.call("end", transaction=transaction, commit=commit)
        process.wait_until(lambda: not self.call("transaction", transaction=transaction).startswith("PREPARE"), 30,
                           "the markers of the transaction are written")

    def producers(self, topic: str, partition: int = 0) -> list[dict[str, Any]]:
        """Of each that the broker knows: producer, epoch, open_at (where its open transaction begins, or None)."""
        return self.call("producers", topic=topic, partition=partition)

    def abort_hanging(self, topic: str, partition: int = 0) -> int:
        """An administrator aborts what is open on a partition, however that came; how many."""
        return self.call("abort_hanging", topic=topic, partition=partition)

    def fill(self, topic: str, count: int, **more: Any) -> dict[str, Any]:
        """Writes made-up records and waits: {"records": ..., "seconds": ...}. See filling()."""
        with self.filling(topic, count, **more) as result:
            pass
        return result

    @contextlib.contextmanager
    def filling(self, topic: str, count: int = 0, *, size: int = 200, partitions: int = 0, rate: float = 0,
                keys: int = 0, compressible: bool = True, compression: str = "none", seed: int = 0,
                timestamp: int = -1, idempotent: bool = True,
                config: Optional[dict[str, str]] = None) -> Iterator[dict[str, Any]]:
        """Records are written while the body runs; afterwards the dict holds records and seconds. count 0: until the
        body ends. Record i begins with the number i and goes to partition i % partitions, 0: all that there are.
        rate: records a second, 0: as fast as it goes. keys: how many different ones, 0: null. timestamp: of the first,
        each next 1 ms later, -1: now.
        """
        more = {"compression.type": compression, "enable.idempotence": str(idempotent).lower(), **(config or {})}
        name = self.call("fill", topic=topic, count=count, size=size, partitions=partitions, rate=rate, keys=keys,
                         compressible=compressible, seed=seed, timestamp=timestamp, config=more)
        result: dict[str, Any] = {}
        failed = True
        try:
            yield result
            failed = False
        finally:
            result.update(self.call("fill_end", name=name, stop=failed or count == 0))

    # --- reading ---

    def read(self, topic: str, partition: Optional[int] = 0, *, committed: bool = True, start: Optional[int] = None,
             to: Optional[int] = None, deadline_s: float = 120) -> list[Record]:
        """Records from start (the first) to before `to` (what committed sees as the end); None: of all partitions."""
        found = self._read(topic, partition, committed, start, to, deadline_s, digest=False, digest_offsets=False)
        return [_as_record(one) for number in sorted(found, key=int) for one in found[number]]

    def digest(self, topic: str, partition: Optional[int] = None, *, committed: bool = True, offsets: bool = False,
               start: Optional[int] = None, to: Optional[int] = None, deadline_s: float = 300) -> dict[int, dict]:
        """Per partition: records, bytes (of keys, values, headers), first and last offset, and sha256 over timestamp,
        key, value and headers in offset order; offsets: over the offsets too.
        """
        found = self._read(topic, partition, committed, start, to, deadline_s, digest=True, digest_offsets=offsets)
        return {int(number): one for number, one in found.items()}

    def _read(self, topic: str, partition: Optional[int], committed: bool, start: Optional[int], to: Optional[int],
              deadline_s: float, **more: Any) -> dict[str, Any]:
        return self.call("read", topic=topic, partition=partition, committed=committed, to=to, deadline_s=deadline_s,
                         **{"from": start}, **more)

    # --- groups ---

    def group_read(self, group: str, topics: list[str], count: int, *, committed: bool = True, deadline_s: float = 60,
                   config: Optional[dict[str, str]] = None) -> list[Record]:
        """As a member of the group: the next so many records, which are then committed."""
        found = self.call("group_read", group=group, topics=topics, count=count, committed=committed,
                          deadline_s=deadline_s, config=config)
        return [_as_record(one) for one in found]

    @contextlib.contextmanager
    def member(self, group: str, topics: list[str], config: Optional[dict[str, str]] = None) -> Iterator[None]:
        """The group has a member while the body runs; it reads nothing."""
        name = self.call("group_join", group=group, topics=topics, committed=True, config=config)
        try:
            yield
        finally:
            self.call("group_leave", member=name)

    def groups(self) -> list[str]:
        return sorted(self.call("groups"))

    def group(self, group: str) -> dict[str, Any]:
        """state (Empty, Stable, ...) and members, a number."""
        return self.call("group", group=group)

    def group_offsets(self, group: str) -> dict[str, dict[int, int]]:
        """The next offset of each topic and partition."""
        return {topic: {int(partition): offset for partition, offset in found.items()}
                for topic, found in self.call("group_offsets", group=group).items()}

    def group_commit(self, group: str, offsets: dict[str, dict[int, int]]) -> None:
        """Sets offsets of a group without members."""
        self.call("group_commit", group=group, offsets=offsets)

    def group_delete(self, group: str) -> None:
        self.call("group_delete", group=group)
