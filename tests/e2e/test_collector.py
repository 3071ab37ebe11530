# SPDX-License-Identifier: Apache-2.0
"""lifeboat-collector over its real wire: who is let in, what is refused, and that a report is there exactly once."""
import concurrent.futures
import os
import pathlib
import random
import resource
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
import yaml

from harness import process, wire
from harness.certificates import Authority
from harness.collector import Collector
from harness.process import wait_until
from harness.wire import Client, Closed, Refused, client_context, schema

MANIFESTS = pathlib.Path(__file__).resolve().parent.parent.parent / "manifests" / "collector"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(name="folder")
def _folder(tmp_path):
    return tmp_path / "collector"


@pytest.fixture(name="collector")
def _collector(folder):
    with Collector(folder) as collector:
        yield collector
        assert collector.running(), collector.log
    assert "ERROR" not in collector.log and "runtime error" not in collector.log, collector.log


def component(name="orders-db", **more):
    return schema().Component(**{"name": name, "system": "postgres", "stores": ["s3"], "schedule": "*/15 * * * *",
                                 "backup_interval_ms": 900_000, "rpo_ms": 900_000, **more})


def backup_state(ago_s, outcome="DONE", success_ago_s=None, **more):
    """A state whose newest backup ended so many seconds ago."""
    success_ago_s = ago_s if success_ago_s is None and outcome == "DONE" else success_ago_s
    now = int(time.time() * 1000)
    success = {} if success_ago_s is None else {"success_ms": now - success_ago_s * 1000, "success_duration_ms": 2500}
    kind = schema().KindState(started_ms=now - ago_s * 1000 - 2500, ended_ms=now - ago_s * 1000, outcome=outcome,
                              **success)
    return schema().ComponentState(backup=kind, good=outcome == "DONE", stored_bytes=12345 if success else 0,
                                   recovery_point_ms=success.get("success_ms", 2500) - 2500, **more)


# -- who is let in

def assert_shut_out(collector, context, says):
    """The handshake fails, or (TLS 1.3 tells the client late) the first read does; the collector's log says why."""
    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
        with Client(collector.port, context) as client:
            client.hello()
    wait_until(lambda: says in collector.log, what=f"{says} in {collector.log}")
    assert collector.metric("lifeboat_collector_agents") == 0


def test_no_certificate(collector):
    assert_shut_out(collector, client_context(None, collector.authority.cert), "showed no certificate")


def test_certificate_of_another_authority(collector, tmp_path):
    foreign = Authority(tmp_path / "foreign", "another authority").issue("agent.aipx")
    assert_shut_out(collector, client_context(foreign, collector.authority.cert), "certificate is not accepted")


def test_expired_certificate(collector):
    expired = collector.authority.issue("agent.old", days=-1)
    assert_shut_out(collector, client_context(expired, collector.authority.cert), "expired")


