# SPDX-License-Identifier: Apache-2.0
"""S3 is away for a whole day of schedules, then back: what fits the bound arrives, in order and byte for byte.

The clock is set for the daemon, its jobs and the collector alike; a real collector hears of it all. A store whose port
refuses is asked again until retry_deadline, one second at least: so it is for the first three hours, and for the
rest the store refuses every request itself, which costs no time.
"""
from __future__ import annotations

import json
import pathlib
import time

import pytest
from harness import process
from harness.collector import Collector
from harness.daemon import Clock, Daemon, StubLifeboat, stub_component
from harness.faults import DiskSampler, tmpfs
from harness.process import wait_until
from harness.s3 import ACCESS_KEY, REGION, SECRET_KEY
from harness.s3stub import status
from harness.toxiproxy import Toxiproxy

NAME = "orders-db"
SLOT_S, SLOTS, REFUSED_SLOTS = 900, 96, 12
MAX_BYTES = 1 << 20
OBJECT_BYTES = 40_000


class Day:
    """A daemon of one component with a schedule of a quarter of an hour, its store, its disk and its collector."""

    def __init__(self, folder: pathlib.Path, stub, proxy: Toxiproxy, disk: pathlib.Path, collector: Collector):
        self.stub, self.proxy, self.disk, self.collector = stub, proxy, disk, collector
        self.clock = Clock(folder, (time.time() // SLOT_S + 1) * SLOT_S)
        self.collector.env = self.clock.env
        (folder / "plan").write_text(f"bytes={OBJECT_BYTES}")
        port = process.free_port()
        component = stub_component(NAME, schedule="*/15 * * * *", plan=folder / "plan", stores=["main"],
                                   retention="forever", attempts=1)
        self.boat = StubLifeboat(folder / "agent", {
            "identity": {"cluster": "test", "namespace": "e2e"}, "state": {"path": str(folder / "state")},
            "http": {"listen": f"127.0.0.1:{port}"}, "components": [component],
            "stores": [{"name": "main", "type": "s3", "bucket": stub.bucket, "region": REGION,
                        "endpoint": proxy.endpoint, "path_style": True, "access_key": ACCESS_KEY,
                        "secret_key": SECRET_KEY, "retry_deadline": "1s", "stall_timeout": "2s"},
                       {"name": "disk", "type": "local", "path": str(disk)}],
            "fallback": {"store": "disk", "max_bytes": MAX_BYTES},
            "collector": {"address": f"127.0.0.1:{collector.port}", "ca_file": str(collector.authority.cert),
                          "cert_file": str(collector.agent.cert), "key_file": str(collector.agent.key)}})
        self.daemon = Daemon(self.boat, http_port=port, env=self.clock.env)

    def backs_up(self, outcome: str, times: int) -> None:
        """The next slot's backup, which is the so-manieth of this outcome."""
        self.clock.forward(SLOT_S)
        self.daemon.hup()
        if outcome == "in_part":  # its line costs less to look for than the metrics
            self.daemon.wait_log("backup on local disk only", times)
        self.daemon.wait_metric("lifeboat_agent_jobs_total", times, component=NAME, kind="backup", outcome=outcome)

    def local(self) -> dict[str, bytes]:
        """What lies on the disk, by key."""
        return {str(path.relative_to(self.disk)): path.read_bytes()
                for path in self.disk.rglob("*") if path.is_file()}

    def stored(self) -> dict[str, bytes]:
        with self.stub.lock:
            return {key: one.data for key, one in self.stub.objects.items()}

    def measured(self, name: str) -> float:
        return self.collector.metric(name, component=NAME)

    def wait_measured(self, name: str, value: float) -> None:
        wait_until(lambda: self.measured(name) == value, 20, f"{name} {value}")


def points(files: dict[str, bytes]) -> dict[str, str]:
    """The recovery point of each backup that has a manifest, by its key."""
    return {key: json.loads(data)["recovery_point"] for key, data in files.items() if "/manifests/" in key}


@pytest.fixture(name="day")
def _day(tmp_path, stub):
    with tmpfs("64m") as disk, Toxiproxy(stub.port) as proxy:
        day = Day(tmp_path, stub, proxy, disk, Collector(tmp_path / "collector"))
        with day.collector, day.daemon:
            yield day


def test_a_day_without_the_store(day):
    day.backs_up("done", 1)
    day.wait_measured("backup_last_result", 1)
    success = day.measured("backup_last_success_timestamp_seconds")
    assert success == day.clock.unix and not day.local()

    slots = []
    with DiskSampler(day.disk, step_s=0.01) as seen:
        day.proxy.down()
        for i in range(SLOTS):
            if i == REFUSED_SLOTS:
                day.stub.fail("*", status(403, "AccessDenied"), times=None)
                day.proxy.up()
            day.backs_up("in_part", i + 1)
            slots.append(time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(day.clock.unix)))
            if i in (0, REFUSED_SLOTS, SLOTS - 1):
                day.wait_measured("backup_failures_total", i + 1)
                assert day.measured("backup_last_result") == 0
                assert day.measured("backup_last_success_timestamp_seconds") == success
        assert len(points(day.stored())) == 1

        # As many of the newest as the bound takes, and no gap among them.
        waiting = day.local()
        used = sum(len(data) for data in waiting.values())
        count = len(points(waiting))
        assert sorted(points(waiting).values()) == slots[-count:]
        assert 20 < count < SLOTS // 3 and used <= MAX_BYTES < used + used // count
        day.daemon.wait_metric("lifeboat_agent_fallback_backups", count, component=NAME)

        # The next slot finds the store, and what waits follows at once.
        day.stub.clear()
        sent_before = day.stub.count("PutObject", "/manifests/")
        day.backs_up("done", 2)
        day.daemon.wait_metric("lifeboat_agent_fallback_backups", 0, component=NAME)
    assert seen.most <= MAX_BYTES and seen.samples > 1000

    arrived = day.stored()
    assert waiting.items() <= arrived.items() and len(points(arrived)) == 2 + count
    sent = [request.key for request in day.stub.seen("PutObject", "/manifests/")[sent_before:]]
    assert sent[1:] == sorted(points(waiting), key=points(waiting).get)
    assert not day.local()
    assert day.daemon.metrics()["lifeboat_agent_fallback_bytes" + f'{{component="{NAME}"}}'] == 0
    day.wait_measured("backup_last_result", 1)
    day.wait_measured("backup_last_success_timestamp_seconds", day.clock.unix)
    assert day.measured("backup_failures_total") == SLOTS
    day.boat.run("verify", "--all", env=day.clock.env)
    assert day.daemon.stop() == 0 and "Sanitizer" not in day.daemon.log


def test_what_waited_alone_makes_it_good_again(day):
    """No new backup: the newest that waited is in its store, and counts from when it was made."""
    day.backs_up("done", 1)
    day.stub.fail("*", status(403, "AccessDenied"), times=None)
    day.backs_up("in_part", 1)
    day.backs_up("in_part", 2)
    made = day.clock.unix
    day.wait_measured("backup_last_result", 0)
    assert day.measured("backup_last_success_timestamp_seconds") == made - 2 * SLOT_S
    day.stub.clear()
    day.clock.forward(60)
    day.boat.run("upload", env=day.clock.env)
    day.wait_measured("backup_last_result", 1)
    day.wait_measured("backup_last_success_timestamp_seconds", made)
    assert day.measured("backup_recovery_point_timestamp_seconds") == made
    day.daemon.wait_metric("lifeboat_agent_fallback_backups", 0, component=NAME)
    assert not day.local()
