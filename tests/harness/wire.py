# SPDX-License-Identifier: Apache-2.0
"""An agent's side of the protocol, independent of the C code: Python's ssl, and the schema as protoc compiles it."""
from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import types
from typing import Any, Optional

from .certificates import Certificate

PROTO = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"


@functools.lru_cache(maxsize=None)
def schema() -> types.ModuleType:
    """lifeboat.proto as a module: schema().AgentMessage() and so on."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={folder}", "lifeboat.proto"], check=True)
        spec = importlib.util.spec_from_file_location("lifeboat_pb2", os.path.join(folder, "lifeboat_pb2.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules["lifeboat_pb2"] = module
        spec.loader.exec_module(module)
    return module


class Closed(Exception):
    """The collector closed the connection."""


class Refused(Exception):
    """The collector sent a Refusal; its reason is the text."""


def client_context(certificate: Optional[Certificate], believe: pathlib.Path) -> ssl.SSLContext:
    """TLS as an agent has it, whose server is 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(believe)
    if certificate is not None:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


class Client:
    """One connection of an agent. send() and receive() are whole frames; hello() and report() are the usual ones.

    with Client(port, context, instance=b"0" * 16) as agent: agent.hello(); agent.report(1); agent.ack()
    """

    def __init__(self, port: int, context: ssl.SSLContext, *, instance: bytes = b"\1" * 16, pod: str = "postgresql-0",
                 timeout_s: float = 10):
        self.instance, self.pod = instance, pod
        self._pending = b""
        raw = socket.create_connection(("127.0.0.1", port), timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname="127.0.0.1")
        except BaseException:
            raw.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send_bytes(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise Closed(str(error)) from error

    @staticmethod
    def frame(message: Any) -> bytes:
        body = message.SerializeToString()
        return struct.pack(">I", len(body)) + body

    def send(self, **body: Any) -> None:
        """send(heartbeat=...) and so on: an AgentMessage with that body."""
        self.send_bytes(self.frame(schema().AgentMessage(**body)))

    def _read(self, count: int) -> bytes:
        while len(self._pending) < count:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("end of stream")
            self._pending += data
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    def receive(self) -> Any:
        """The next CollectorMessage; Refused when it is one, Closed at the end."""
        message = schema().CollectorMessage()
        message.ParseFromString(self._read(struct.unpack(">I", self._read(4))[0]))
        if message.WhichOneof("body") == "refusal":
            raise Refused(message.refusal.reason)
        return message

    def hello(self, protocol: int = 1, **more: Any) -> Any:
        """Says hello; the Welcome."""
        identity = schema().Identity(cluster="prod", namespace="aipx", workload="postgresql", pod=self.pod)
        self.send(hello=schema().Hello(**{"protocol": protocol, "agent_version": "0.0.1", "instance": self.instance,
                                          "identity": identity, **more}))
        return self.receive().welcome

    def inventory(self, *components: Any) -> None:
        """All components, in pages of four."""
        pages = [components[at:at + 4] for at in range(0, len(components), 4)] or [()]
        for number, page in enumerate(pages):
            self.send(inventory=schema().Inventory(page=number, last=number == len(pages) - 1, components=page))

    def report(self, sequence: int, component: str = "orders-db", **more: Any) -> None:
        self.send(report=schema().Report(**{"sequence": sequence, "job": f"job-{sequence}", "component": component,
                                            "system": "postgres", "kind": "BACKUP", "outcome": "DONE", **more}))

    def heartbeat(self, number: int = 1, **more: Any) -> None:
        self.send(heartbeat=schema().Heartbeat(**{"number": number, "config_valid": True, **more}))

    def ack(self) -> Any:
        """The next message, which must be an Ack."""
        message = self.receive()
        assert message.WhichOneof("body") == "ack", message
        return message.ack

    def ack_of(self, sequence: int) -> None:
        """Waits until reports up to there are acknowledged."""
        while self.ack().sequence < sequence:
            pass