def test_tls_12(collector):
    context = client_context(collector.agent, collector.authority.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert_shut_out(collector, context, "does not speak TLS 1.3")


def test_no_tls_at_all(collector):
    with socket.create_connection(("127.0.0.1", collector.port), 10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            while raw.recv(1000):
                pass
        except ConnectionResetError:
            pass
    wait_until(lambda: collector.metric("lifeboat_collector_tls_failures_total") == 1)


def test_the_same_failure_is_logged_once(collector):
    context = client_context(None, collector.authority.cert)
    for _ in range(20):
        with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
            with Client(collector.port, context) as client:
                client.hello()
    wait_until(lambda: collector.metric("lifeboat_collector_tls_failures_total") == 20)
    assert collector.log.count("showed no certificate") == 1


def test_new_certificates_need_no_restart(collector):
    with collector.client() as before:
        before.hello()
        collector.authority.issue("collector-renewed", alt="IP:127.0.0.1", stem="collector")

        def renewed():
            with collector.client(instance=b"\2" * 16) as client:
                subject = dict(entry[0] for entry in client.socket.getpeercert()["subject"])
                return subject["commonName"] == "collector-renewed"
        wait_until(renewed, 10)
        before.heartbeat(1)
        assert before.ack().heartbeat == 1


# -- what is refused

def test_garbage_is_refused_and_harms_nobody_else(collector):
    seed = random.Random(7)
    with collector.client(instance=b"\2" * 16, pod="good-0") as good:
        good.hello()
        for i in range(30):
            with collector.client() as bad:
                if i % 2:
                    bad.hello()
                with pytest.raises((Refused, Closed)):
                    bad.send_bytes(struct.pack(">I", 40) + b"\xff" + seed.randbytes(39))
                    while True:
                        bad.receive()
        good.report(1)
        assert good.ack().sequence == 1
    assert collector.metric("lifeboat_collector_refusals_total") == 30
    assert collector.log.count("connection refused") == 1


def test_oversized_frame(collector):
    with collector.client() as client:
        client.hello()
        client.send_bytes(struct.pack(">I", (1 << 20) + 1))
        with pytest.raises(Refused, match="1048577 bytes"):
            client.receive()


def test_report_before_hello(collector):
    with collector.client() as client:
        client.report(1)
        with pytest.raises(Refused, match="a hello must come first"):
            client.receive()
    assert collector.reports() == []


def test_wrong_protocol(collector):
    with collector.client() as client:
        with pytest.raises(Refused, match="speaks protocol 2, this collector 1"):
            client.hello(protocol=2)


@pytest.mark.parametrize("field,value", [("cluster", "a/b"), ("pod", ".."), ("namespace", ""), ("workload", "a b")])
def test_names_that_are_none(collector, field, value):
    names = {"cluster": "c", "namespace": "n", "workload": "w", "pod": "p", field: value}
    with collector.client() as client:
        with pytest.raises(Refused, match=field):
            client.hello(identity=schema().Identity(**names))


def test_bytes_one_by_one_and_all_at_once(collector):
    with collector.client() as client:
        whole = client.frame(schema().AgentMessage(hello=schema().Hello(
            protocol=1, instance=client.instance,
            identity=schema().Identity(cluster="c", namespace="n", workload="w", pod="p"))))
        reports = b"".join(client.frame(schema().AgentMessage(report=schema().Report(sequence=i))) for i in range(1, 200))
        for byte in whole:
            client.send_bytes(bytes([byte]))
        client.send_bytes(reports)
        assert client.receive().welcome.protocol == 1
        client.ack_of(199)
    assert len(collector.reports()) == 199


def test_who_says_nothing_is_cut(collector):
    started = time.monotonic()
    with collector.client() as mute, socket.create_connection(("127.0.0.1", collector.port), 10) as raw:
        mute.socket.settimeout(20)
        with pytest.raises(Refused, match="no hello came in time"):
            mute.receive()
        assert 9 < time.monotonic() - started < 14
        with pytest.raises(Closed):
            mute.receive()
        raw.settimeout(20)
        assert raw.recv(100) == b""
    wait_until(lambda: collector.metric("lifeboat_collector_connections") == 0)


def test_the_newer_connection_of_an_agent_wins(collector):
    with collector.client() as older, collector.client() as newer:
        older.hello()
        newer.hello()
        with pytest.raises(Refused, match="replaced by a newer connection"):
            older.receive()
        newer.report(1)
        assert newer.ack().sequence == 1


# -- exactly once

class Agent(threading.Thread):
    """Sends its reports as an agent does: in order, again from where the Welcome says, until all are acknowledged."""

    def __init__(self, collector, number, count):
        super().__init__(daemon=True)
        self.collector, self.count = collector, count
        self.instance, self.pod = bytes([number]) * 16, f"postgresql-{number}"
        self.acknowledged = 0
        self.seed = random.Random(number)
        self.failure = None

    def _connected(self):
        with self.collector.client(instance=self.instance, pod=self.pod) as client:
            known = client.hello().sequence
            assert known >= self.acknowledged, "the collector forgot what it had acknowledged"
            self.acknowledged = known
            client.inventory(component())
            following = known + 1
            while self.acknowledged < self.count:
                for _ in range(self.seed.randint(1, 8)):
                    if following <= self.count:
                        client.report(following, state=backup_state(0), plain_bytes=following)
                        following += 1
                ack = client.ack().sequence
                assert self.acknowledged <= ack < following
                self.acknowledged = ack
                time.sleep(self.seed.random() * 0.01)  # the pace of a slow agent, so that kills meet it at work

    def run(self):
        deadline = time.monotonic() + 90
        while self.acknowledged < self.count and self.failure is None:
            try:
                self._connected()
            except (Closed, ConnectionError, ssl.SSLError, socket.timeout) as error:
                if time.monotonic() > deadline:
                    self.failure = error
                time.sleep(0.02)
            except BaseException as error:  # pylint: disable=broad-except
                self.failure = error


def sequences(collector):
    found = {}
    for instance, sequence in collector.query("SELECT instance, sequence FROM report"):
        found.setdefault(instance, []).append(sequence)
    return found


def test_each_of_1000_reports_exactly_once_over_three_kills(collector):
    agents = [Agent(collector, number, 200) for number in range(1, 6)]
    for agent in agents:
        agent.start()
    for part in (200, 450, 700):
        wait_until(lambda: sum(agent.acknowledged for agent in agents) >= part or  # pylint: disable=cell-var-from-loop
                   any(agent.failure for agent in agents), 60)
        collector.kill()
        acknowledged = {agent.instance: agent.acknowledged for agent in agents}
        stored = sequences(collector)
        for instance, sequence in acknowledged.items():
            assert stored[instance] and max(stored[instance]) >= sequence, "an acknowledgement ran ahead of the file"
        collector.start()
    for agent in agents:
        agent.join(100)
    assert [agent.failure for agent in agents] == [None] * 5
    for agent in agents:
        assert sorted(sequences(collector)[agent.instance]) == list(range(1, 201))
    assert sum(report.plain_bytes for report in collector.reports()) == 5 * sum(range(1, 201))
    assert len(collector.reports()) == 1000


def test_a_restart_keeps_the_metrics(collector):
    with collector.client() as client:
        client.hello()
        client.inventory(component(state=backup_state(60)))
        client.heartbeat(1, fallback_bytes=77, config_valid=False)
        client.ack()

    def told():
        return [line for line in collector.metrics().splitlines() if line.startswith(("backup_", "lifeboat_agent_"))]
    before = told()
    assert collector.stop() == 0  # nothing was reported: the end itself has to write it
    collector.start()
    assert told() == before
    assert any("lifeboat_agent_fallback_bytes" in line and line.endswith(" 77") for line in before)


def test_what_was_told_without_a_report_outlives_a_kill(collector):
    with collector.client() as client:
        client.hello()
        client.inventory(component())
        client.heartbeat(1)
        client.ack()
        wait_until(lambda: collector.query("SELECT count(*) FROM component") == [(1,)], 15)
        collector.kill()
    collector.start()
    assert collector.metric("backup_last_success_timestamp_seconds", component="orders-db") == 0


def test_a_full_disk_loses_nothing_and_passes(collector):
    def limit(size):
        resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    limit(300_000)
    acknowledged = sequence = 0
    with collector.client() as client:
        client.hello()
        with pytest.raises(Refused, match="keep the reports"):
            for sequence in range(1, 5000):
                client.report(sequence, state=backup_state(0))
                acknowledged = client.ack().sequence
    assert acknowledged == sequence - 1
    assert len(collector.reports()) == acknowledged
    wait_until(lambda: collector.get("/healthz")[0] == 503)
    assert collector.metric("lifeboat_collector_state_writable") == 0
    limit(resource.RLIM_INFINITY)
    wait_until(lambda: collector.get("/healthz") == (200, "ok\n"), 15)
    with collector.client() as client:
        assert client.hello().sequence == acknowledged
        client.report(sequence)
        assert client.ack().sequence == sequence
    assert collector.log.count("cannot be written") == 1
    assert collector.log.count("can be written again") == 1


# -- metrics and alerts

def tell_everything(collector):
    """Components in every state that metrics know of, by two agents."""
    with collector.client() as client:
        client.hello()
        good = backup_state(60)
        good.verify.CopyFrom(good.backup)
        good.drill.CopyFrom(good.backup)
        client.inventory(
            component("orders-db", state=good, verify_interval_ms=7 * DAY_MS, drill_interval_ms=30 * DAY_MS,
                      rto_ms=14_400_000),
            component("late-db", state=backup_state(2 * 3600)),
            component("failed-db", state=backup_state(30, "FAILED", 1800)),
            component("disk-db", state=backup_state(30, "IN_PART", 1800, fallback_bytes=9)),
            component("new-db"),
            component("future-db", state=backup_state(-5000)))
        client.heartbeat(1, fallback_bytes=9)
        client.ack()
    with collector.client(instance=b"\2" * 16, pod="postgresql-1") as client:
        client.hello()
        client.inventory(component("failed-db", state=backup_state(3000, "FAILED", 3100)))
        client.heartbeat(1, config_valid=False)
        client.ack()


def promtool(*words, stdin=None):
    done = subprocess.run(["promtool", *map(str, words)], input=stdin, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_metrics_are_of_the_form_and_say_what_is_so(collector):
    tell_everything(collector)
    status, says = promtool("check", "metrics", stdin=collector.metrics())
    assert status == 0, says
    now = time.time()

    def value(name, of):
        return collector.metric(name, component=of, cluster="prod", namespace="aipx", system="postgres")
    assert value("backup_last_success_timestamp_seconds", "orders-db") == pytest.approx(now - 60, abs=30)
    assert value("backup_last_size_bytes", "orders-db") == 12345
    assert value("backup_last_duration_seconds", "orders-db") == 2.5
    assert value("backup_expected_interval_seconds", "orders-db") == 900
    assert value("backup_drill_last_result", "orders-db") == 1
    assert value("backup_objective_rto_seconds", "orders-db") == 14400
    assert value("backup_last_result", "failed-db") == 0
    assert value("backup_last_success_timestamp_seconds", "failed-db") == pytest.approx(now - 1800, abs=30)
    assert value("backup_last_result", "disk-db") == 0
    assert value("backup_last_success_timestamp_seconds", "disk-db") == pytest.approx(now - 1800, abs=30)
    assert value("backup_last_result", "new-db") is None
    assert value("backup_last_success_timestamp_seconds", "new-db") == 0
    assert value("backup_last_success_timestamp_seconds", "future-db") <= time.time()
    assert collector.metric("lifeboat_agent_config_valid", pod="postgresql-0") == 1
    assert collector.metric("lifeboat_agent_config_valid", pod="postgresql-1") == 0
    assert not [line for line in collector.metrics().splitlines() if line.startswith("backup_") and "pod=" in line]


def alerts_of(collector, rules, expected, tmp_path, at="6m"):
    """promtool's unit test: the real output, held for some minutes at the time it was taken, and what fires then.

    A rule test begins at 1970: moments are moved back by the time of the scrape, which changes no age; a moment
    of 0 becomes one long ago.
    """
    taken = int(time.time())
    series = []
    for line in collector.metrics().splitlines():
        if line.startswith(("backup_", "lifeboat_agent_")):
            name, value = line.rsplit(" ", 1)
            if "_timestamp_seconds" in name:
                value = str(float(value) - taken)
            series.append({"series": name, "values": f"{value}x400"})
    test = {"rule_files": [str(rules)], "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series,
                       "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": alerts}
                                           for name, alerts in expected.items()]}]}
    path = tmp_path / "alerts_test.yaml"
    path.write_text(yaml.safe_dump(test))
    return promtool("test", "rules", path)


