# SPDX-License-Identifier: Apache-2.0
"""A command on a pseudo-terminal, as a person sees it."""
from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from typing import Optional

from .lifeboat import Lifeboat


class Terminal:
    """with Terminal(boat, "restore", "orders-db") as term: term.expect("type yes"); term.type("yes\\n"); term.wait()

    Standard input, output and error are the terminal, and it is the command's own: interrupt() is Ctrl-C.
    """

    def __init__(self, boat: Lifeboat, *args: str):
        self.master, slave = pty.openpty()
        self.screen = ""
        self._seen = 0
        self.popen = subprocess.Popen(boat.argv(args), stdin=slave, stdout=slave, stderr=slave, cwd=boat.folder,
                                      env=boat.environment(), start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def _read(self, timeout_s: float) -> bool:
        """Takes what is there; False at the end of the output."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # nobody has the other side open any more
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern: str, deadline_s: float = 60) -> re.Match:
        """Reads until the pattern appears behind what earlier calls found."""
        end = time.monotonic() + deadline_s
        alive = True
        while True:
            found = re.compile(pattern).search(self.screen, self._seen)
            if found:
                self._seen = found.end()
                return found
            if not alive or time.monotonic() > end:
                raise AssertionError(f"{pattern!r} did not appear in:\n{self.screen}")
            alive = self._read(0.1)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        self.type("\x03")

    def wait(self, deadline_s: float = 60) -> int:
        """The exit status, after all output was read."""
        end = time.monotonic() + deadline_s
        while self._read(0.1):
            if time.monotonic() > end:
                raise AssertionError(f"still running after {deadline_s} s:\n{self.screen}")
        return self.popen.wait(deadline_s)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: Optional[object]) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        os.close(self.master)
