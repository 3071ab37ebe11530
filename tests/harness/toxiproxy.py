# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy with faults between lifeboat and any server: toxiproxy, one upstream per instance."""
from __future__ import annotations

import http.client
import json
import pathlib
import shutil
import subprocess
import tempfile
from typing import Any, Optional

from . import parts, process


class Toxiproxy:
    """with Toxiproxy(s3.port) as proxy: proxy.port; name = proxy.add("latency", latency=500); proxy.remove(name)

    Toxics and their attributes: latency (latency, jitter: ms), bandwidth (rate: KB/s), timeout (timeout: ms, 0 is for
    ever), reset_peer (timeout: ms), limit_data (bytes), slow_close (delay), slicer (average_size, size_variation,
    delay). stream: downstream is server to client.
    """

    def __init__(self, upstream_port: int):
        self.upstream_port = upstream_port
        self.port = self.api_port = 0
        self._server: Optional[subprocess.Popen] = None
        self._count = 0

    def __enter__(self) -> "Toxiproxy":
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-toxi-"))
        try:
            self.api_port, self.port = process.free_port(), process.free_port()
            log = self.folder / "server.log"
            self._server = process.spawn([parts.path("TOXIPROXY"), "-host", "127.0.0.1", "-port", self.api_port],
                                         log=log)
            process.await_port(self._server, self.api_port, log)
            self._call("POST", "/proxies", {"name": "p", "listen": f"127.0.0.1:{self.port}", "enabled": True,
                                            "upstream": f"127.0.0.1:{self.upstream_port}"})
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        process.end(self._server)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _call(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status // 100 != 2:
            raise RuntimeError(f"toxiproxy {method} {path}: {answer.status} {data!r}")
        return data

    def add(self, toxic: str, *, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> str:
        """Adds a toxic, also for connections that are open; the name to remove it by."""
        self._count += 1
        name = f"{toxic}-{self._count}"
        self._call("POST", "/proxies/p/toxics", {"name": name, "type": toxic, "stream": stream, "toxicity": toxicity,
                                                 "attributes": attributes})
        return name

    def remove(self, name: str) -> None:
        self._call("DELETE", f"/proxies/p/toxics/{name}")

    def down(self) -> None:
        """Closes all connections and refuses new ones."""
        self._call("POST", "/proxies/p", {"enabled": False})

    def up(self) -> None:
        self._call("POST", "/proxies/p", {"enabled": True})

    def reset(self) -> None:
        """Removes all toxics and comes up."""
        self._call("POST", "/reset")