def labels(name, **more):
    return {"component": name, "cluster": "prod", "namespace": "aipx", "system": "postgres", **more}


def test_the_plans_two_alerts(collector, tmp_path):
    tell_everything(collector)

    def fires(summary, *names):
        return [{"exp_labels": labels(name, severity="critical"),
                 "exp_annotations": {"summary": f"{summary} for {name}"}} for name in names]
    status, says = promtool("check", "rules", MANIFESTS / "plan.yaml")
    assert status == 0, says
    status, says = alerts_of(collector, MANIFESTS / "plan.yaml", {
        "BackupMissing": fires("Backup hasn't run", "late-db", "new-db"),
        "BackupFailed": fires("Last backup failed", "failed-db", "disk-db")}, tmp_path)
    assert status == 0, says


def test_the_plans_alerts_stand_there_to_the_letter():
    rules = yaml.safe_load((MANIFESTS / "plan.yaml").read_text())["groups"][0]["rules"]
    assert rules == [
        {"alert": "BackupMissing", "expr": "time() - backup_last_success_timestamp_seconds > 3600", "for": "5m",
         "labels": {"severity": "critical"},
         "annotations": {"summary": "Backup hasn't run for {{ $labels.component }}"}},
        {"alert": "BackupFailed", "expr": "backup_last_result == 0", "for": "5m", "labels": {"severity": "critical"},
         "annotations": {"summary": "Last backup failed for {{ $labels.component }}"}}]


