# SPDX-License-Identifier: Apache-2.0
"""Faults outside the network: PostgreSQL's tools that lie, die or hang; a full disk."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import threading
from typing import Any, Iterator, Optional

from .process import wait_until

__all__ = ["Call", "DiskSampler", "FakeTools", "tmpfs", "wait_until"]

TOOLS = ("pg_dump", "pg_dumpall", "pg_restore")

# What stands in place of a tool. It notes the call, then becomes the real tool, or passes its bytes on up to the fault.
_WRAPPER = r'''#!/usr/bin/python3
import ctypes, fcntl, json, os, re, signal, subprocess, sys, time
folder, tool, real = {folder!r}, {tool!r}, {real!r}
argv = sys.argv[1:]
if argv in (["--version"], ["-V"]):
    os.execv(real, [real, *argv])
with open(folder + "/calls.jsonl", "a") as calls:
    fcntl.flock(calls, fcntl.LOCK_EX)
    calls.write(json.dumps({{"tool": tool, "argv": argv, "env": dict(os.environ), "pid": os.getpid()}}) + "\n")
try:
    with open(folder + "/" + tool + ".plan") as plan:
        fault = json.load(plan)
except FileNotFoundError:
    fault = None
if fault is None or not re.search(fault["when"], " ".join(argv)):
    os.execv(real, [real, *argv])

def with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)

feeds = fault["stream"] == "stdin"
child = subprocess.Popen([real, *argv], preexec_fn=with_parent, stdin=subprocess.PIPE if feeds else None,
                         stdout=None if feeds else subprocess.PIPE)
source, sink = (0, child.stdin.fileno()) if feeds else (child.stdout.fileno(), 1)

def write(data):
    while data:
        data = data[os.write(sink, data):]

left = fault["after_bytes"]
while left > 0:
    data = os.read(source, min(left, 65536))
    if not data:
        break
    write(data)
    left -= len(data)
if fault["then"] == "corrupt":
    data = os.read(source, 65536)
    if data:
        write(bytes([data[0] ^ 0xFF]) + data[1:])
    while data := os.read(source, 65536):
        write(data)
    if feeds:
        child.stdin.close()
    sys.exit(child.wait())
if fault["then"] == "hang":
    open(folder + "/" + tool + ".hanging", "w").close()
    while True:
        time.sleep(3600)
child.kill()
child.wait()
if fault["stderr"]:
    sys.stderr.write(fault["stderr"] + "\n")
    sys.stderr.flush()
if fault["then"] == "signal":
    if fault["number"] != signal.SIGKILL:
        signal.signal(fault["number"], signal.SIG_DFL)
    os.kill(os.getpid(), fault["number"])
os._exit(fault["number"])
'''


@dataclasses.dataclass
class Call:
    """One start of a tool, but for --version."""
    tool: str
    argv: list[str]
    env: dict[str, str]
    pid: int


class FakeTools:
    """A folder with pg_dump, pg_dumpall and pg_restore that note each call and delegate to the real ones in pg_bin.

    Put .folder in front of PATH (or where the configuration names the tools). A fault acts once after_bytes have
    passed on the stream: the tool's standard output, or for pg_restore its standard input. when: a pattern in the
    arguments that a call must have. One fault per tool; it stays until clear().
    """

    def __init__(self, pg_bin: pathlib.Path, folder: Optional[pathlib.Path] = None):
        self.pg_bin = pathlib.Path(pg_bin)
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="lifeboat-tools-"))
        self.folder.mkdir(exist_ok=True)
        for program in self.pg_bin.iterdir():
            wrapper = self.folder / program.name
            if program.name in TOOLS:
                wrapper.write_text(_WRAPPER.format(folder=str(self.folder), tool=program.name, real=str(program)))
                wrapper.chmod(0o755)
            else:
                wrapper.symlink_to(program)

    def _plan(self, tool: str, then: str, after_bytes: int, *, number: int = 0, stderr: str = "", when: str = "",
              stream: Optional[str] = None) -> None:
        assert tool in TOOLS
        plan = {"then": then, "after_bytes": after_bytes, "number": number, "stderr": stderr, "when": when,
                "stream": stream or ("stdin" if tool == "pg_restore" else "stdout")}
        (self.folder / f"{tool}.plan.new").write_text(json.dumps(plan))
        (self.folder / f"{tool}.plan.new").rename(self.folder / f"{tool}.plan")

    def exit(self, tool: str, number: int, after_bytes: int = 0, **more: Any) -> None:
        """Ends with this status after so many bytes; 0 is the lie: a cut stream that claims to be whole."""
        self._plan(tool, "exit", after_bytes, number=number, **more)

    def signal(self, tool: str, number: int, after_bytes: int = 0, **more: Any) -> None:
        """Ends by this signal."""
        self._plan(tool, "signal", after_bytes, number=number, **more)

    def hang(self, tool: str, after_bytes: int = 0, **more: Any) -> None:
        """Passes so many bytes, then nothing, for ever; hanging() tells when it came to that."""
        self._plan(tool, "hang", after_bytes, **more)

    def corrupt(self, tool: str, at: int, **more: Any) -> None:
        """Flips the byte at this offset and passes the rest on; the status is the real tool's."""
        self._plan(tool, "corrupt", at, **more)

    def hanging(self, tool: str) -> bool:
        return (self.folder / f"{tool}.hanging").exists()

    def clear(self) -> None:
        """No faults from the next call on."""
        for tool in TOOLS:
            for tail in ("plan", "hanging"):
                (self.folder / f"{tool}.{tail}").unlink(missing_ok=True)

    def calls(self, tool: str = "") -> list[Call]:
        """The calls so far, with the arguments and the environment that the tool was given."""
        try:
            lines = (self.folder / "calls.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = [Call(**json.loads(line)) for line in lines]
        return [call for call in found if tool in ("", call.tool)]


@contextlib.contextmanager
def tmpfs(size: str) -> Iterator[pathlib.Path]:
    """A file system of limited size ("16m"), for a disk that fills up. Root only."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-tmpfs-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        # Lazy, so that a process that a failed test left behind does not keep the mount.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        wait_until(lambda: not os.path.ismount(folder), 5, "unmounted")
        folder.rmdir()


class DiskSampler:
    """How much lay in a folder at most, and how little was free around it, looked at all the time."""

    def __init__(self, folder: pathlib.Path, step_s: float = 0.002):
        self.folder, self.step_s = folder, step_s
        self.most, self.least_free, self.samples = 0, 1 << 62, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _sum(self) -> int:
        total = 0
        for path, _, names in os.walk(self.folder):
            for name in names:
                try:
                    total += os.lstat(os.path.join(path, name)).st_size
                except FileNotFoundError:
                    pass
        return total

    def _run(self) -> None:
        while not self._stop.wait(self.step_s):
            self.most = max(self.most, self._sum())
            info = os.statvfs(self.folder)
            self.least_free = min(self.least_free, info.f_bavail * info.f_frsize)
            self.samples += 1

    def __enter__(self) -> "DiskSampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self.samples > 10
