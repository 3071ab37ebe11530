# SPDX-License-Identifier: Apache-2.0
"""The daemon and a real collector: every report arrives, once; a collector that is away, silent or wrong disturbs nothing."""
from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time

import configs
import pytest
from harness import process
from harness.collector import Collector
from harness.daemon import Clock, Daemon, StubLifeboat, stub_component, stub_folder
from harness.process import wait_until

NAME = configs.NAME


def link(collector, certificate=None, port=0, ca=None):
    """The collector: section of an agent."""
    certificate = certificate or collector.agent
    return {"address": f"127.0.0.1:{port or collector.port}", "ca_file": str(ca or collector.authority.cert),
            "cert_file": str(certificate.cert), "key_file": str(certificate.key)}


def build(tmp_path, section, *components, **more):
    port = process.free_port()
    components = components or (stub_component(NAME, schedule="@every 15m", objective={"rpo": "15m", "rto": "4h"}),)
    config = configs.config(tmp_path, *components, http={"listen": f"127.0.0.1:{port}"}, collector=section, **more)
    return StubLifeboat(tmp_path / "agent", config), port


def make_reports(tmp_path, count, name=NAME):
    """Ends so many jobs in the background."""
    return process.spawn([stub_folder() / "stub-reports", tmp_path / "state", name, count],
                         env=process.clean_environment())


@pytest.fixture(name="collector")
def _collector(tmp_path):
    with Collector(tmp_path / "collector") as server:
        yield server


def numbers(collector):
    return [report.sequence for report in collector.reports()]


def waiting(tmp_path):
    return sorted((tmp_path / "state/reports").glob("*.report"))


def test_a_backup_is_reported_and_measured(tmp_path, collector):
    boat, port = build(tmp_path, link(collector))
    with Daemon(boat, http_port=port) as daemon:
        daemon.wait_metric("lifeboat_agent_link_up", 1)
        wait_until(lambda: collector.reports(), 20, "reported")
        (report,) = collector.reports()
        (backup,) = configs.manifests(tmp_path)
        assert (report.component, report.backup, report.plain_bytes) == (NAME, backup, 1000)
        labels = {"component": NAME, "cluster": "test", "namespace": "e2e", "system": "postgres"}
        wait_until(lambda: collector.metric("backup_last_success_timestamp_seconds", **labels), 20, "measured")
        assert collector.metric("backup_last_success_timestamp_seconds", **labels) == report.ended_ms / 1000
        assert collector.metric("backup_last_result", **labels) == 1
        assert collector.metric("backup_expected_interval_seconds", **labels) == 900
        assert collector.metric("lifeboat_agent_config_valid", cluster="test", namespace="e2e") == 1
        wait_until(lambda: not waiting(tmp_path), 10, "acknowledged")


def test_what_a_command_line_did_is_reported_too(tmp_path, collector):
    """Also what it did while no daemon ran."""
    boat, port = build(tmp_path, link(collector), stub_component(NAME))
    boat.run("backup")
    boat.run("verify")
    assert len(waiting(tmp_path)) == 2
    with Daemon(boat, http_port=port):
        wait_until(lambda: len(collector.reports()) == 2, 20, "both are there")
        boat.run("backup")
        wait_until(lambda: len(collector.reports()) == 3, 20, "the third is there")
    trigger = collector.reports()[0].trigger
    assert trigger == 1  # COMMAND


def test_each_report_arrives_exactly_once(tmp_path, collector):
    """1,000 of them, while the collector and the agent are killed three times each."""
    boat, port = build(tmp_path, link(collector), stub_component(NAME))
    maker = make_reports(tmp_path, 1000)
    marks = [150, 300, 450, 600, 700, 850]
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(boat, http_port=port))
        for i, mark in enumerate(marks):
            wait_until(lambda m=mark: len(numbers(collector)) >= m, 60, f"{mark} are there")
            if i % 2 == 0:
                collector.kill()
                collector.start()
            else:
                daemon.running.kill_ours()
                daemon.running.wait(10)
                daemon.start()
        wait_until(lambda: len(numbers(collector)) >= 1000, 60, "all are there")
        assert maker.wait(10) == 0
        wait_until(lambda: not waiting(tmp_path), 20, "all are acknowledged")
        daemon.stop()
    assert numbers(collector) == list(range(1, 1001))
    assert [report.stored_bytes for report in collector.reports()] == list(range(1, 1001))


def test_an_agent_killed_while_it_numbers(tmp_path, collector):
    """A job killed between its number and its report leaves a gap, never a second use of the number."""
    boat, port = build(tmp_path, link(collector), stub_component(NAME))
    with Daemon(boat, http_port=port):
        for _ in range(12):
            maker = make_reports(tmp_path, 100000)
            count = len(numbers(collector))
            wait_until(lambda n=count: len(numbers(collector)) > n + 5, 30, "some more")
            maker.kill()
            maker.wait()
        wait_until(lambda: not waiting(tmp_path), 30, "all are acknowledged")
    sent = collector.reports()
    assert len({report.job for report in sent}) == len(sent)
    assert len({report.sequence for report in sent}) == len(sent)


def test_a_report_that_is_spoilt_holds_up_no_other(tmp_path, collector):
    boat, port = build(tmp_path, link(collector), stub_component(NAME))
    make_reports(tmp_path, 3).wait(10)
    waiting(tmp_path)[-1].write_bytes(b"\xff\xff\xff")
    with Daemon(boat, http_port=port) as daemon:
        daemon.wait_log("a report is lost")
        make_reports(tmp_path, 2).wait(10)
        daemon.hup()
        wait_until(lambda: len(numbers(collector)) == 4, 20, "the others are there")
        wait_until(lambda: not waiting(tmp_path), 20, "nothing waits")
    assert numbers(collector) == [1, 2, 4, 5]


