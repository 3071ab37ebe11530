# SPDX-License-Identifier: Apache-2.0
"""Real Kafka brokers (KRaft) on loopback, one or three, each in a folder of its own, with the commands of a client.

with Kafka("4.3") as broker: broker.create("t"); broker.produce("t", [Record(b"v")]); broker.read("t")
"""
from __future__ import annotations

import base64
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Iterable, Iterator, Optional

from . import kafkadump, process
from .certificates import Authority, Certificate
from .kafkaclient import VERSIONS, Client, Driver, KafkaError, Record, archive, home, log_options

__all__ = ("VERSIONS", "Client", "Cluster", "Kafka", "KafkaError", "Record")

_DUMP = {"3.5": "kafka.tools.DumpLogSegments", "3.9": "kafka.tools.DumpLogSegments", "4.3": "org.apache.kafka.tools.DumpLogSegments"}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULES = {"PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
            "SCRAM": "org.apache.kafka.common.security.scram.ScramLoginModule"}
# Quick to start, to clean and to notice a dead broker; nothing is made or deleted that a test did not ask for.
_OPTIONS = {
    "auto.create.topics.enable": "false", "offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0, "broker.heartbeat.interval.ms": 200, "broker.session.timeout.ms": 4000,
    "num.network.threads": 2, "num.io.threads": 4, "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.fetch.timeout.ms": 2000, "log.cleaner.backoff.ms": 100, "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": 4 << 20, "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 500, "log.retention.ms": -1, "log.segment.delete.delay.ms": 100,
    "message.max.bytes": 10 << 20, "replica.fetch.wait.max.ms": 100,
}


def _module(mechanism: str, options: dict[str, str]) -> str:
    """A line of a JAAS configuration."""
    words = "".join(f' {name}="{value}"' for name, value in options.items())
    return f"{_MODULES[mechanism.split('-', maxsplit=1)[0]]} required{words};"


@functools.lru_cache(maxsize=None)
def _archived(version: str) -> list[str]:
    """Options with which a broker starts in half the time: its classes as they were loaded once before."""
    path = archive(version)
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = pathlib.Path(folder) / path.name
            with Kafka(version, jvm=[f"-XX:ArchiveClassesAtExit={made}"]) as broker:
                broker.stop()
            made.rename(path)
    return [f"-XX:SharedArchiveFile={path}"]


def _pem(folder: pathlib.Path, certificate: Certificate) -> pathlib.Path:
    """Key and certificate in one file, which is what Kafka calls a store."""
    path = folder / f"{certificate.cert.stem}.pem"
    path.write_text(certificate.key.read_text() + certificate.cert.read_text())
    return path


