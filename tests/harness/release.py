# SPDX-License-Identifier: Apache-2.0
"""The programs as they are shipped, for what the sanitizers' shadow memory and slowness would hide."""
from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import subprocess
from typing import Iterator

from .process import clean_environment

_SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


def _build(folder: pathlib.Path, targets: tuple[str, ...]) -> None:
    for argv in (["cmake", "--preset", "release", "-B", str(folder), "-DLIFEBOAT_TESTS=ON"],
                 ["cmake", "--build", str(folder), "-j", "2", "--target", *targets]):
        done = subprocess.run(argv, cwd=_SOURCE, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)


@contextlib.contextmanager
def release_programs(*targets: str) -> Iterator[None]:
    """Builds these targets, and LIFEBOAT_BIN names them; in a folder that is kept, one build at a time."""
    folder = _SOURCE / "build" / "release-e2e"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "building", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(folder, targets)
    kept = os.environ["LIFEBOAT_BIN"]
    os.environ["LIFEBOAT_BIN"] = str(folder / "bin")
    try:
        yield
    finally:
        os.environ["LIFEBOAT_BIN"] = kept
