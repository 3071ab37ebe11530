# SPDX-License-Identifier: Apache-2.0
"""A lifeboat-collector with certificates of its own, and what it has in its state."""
from __future__ import annotations

import http.client
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
from typing import Any, Optional

import yaml

from . import process, wire
from .certificates import Authority, Certificate


class Collector:
    """with Collector(folder) as c: c.port, c.http_port, c.agent (a Certificate for an agent, with .ca)...

    Its state, log and certificates lie in folder. kill() and start() again keep the ports and the state.
    """

    def __init__(self, folder: pathlib.Path, *, options: Optional[dict[str, Any]] = None,
                 env: Optional[dict[str, str]] = None):
        self.folder, self.env = pathlib.Path(folder), dict(env or {})
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.http_port = process.free_port(), process.free_port()
        self.authority = Authority(self.folder / "certificates")
        self.server = self.authority.issue("collector", alt="IP:127.0.0.1,DNS:localhost", stem="collector")
        self.agent: Certificate = self.authority.issue("agent.aipx")
        self.log_path = self.folder / "collector.log"
        self.config_path = self.folder / "collector.yaml"
        self.database = self.folder / "state" / "collector.db"
        self.popen: Optional[subprocess.Popen] = None
        self.configure(options or {})

    def configure(self, options: dict[str, Any]) -> None:
        """Writes collector.yaml; options replace whole keys of the usual one."""
        usual = {
            "listen": f"127.0.0.1:{self.port}",
            "tls": {"ca_file": str(self.authority.cert), "cert_file": str(self.server.cert),
                    "key_file": str(self.server.key)},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
            "state": {"path": str(self.database.parent)},
        }
        self.config_path.write_text(yaml.safe_dump({**usual, **options}))

    @staticmethod
    def program() -> pathlib.Path:
        found = pathlib.Path(os.environ.get("LIFEBOAT_BIN", "")) / "lifeboat-collector"
        if not found.exists():
            raise RuntimeError("LIFEBOAT_BIN must name the folder with lifeboat-collector")
        return found.resolve()

    def start(self) -> "Collector":
        """Returns when it takes connections."""
        self.popen = process.spawn([str(self.program()), "-c", str(self.config_path)], log=self.log_path,
                                   env=process.clean_environment(**self.env))
        process.await_port(self.popen, self.port, self.log_path)
        process.await_port(self.popen, self.http_port, self.log_path)
        return self

    @property
    def pid(self) -> int:
        return self.popen.pid

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, patience_s: float = 10) -> int:
        """SIGTERM; the exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(patience_s)

    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def __enter__(self) -> "Collector":
        return self.start()

    def __exit__(self, *_: object) -> None:
        process.end(self.popen)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self) -> str:
        status, text = self.get("/metrics")
        assert status == 200, text
        return text

    def metric(self, name: str, **labels: str) -> Optional[float]:
        """The value of the sample of that name with (at least) these labels; None when there is none."""
        for line in self.metrics().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and labels.items() <= dict(
                    re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or "")).items():
                return float(found[3])
        return None

    def query(self, sql: str, *parameters: Any) -> list[tuple]:
        """Reads the state beside the running collector."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def reports(self) -> list[Any]:
        """All reports in the state, as messages of the schema, by instance and sequence."""
        rows = self.query("SELECT sequence, message FROM report ORDER BY instance, sequence")
        reports = [wire.schema().Report.FromString(message) for _, message in rows]
        assert [report.sequence for report in reports] == [sequence for sequence, _ in rows]
        return reports

    def client(self, certificate: Optional[Certificate] = None, **options: Any) -> wire.Client:
        """A connection with the agent's certificate, or this one."""
        certificate = certificate or self.agent
        return wire.Client(self.port, wire.client_context(certificate, self.authority.cert), **options)
