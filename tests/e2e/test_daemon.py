# SPDX-License-Identifier: Apache-2.0
"""The daemon: schedules, a changed configuration, signals, jobs that die or hang, health and metrics.

The system is the quick one of tests/stub, the clock is set by the test; everything else is real.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import configs
import pytest
from harness import process
from harness.daemon import Clock, Daemon, StubLifeboat, history, stub_component, wait_status
from harness.process import wait_until

NAME = configs.NAME


def build(tmp_path, *components, **more):
    port = process.free_port()
    config = configs.config(tmp_path, *components, http={"listen": f"127.0.0.1:{port}"}, **more)
    boat = StubLifeboat(tmp_path / "agent", config)
    return boat, port


@pytest.fixture(name="clock")
def _clock(tmp_path):
    return Clock(tmp_path, "2026-11-24 07:01:00")


def test_backups_come_at_their_slots(tmp_path, clock):
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *"))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        for minute in (14, 15, 16, 29, 30, 31):
            clock.set(f"2026-11-24 07:{minute}:00")
            daemon.hup()
            daemon.wait_log("backup committed", minute // 15) if minute >= 15 else None
        assert daemon.count("backup committed") == 2
        daemon.wait_metric("lifeboat_agent_job_next_timestamp_seconds", clock.unix + 14 * 60, component=NAME, kind="backup")
        assert daemon.stop() == 0
    points = [manifest["recovery_point"] for manifest in configs.manifests(tmp_path).values()]
    assert points == ["2026-11-24T07:15:00.000Z", "2026-11-24T07:30:00.000Z"]


def test_one_catches_up_for_all_that_were_missed(tmp_path, clock):
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *"))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        clock.set("2026-11-24 07:15:00")
        daemon.hup()
        daemon.wait_log("backup committed")
        assert daemon.stop() == 0
    clock.set("2026-11-26 10:07:00")
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        daemon.wait_log("backup committed")
        clock.set("2026-11-26 10:15:00")
        daemon.hup()
        daemon.wait_log("backup committed", 2)
        # The machine sleeps for a day while the daemon lives.
        clock.set("2026-11-27 11:07:00")
        daemon.hup()
        daemon.wait_log("backup committed", 3)
        daemon.hup()
        daemon.stop()
        assert daemon.count("backup committed") == 3


def test_the_clock_jumps_back(tmp_path, clock):
    """A backup that was made in a future that was none keeps no later one from coming."""
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *"))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        clock.set("2031-01-01 00:00:00")
        daemon.hup()
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
        clock.set("2026-11-24 07:16:00")
        daemon.hup()
        daemon.wait_metric("lifeboat_agent_job_next_timestamp_seconds", clock.unix + 14 * 60, component=NAME, kind="backup")
        clock.set("2026-11-24 07:30:00")
        daemon.hup()
        daemon.wait_log("backup committed", 2)


def test_verify_and_drill_have_schedules_of_their_own(tmp_path, clock):
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 15m", verify={"schedule": "0 8 * * *"}))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        daemon.wait_log("backup committed")
        clock.set("2026-11-24 08:00:00")
        daemon.hup()
        daemon.wait_log("backup verified")
        assert [record["by"] for record in configs.records(tmp_path)] == ["verify"]
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="verify", outcome="done")
    assert len(history(tmp_path / "state", NAME)) >= 2


def test_one_job_at_a_time(tmp_path):
    """Two components that are due at once run one after the other, and each has its log."""
    boat, port = build(tmp_path, *(stub_component(f"c{i}", schedule="@every 15m") for i in range(4)))
    with Daemon(boat, http_port=port) as daemon:
        most = 0
        while daemon.count("backup committed") < 4:
            most = max(most, len(daemon.jobs()))
        assert most == 1
    for i in range(4):
        (log,) = (tmp_path / "state" / "history" / f"c{i}").glob("*.log")
        assert "backup committed" in log.read_text()


def test_a_changed_configuration_is_adopted_and_a_wrong_one_refused(tmp_path, clock):
    boat, port = build(tmp_path, stub_component(NAME, schedule="0 * * * *"))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        boat.configure(configs.config(tmp_path, stub_component(NAME, schedule="61 * * * *"),
                                      http={"listen": f"127.0.0.1:{port}"}))
        daemon.hup()
        daemon.wait_log("the changed configuration is refused")
        assert "agent.yaml:" in daemon.log and "schedule" in daemon.log
        assert daemon.metrics()["lifeboat_agent_config_valid"] == 0
        # The old one is in force, though the file is wrong.
        clock.set("2026-11-24 08:00:00")
        daemon.hup()
        daemon.wait_log("backup committed")
        assert daemon.count("is refused") == 1
        boat.configure(configs.config(tmp_path, stub_component(NAME, schedule="*/10 * * * *"),
                                      stub_component("second", schedule="@every 1h"),
                                      http={"listen": f"127.0.0.1:{port}"}))
        daemon.hup()
        daemon.wait_log("the changed configuration is in force")
        daemon.wait_log("backup committed", 2)
        assert daemon.metrics()["lifeboat_agent_config_valid"] == 1
        clock.set("2026-11-24 08:10:00")
        daemon.hup()
        daemon.wait_log("backup committed", 3)


def test_a_configuration_that_vanishes_or_is_empty_changes_nothing(tmp_path, clock):
    boat, port = build(tmp_path, stub_component(NAME, schedule="0 * * * *"))
    good = boat.config_path.read_text()
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        boat.config_path.write_text("")
        daemon.hup()
        daemon.wait_log("the changed configuration is refused")
        boat.config_path.unlink()
        daemon.hup()
        daemon.wait_log("the changed configuration is refused", 2)
        daemon.hup()
        daemon.wait_metric("lifeboat_agent_config_valid", 0)
        clock.set("2026-11-24 08:00:00")
        daemon.hup()
        daemon.wait_log("backup committed")
        boat.config_path.write_text(good)
        daemon.hup()
        daemon.wait_metric("lifeboat_agent_config_valid", 1)
        assert daemon.count("is refused") == 2


def test_a_wrong_configuration_stops_the_start(tmp_path):
    boat = StubLifeboat(tmp_path / "agent", configs.config(tmp_path, stub_component(NAME, schedule="never")))
    result = boat.run("run", expect=2)
    assert "agent.yaml:" in result.stderr and "schedule" in result.stderr


def test_what_a_stop_interrupts_is_over_within_two_seconds(tmp_path):
    for plan in ("hang", "stuck"):
        folder = tmp_path / plan
        folder.mkdir()
        (folder / "plan").write_text(plan)
        boat, port = build(folder, stub_component(NAME, schedule="@every 1h", plan=folder / "plan"))
        with Daemon(boat, http_port=port) as daemon:
            wait_until(lambda: daemon.jobs(), 20, "the job runs")
            (job,) = daemon.jobs()
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 2.5
            wait_until(lambda pid=job: not process.alive(pid), 5, "the job is gone")
        assert len(history(folder / "state", NAME)) == 1


def test_a_job_that_dies_is_reported_and_the_next_one_runs(tmp_path, clock):
    plan = tmp_path / "plan"
    plan.write_text("die")
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *", plan=plan))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        clock.set("2026-11-24 07:15:00")
        daemon.hup()
        daemon.wait_log("was ended by signal 9")
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="failed")
        plan.write_text("")
        clock.set("2026-11-24 07:30:00")
        daemon.hup()
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="prune", outcome="done")
    assert len(history(tmp_path / "state", NAME)) == 3  # it died, what it left was cleaned, the next one


def test_a_job_that_hangs_is_killed_and_reported(tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("hang")
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 1h", plan=plan, deadline="1s"))
    with Daemon(boat, http_port=port) as daemon:
        daemon.wait_log("backup failed")
        assert daemon.get("/healthz") == "ok\n"


def test_a_job_that_falls_silent_is_killed_and_reported(tmp_path):
    """Stopped in the middle of its bytes it can keep no limit of its own, nor listen to SIGTERM."""
    plan = tmp_path / "plan"
    plan.write_text("bytes=200000000")
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 1h", plan=plan, stall_timeout="1s", compress="gzip:9"))
    with Daemon(boat, http_port=port) as daemon:
        wait_until(lambda: daemon.metrics().get(f'lifeboat_agent_job_source_bytes{{component="{NAME}",kind="backup"}}'),
                   20, "bytes move")
        os.kill(daemon.jobs()[0], signal.SIGSTOP)
        daemon.wait_log("it said nothing for longer than stall_timeout", deadline_s=40)
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="failed")
    (report,) = history(tmp_path / "state", NAME)
    said = re.search(rb"the job [ -~]*", report.read_bytes()).group()
    assert said == b"the job was ended by signal 9 and left no report: it said nothing for longer than stall_timeout"


def test_a_backup_that_fills_its_interval_is_warned_of(tmp_path, clock):
    plan = tmp_path / "plan"
    plan.write_text("hang")
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *", plan=plan))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        clock.set("2026-11-24 07:15:00")
        daemon.hup()
        wait_until(lambda: (tmp_path / "state/locks" / NAME).exists(), 10, "it runs")
        clock.set("2026-11-24 07:25:00")
        os.kill(daemon.jobs()[0], signal.SIGTERM)
        daemon.wait_log("a backup takes more than half of its interval")


def test_not_this_agents_to_do(tmp_path, clock):
    """On a replica, with run_on: primary: no failure, no report, and the schedule goes on."""
    plan = tmp_path / "plan"
    plan.write_text("elsewhere")
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *", plan=plan))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        for minute in (15, 30):
            clock.set(f"2026-11-24 07:{minute}:00")
            daemon.hup()
            daemon.wait_log("run_on says primary", minute // 15)
        assert daemon.metrics()[f'lifeboat_agent_jobs_total{{component="{NAME}",kind="backup",outcome="failed"}}'] == 0
    assert history(tmp_path / "state", NAME) == []


def test_daemon_and_command_line_are_kept_apart(tmp_path, clock):
    plan = tmp_path / "plan"
    plan.write_text("hang")
    boat, port = build(tmp_path, stub_component(NAME, schedule="*/15 * * * *", plan=plan))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        clock.set("2026-11-24 07:15:00")
        daemon.hup()
        wait_until(lambda: daemon.jobs(), 20, "the job runs")
        wait_until(lambda: (tmp_path / "state/locks" / NAME).exists(), 10, "locked")
        refused = boat.run("backup", expect=1, env=clock.env)
        assert f"another job of {NAME} runs (backup, process" in refused.stderr
        plan.write_text("")
        os.kill(daemon.jobs()[0], signal.SIGTERM)
        daemon.wait_log("backup failed")
        wait_until(lambda: not daemon.jobs(), 10, "it is gone")

        # The other way round: what is due waits for a command, and then comes.
        plan.write_text("hang")
        with boat.start("backup", env=clock.env) as command:
            wait_until(lambda: f"process {command.pid}," in (tmp_path / "state/locks" / NAME).read_text(), 10, "locked")
            clock.set("2026-11-24 07:30:00")
            daemon.hup()
            daemon.metrics()  # from the same loop, so after the signal
            assert daemon.jobs() == []
            plan.write_text("")
            command.signal(signal.SIGTERM)
            command.wait(10)
        daemon.hup()
        daemon.wait_log("backup committed")


def test_killed_at_any_moment_it_starts_again_and_cleans_up(tmp_path, clock):
    plan = tmp_path / "plan"
    plan.write_text("bytes=3000000")
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 1m", plan=plan))
    for i in range(12):
        clock.forward(60)
        with Daemon(boat, http_port=port, env=clock.env) as daemon:
            wait_until(lambda: daemon.jobs(), 20, "a job runs")
            wait_until(lambda n=i: len(list((tmp_path / "store").rglob("*"))) >= n or
                       daemon.count("backup committed"), 20, "some way on")
            daemon.running.kill_ours()
            daemon.running.wait(10)
    clock.forward(60)
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        daemon.wait_log("backup committed")
        clock.forward(60)
        daemon.hup()
        daemon.wait_log("backup committed", 2)
        daemon.stop()
    backups = configs.manifests(tmp_path)
    # Between the folder and its first file, or after its last, a death leaves a folder that holds nothing.
    stored = {path.name for path in (tmp_path / "store").glob("*/*/*/*/data/*") if list(path.iterdir())}
    assert stored == set(backups)
    assert not list((tmp_path / "store").rglob("*.part-*"))
    # One that was killed before it wrote into its record did nothing, and the record stays for a minute.
    assert not [path for path in (tmp_path / "state/jobs").rglob("*.json") if path.stat().st_size > 0]
    boat.run("verify", "--all", env=clock.env)


def test_the_job_goes_down_with_its_daemon(tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("hang")
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 1h", plan=plan))
    with Daemon(boat, http_port=port) as daemon:
        wait_until(lambda: daemon.jobs(), 20, "the job runs")
        (job,) = daemon.jobs()
        os.kill(daemon.pid, signal.SIGKILL)
        wait_until(lambda: not process.alive(job), 5, "the job is gone")


def test_health_and_metrics(tmp_path):
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 15m"))
    with Daemon(boat, http_port=port) as daemon:
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
        assert daemon.get("/healthz") == "ok\n"
        assert wait_status(daemon, "/nothing") == 404
        text = daemon.get("/metrics")
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        assert f'lifeboat_agent_backup_bytes_total{{component="{NAME}",form="plain"}} 1000' in text


def test_the_reference_lists_the_metrics(tmp_path):
    """docs/reference/agent-metrics.md has each family, in the order, with the type and the words of /metrics."""
    nowhere = {"address": f"127.0.0.1:{process.free_port()}", **{key: "/nonexistent" for key in ("ca_file", "cert_file", "key_file")}}
    boat, port = build(tmp_path, stub_component(NAME), collector=nowhere)
    with Daemon(boat, http_port=port) as daemon:
        text = daemon.get("/metrics")
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.M))
    shown = [(name, kind, helps[name]) for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)]
    page = (pathlib.Path(__file__).parents[2] / "docs/reference/agent-metrics.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| (.*) \|$", page, re.M) == shown


def test_logs_can_be_json(tmp_path):
    boat, port = build(tmp_path, stub_component(NAME, schedule="@every 15m"), log={"format": "json"})
    daemon = Daemon(boat, http_port=port)
    daemon.running = boat.start("run")
    with daemon.running:
        daemon.wait_log("backup committed")
        for line in daemon.log.splitlines():
            assert {"time", "level", "msg"} <= set(json.loads(line))
        assert daemon.running.stdout == ""


def test_help_and_misuse(tmp_path):
    boat = StubLifeboat(tmp_path / "agent", configs.config(tmp_path, stub_component(NAME)))
    assert "usage: lifeboat-agent run" in boat.run("run", "--help").stdout
    assert "usage: lifeboat-agent run" in boat.run("run", "orders-db", expect=2).stderr
    assert "usage: lifeboat-agent run" in boat.run("run", "--nonsense", expect=2).stderr
