# SPDX-License-Identifier: Apache-2.0
"""What lifeboat learns of a Kafka cluster, against what Kafka's own client says; and check, with each thing that can be
wrong. The facts come from stub/kafka-facts, which asks as a backup does.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import configs
from harness import lifeboat, process
from harness.certificates import Authority
from harness.kafka import VERSIONS, Cluster, Kafka, Record

NAME = "events"
USERS = {"boat": "boat-4711", "weak": "weak-4711"}


def component(bootstrap, topics, **section):
    return {"name": NAME, "system": "kafka", "stores": ["disk"], "retention": "forever",
            "kafka": {"bootstrap": bootstrap, "topics": topics, **section}}


@pytest.fixture(name="boat")
def _boat(agent, tmp_path):
    """make(bootstrap, topics, **section): lifeboat with one component of these topics."""
    return lambda *args, **section: agent(configs.config(tmp_path, component(*args, **section)))


@pytest.fixture(name="broker", scope="module", params=VERSIONS)
def _broker(request):
    with Kafka(request.param) as broker:
        yield broker


def make(broker, topic, **more):
    """Creates a topic and waits until the brokers tell of it, which comes later; its id."""
    name = broker.create(topic, **more)
    process.wait_until(lambda: topic in broker.topics(), 20, f"topic {topic} is there")
    return name


def facts(boat):
    program = pathlib.Path(os.environ["LIFEBOAT_BIN"]).resolve().parent / "stub" / "kafka-facts"
    done = subprocess.run([program, boat.config_path, NAME], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def why_not(boat):
    """Why there are no facts."""
    with pytest.raises(AssertionError) as raised:
        facts(boat)
    return str(raised.value)


def lines(result):
    """What check said, by what it looked at; the same thing twice: the last."""
    return {one["check"]: (one["outcome"], one["detail"]) for one in result.json if "check" in one}


def offsets(found, topic):
    return [(one["log_start"], one["last_stable"], one["high_watermark"])
            for one in found["topics"][topic]["partitions"]]


# --- facts ---

def test_facts_are_what_kafka_says(broker, boat):
    ids = {"orders": make(broker, "orders", partitions=3, configs={"retention.ms": -1, "cleanup.policy": "compact,delete"}),
           "signals": make(broker, "signals")}
    make(broker, "other")
    broker.produce("orders", [Record(b"%d" % i, b"k", partition=i % 2) for i in range(20)])
    broker.delete_records("orders", 0, 4)
    broker.produce("signals", [Record(b"before")] * 2)
    broker.begin("open")
    broker.produce("signals", [Record(b"open")] * 3, transaction="open")
    broker.group_read("half", ["orders"], 7)
    broker.group_read("ahead", ["signals"], 5, committed=False)
    broker.produce("other", [Record(b"x")])
    broker.group_read("elsewhere", ["other"], 1)
    found = facts(boat(broker.bootstrap, ["orders", "re:sig.*"]))
    assert found["cluster"]["id"] == broker.cluster()["id"] and found["warnings"] == []
    assert found["cluster"]["brokers"] == [{"id": 1, "host": "localhost", "port": broker.ports["PLAINTEXT"]}]
    for topic, name in ids.items():
        said = broker.describe(topic)
        assert found["topics"][topic]["id"] == name and found["topics"][topic]["config"] == said["configs"]
        assert found["topics"][topic]["replication_factor"] == 1
        assert offsets(found, topic) == broker.offsets(topic)
    assert offsets(found, "orders")[0] == (4, 10, 10) and offsets(found, "signals") == [(0, 2, 5)]
    assert set(found["topics"]) == set(ids) and set(found["groups"]) == {"half", "ahead"}
    half = {int(number): offset for number, offset in found["groups"]["half"]["offsets"]["orders"].items()}
    assert half == {number: offset for number, offset in broker.group_offsets("half")["orders"].items()}
    assert found["groups"]["ahead"] == {"state": "Empty", "simple": False, "offsets": {"signals": {"0": 2}}, "metadata": {}}
    assert (found["authorizer"], found["acls"]) == ("none", None)
    with broker.member("half", ["orders"]):
        assert facts(boat(broker.bootstrap, ["orders"]))["groups"]["half"]["state"] == "Stable"
    broker.end("open")
    process.wait_until(lambda: offsets(facts(boat(broker.bootstrap, ["signals"])), "signals") == [(0, 6, 6)], 20,
                       "nothing is open")


def test_many_groups(broker, boat):
    make(broker, "shared", partitions=2)
    broker.produce("shared", [Record(b"%d" % i) for i in range(50)])
    for number in range(50):
        broker.group_commit(f"group-{number:02}", {"shared": {0: number, 1: 0}})
    found = facts(boat(broker.bootstrap, ["shared"]))
    assert {name: one["offsets"] for name, one in found["groups"].items()} == {
        f"group-{number:02}": {"shared": {"0": number, "1": 0}} for number in range(50)}
    assert list(found["groups"]) == sorted(found["groups"])


def test_a_thousand_partitions_take_no_minutes(broker, boat):
    make(broker, "many", partitions=1000)
    broker.produce("many", [Record(b"x", partition=number) for number in (0, 500, 999)])
    found = facts(boat(broker.bootstrap, ["many"]))
    assert [number for number, one in enumerate(offsets(found, "many")) if one == (0, 1, 1)] == [0, 500, 999]
    assert offsets(found, "many").count((0, 0, 0)) == 997
    assert sum(found["took_ms"].values()) < 10_000
    broker.delete("many")


def test_topics_by_name_and_pattern(broker, boat):
    make(broker, "a.one")
    make(broker, "a.two")
    make(broker, "__own")
    assert set(facts(boat(broker.bootstrap, ["re:a\\..*"]))["topics"]) == {"a.one", "a.two"}
    assert set(facts(boat(broker.bootstrap, ["__own", "re:(a.one|b)"]))["topics"]) == {"__own", "a.one"}
    assert not any(name.startswith("__") for name in facts(boat(broker.bootstrap, ["re:.*"]))["topics"])
    assert "not_found: topic a.three: there is none" in why_not(boat(broker.bootstrap, ["a.one", "a.three"]))
    assert "not_found: topics: re:a matches no topic" in why_not(boat(broker.bootstrap, ["re:a"]))
    assert "a.three" not in broker.topics()


# --- check ---

def test_check_says_what_is_there(broker, boat):
    make(broker, "checked", partitions=2)
    make(broker, "left-out")
    result = boat(broker.bootstrap, ["checked"]).run("check", "--json", "--grants")
    said = lines(result)
    version = {"3.5": "Kafka 3.5", "3.9": "Kafka 3.9", "4.3": "Kafka 4.0 or later"}[broker.version]
    assert said["connection"] == ("ok", f"{broker.bootstrap}, cluster {broker.cluster()['id']}, brokers: 1, {version}")
    assert said["topics"] == ("ok", "topics: 1, partitions: 2 (checked)")
    assert {said[one][0] for one in ("offsets", "read", "configurations", "groups", "acls")} == {"ok"}
    assert said["unprotected"][0] == "warn" and "left-out" in said["unprotected"][1]
    assert sum(one.get("check") == "grant" for one in result.json) == 3
    broker.begin("held")
    broker.produce("checked", [Record(b"x")], transaction="held")
    said = lines(boat(broker.bootstrap, ["checked"]).run("check", "--json", expect=None))
    assert said["offsets"] == ("warn", "open transactions in 1 partitions hold 1 offsets back from a backup")
    broker.end("held", commit=False)


def test_nobody_there(boat):
    result = boat(f"127.0.0.1:{process.free_port()}", ["t"]).run("check", "--json", expect=None)
    assert result.status == 1
    assert lines(result)["connection"][0] == "FAIL" and "Connection refused" in lines(result)["connection"][1]


def test_a_broker_that_hangs_does_not_hold_up_a_stop(boat):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        bootstrap = f"127.0.0.1:{server.getsockname()[1]}"
        with boat(bootstrap, ["t"]).start("check") as running:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1) != b""
                begun = time.monotonic()
                running.signal(signal.SIGTERM)
                running.wait(10)
                assert time.monotonic() - begun < 2
        result = boat(bootstrap, ["t"], timeout="2s").run("check", "--json", expect=1)
        assert lines(result)["connection"][0] == "FAIL"


# --- rights ---

@pytest.fixture(name="guarded", scope="module", params=VERSIONS)
def _guarded(request, tmp_path_factory):
    """A broker that asks for passwords, certificates and rights; orders may be read by boat, and described by weak."""
    with Kafka(request.param, tls=Authority(tmp_path_factory.mktemp("ca")), client_certificates=True, users=USERS,
               rights=True) as broker:
        make(broker, "orders", configs={"retention.ms": 1_000_000})
        make(broker, "hidden")
        broker.produce("orders", [Record(b"x")])
        broker.group_read("readers", ["orders"], 1)
        for operation in ("READ", "DESCRIBE", "DESCRIBE_CONFIGS"):
            broker.allow("boat", operation, "TOPIC", "ord", "PREFIXED")
        broker.allow("boat", "DESCRIBE", "GROUP", "*")
        broker.allow("boat", "DESCRIBE", "CLUSTER", "kafka-cluster")
        broker.allow("weak", "DESCRIBE", "TOPIC", "orders")
        broker.allow("CN=agent", "READ", "TOPIC", "orders")
        yield broker


def sasl(broker, user, listener="SASL_PLAINTEXT", **more):
    return {"mechanism": "plain", "bootstrap": broker.address(listener), "topics": ["orders"], "security": listener.lower(), "user": user,
            "password": USERS[user], **more}


@pytest.mark.parametrize("mechanism", ("plain", "scram-sha-256", "scram-sha-512"))
def test_enough_rights(guarded, boat, mechanism):
    boat = boat(**sasl(guarded, "boat", mechanism=mechanism))
    if guarded.version == "4.3" and mechanism != "plain":
        # Debian's librdkafka sends the client's nonce twice, which Kafka 4 no longer lets pass.
        said = lines(boat.run("check", "--json", expect=1))
        assert said["connection"][0] == "FAIL" and "cannot log in by SCRAM to Kafka 4" in said["connection"][1]
        return
    result = boat.run("check", "--json")
    said = lines(result)
    assert {said[one][0] for one in ("connection", "topics", "offsets", "read", "configurations", "groups", "acls")} == {"ok"}
    found = facts(boat)
    assert found["topics"]["orders"]["config"] == {"retention.ms": "1000000"} and found["warnings"] == []
    assert found["groups"]["readers"]["offsets"] == {"orders": {"0": 1}}
    shown = sorted([one["principal"], one["operation"], one["permission"], one["resource"], one["name"], one["pattern"],
                    one["host"]] for one in found["acls"])
    assert shown == [one for one in guarded.rights() if one[3] in ("TOPIC", "GROUP")]


def test_too_few_rights(guarded, boat):
    boat = boat(**sasl(guarded, "weak"))
    result = boat.run("check", "--json", expect=None)
    assert result.status == 1
    said = lines(result)
    assert said["connection"][0] == "ok" and said["connection"][1].endswith("may not ask for")
    assert said["read"] == ("FAIL", "this user may not read orders; the right Read on them is needed")
    assert said["configurations"][0] == "warn" and "DescribeConfigs" in said["configurations"][1]
    assert said["acls"][0] == "warn" and "Describe on the cluster" in said["acls"][1]
    found = facts(boat)
    assert found["topics"]["orders"]["config"] is None and found["acls"] is None
    assert found["authorizer"] == "unknown" and len(found["warnings"]) == 2


@pytest.mark.parametrize("section,says", (
    ({"password": "wrong-4711"}, "SASL authentication error"),
    ({"mechanism": "scram-sha-256", "password": "wrong-4711"}, "SASL authentication error"),
    ({"topics": ["hidden"]}, "topic hidden: there is none of that name, or this user may not describe it"),
    ({"rdkafka": ["no.such.property=1"]}, "property no.such.property of librdkafka"),
    ({"rdkafka": ["sasl.password=wrong-4711"]}, "SASL authentication error"),
))
def test_what_a_broker_refuses(guarded, boat, section, says):
    result = boat(**{**sasl(guarded, "boat"), **section}).run("check", "--json", expect=None)
    assert result.status == 1 and any(outcome == "FAIL" and says in detail for outcome, detail in lines(result).values())
    assert "4711" not in result.stdout + result.stderr


def test_the_wrong_listener(guarded, boat):
    plain = boat(guarded.address("SASL_PLAINTEXT"), ["orders"]).run("check", "--json", expect=None)
    said = lines(plain)["connection"][1]
    assert "verify that security.protocol is correctly configured" in said or "is security: what this listener" in said
    tls = boat(guarded.address("SASL_PLAINTEXT"), ["orders"], security="ssl").run("check", "--json", expect=None)
    assert "SSL handshake failed" in lines(tls)["connection"][1]


def test_certificates(guarded, boat, tmp_path):
    own, stranger = guarded.tls.issue("agent", stem="agent-of-test"), Authority(tmp_path / "stranger")
    section = {"bootstrap": guarded.address("SSL"), "topics": ["orders"], "security": "ssl",
               "ca_file": str(guarded.tls.cert), "cert_file": str(own.cert), "key_file": str(own.key)}
    said = lines(boat(**section).run("check", "--json", expect=None))
    assert {said[one][0] for one in ("connection", "topics", "offsets", "read")} == {"ok"}
    for changed in ({"ca_file": str(stranger.cert)}, {"cert_file": None, "key_file": None}):
        wrong = {name: value for name, value in {**section, **changed}.items() if value is not None}
        assert lines(boat(**wrong).run("check", "--json", expect=None))["connection"][0] == "FAIL"


# --- several brokers ---

def test_leaders_move_and_go(boat):
    with Cluster() as cluster:
        make(cluster, "moved", configs={"min.insync.replicas": 1}, assignment=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])
        make(cluster, "alone", assignment=[[2]])
        cluster.produce("moved", [Record(b"x", partition=number) for number in range(3)])
        cluster.await_in_sync("moved")
        found = facts(boat(cluster.bootstrap, ["re:.*"]))
        assert found["topics"]["moved"]["replication_factor"] == 3 and len(found["cluster"]["brokers"]) == 3
        cluster.node(2).stop(signal.SIGKILL)
        cluster.await_nodes(2)
        found = facts(boat(cluster.bootstrap, ["moved"]))
        assert offsets(found, "moved") == [(0, 1, 1)] * 3
        assert [one["id"] for one in found["cluster"]["brokers"]] == [1, 3]
        said = lines(boat(cluster.bootstrap, ["alone"], timeout="3s").run("check", "--json", expect=None))
        assert said["offsets"] == ("FAIL", "partition alone/0 has no leader now")
        cluster.node(2).start()
        cluster.await_nodes(3)
        process.wait_until(lambda: cluster.leader("alone") == 2, 30, "it leads again")
        assert offsets(facts(boat(cluster.bootstrap, ["alone"])), "alone") == [(0, 0, 0)]
        cluster.await_in_sync("moved")
        cluster.node(3).stop(signal.SIGKILL)
        # Nobody has noticed yet: partition 2 is still said to be led by it.
        assert offsets(facts(boat(cluster.bootstrap, ["moved"])), "moved") == [(0, 1, 1)] * 3
