# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: ways turn by turn, their wall time, and the CPU time of every process but the servers'."""
from __future__ import annotations

import pathlib
import resource
import subprocess
import sys
import time
from typing import Any, Callable

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

# pylint: disable=wrong-import-position
from harness import parts, process  # noqa: E402
from harness.lifeboat import Lifeboat  # noqa: E402
from harness.s3 import VersityGw  # noqa: E402


class Measured:
    """The runs of one way. The least counts: the work is equal, and what else the machine does only ever adds."""

    def __init__(self, name: str):
        self.name, self.wall_s, self.cpu_s, self.stored_bytes, self.peak_bytes = name, [], [], 0, 0

    def run(self, work: Callable[[], None]) -> None:
        def cpu() -> float:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime

        cpu_before, before = cpu(), time.monotonic()
        work()
        self.wall_s.append(time.monotonic() - before)
        self.cpu_s.append(cpu() - cpu_before)
        print(f"{self.name}: {self.wall_s[-1]:.2f} s, {self.cpu_s[-1]:.2f} s of CPU", file=sys.stderr)

    @property
    def wall(self) -> float:
        return min(self.wall_s)

    @property
    def cpu(self) -> float:
        return min(self.cpu_s)


class Scene:
    """An S3 server, an agent with one component of that system, and a shell for what it is compared with."""

    def __init__(self, s3: VersityGw, folder: pathlib.Path, system: str, section: dict[str, Any],
                 env: dict[str, str], tools: pathlib.Path):
        self.s3, self.folder = s3, folder
        self.env = process.clean_environment(**env, **s3.environment())
        self.env["PATH"] = f"{tools}:{parts.path('AWSCLI').parent}:{self.env['PATH']}"
        self.boat = Lifeboat(folder / "agent", {
            "identity": {"cluster": "bench", "namespace": "bench"}, "state": {"path": str(folder / "state")},
            "components": [{"name": "bench", "system": system, "stores": ["s3"], "retention": "forever",
                            system: section}],
            "stores": [{"name": "s3", "type": "s3", "bucket": s3.bucket, "region": s3.region, "path_style": True,
                        "endpoint": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key}]})

    def shell(self, line: str) -> None:
        subprocess.run(["bash", "-c", "set -euo pipefail; " + line], env=self.env, check=True)

    def stored(self) -> int:
        """What lies in the bucket; it is empty afterwards."""
        size = sum(entry.size for entry in self.s3.client.list())
        self.s3.client.empty()
        return size

    def backups(self, ways: dict[str, Callable[[], Any]], repeat: int) -> list[Measured]:
        measured = [Measured(name) for name in ways]
        # Turn by turn, so that whatever else the machine does meets all of them.
        for _ in range(repeat):
            for one, way in zip(measured, ways.values()):
                one.run(way)
                one.stored_bytes = self.stored()
        return measured


def table(measured: list[Measured], stored: bool, memory: bool = False) -> None:
    first = measured[0]
    more = [name for name, wanted in (("stored MB", stored), ("peak MiB", memory)) if wanted]
    print(f"| {' | '.join(['way', 'wall s', 'against the first', 'client CPU s', *more])} |")
    print("|---" * (4 + len(more)) + "|")
    for one in measured:
        # Of a part of a run only the time is known.
        cells = [one.name, f"{one.wall:.1f}", f"{one.wall / first.wall:.2f}", f"{one.cpu:.1f}" if one.cpu_s else "-"]
        if stored:
            cells.append(f"{one.stored_bytes / 1e6:.0f}")
        if memory:
            cells.append(f"{one.peak_bytes / (1 << 20):.0f}" if one.peak_bytes else "-")
        print(f"| {' | '.join(cells)} |")
