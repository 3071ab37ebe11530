# SPDX-License-Identifier: Apache-2.0
"""The starter of the programs under test, with a stand-in for lifeboat-agent."""
import signal

import pytest

from .faults import wait_until
from .lifeboat import Lifeboat

_STAND_IN = """#!/bin/bash
case $1 in
list) echo "{\\"args\\": \\"$*\\", \\"secret\\": \\"$SECRET\\", \\"ca\\": \\"$SSL_CERT_FILE\\"}"; echo log >&2 ;;
wait) trap 'kill $!; echo told; exit 1' TERM; echo ready; sleep 1000 & wait ;;
*) exit 2 ;;
esac
"""


@pytest.fixture(name="agent")
def _agent(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "lifeboat-agent").write_text(_STAND_IN)
    (programs / "lifeboat-agent").chmod(0o755)
    monkeypatch.setenv("LIFEBOAT_BIN", str(programs))
    monkeypatch.setenv("SSL_CERT_FILE", "/somewhere")
    return Lifeboat(tmp_path / "agent", {"components": [{"name": "ö"}]}, env={"SECRET": "s"})


def test_run(agent):
    assert agent.config_path.read_text() == "components:\n- name: ö\n"
    result = agent.run("list", "orders")
    assert result.json == [{"args": f"list -c {agent.config_path} orders", "secret": "s", "ca": ""}]
    assert result.stderr == "log\n"
    assert agent.run("nonsense", expect=2).status == 2
    with pytest.raises(AssertionError):
        agent.run("nonsense")


def test_start_signal_and_leave(agent):
    with agent.start("wait") as running:
        wait_until(lambda: running.stdout == "ready\n" and len(running.tree()) == 2, 10, "ready")
        running.signal(signal.SIGTERM)
        assert running.wait(10).status == 1 and running.stdout == "ready\ntold\n"
    with agent.start("wait") as running:
        wait_until(lambda: len(running.tree()) == 2, 10, "child")
    assert not running.running()
