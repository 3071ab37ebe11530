# SPDX-License-Identifier: Apache-2.0
"""The programs under test: their configuration, a command to its end, a command in the background.

LIFEBOAT_BIN names the folder with lifeboat-agent and lifeboat-job.
"""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
from typing import Any, Iterable, Optional, Sequence, Union

import yaml

from . import process


def bin_folder() -> pathlib.Path:
    """The folder of the built programs."""
    folder = pathlib.Path(os.environ.get("LIFEBOAT_BIN", ""))
    if not (folder / "lifeboat-agent").exists():
        raise RuntimeError("LIFEBOAT_BIN must name the folder with lifeboat-agent and lifeboat-job")
    return folder.resolve()


@dataclasses.dataclass
class Result:
    """What a command left: status is -N when signal N ended it."""
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> list[dict[str, Any]]:
        """The JSON objects of standard output, one per line."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def __str__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Running:
    """A command in the background; its output goes to files. Leaving the context kills what still runs."""

    def __init__(self, popen: subprocess.Popen, stdout: pathlib.Path, stderr: pathlib.Path):
        self.popen, self.pid = popen, popen.pid
        self.stdout_path, self.stderr_path = stdout, stderr

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def running(self) -> bool:
        return self.popen.poll() is None

    def tree(self) -> list[int]:
        """The command and all its children."""
        return [self.pid, *process.descendants(self.pid)]

    def memory(self, **options: Any) -> process.MemorySampler:
        """A sampler of our own processes' PSS: with running.memory() as memory: ..."""
        return process.MemorySampler(self.pid, **options)

    def signal(self, number: int, group: bool = False) -> None:
        """To lifeboat-agent alone, or (as Ctrl-C does) to its whole process group."""
        if self.running():
            (os.killpg if group else os.kill)(self.pid, number)

    def kill_ours(self) -> None:
        """kill -9 of every lifeboat process of this command at once; its pg_dump or pg_restore is left alone."""
        for pid in self.tree():
            if process.executable(pid).startswith("lifeboat"):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def wait(self, timeout_s: float = 120) -> Result:
        self.popen.wait(timeout_s)
        return Result(self.popen.returncode, self.stdout, self.stderr)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.tree() if self.running() else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            # What outlived the command (a pg_dump whose parent was killed) is still in its process group.
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


class Lifeboat:
    """One configuration in one folder. path: folders searched before PATH (a PostgreSQL's bin, fake tools)."""

    def __init__(self, folder: pathlib.Path, config: Union[dict, str], *, path: Iterable[Any] = (),
                 env: Optional[dict[str, str]] = None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_path = self.folder / "agent.yaml"
        self.path = [str(entry) for entry in path]
        self.env = dict(env or {})
        self._count = 0
        self.configure(config)

    def configure(self, config: Union[dict, str]) -> None:
        """Writes agent.yaml; a string goes in as it is, so that tests can be wrong on purpose."""
        self.config = config
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        self.config_path.write_text(text)
        self.config_path.chmod(0o600)

    def environment(self, env: Optional[dict[str, Optional[str]]] = None) -> dict[str, str]:
        merged = process.clean_environment(**self.env)
        merged["PATH"] = ":".join([*self.path, merged["PATH"]])
        for name, value in (env or {}).items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = value
        return merged

    def argv(self, args: Sequence[str]) -> list[str]:
        """backup X becomes lifeboat-agent backup -c agent.yaml X; an own -c, or a leading dash, is left alone."""
        words = [str(word) for word in args]
        if words and not words[0].startswith("-") and "-c" not in words:
            words[1:1] = ["-c", str(self.config_path)]
        return [str(bin_folder() / "lifeboat-agent"), *words]

    def run(self, *args: str, env: Optional[dict[str, Optional[str]]] = None,
            expect: Union[int, Sequence[int], None] = 0, timeout_s: float = 300, stdin: str = "") -> Result:
        """Runs a command to its end. expect: the status or statuses that are right, None for any."""
        done = subprocess.run(self.argv(args), env=self.environment(env), input=stdin, capture_output=True,
                              text=True, errors="replace", timeout=timeout_s, cwd=self.folder)
        result = Result(done.returncode, done.stdout, done.stderr)
        wanted = [expect] if isinstance(expect, int) else expect
        if wanted is not None and result.status not in wanted:
            raise AssertionError(f"lifeboat-agent {' '.join(map(str, args))}: expected {expect}, got {result}")
        return result

    def start(self, *args: str, env: Optional[dict[str, Optional[str]]] = None) -> Running:
        """Starts a command in a session of its own."""
        self._count += 1
        out, err = (self.folder / f"run-{self._count}.{tail}" for tail in ("out", "err"))
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            popen = process.spawn(self.argv(args), env=self.environment(env), stdout=stdout, stderr=stderr,
                                  cwd=self.folder)
        return Running(popen, out, err)
