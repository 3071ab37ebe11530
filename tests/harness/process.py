# SPDX-License-Identifier: Apache-2.0
"""Child processes of the tests: ports, a clean environment, waiting for a condition, servers, memory.

Every server started here is stopped by its own pid, and dies with the test process should that be killed.
"""
from __future__ import annotations

import ctypes
import os
import pathlib
import pwd
import random
import signal
import socket
import subprocess
import threading
import time
from typing import Callable, Optional, TypeVar

Value = TypeVar("Value")
# Some machines point every TLS client to their own authorities; a test names its own.
CA_VARIABLES = ("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def clean_environment(**more: str) -> dict[str, str]:
    """A small environment of known content; sanitizer options pass through."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/root"),
           "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    env.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
    env.update(more)
    return env


def wait_until(condition: Callable[[], Value], deadline_s: float = 10, what: str = "", step_s: float = 0.02) -> Value:
    """Calls condition until it returns something true, which is returned; TimeoutError at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise TimeoutError(f"{what or getattr(condition, '__name__', 'condition')}: not so after {deadline_s} s")
        time.sleep(step_s)


def free_port() -> int:
    """A free loopback port below the range that outgoing connections are given."""
    for _ in range(200):
        port = random.randint(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port in 200 attempts")


def accepts(port: int) -> bool:
    """Does somebody listen on this loopback port?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """All processes below pid, without itself."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def executable(pid: int) -> str:
    """The base name of the program a process runs, empty when it is gone."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except OSError:
        return ""


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process, 0 when it is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class MemorySampler:
    """Samples the PSS of a process and its children whose program's name begins with prefix.

    with MemorySampler(running.pid) as memory: ...; memory.peak_bytes, memory.peak_by_program, memory.samples
    """

    def __init__(self, pid: int, prefix: str = "lifeboat", step_s: float = 0.02):
        self.pid, self.prefix, self.step_s = pid, prefix, step_s
        self.peak_bytes = 0
        self.peak_by_program: dict[str, int] = {}
        self.samples = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def sample(self) -> int:
        """One sample now, in bytes."""
        total = 0
        for pid in [self.pid, *descendants(self.pid)]:
            name = executable(pid)
            if name.startswith(self.prefix):
                size = pss_bytes(pid)
                total += size
                self.peak_by_program[name] = max(size, self.peak_by_program.get(name, 0))
        self.samples += total > 0
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def _run(self) -> None:
        while not self._stop.wait(self.step_s):
            self.sample()

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _die_with_parent(death_signal: int) -> Optional[Callable[[], None]]:
    # The kernel ties the signal to the thread that forks, so only the main thread may ask for it.
    if threading.current_thread() is not threading.main_thread():
        return None
    return lambda: _libc.prctl(_PR_SET_PDEATHSIG, death_signal)


def spawn(argv: list[str], *, log: Optional[pathlib.Path] = None, user: Optional[str] = None,
          env: Optional[dict[str, str]] = None, death_signal: int = signal.SIGKILL, **more: object) -> subprocess.Popen:
    """Starts a process in its own session; as another user when root; its output goes to log."""
    if log is not None:
        with open(log, "ab") as out:
            return spawn(argv, user=user, env=env, death_signal=death_signal, stdout=out, stderr=out, **more)
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        more.update(user=entry.pw_uid, group=entry.pw_gid, extra_groups=os.getgrouplist(user, entry.pw_gid), cwd="/")
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([str(word) for word in argv], env=env if env is not None else clean_environment(),
                            start_new_session=True, preexec_fn=_die_with_parent(death_signal), **more)


def end(process: Optional[subprocess.Popen], first: int = signal.SIGTERM, patience_s: float = 10) -> None:
    """Signals a process of ours, waits, kills it when it does not listen."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(first)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_port(process: subprocess.Popen, port: int, log: pathlib.Path, deadline_s: float = 20) -> None:
    """Waits until the server listens; shows the end of its log when it does not."""
    try:
        wait_until(lambda: process.poll() is not None or accepts(port), deadline_s)
    except TimeoutError:
        pass
    if process.poll() is not None or not accepts(port):
        raise RuntimeError(f"{process.args} does not listen on port {port}: {log.read_text()[-2000:]}")