class Kafka(Client):
    """version: one of VERSIONS. options: lines of its configuration. tls: an authority that signs for it, makes the
    listener SSL; client_certificates: it demands them there. users: names and passwords, make SASL_PLAINTEXT, and
    SASL_SSL with tls; each may come by PLAIN and by both SCRAMs. rights: what users may do is asked of ACLs; without a
    name, on PLAINTEXT, one may do everything. jvm: options of its JVM. folder: its place, kept afterwards, made when
    absent.
    """

    def __init__(self, version: str = "4.3", options: Optional[dict[str, Any]] = None, *,
                 tls: Optional[Authority] = None, client_certificates: bool = False,
                 users: Optional[dict[str, str]] = None, rights: bool = False, node: int = 1,
                 jvm: Iterable[str] = (), folder: Optional[pathlib.Path] = None):
        super().__init__(version, "")
        self.options, self.tls, self.client_certificates = dict(options or {}), tls, client_certificates
        self.users, self.rights_asked, self.node, self.jvm = dict(users or {}), rights, node, list(jvm)
        self.own_folder = folder is None
        self.folder = folder
        # 16 bytes; a tool would take one that begins with a dash for an option.
        self.cluster_id = "L" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]
        self.voters: list["Kafka"] = [self]
        self.ports: dict[str, int] = {}
        self._server: Optional[subprocess.Popen] = None
        self._started = 0

    # --- life ---

    def prepare(self) -> None:
        """Folder and ports; start() comes after it."""
        if self.own_folder:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-kafka-", dir="/tmp"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_dir, self.log = self.folder / "data", self.folder / "server.log"
        names = ["CONTROLLER", "PLAINTEXT"] + ["SSL"] * bool(self.tls) + ["SASL_PLAINTEXT"] * bool(self.users)
        for name in names + ["SASL_SSL"] * bool(self.tls and self.users):
            self.ports[name] = process.free_port()

    def discard(self) -> None:
        self.stop(signal.SIGKILL)
        if self.own_folder and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Kafka":
        self.prepare()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.ports:
            self.call("forget")
        self.discard()

    def launch(self) -> None:
        """With the configuration as self.options says now; await_started() comes after it."""
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        if not (self.log_dir / "meta.properties").exists():
            self._format(path)
        self._started = self.log.stat().st_size if self.log.exists() else 0
        self._server = process.spawn(
            [str(home(self.version) / "kafka-java"), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             *log_options(self.folder, "INFO"), *(self.jvm or _archived(self.version)), "kafka.Kafka", str(path)],
            log=self.log, cwd="/")

    def _format(self, path: pathlib.Path) -> None:
        words = ["format", "--cluster-id", self.cluster_id, "--config", path]
        for user, password in self.users.items():
            for mechanism in _MECHANISMS[1:]:
                words += ["--add-scram", f"{mechanism}=[name={user},password={password}]"]
        Driver.of(self.version).tool("kafka.tools.StorageTool", *words)

    def await_started(self) -> None:
        assert self._server is not None
        server = self._server
        process.wait_until(lambda: server.poll() is not None or self._says_started(), 60, "the broker has started")
        if server.poll() is not None:
            raise RuntimeError(f"Kafka {self.version} ended: {self.log_text()[-3000:]}")

    def _says_started(self) -> bool:
        with open(self.log, "rb") as file:
            file.seek(self._started)
            return b"Kafka Server started" in file.read()

    def start(self) -> None:
        self.launch()
        self.await_started()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM hands its leads over and writes all; SIGKILL is a crash. start() goes on in the same folder."""
        process.end(self._server, number, patience_s=30)
        self._server = None

    def running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    # --- configuration ---

    def _configuration(self) -> dict[str, Any]:
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        named = ",".join(f"{name}://localhost:{port}" for name, port in self.ports.items() if name != "CONTROLLER")
        lines: dict[str, Any] = {
            **_OPTIONS, "process.roles": "broker,controller", "node.id": self.node, "log.dirs": self.log_dir,
            "listeners": listeners, "advertised.listeners": named, "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(
                f"{one.node}@127.0.0.1:{one.ports['CONTROLLER']}" for one in self.voters),
            "default.replication.factor": len(self.voters), "offsets.topic.replication.factor": len(self.voters),
            "transaction.state.log.replication.factor": len(self.voters),
            "transaction.state.log.min.isr": min(2, len(self.voters)),
            "share.coordinator.state.topic.replication.factor": len(self.voters),
            "share.coordinator.state.topic.min.isr": min(2, len(self.voters)),
        }
        lines["listener.security.protocol.map"] = ",".join(
            f"{name}:{'PLAINTEXT' if name == 'CONTROLLER' else name}" for name in self.ports)
        if self.rights_asked:
            lines.update({"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                          "super.users": "User:ANONYMOUS"})
        if self.tls is not None:
            own = self.tls.issue(f"broker-{self.node}", alt="DNS:localhost,IP:127.0.0.1", stem=f"broker-{self.node}")
            lines.update({"ssl.keystore.type": "PEM", "ssl.keystore.location": _pem(self.folder, own),
                          "ssl.truststore.type": "PEM", "ssl.truststore.location": self.tls.cert,
                          "ssl.client.auth": "required" if self.client_certificates else "none"})
        if self.users:
            lines.update(self._sasl())
        return {**lines, **self.options}

    def _sasl(self) -> Iterator[tuple[str, str]]:
        yield "sasl.enabled.mechanisms", ",".join(_MECHANISMS)
        plain = {f"user_{user}": password for user, password in self.users.items()}
        for listener in ("sasl_plaintext", "sasl_ssl"):
            for mechanism in _MECHANISMS:
                yield (f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config",
                       _module(mechanism, plain if mechanism == "PLAIN" else {}))

    # --- how to reach it ---

    def address(self, listener: str = "PLAINTEXT") -> str:
        """localhost:port of PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        return f"localhost:{self.ports[listener]}"

    @property
    def bootstrap(self) -> str:
        return self.address()

    def client(self, listener: str, *, user: Optional[str] = None, password: Optional[str] = None,
               mechanism: str = "SCRAM-SHA-512", certificate: Optional[Certificate] = None,
               authority: Optional[Authority] = None) -> Client:
        """A client over another listener. password: the user's when None. authority: believed instead of its own."""
        config = {"security.protocol": listener}
        if "SSL" in listener:
            assert self.tls is not None
            config.update({"ssl.truststore.type": "PEM", "ssl.truststore.location": str((authority or self.tls).cert)})
        if certificate is not None:
            config.update({"ssl.keystore.type": "PEM", "ssl.keystore.location": str(_pem(self.folder, certificate))})
        if user is not None:
            words = {"username": user, "password": self.users[user] if password is None else password}
            config.update({"sasl.mechanism": mechanism, "sasl.jaas.config": _module(mechanism, words)})
        return Client(self.version, self.address(listener), config, self.replication)

    # --- what lies on its disk ---

    def segments(self, topic: str, partition: int = 0) -> list[pathlib.Path]:
        """The .log files of a partition, oldest first."""
        return sorted((self.log_dir / f"{topic}-{partition}").glob("*.log"))

    def dump(self, path: pathlib.Path) -> list[kafkadump.Batch]:
        """What Kafka's DumpLogSegments says of a segment, wherever it lies."""
        return dump(path, self.version)


