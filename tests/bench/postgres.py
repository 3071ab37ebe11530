# SPDX-License-Identifier: Apache-2.0
"""The measuring behind postgres.sh. Wall time, and the CPU time of every process but the two servers'."""
from __future__ import annotations

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import Callable

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

# pylint: disable=wrong-import-position
from harness import parts, process  # noqa: E402
from harness.lifeboat import Lifeboat  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.s3 import VersityGw  # noqa: E402

DATABASE = "bench"
# Orders of a trading platform: a hundred bytes a row, which gzip brings to about a fifth.
DATA = """
SELECT setseed(0.5);
CREATE TABLE orders AS
SELECT i AS id, (random() * 20000)::int AS customer,
       (ARRAY['BTC-USD', 'ETH-USD', 'SOL-USD', 'ADA-EUR', 'XRP-USD'])[1 + (random() * 4)::int] AS symbol,
       (ARRAY['buy', 'sell'])[1 + (random())::int] AS side,
       (ARRAY['filled', 'filled', 'filled', 'cancelled', 'rejected: limit'])[1 + (random() * 4)::int] AS state,
       round((20000 + 10000 * sin(i / 50000.0) + random() * 10)::numeric, 2) AS price,
       (random() * 100)::int * 5 AS quantity,
       '2026-01-01'::timestamptz + i * interval '300 ms' AS placed,
       'strategy-' || (i / 1000 %% 40) || (random() * 9)::int AS strategy
FROM generate_series(1, %(rows)s) i;
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer);
ANALYZE orders;
"""


class Measured:
    """The runs of one way. The least counts: the work is equal, and what else the machine does only ever adds."""

    def __init__(self, name: str):
        self.name, self.wall_s, self.cpu_s, self.stored_bytes = name, [], [], 0

    def run(self, work: Callable[[], None]) -> None:
        def cpu() -> float:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime

        cpu_before, before = cpu(), time.monotonic()
        work()
        self.wall_s.append(time.monotonic() - before)
        self.cpu_s.append(cpu() - cpu_before)
        print(f"{self.name}: {self.wall_s[-1]:.2f} s, {self.cpu_s[-1]:.2f} s of CPU", file=sys.stderr)

    @property
    def wall(self) -> float:
        return min(self.wall_s)

    @property
    def cpu(self) -> float:
        return min(self.cpu_s)


class Bench:
    """One server with the data, one S3 server, and the ways from the one to the other and back."""

    def __init__(self, pg: Postgres, s3: VersityGw, folder: pathlib.Path):
        self.pg, self.s3, self.folder = pg, s3, folder
        self.env = process.clean_environment(
            PGHOST=pg.host, PGPORT=str(pg.port), PGUSER="postgres", PGDATABASE=DATABASE, PGPASSWORD=pg.password,
            **s3.environment())
        self.env["PATH"] = f"{pg.pg_bin}:{parts.path('AWSCLI').parent}:{self.env['PATH']}"
        self.boat = Lifeboat(folder / "agent", {
            "identity": {"cluster": "bench", "namespace": "bench"}, "state": {"path": str(folder / "state")},
            "components": [{"name": "bench", "system": "postgres", "stores": ["s3"], "retention": "forever",
                            "postgres": {"conninfo": pg.conninfo(DATABASE), "tools": str(pg.pg_bin),
                                         "restore_conninfo": pg.conninfo("postgres")}}],
            "stores": [{"name": "s3", "type": "s3", "bucket": s3.bucket, "region": s3.region, "path_style": True,
                        "endpoint": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key}]})

    def shell(self, line: str) -> None:
        subprocess.run(["bash", "-c", "set -euo pipefail; " + line], env=self.env, check=True)

    def stored(self) -> int:
        """What lies in the bucket; it is empty afterwards."""
        size = sum(entry.size for entry in self.s3.client.list())
        self.s3.client.empty()
        return size

    def backups(self, repeat: int) -> list[Measured]:
        target = f"s3://{self.s3.bucket}/dump"
        ways = {
            "`pg_dump -Fc -Z0 >/dev/null` (the limit)": lambda: self.shell("pg_dump -Fc -Z0 >/dev/null"),
            "`pg_dump \\| gzip \\| aws s3 cp`": lambda: self.shell(f"pg_dump | gzip | aws s3 cp - {target} --quiet"),
            "`pg_dump \\| zstd -3 \\| aws s3 cp`":
                lambda: self.shell(f"pg_dump | zstd -3 | aws s3 cp - {target} --quiet"),
            "`lifeboat-agent backup` to S3": lambda: self.boat.run("backup", timeout_s=3600),
        }
        measured = [Measured(name) for name in ways]
        # Turn by turn, so that whatever else the machine does meets all of them.
        for _ in range(repeat):
            for one, way in zip(measured, ways.values()):
                one.run(way)
                one.stored_bytes = self.stored()
        return measured

    def restores(self, repeat: int) -> list[Measured]:
        dump = self.folder / "dump"
        self.shell(f"pg_dump -Fc -Z0 -f {dump}")
        self.boat.run("backup")
        local, ours = Measured("`pg_restore` of a local file (`-Fc -Z0`)"), Measured("`lifeboat-agent restore` from S3")
        ours_moved = Measured("of that, without the comparison of objects and rows")
        for _ in range(repeat):
            local.run(lambda: self.shell(f"createdb beside && pg_restore -d beside {dump}"))
            self.pg.sql("DROP DATABASE beside")
            results = []
            ours.run(lambda: results.append(self.boat.run("restore", "--json", "--yes", "--to", "beside", "bench",
                                                          timeout_s=3600)))
            self.pg.sql("DROP DATABASE beside")
            ours_moved.wall_s.append(results[0].json[-1]["findings"]["transfer"]["total_ms"] / 1000)
            ours_moved.cpu_s.append(ours.cpu_s[-1])
        return [local, ours, ours_moved]


def table(measured: list[Measured], stored: bool) -> None:
    first = measured[0]
    print("| way | wall s | against the first | client CPU s |" + (" stored MB |" if stored else ""))
    print("|---|---|---|---|" + ("---|" if stored else ""))
    for one in measured:
        print(f"| {one.name} | {one.wall:.1f} | {one.wall / first.wall:.2f} | {one.cpu:.1f} |" +
              (f" {one.stored_bytes / 1e6:.0f} |" if stored else ""))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=18_000_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--version", type=int, default=16)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as folder, Postgres(chosen.version) as pg, \
         VersityGw() as s3:
        pg.createdb(DATABASE)
        pg.sql(DATA, {"rows": chosen.rows}, dbname=DATABASE)
        bench = Bench(pg, s3, pathlib.Path(folder))
        plain = subprocess.run("pg_dump -Fc -Z0 | wc -c", shell=True, env=bench.env, check=True,
                               stdout=subprocess.PIPE).stdout
        print(f"PostgreSQL {chosen.version}, {chosen.rows:,} rows, {int(plain) / 1e6:,.0f} MB of dump, "
              f"least of {chosen.repeat}\n")
        backups = bench.backups(chosen.repeat)
        table(backups, True)
        print(f"\nlifeboat against the zstd pipeline: {backups[3].cpu / backups[2].cpu:.2f} of its CPU, "
              f"{backups[3].wall / backups[2].wall:.2f} of its time; against the gzip pipeline: "
              f"{backups[3].cpu / backups[1].cpu:.2f} and {backups[3].wall / backups[1].wall:.2f}.\n")
        table(bench.restores(chosen.repeat), False)


main()