def test_the_alerts_by_interval_and_objective(collector, tmp_path):
    tell_everything(collector)
    rules = MANIFESTS / "alerts.yaml"
    status, says = promtool("check", "rules", rules)
    assert status == 0, says
    annotations = {rule["alert"]: rule["annotations"]["summary"]
                   for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}

    def fires(alert, severity, *sets):
        def summary(one):
            text = annotations[alert]
            for key, value in one.items():
                text = text.replace("{{ $labels.%s }}" % key, value)
            return text
        return [{"exp_labels": {**one, "severity": severity}, "exp_annotations": {"summary": summary(one)}}
                for one in sets]
    zero, one = ({"cluster": "prod", "namespace": "aipx", "pod": f"postgresql-{i}"} for i in (0, 1))
    status, says = alerts_of(collector, rules, {
        "BackupLate": fires("BackupLate", "critical", labels("late-db"), labels("new-db"), labels("failed-db"),
                            labels("disk-db")),
        "BackupObjectiveMissed": fires("BackupObjectiveMissed", "critical", labels("late-db"), labels("new-db"),
                                       labels("failed-db"), labels("disk-db")),
        "BackupVerifyLate": [],
        "BackupDrillLate": [],
        "BackupDrillFailed": [],
        "LifeboatFallbackInUse": fires("LifeboatFallbackInUse", "warning", zero),
        "LifeboatConfigInvalid": fires("LifeboatConfigInvalid", "warning", one),
        "LifeboatAgentGone": fires("LifeboatAgentGone", "warning", zero, one)}, tmp_path, at="11m")
    assert status == 0, says


