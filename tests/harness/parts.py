# SPDX-License-Identifier: Apache-2.0
"""Where the test parts lie: what `tests/parts/install.sh --env` says, and nothing else."""
import functools
import pathlib
import shlex
import subprocess

INSTALL = pathlib.Path(__file__).resolve().parent.parent / "parts" / "install.sh"


@functools.lru_cache(maxsize=None)
def environment() -> dict[str, str]:
    """The NAME=value lines of install.sh --env."""
    text = subprocess.run([str(INSTALL), "--env"], check=True, capture_output=True, text=True).stdout
    return dict(word.split("=", 1) for line in text.splitlines() for word in shlex.split(line))


def path(name: str) -> pathlib.Path:
    """The path behind VERSITYGW, TOXIPROXY, AWSCLI, VALKEY, PGnn_BIN, JAVA17_HOME or KAFKAnn_HOME; it must be there."""
    found = pathlib.Path(environment()[name])
    if not found.exists():
        raise RuntimeError(f"{name}: {found} is not there; run tests/parts/install.sh")
    return found
