# SPDX-License-Identifier: Apache-2.0
"""The daemon and a real PostgreSQL: one that is away, that refuses, that comes back; stopped and killed in the middle."""
from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest
from harness import postgres, process
from harness import scene as scenes
from harness.daemon import Clock, Daemon, history, logfmt
from harness.faults import FakeTools, wait_until
from harness.scene import COMPONENT, Scene

SLOT_S = 900
HBA_REFUSES = "host all,replication all 127.0.0.1/32 reject\n"


@pytest.fixture(scope="module", name="own_pg")
def _own_pg():
    """A server that the tests may stop."""
    with postgres.Postgres(16) as server:
        scenes.fill(server, "small", 1_000)
        scenes.fill(server, "large", 60_000, width=32)
        yield server


class Watch(Scene):
    """A scene with a daemon, whose clock goes from slot to slot."""

    def __init__(self, folder, pg, database, *, component=None, **more):
        super().__init__(folder, pg, database, component={"schedule": "*/15 * * * *", "jitter": "0s", **(component or {})},
                         **more)
        self.clock = Clock(self.folder, (time.time() // SLOT_S + 1) * SLOT_S - 1)
        self.port = process.free_port()
        self.config["http"] = {"listen": f"127.0.0.1:{self.port}"}
        self.lifeboat.configure(self.config)

    def daemon(self):
        return Daemon(self.lifeboat, http_port=self.port, env=self.clock.env)

    def next_slot(self, daemon):
        self.clock.set((self.clock.unix // SLOT_S + 1) * SLOT_S)
        daemon.hup()

    def run(self, command, backup="", expect=0, timeout_s=120):
        return self.lifeboat.run(*self.words(command, backup), expect=expect, timeout_s=timeout_s, env=self.clock.env)


def ended(daemon, outcome, times, kind="backup"):
    daemon.wait_metric("lifeboat_agent_jobs_total", times, component=COMPONENT, kind=kind, outcome=outcome)


def errors(daemon):
    """The error lines so far."""
    return [logfmt(line) for line in daemon.log.splitlines() if " level=error " in line]


def test_a_database_that_goes_and_comes(own_pg, tmp_path):
    watch = Watch(tmp_path, own_pg, "small")
    hba = own_pg.data / "pg_hba.conf"
    trusting = hba.read_text()
    with watch.daemon() as daemon:
        watch.next_slot(daemon)
        ended(daemon, "done", 1)

        # Each failed job names the cause once, and the schedule goes on.
        own_pg.stop()
        for i in (1, 2):
            watch.next_slot(daemon)
            ended(daemon, "failed", i)
        assert len(errors(daemon)) == 2
        assert all("refused" in line["err"] for line in errors(daemon)), daemon.log

        hba.write_text(HBA_REFUSES)
        own_pg.start()
        watch.next_slot(daemon)
        ended(daemon, "failed", 3)
        assert len(errors(daemon)) == 3 and "pg_hba.conf" in errors(daemon)[2]["err"], daemon.log

        hba.write_text(trusting)
        own_pg.stop()
        own_pg.start()
        watch.next_slot(daemon)
        ended(daemon, "done", 2)
        assert daemon.metrics()[f'lifeboat_agent_jobs_total{{component="{COMPONENT}",kind="backup",outcome="failed"}}'] == 3
        assert len(errors(daemon)) == 3
        assert daemon.stop() == 0
    assert len(watch.manifests()) == 2
    watch.run("verify --all")
    watch.live_untouched()
    watch.is_clean()


def test_stopped_in_the_middle_of_a_dump(own_pg, tmp_path):
    tools = FakeTools(own_pg.pg_bin, tmp_path / "tools")
    tools.hang("pg_dump", 20_000_000)
    watch = Watch(tmp_path, own_pg, "large", tools=tools)
    with watch.daemon() as daemon:
        watch.next_slot(daemon)
        wait_until(lambda: tools.hanging("pg_dump"), 30, "half-way")
        pids = process.descendants(daemon.pid)
        assert len(pids) >= 2  # the job, its pg_dump and whatever that is wrapped in
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 2.5
        wait_until(lambda: not any(process.alive(pid) for pid in pids), 2, "all of it is over")
    assert not watch.manifests() and len(history(watch.state, COMPONENT)) == 1
    tools.clear()
    with watch.daemon() as daemon:
        wait_until(lambda: not (watch.records() or watch.orphans() or watch.store.uploads()), 20, "nothing is left")
        watch.next_slot(daemon)
        ended(daemon, "done", 1)
        daemon.stop()
    assert len(watch.manifests()) == 1
    watch.is_clean()
    wait_until(lambda: not own_pg.sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'large'"), 10, "no backend")


@pytest.mark.parametrize("whom", ["daemon and job", "job"])
def test_killed_in_the_middle_of_a_drill(own_pg, tmp_path, whom):
    """What was built for the drill goes with the next start, or soon after when the daemon lives; not with the next drill."""
    tools = FakeTools(own_pg.pg_bin, tmp_path / "tools")
    watch = Watch(tmp_path, own_pg, "large", tools=tools, component={"drill": {"schedule": "*/15 * * * *"}})
    watch.backup()
    watch.config["components"][0].pop("schedule")
    watch.lifeboat.configure(watch.config)
    tools.hang("pg_restore", 10_000_000)
    with watch.daemon() as daemon:
        watch.next_slot(daemon)
        wait_until(lambda: tools.hanging("pg_restore"), 30, "half-way")
        assert len(watch.extra_databases()) == 1
        pids = process.descendants(daemon.pid)
        if whom == "job":
            os.kill(daemon.jobs()[0], signal.SIGKILL)
        else:
            daemon.running.kill_ours()
            daemon.running.wait(10)
        for pid in pids:
            # The hanging stand-in of a tool looks at nothing, so nobody else ends it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        tools.clear()
        if whom == "job":
            ended(daemon, "done", 1, kind="prune")
        else:
            assert len(watch.extra_databases()) == 1
            daemon.start()
            ended(daemon, "done", 1, kind="prune")
        assert not watch.extra_databases(), daemon.log
        assert len([call for call in tools.calls("pg_restore") if "-d" in call.argv]) == 1  # no drill did it
        watch.is_clean()
        watch.live_untouched()

        watch.next_slot(daemon)
        ended(daemon, "done", 1, kind="drill")
        daemon.stop()
    watch.is_clean()