def test_health_and_nothing_else(collector):
    assert collector.get("/healthz") == (200, "ok\n")
    assert collector.get("/")[0] == 404
    assert collector.get("/metrics")[0] == 200


# -- many

def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def test_200_connections_at_once(collector):
    context = client_context(collector.agent, collector.authority.cert)

    def talk(number):
        with Client(collector.port, context, instance=number.to_bytes(16, "big"), pod=f"pod-{number}",
                    timeout_s=60) as client:
            client.hello()
            client.inventory(component(f"db-{number}"))
            barrier.wait(60)
            for sequence in range(1, 6):
                client.report(sequence, f"db-{number}", state=backup_state(0))
            client.ack_of(5)
            barrier.wait(60)
            return True
    barrier = threading.Barrier(200)
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert all(pool.map(talk, range(1, 201)))
    assert collector.query("SELECT count(*) FROM report") == [(1000,)]
    assert collector.metrics().count("backup_last_result{") == 200


def test_memory_and_descriptors_stay_flat_over_1000_connects(folder):
    # AddressSanitizer keeps 256 MiB of freed memory, unless told.
    small = {"ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=4"}
    with Collector(folder, env=small) as collector:
        good = client_context(collector.agent, collector.authority.cert)
        nobody = client_context(None, collector.authority.cert)
        files = descriptors(collector.pid)

        def connect(number):
            with Client(collector.port, good) as client:
                client.hello()
                client.inventory(component())
                client.report(number)
                client.ack_of(number)
                if number % 10 == 1:
                    client.send_bytes(b"\0\0\0\3abc")

        def connects(first, last):
            for number in range(first, last):
                if number % 10 == 0:
                    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
                        with Client(collector.port, nobody) as client:
                            client.hello()
                else:
                    connect(number)
            wait_until(lambda: collector.metric("lifeboat_collector_connections") == 0)
            wait_until(lambda: descriptors(collector.pid) <= files, what=f"{files} descriptors as at the start")
            return process.pss_bytes(collector.pid)
        before = connects(1, 300)
        after = connects(300, 1300)
        assert after < before + (4 << 20), f"{before} became {after}"


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_running_out_of_descriptors_neither_spins_nor_stays(collector):
    served = collector.client()
    served.hello()
    limit = descriptors(collector.pid) + 5
    resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, (limit, resource.prlimit(
        collector.pid, resource.RLIMIT_NOFILE)[1]))
    crowd = [socket.create_connection(("127.0.0.1", collector.port), 10) for _ in range(50)]
    wait_until(lambda: descriptors(collector.pid) >= limit)
    before = cpu_s(collector.pid)
    until = time.monotonic() + 3
    number = 0
    while time.monotonic() < until:
        number += 1
        served.heartbeat(number)
        assert served.ack().heartbeat == number
        time.sleep(0.1)
    assert cpu_s(collector.pid) - before < 1
    for one in crowd:
        one.close()
    with collector.client(instance=b"\2" * 16, timeout_s=20) as late:
        assert late.hello().protocol == 1
    served.close()


