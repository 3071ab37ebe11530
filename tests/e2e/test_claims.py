# SPDX-License-Identifier: Apache-2.0
"""Several agents of one component (run_on: one): each slot is backed up once, whoever fails, hangs or dies.

The system is the quick one of tests/stub, the clock is set by the test; everything else is real.
"""
from __future__ import annotations

import contextlib
import os
import time

import configs
import pytest
from harness.daemon import Clock, Daemon, StubLifeboat, stub_component
from harness.process import wait_until

NAME = configs.NAME


@pytest.fixture(name="clock")
def _clock(tmp_path):
    return Clock(tmp_path, "2026-11-24 07:01:00")


@pytest.fixture(name="agents")
def _agents(tmp_path, clock):
    """agents("a", "b", stall_timeout=...): daemons of one component that share a store; each obeys tmp_path/NAME.plan."""
    with contextlib.ExitStack() as stack:
        def start(*names, schedule="*/15 * * * *", stall_timeout="1m"):
            daemons = []
            for name in names:
                own = stub_component(NAME, schedule=schedule, run_on="one", stall_timeout=stall_timeout, attempts=1,
                                     plan=tmp_path / f"{name}.plan")
                config = configs.config(tmp_path, own, state={"path": str(tmp_path / f"state-{name}")})
                config["identity"] = {**config["identity"], "pod": f"orders-{name}"}
                daemons.append(Daemon(StubLifeboat(tmp_path / f"agent-{name}", config), env=clock.env))
                stack.enter_context(daemons[-1])
            return daemons
        yield start


def at(clock, moment, *daemons):
    clock.set(moment)
    for daemon in daemons:
        daemon.hup()


def backups(tmp_path):
    return list(configs.manifests(tmp_path))


def claims(tmp_path):
    """What is there whole: a death may leave a part."""
    return sorted(path.name for path in (tmp_path / "store").glob("*/*/*/*/claims/*") if ".part-" not in path.name)


def test_each_slot_once(tmp_path, clock, agents):
    a, b = agents("a", "b")
    for minute in (15, 30, 45):
        at(clock, f"2026-11-24 07:{minute}:00", a, b)
        wait_until(lambda: a.count("backup committed") + b.count("backup committed") == minute // 15, 30, "a backup")
        # Whoever came too late has noted it, at once or when it looked again.
        wait_until(lambda: a.count("this slot is") + b.count("this slot is") +
                   a.count("works on this slot") + b.count("works on this slot") +
                   a.count("just begun") + b.count("just begun") >= minute // 15, 30, "the other one notes it")
    assert len(backups(tmp_path)) == 3
    assert claims(tmp_path) == sorted(f"20261124T07{minute}00Z{end}.json" for minute in (15, 30, 45) for end in ("", "-done"))


def test_it_is_looked_at_again(tmp_path, clock, agents):
    """Silence for stall_timeout after a death: the other one takes over. Files on local disk have the real time."""
    slot = time.time() // 60 * 60
    moment = time.gmtime(slot)
    first = time.strftime("%Y%m%dT%H%M00Z", moment)
    clock.set(slot - 60)
    (tmp_path / "a.plan").write_text("hang")
    a, b = agents("a", "b", schedule=f"{moment.tm_min} {moment.tm_hour} * * *", stall_timeout="5s")
    at(clock, slot, a)
    wait_until(lambda: claims(tmp_path) == [f"{first}.json"], 20, "a has claimed")
    b.hup()
    b.wait_log("orders-a works on this slot")
    a.running.kill_ours()
    assert b.count("backup committed") == 0
    clock.set(time.time() + 6)
    b.wait_log("backup committed")
    # Its daemon dies a moment before the job, which may have had the time to say that it fails.
    found = [name for name in claims(tmp_path) if name != f"{first}-failed.json"]
    assert found == [f"{first}-2-done.json", f"{first}-2.json", f"{first}.json"]
    assert len(backups(tmp_path)) == 1


def test_a_failure_is_taken_over(tmp_path, clock, agents):
    (tmp_path / "a.plan").write_text("fail")
    a, b = agents("a", "b", stall_timeout="5s")
    at(clock, "2026-11-24 07:15:00", a)
    a.wait_log("backup failed")
    assert claims(tmp_path) == ["20261124T071500Z-failed.json", "20261124T071500Z.json"]
    b.hup()
    b.wait_log("backup committed")
    assert a.count("backup failed") == 1


def test_an_agent_takes_back_its_own(tmp_path, clock, agents):
    (a,) = agents("a", stall_timeout="1h")
    at(clock, "2026-11-24 07:15:00", a)
    a.wait_log("backup committed")
    (tmp_path / "a.plan").write_text("hang")
    at(clock, "2026-11-24 07:30:00", a)
    wait_until(lambda: "20261124T073000Z.json" in claims(tmp_path), 20, "a has claimed")
    a.running.kill_ours()
    (tmp_path / "a.plan").write_text("")
    (again,) = agents("a", stall_timeout="1h")
    again.wait_log("backup committed")
    found = [name for name in claims(tmp_path) if name != "20261124T073000Z-failed.json"]
    assert found[2:] == [f"20261124T073000Z{end}.json" for end in ("-2-done", "-2", "")]


def test_an_interval_has_common_slots(tmp_path, clock, agents):
    a, b = agents("a", "b", schedule="@every 1h")
    wait_until(lambda: a.count("backup committed") + b.count("backup committed") == 1, 30, "the first one")
    at(clock, "2026-11-24 07:59:00", a, b)
    at(clock, "2026-11-24 08:02:00", a, b)
    wait_until(lambda: a.count("backup committed") + b.count("backup committed") == 2, 30, "the second one")
    assert {name[:16] for name in claims(tmp_path)} == {"20261124T070000Z", "20261124T080000Z"}


def test_signs_of_life(tmp_path, clock, agents):
    """A long backup of one agent is not taken over, however long it takes."""
    (tmp_path / "a.plan").write_text("bytes=700 drip")
    a, b = agents("a", "b", stall_timeout="2s")
    at(clock, "2026-11-24 07:15:00", a)
    wait_until(lambda: any("-alive-" in name for name in claims(tmp_path)), 30, "a sign of life")
    b.hup()
    b.wait_log("orders-a works on this slot", 2)
    a.wait_log("backup committed")
    b.wait_log("this slot is backed up, by orders-a")
    assert claims(tmp_path) == ["20261124T071500Z-done.json", "20261124T071500Z.json"]
    assert len(backups(tmp_path)) == 1


def test_a_person_needs_no_claim(tmp_path):
    own = stub_component(NAME, run_on="one")
    boat = StubLifeboat(tmp_path / "agent", configs.config(tmp_path, own))
    boat.run("backup")
    assert not claims(tmp_path)


def test_old_claims_go(tmp_path, clock, agents):
    (a,) = agents("a")
    at(clock, "2026-11-24 07:15:00", a)
    a.wait_log("backup committed")
    folder = next((tmp_path / "store").glob("*/*/*/*/claims"))
    for name in ("20261001T071500Z.json", "20261001T071500Z-done.json", "notes.txt"):
        (folder / name).write_text("{}")
        os.utime(folder / name, (1.7e9, 1.7e9))
    at(clock, "2026-11-24 07:30:00", a)
    a.wait_log("backup committed", 2)
    wait_until(lambda: "20261001T071500Z.json" not in claims(tmp_path), 20, "they are gone")
    assert "notes.txt" in claims(tmp_path) and "20261124T071500Z.json" in claims(tmp_path)