def dump(path: pathlib.Path, version: str = "4.3") -> list[kafkadump.Batch]:
    """What Kafka's DumpLogSegments says of a segment; it is named by a 20-digit base offset."""
    text = Driver.of(version).tool(_DUMP[version], "--deep-iteration", "--print-data-log", "--files", path,
                                   "--key-decoder-class", "HexDecoder", "--value-decoder-class", "HexDecoder")
    return kafkadump.parse(text)


class Cluster(Client):
    """Three nodes, each broker and controller, with options as for Kafka: cluster.nodes[0].stop(signal.SIGKILL)."""

    def __init__(self, version: str = "4.3", options: Optional[dict[str, Any]] = None, *, count: int = 3, **more: Any):
        super().__init__(version, "", replication=count)
        self.nodes = [Kafka(version, options, node=number, **more) for number in range(1, count + 1)]
        for node in self.nodes:
            node.voters, node.cluster_id, node.replication = self.nodes, self.nodes[0].cluster_id, count

    def __enter__(self) -> "Cluster":
        try:
            for node in self.nodes:
                node.prepare()
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.await_started()
            self.await_nodes(len(self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self, *self.nodes) if self.nodes[-1].ports else ():
            one.call("forget")
        for node in self.nodes:
            node.discard()

    def _views(self) -> list[Client]:
        return [node for node in self.nodes if node.running()]

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address() for node in self.nodes)

    def node(self, number: int) -> Kafka:
        """The node of that id: cluster.node(cluster.leader("t"))."""
        return next(one for one in self.nodes if one.node == number)

    def await_nodes(self, count: int) -> None:
        """Until so many brokers count as alive."""
        process.wait_until(lambda: len(self.cluster()["nodes"]) == count, 30, f"{count} brokers are alive")

    def await_in_sync(self, topic: str) -> None:
        """Until every replica of the topic on a living broker is in sync."""
        alive = set(self.cluster()["nodes"])
        process.wait_until(lambda: all(set(one["isr"]) == alive & set(one["replicas"])
                                       for one in self.describe(topic)["partitions"]), 30, "replicas are in sync")