# -- the program

def run(*words):
    return subprocess.run([str(Collector.program()), *map(str, words)], capture_output=True, text=True, timeout=20,
                          env=process.clean_environment())


def test_usage():
    assert run("--version").stdout.startswith("lifeboat-collector ")
    assert "usage: lifeboat-collector" in run("--help").stdout
    for words in (["--nonsense"], ["-c"], ["more"]):
        assert run(*words).returncode == 2
    done = run("-c", "/nonexistent.yaml")
    assert done.returncode != 0 and "/nonexistent.yaml" in done.stderr


@pytest.mark.parametrize("change,says", [
    ({"listen": "nowhere"}, "listen"),
    ({"lisen": "127.0.0.1:1"}, "did you mean listen"),
    ({"tls": {"ca_file": "/x"}}, "tls.cert_file"),
    ({"tls": {"ca_file": "/x", "cert_file": "/x", "key_file": "/x"}}, "/x"),
    ({"state": {"path": "relative"}}, "state.path"),
    ({"retire_after": "5"}, "retire_after"),
])
def test_a_wrong_file_stops_the_start(folder, change, says):
    collector = Collector(folder, options=change)
    done = run("-c", collector.config_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


def test_a_stop_takes_no_two_seconds_and_keeps_what_is_in_hand(collector):
    with collector.client() as client:
        client.hello()
        for sequence in range(1, 50):
            client.report(sequence)
        started = time.monotonic()
        assert collector.stop() == 0
        assert time.monotonic() - started < 2
        acknowledged = 0
        with pytest.raises((Closed, Refused)):
            while True:
                acknowledged = client.ack().sequence
    stored = [sequence for (sequence,) in collector.query("SELECT sequence FROM report ORDER BY sequence")]
    assert stored == list(range(1, len(stored) + 1)) and len(stored) >= acknowledged
    collector.start()


def test_a_second_collector_on_the_same_state_is_refused(collector, folder):
    second = Collector(folder / "second", options={"state": {"path": str(collector.database.parent)}})
    done = run("-c", second.config_path)
    assert done.returncode == 1 and "another collector" in done.stderr
