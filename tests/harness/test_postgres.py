# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL starter itself."""
import os

import psycopg2
import pytest

from . import process
from .postgres import VERSIONS, Postgres


@pytest.mark.parametrize("version", VERSIONS)
def test_serves_dumps_and_is_gone_afterwards(version):
    with Postgres(version) as pg:
        assert pg.sql("SHOW server_version")[0][0].startswith(str(version))
        pg.createdb('or"dérs', "ENCODING 'UTF8' TEMPLATE template0")
        pg.psql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i", dbname='or"dérs')
        dump = pg.tool("pg_dump", "-Fc", "-Z0", dbname='or"dérs').stdout
        assert b"TABLE DATA" in pg.tool("pg_restore", "-l", stdin=dump).stdout
        folder, port = pg.folder, pg.port
    assert not folder.exists() and not process.accepts(port)


def test_stop_and_kill_and_start_again():
    with Postgres(15) as pg:
        port = pg.port
        pg.kill()
        assert not process.accepts(port)
        pg.start()
        pg.stop("fast")
        pg.start()
        assert pg.port == port and pg.sql("SELECT 1") == [(1,)]
        pg.kill()


def test_password_is_asked_for_under_scram():
    with Postgres(15, auth="scram-sha-256") as pg:
        assert pg.sql("SELECT 1") == [(1,)]
        with pytest.raises(psycopg2.OperationalError):
            pg.sql("SELECT 1", password="wrong")


def test_system_identifier_is_shared_unless_fresh():
    query = "SELECT system_identifier FROM pg_control_system()"
    with Postgres(15) as one, Postgres(15) as two, Postgres(15, fresh=True) as three:
        assert one.sql(query) == two.sql(query) != three.sql(query)


def test_replica_follows():
    with Postgres(15) as pg, Postgres.replica_of(pg) as standby:
        pg.sql("CREATE TABLE t (i int)")
        process.wait_until(lambda: standby.sql("SELECT to_regclass('t')::text")[0][0] == "t", 10, "replay")
        assert standby.sql("SELECT pg_is_in_recovery()") == [(True,)]


def test_memory_sampler_sees_a_named_program(tmp_path):
    program = tmp_path / "lifeboat-cat"
    program.write_bytes(open("/bin/cat", "rb").read())
    program.chmod(0o755)
    read_end, write_end = os.pipe()
    child = process.spawn([program], stdin=read_end)
    try:
        with process.MemorySampler(os.getpid()) as memory:
            process.wait_until(lambda: memory.samples >= 3, 10, "samples")
        assert memory.peak_bytes > 0 and list(memory.peak_by_program) == ["lifeboat-cat"]
    finally:
        os.close(write_end)
        os.close(read_end)
        process.end(child)
