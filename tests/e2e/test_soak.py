# SPDX-License-Identifier: Apache-2.0
"""The daemon over thousands of jobs: it stays small, and grows by nothing.

Release programs, the quick system, a minute of the clock for each round of jobs, a link with TLS to a real collector,
and /metrics read all along. LIFEBOAT_SOAK_JOBS: so many jobs (tests/campaign/soak.sh); a thousand else.
"""
from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import time

import configs
import pytest
from harness import process
from harness.collector import Collector
from harness.daemon import Clock, Daemon, StubLifeboat, descriptors, memory_bytes, stub_component
from harness.faults import tmpfs
from harness.process import wait_until
from harness.release import release_programs

JOBS = int(os.environ.get("LIFEBOAT_SOAK_JOBS", "1000"))
AWAY_JOBS = max(100, JOBS // 50)
COMPONENTS = 10
MIB = 1 << 20
LIMIT_BYTES, GROWTH_BYTES = 8 * MIB, 256 * 1024
CACHE_BYTES = 2_000 * 1024  # of the database's pages in the collector: SQLite fills them one by one, and no more


@pytest.fixture(scope="module", autouse=True)
def _release_build():
    with release_programs("lifeboat-agent", "lifeboat-collector", "stub-agent", "stub-job", "clock-preload"):
        yield


@pytest.fixture(name="tell")
def _tell(capfd):
    """tell(text): a line of the report, whatever pytest captures."""
    def tell(text):
        with capfd.disabled():
            print(text, flush=True)
    return tell


@pytest.fixture(name="folder")
def _folder():
    """In memory, for waiting on a disk is most of the time else."""
    with tmpfs("1g") as path:
        yield path


@dataclasses.dataclass
class Sample:
    """A process at rest. own: what no other process shares; PSS also moves with who else maps the same libraries."""
    pss: int
    own: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Sample":
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Private_Dirty:"))
        return cls(memory_bytes(pid), own, descriptors(pid), len(os.listdir(f"/proc/{pid}/task")))

    def __str__(self) -> str:
        return f"{self.pss / MIB:.2f} | {self.own / MIB:.2f} | {self.descriptors} | {self.threads}"


class Soak:
    """A daemon of many components, each due every minute. A round is a minute and a job of each."""

    def __init__(self, folder: pathlib.Path, collector: Collector, clock: Clock, **more: object):
        self.collector, self.clock, self.jobs = collector, clock, 0
        names = [f"component-{i}" for i in range(COMPONENTS)]
        section = {"address": f"127.0.0.1:{collector.port}", "ca_file": str(collector.authority.cert),
                   "cert_file": str(collector.agent.cert), "key_file": str(collector.agent.key)}
        port = process.free_port()
        (folder / "plan").write_text("bytes=20000")
        components = [stub_component(name, schedule="@every 1m", attempts=1, plan=folder / "plan") for name in names]
        config = configs.config(folder, *components, http={"listen": f"127.0.0.1:{port}"}, collector=section, **more)
        self.daemon = Daemon(StubLifeboat(folder / "agent", config), http_port=port, env=clock.env)
        self.samples: list[Sample] = []
        self.collectors: list[Sample] = []

    def ended(self, outcome: str) -> int:
        """Backups that ended so; also a look at the metrics."""
        return int(sum(value for name, value in self.daemon.metrics().items()
                       if name.startswith("lifeboat_agent_jobs_total") and f'kind="backup",outcome="{outcome}"' in name))

    def round(self, outcome: str) -> None:
        self.jobs += COMPONENTS
        wait_until(lambda: self.ended(outcome) == self.jobs, 60, f"{self.jobs} jobs")
        if self.collector.running():
            wait_until(lambda: self.daemon.metrics()["lifeboat_agent_reports_waiting"] == 0, 60, "all is told")
            self.collectors.append(Sample.of(self.collector.pid))
        wait_until(lambda: not self.daemon.jobs(), 10, "no job runs")
        self.samples.append(Sample.of(self.daemon.pid))
        self.clock.forward(60)
        self.daemon.hup()


def grows_not(samples: list[Sample], who: str, cache_bytes: int = 0, attempts: int = 0) -> None:
    """The last quarter against the second one: in the first, everything is used for its first time."""
    quarter = len(samples) // 4
    early, late = samples[quarter:2 * quarter], samples[-quarter:]
    growth = statistics.median(one.own for one in late) - statistics.median(one.own for one in early)
    assert growth <= GROWTH_BYTES + cache_bytes, f"{who} has grown by {growth} bytes"
    # The least: a connection that reads the metrics may not be closed yet.
    # attempts: descriptors and threads of an attempt to connect, which may be under way in any of the samples.
    for what in ("descriptors", "threads"):
        before, after = (min(getattr(one, what) for one in some) for some in (early, late))
        assert after <= before + attempts, f"{what} of {who}"


def test_thousands_of_jobs(folder, tell):
    collector = Collector(folder / "collector")
    clock = Clock(folder, time.time() + 1)  # certificates hold from now on
    collector.env = clock.env
    soak = Soak(folder, collector, clock)
    tell("\n| jobs | daemon: PSS MiB | own MiB | descriptors | threads | collector: PSS MiB | own MiB | descriptors "
         "| threads |\n|---|---|---|---|---|---|---|---|---|")
    with collector, soak.daemon:
        began = time.monotonic()
        while soak.jobs < JOBS:
            soak.round("done")
            if soak.jobs % 1000 == 0 or soak.jobs in (COMPONENTS, JOBS // 2):
                tell(f"| {soak.jobs:,} | {soak.samples[-1]} | {soak.collectors[-1]} |")
        tell(f"{soak.jobs} jobs in {time.monotonic() - began:.0f} s")
        assert all(one.pss <= LIMIT_BYTES for one in soak.samples), max(one.pss for one in soak.samples)
        grows_not(soak.samples, "the daemon")
        grows_not(soak.collectors, "the collector", CACHE_BYTES)
        wait_until(lambda: collector.query("SELECT count(DISTINCT sequence) FROM report")[0][0] >= soak.jobs, 20, "all")
        assert soak.daemon.stop() == 0


def test_when_everything_is_away(folder, tell):
    """The collector refuses, the stores cannot be opened, and what cannot be told or sent is on disk, not in memory."""
    clock = Clock(folder, time.time())
    (folder / "store").write_text("no folder")
    soak = Soak(folder, Collector(folder / "collector"), clock, fallback={"store": "local", "max_bytes": "1MiB"})
    config = soak.daemon.boat.config
    config["stores"].append({"name": "local", "type": "local", "path": str(folder / "fallback")})
    soak.daemon.boat.configure(config)
    with soak.daemon:
        while soak.jobs < AWAY_JOBS:
            soak.round("in_part")
        tell(f"\nwith everything away, after {soak.jobs} jobs: {soak.samples[-1]}; {len(soak.samples)} samples, "
             f"at most {max(one.pss for one in soak.samples) / MIB:.2f} MiB")
        assert soak.daemon.metrics()["lifeboat_agent_reports_waiting"] >= soak.jobs
        assert all(one.pss <= LIMIT_BYTES for one in soak.samples)
        grows_not(soak.samples, "the daemon", attempts=2)
        assert soak.daemon.stop() == 0
