# SPDX-License-Identifier: Apache-2.0
"""restore --globals of Kafka: the ACLs are again what they were, each of them, and no more; where they cannot be, the rest
is restored all the same, and it says so.
"""
from __future__ import annotations

import configs
import pytest
from harness import scene as scenes
from harness.kafka import VERSIONS, Kafka, Record
from streams import NAME, backup, component
from streams import _boat, _topic  # noqa: F401, fixtures
from test_kafka_restore import lost, placed, restore

SECRET = "boat-4711"


@pytest.fixture(name="guarded", scope="module", params=VERSIONS)
def _guarded(request):
    """Without a name one may do everything; lifeboat what docs/OPERATIONS.md says, but Alter."""
    with Kafka(request.param, users={"lifeboat": SECRET}, rights=True) as broker:
        yield broker


@pytest.fixture(name="other", scope="module")
def _other():
    """Without an authorizer."""
    with Kafka() as broker:
        yield broker


def as_user(broker, topic):
    return component(broker.address("SASL_PLAINTEXT"), topic,
                     kafka={"security": "sasl_plaintext", "user": "lifeboat", "password": SECRET, "mechanism": "plain"})


def allow_lifeboat(broker):
    for word in ("CREATE", "WRITE", "READ", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"):
        broker.allow("lifeboat", word, "TOPIC")
    broker.allow("lifeboat", "READ", "GROUP")
    broker.allow("lifeboat", "DESCRIBE", "CLUSTER", "kafka-cluster")


def applies(right, *topics):
    """Is it of these topics, or of groups?"""
    _, _, _, kind, name, pattern, _ = right
    if kind != "TOPIC" or name == "*":
        return kind in ("TOPIC", "GROUP")
    return any(name == one or pattern == "PREFIXED" and one.startswith(name) for one in topics)


def grant_all_kinds(broker, topic):
    for name, pattern in ((topic, "LITERAL"), (topic + ".two", "LITERAL"), (topic, "PREFIXED"), ("*", "LITERAL"),
                          (topic + ".t", "PREFIXED"), ("elsewhere", "LITERAL"), ("else", "PREFIXED")):
        broker.allow("billing", "READ", "TOPIC", name, pattern)
    for name, pattern in (("billing", "LITERAL"), ("bill", "PREFIXED"), ("*", "LITERAL")):
        broker.allow("CN=billing,O=Grüße \"x\"", "READ", "GROUP", name, pattern)
    for word in ("WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "ALL"):
        broker.allow("admin", word, "TOPIC", topic)
    broker.allow("*", "WRITE", "TOPIC", topic, host="10.0.0.1", permission="DENY")
    broker.allow("admin", "ALTER", "CLUSTER", "kafka-cluster")


def test_they_are_what_they_were(guarded, boat, topic):
    guarded.revoke()
    for name in (topic, topic + ".two", "elsewhere"):
        guarded.create(name)
        guarded.produce(name, [Record(name.encode())])
    grant_all_kinds(guarded, topic)
    rights = guarded.rights()
    on = boat(guarded.bootstrap, f"re:{topic}(\\.two)?")
    backup(on)
    # Nobody has any.
    before = lost(guarded, topic)
    guarded.delete(topic + ".two")
    guarded.revoke()
    found = restore(on, "--globals")
    own = [one for one in rights if applies(one, topic, topic + ".two")]
    assert guarded.rights() == own and len(own) == len(rights) - 3
    assert (found["acls"], found["acls_left"], found["warnings"]) == (len(own), {}, [])
    assert placed(guarded.read(topic)) == placed(before)
    # All are there, and another one.
    guarded.allow("later", "READ", "TOPIC", topic)
    now = guarded.rights()
    guarded.delete(topic)
    guarded.delete(topic + ".two")
    assert restore(on, "--globals")["acls"] == len(own)
    assert guarded.rights() == now
    # Of one topic; and none that was not asked for.
    guarded.revoke()
    guarded.delete(topic)
    guarded.delete(topic + ".two")
    found = restore(on, "--topic", topic)
    assert guarded.rights() == [] and "acls" not in found
    guarded.delete(topic)
    restore(on, "--topic", topic, "--globals")
    assert guarded.rights() == [one for one in own if applies(one, topic)] != own


def test_many(guarded, boat, topic):
    guarded.revoke()
    guarded.create(topic)
    for number in range(230):
        guarded.allow(f"user-{number}", "READ", "TOPIC", topic)
    rights = guarded.rights()
    on = boat(guarded.bootstrap, topic)
    backup(on)
    guarded.delete(topic)
    guarded.revoke()
    assert restore(on, "--globals")["acls"] == 230
    assert guarded.rights() == rights


def test_one_that_is_denied_what_the_restore_needs(guarded, agent, topic, tmp_path):
    """The backup's ACLs may keep the user itself from going on: they come when all else is done."""
    guarded.revoke()
    allow_lifeboat(guarded)
    guarded.allow("lifeboat", "ALTER", "CLUSTER", "kafka-cluster")
    guarded.create(topic, configs={"retention.ms": "123456789012"})
    guarded.produce(topic, [Record(b"value")])
    guarded.allow("lifeboat", "ALTER_CONFIGS", "TOPIC", topic, permission="DENY")
    guarded.allow("lifeboat", "DELETE", "TOPIC", topic, permission="DENY")
    rights = guarded.rights()
    on = agent(configs.config(tmp_path, as_user(guarded, topic)))
    backup(on)
    before = lost(guarded, topic)
    guarded.revoke("lifeboat")
    allow_lifeboat(guarded)
    guarded.allow("lifeboat", "ALTER", "CLUSTER", "kafka-cluster")
    restore(on, "--globals")
    assert guarded.rights() == rights and placed(guarded.read(topic)) == placed(before)
    assert guarded.describe(topic)["configs"] == {"retention.ms": "123456789012"}


def test_without_the_right(guarded, agent, topic, tmp_path):
    guarded.revoke()
    allow_lifeboat(guarded)
    guarded.create(topic)
    guarded.produce(topic, [Record(b"%d" % i) for i in range(4)])
    guarded.group_commit(topic, {topic: {0: 2}})
    guarded.allow("billing", "READ", "TOPIC", topic)
    rights = guarded.rights()
    on = agent(configs.config(tmp_path, as_user(guarded, topic)))
    backup(on)
    before = lost(guarded, topic)
    guarded.revoke("billing")
    guarded.revoke("lifeboat")
    allow_lifeboat(guarded)
    guarded.allow("lifeboat", "READ", "GROUP", topic, permission="DENY")
    # Both reasons are in the hint.
    result = on.run("restore", "--json", "--yes", NAME, "--globals", expect=3)
    found = result.json[-1]["findings"]
    assert placed(guarded.read(topic)) == placed(before)
    count = len([one for one in rights if applies(one, topic)])
    assert found["acls"] == 0 and found["acls_left"] == {"the right Alter on the cluster is needed": count}
    assert found["hint"] == (f"the offsets of 1 groups are not set, {topic} is the first; "
                             f"{count} ACLs are not put back: the right Alter on the cluster is needed")
    assert "ACLs are not put back" in result.stderr
    # With it.
    guarded.revoke("lifeboat")
    allow_lifeboat(guarded)
    guarded.allow("lifeboat", "ALTER", "CLUSTER", "kafka-cluster")
    guarded.delete(topic)
    found = restore(on, "--globals")
    assert found["acls"] == count and found["groups"] == [topic] and "hint" not in found
    assert [one for one in guarded.rights() if one[3] != "CLUSTER"] == [one for one in rights if one[3] != "CLUSTER"]


def test_into_a_cluster_without_an_authorizer(guarded, other, agent, topic, tmp_path):
    guarded.revoke()
    guarded.create(topic)
    guarded.produce(topic, [Record(b"value")])
    guarded.allow("billing", "READ", "TOPIC", topic)
    result = backup(agent(configs.config(tmp_path, component(guarded.bootstrap, topic))))
    on = agent(configs.config(tmp_path, component(other.bootstrap, topic)))
    result = on.run("restore", "--yes", f"{NAME}@{result['backup']}", "--globals", expect=3)
    assert "\n1 ACLs are not put back: the cluster has no authorizer\n" in result.stdout
    assert placed(other.read(topic)) == placed(guarded.read(topic))


def test_a_backup_without_acls(guarded, other, agent, boat, topic, tmp_path):
    other.create(topic)
    on = boat(other.bootstrap, topic)
    backup(on)
    other.delete(topic)
    found = restore(on, "--globals")
    assert found["warnings"] == ["the backup holds no ACLs to put back: its cluster had no authorizer"]
    assert (found["acls"], "in_part" in found) == (0, False)
    # Nor may everybody ask for them.
    guarded.revoke()
    for word in ("READ", "DESCRIBE", "DESCRIBE_CONFIGS"):
        guarded.allow("lifeboat", word, "TOPIC")
    guarded.create(topic)
    result = backup(agent(configs.config(tmp_path, as_user(guarded, topic))))
    guarded.delete(topic)
    found = restore(boat(guarded.bootstrap, topic), "--globals", target=f"{NAME}@{result['backup']}")
    assert found["warnings"] == ["the backup holds no ACLs to put back: they were not known when it was taken"]


def test_only_under_their_own_names(guarded, boat, topic):
    guarded.revoke()
    guarded.create(topic)
    guarded.allow("billing", "READ", "TOPIC", topic)
    on = boat(guarded.bootstrap, topic)
    backup(on)
    result = on.run("restore", "--json", "--yes", NAME, "--globals", "--to-topic", "restored-*", expect=2)
    scenes.says_once(result, "the ACLs are of the names in the backup")
    assert f"restored-{topic}" not in guarded.topics()
    # A drill has no names to grant anything on.
    guarded.revoke()
    on.run("drill", "--json", "--globals", NAME)
    assert guarded.rights() == []