def test_a_collector_that_is_away_disturbs_nothing(tmp_path, collector):
    clock = Clock(tmp_path, time.time())
    collector.stop()
    boat, port = build(tmp_path, link(collector))
    with Daemon(boat, http_port=port, env=clock.env) as daemon:
        for i in range(4):
            daemon.wait_metric("lifeboat_agent_jobs_total", i + 1, component=NAME, kind="backup", outcome="done")
            clock.forward(900)
            daemon.hup()
        wait_until(lambda: daemon.metrics()["lifeboat_agent_link_failures_total"] >= 3, 30, "tried again and again")
        # The cause is said once, then counted.
        assert daemon.count("the collector is not there") == 1
        assert daemon.metrics()["lifeboat_agent_reports_waiting"] >= 4
        collector.start()
        daemon.wait_metric("lifeboat_agent_link_up", 1)
        daemon.wait_log("the link to the collector is up")
        wait_until(lambda: len(collector.reports()) >= 4, 20, "what waited is there")
        wait_until(lambda: not waiting(tmp_path), 20, "acknowledged")


@pytest.mark.parametrize("wrong", ["foreign", "expired", "unbelieved", "missing"])
def test_certificates_that_are_wrong_are_named_once(tmp_path, collector, wrong):
    from harness.certificates import Authority  # pylint: disable=import-outside-toplevel
    foreign = Authority(tmp_path / "foreign", "another authority")
    section = link(collector)
    if wrong == "foreign":
        section = link(collector, foreign.issue("agent.aipx"))
    elif wrong == "expired":
        section = link(collector, collector.authority.issue("agent.aipx", days=-1))
    elif wrong == "unbelieved":
        section = link(collector, ca=foreign.cert)
    else:
        section["key_file"] = "/nonexistent/key.pem"
    boat, port = build(tmp_path, section)
    expected = {"foreign": "certificate", "expired": "expired", "unbelieved": "certificate", "missing": "/nonexistent/key.pem"}
    with Daemon(boat, http_port=port) as daemon:
        daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
        wait_until(lambda: daemon.metrics()["lifeboat_agent_link_failures_total"] >= 3, 40, "tried again and again")
        lines = [line for line in daemon.log.splitlines() if "the collector is not there" in line]
        assert len(lines) == 1 and expected[wrong] in lines[0], daemon.log
        # Mended in place: no restart, no change of the configuration.
        if wrong == "expired":
            collector.authority.issue("agent.aipx", stem=section["cert_file"].rsplit("/", 1)[1].removesuffix(".crt"))
            daemon.wait_metric("lifeboat_agent_link_up", 1)


@contextlib.contextmanager
def server(answer):
    """A TCP server that does this with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], connections
    finally:
        listener.close()
        for connection in connections:
            connection.close()


def test_a_collector_that_speaks_garbage(tmp_path, collector):
    def garbage(connection):
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)

    with server(garbage) as (wrong_port, _):
        boat, port = build(tmp_path, link(collector, port=wrong_port))
        with Daemon(boat, http_port=port) as daemon:
            daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
            wait_until(lambda: daemon.metrics()["lifeboat_agent_link_failures_total"] >= 3, 40, "tried again")
            assert daemon.count("the collector is not there") == 1
            assert daemon.get("/healthz") == "ok\n"


def test_a_collector_that_hangs(tmp_path, collector):
    with server(lambda connection: None) as (wrong_port, connections):
        boat, port = build(tmp_path, link(collector, port=wrong_port))
        with Daemon(boat, http_port=port) as daemon:
            daemon.wait_metric("lifeboat_agent_jobs_total", 1, component=NAME, kind="backup", outcome="done")
            daemon.wait_log("the collector does not answer", deadline_s=40)
            wait_until(lambda: len(connections) >= 2, 30, "tried again")


def test_a_changed_configuration_reaches_the_collector(tmp_path, collector):
    boat, port = build(tmp_path, link(collector))
    with Daemon(boat, http_port=port) as daemon:
        wait_until(lambda: collector.metric("backup_expected_interval_seconds", component=NAME) == 900, 20, "known")
        boat.configure({**boat.config, "components": [stub_component("other", schedule="@every 30m")]})
        daemon.hup()
        wait_until(lambda: collector.metric("backup_expected_interval_seconds", component="other") == 1800, 20, "new")
        wait_until(lambda: collector.metric("backup_expected_interval_seconds", component=NAME) is None, 20, "gone")


def test_failures_are_counted_and_alerts_fire_on_them(tmp_path, collector):
    plan = tmp_path / "plan"
    plan.write_text("fail")
    boat, port = build(tmp_path, link(collector), stub_component(NAME, schedule="@every 15m", plan=plan))
    with Daemon(boat, http_port=port) as daemon:
        wait_until(lambda: collector.reports(), 20, "reported")
        (report,) = collector.reports()
        assert report.error.text.endswith("the stub was told to fail")
        wait_until(lambda: collector.metric("backup_last_result", component=NAME) == 0, 10, "measured")
        assert collector.metric("backup_failures_total", component=NAME) == 1
        assert collector.metric("backup_last_success_timestamp_seconds", component=NAME) == 0
        checked = subprocess.run(["promtool", "check", "metrics"], input=collector.metrics(), text=True,
                                 capture_output=True, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        assert daemon.get("/healthz") == "ok\n"
