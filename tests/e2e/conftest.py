# SPDX-License-Identifier: Apache-2.0
"""What every e2e test may ask for. pytest runs one file at a time; servers live as long as their file."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from harness import lifeboat, postgres, process, s3, s3stub  # noqa: E402
from harness.faults import FakeTools  # noqa: E402

for _name in process.CA_VARIABLES:
    os.environ.pop(_name, None)


@pytest.fixture(scope="session", autouse=True)
def _programs():
    """Without the programs there is nothing to test: an error, not a skip."""
    lifeboat.bin_folder()


@pytest.fixture(scope="module", name="pg")
def _pg():
    """PostgreSQL 15, trusting, shared by the file."""
    with postgres.Postgres(15) as server:
        yield server


@pytest.fixture(scope="module", params=postgres.VERSIONS, ids=lambda version: f"pg{version}", name="any_pg")
def _any_pg(request):
    """Each supported PostgreSQL in turn, shared by the file."""
    with postgres.Postgres(request.param) as server:
        yield server


@pytest.fixture(scope="module", name="s3")
def _s3():
    """A real S3 server with an empty bucket, shared by the file."""
    with s3.VersityGw() as server:
        yield server


@pytest.fixture(name="stub")
def _stub():
    """A scripted S3 server, new for each test."""
    with s3stub.S3Stub() as server:
        yield server


@pytest.fixture(name="tools")
def _tools(tmp_path):
    """make(pg_bin): lying tools around a PostgreSQL's own."""
    return lambda pg_bin: FakeTools(pg_bin, tmp_path / "tools")


@pytest.fixture(name="agent")
def _agent(tmp_path):
    """make(config, path=..., env=...): lifeboat with this configuration, in the test's folder."""
    return lambda config, **options: lifeboat.Lifeboat(tmp_path / "agent", config, **options)
