# SPDX-License-Identifier: Apache-2.0
"""The daemon under test: with a clock that the test sets, and around a system that is quick."""
from __future__ import annotations

import calendar
import json
import os
import pathlib
import re
import struct
import time
import urllib.error
import urllib.request
from typing import Any, Optional, Union

from . import process
from .lifeboat import Lifeboat, Running, bin_folder


def stub_folder() -> pathlib.Path:
    """The programs around the system that is quick, and the clock."""
    return bin_folder().parent / "stub"



class Clock:
    """A wall clock for the daemon and all its jobs; the monotonic one stays real. clock.set("2026-11-24 07:15:00")"""

    def __init__(self, folder: pathlib.Path, start: str):
        self.path = folder / "clock"
        self.path.write_bytes(bytes(8))
        self.set(start)

    def set(self, moment: Union[str, float]) -> None:
        """The clock stands at this moment (UTC) until it is set again."""
        self.unix = calendar.timegm(time.strptime(moment, "%Y-%m-%d %H:%M:%S")) if isinstance(moment, str) else moment
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("=q", int(self.unix * 1000)))

    def forward(self, seconds: float) -> None:
        self.set(self.unix + seconds)

    @property
    def env(self) -> dict[str, str]:
        """tests/stub/clock_preload.c, which the sanitizer's runtime lets go first."""
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return {"LD_PRELOAD": str(stub_folder() / "clock.so"), "TEST_CLOCK": str(self.path), "ASAN_OPTIONS": options}


class Daemon:
    """with Daemon(boat) as daemon: daemon.metrics(); daemon.wait_log("backup committed"); daemon.hup()"""

    def __init__(self, boat: Lifeboat, *, http_port: int = 0, env: Optional[dict[str, str]] = None):
        self.boat, self.http_port, self.env = boat, http_port, env
        self.running: Optional[Running] = None

    def start(self) -> "Daemon":
        self.running = self.boat.start("run", env=self.env)
        process.wait_until(lambda: "lifeboat-agent runs" in self.log or not self.running.running(), 20, "daemon runs")
        assert self.running.running(), self.log
        return self

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        if self.running is not None:
            self.running.__exit__()

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def log(self) -> str:
        return self.running.stderr

    def count(self, message: str) -> int:
        """How many lines hold this."""
        return sum(message in line for line in self.log.splitlines())

    def wait_log(self, message: str, times: int = 1, deadline_s: float = 30) -> None:
        try:
            process.wait_until(lambda: self.count(message) >= times, deadline_s, message)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log}") from error

    def hup(self) -> None:
        """Look at configuration and schedules now."""
        self.running.signal(1)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metrics(self) -> dict[str, float]:
        """Every sample, by its name and labels as they are written."""
        return samples(self.get("/metrics"))

    def wait_metric(self, name: str, value: float, **labels: str) -> None:
        """Waits until this sample has this value."""
        key = name + ("{" + ",".join(f'{label}="{text}"' for label, text in labels.items()) + "}" if labels else "")
        try:
            process.wait_until(lambda: self.metrics().get(key) == value, 20, f"{key} {value}")
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.metrics().get(key)}\n{self.log}") from error

    def jobs(self) -> list[int]:
        """The jobs that run now."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def stop(self, timeout_s: float = 10) -> int:
        self.running.signal(15)
        return self.running.wait(timeout_s).status


def samples(text: str) -> dict[str, float]:
    """The samples of an exposition."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


class StubLifeboat(Lifeboat):
    """lifeboat around the system that is quick (tests/stub)."""

    def argv(self, args: Any) -> list[str]:
        words = super().argv(args)
        return [str(stub_folder() / "lifeboat-agent"), *words[1:]]


def stub_component(name: str, **more: Any) -> dict[str, Any]:
    """A component of the quick system; plan: the file of words that it obeys."""
    plan = more.pop("plan", "/nonexistent")
    return {"name": name, "system": "postgres", "postgres": {"conninfo": "host=127.0.0.1", "tools": str(plan)},
            "stores": ["disk"], "retention": {"keep_last": 3}, "compress": "none", "jitter": "0s", **more}


def history(folder: pathlib.Path, component: str) -> list[pathlib.Path]:
    """The reports that were kept, oldest first."""
    return sorted((folder / "history" / component).glob("*.report"))


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def wait_status(daemon: Daemon, path: str) -> int:
    """The status of a GET."""
    try:
        daemon.get(path)
        return 200
    except urllib.error.HTTPError as error:
        return error.code


def memory_bytes(pid: int) -> int:
    return process.pss_bytes(pid)


def descriptors(pid: int) -> int:
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def logfmt(line: str) -> dict[str, str]:
    """A log line as fields."""
    return {key: value.strip('"') for key, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)}
