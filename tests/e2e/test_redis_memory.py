# SPDX-License-Identifier: Apache-2.0
"""Promise 3 with Redis: at most 64 MiB, summed over our own processes (PSS), however much there is and however large one
value is, for all that is done with it.

Programs as they are shipped, for the sanitizers' shadow memory would be all that is measured. LIFEBOAT_REDIS_BYTES and
LIFEBOAT_REDIS_VALUE_BYTES: so much data, and values so large (tests/campaign/redis_memory.sh); a little of each else.
"""
import os

import pytest

import configs
from harness.lifeboat import Lifeboat
from harness.redis import Redis
from harness.release import release_programs

MIB = 1 << 20
LIMIT_BYTES = 64 * MIB
DATA_BYTES = int(os.environ.get("LIFEBOAT_REDIS_BYTES", 300_000_000))
VALUE_BYTES = int(os.environ.get("LIFEBOAT_REDIS_VALUE_BYTES", 64 * MIB))
COMMANDS = ["backup", "verify", "restore", "drill", "restore --to"]
NAME = "cache"


@pytest.fixture(scope="module", autouse=True)
def _release_build():
    with release_programs("lifeboat-agent", "lifeboat-job"):
        yield


def fill_many(client):
    """Half of it in values of 100 kB that do not compress, half in keys of half a kilobyte."""
    for _ in range(0, DATA_BYTES // 2, 10_000_000):
        client.pipeline([("SET", os.urandom(16), os.urandom(100_000)) for _ in range(100)])
    client.call("DEBUG", "POPULATE", DATA_BYTES // 1000, "key", 500)


def fill_large(client):
    """One value that does not compress, and one that the server packs."""
    client.call("SET", "noise", os.urandom(VALUE_BYTES))
    client.call("SETRANGE", "packed", VALUE_BYTES - 1, "x")


DATA = {"many": (f"{DATA_BYTES / 1e9:g} GB", fill_many), "large": (f"two values of {VALUE_BYTES / MIB:g} MiB", fill_large)}


@pytest.fixture(scope="module", name="peaks")
def _peaks(request):
    """peaks[data, method, command]: bytes. A table of them is printed at the end; docs/BENCHMARKS.md keeps it."""
    peaks = {}
    yield peaks
    lines = [f"\n\n| data | method | {' | '.join(COMMANDS)} |", f"|{'---|' * (len(COMMANDS) + 2)}"]
    for data, method in dict.fromkeys(key[:2] for key in peaks):
        found = [peaks.get((data, method, command)) for command in COMMANDS]
        shown = " | ".join("-" if peak is None else f"{peak / MIB:.1f}" for peak in found)
        lines.append(f"| {DATA[data][0]} | {method} | {shown} |")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n".join(lines), flush=True)


@pytest.fixture(scope="module", name="server", params=DATA)
def _server(request):
    with Redis() as server:
        with server.client() as client:
            client.socket.settimeout(600)
            DATA[request.param][1](client)
        yield request.param, server


@pytest.mark.parametrize("method", ["replication", "bgsave"])
def test_memory(s3, server, tmp_path, peaks, method):
    data, server = server
    section = {"method": "bgsave", "rdb_path": str(server.rdb_path)} if method == "bgsave" else {}
    component = {"name": NAME, "system": "redis", "redis": {"url": server.url, "timeout": "60s", **section},
                 "stores": ["disk"], "retention": "forever"}
    boat = Lifeboat(tmp_path / "agent", configs.config(tmp_path, component, stores=[configs.s3_store(s3)]))
    # What is restored is the same by either method.
    for command in COMMANDS[:2] if method == "bgsave" else COMMANDS:
        words = {"restore": ["restore", "--yes", "--no-safety"],
                 "restore --to": ["restore", "--yes", "--to", str(tmp_path / "dump.rdb")]}.get(command, [command])
        with boat.start(*words, NAME) as running, running.memory(step_s=0.005) as memory:
            result = running.wait(1200)
        assert result.status == 0, str(result)
        assert memory.samples > 4
        peaks[data, method, command] = memory.peak_bytes
        assert memory.peak_bytes <= LIMIT_BYTES, f"{command}: {memory.peak_bytes / MIB:.1f} MiB"
    s3.client.empty()
