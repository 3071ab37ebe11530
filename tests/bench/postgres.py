# SPDX-License-Identifier: Apache-2.0
"""The measuring behind postgres.sh."""
from __future__ import annotations

import argparse
import pathlib
import subprocess
import tempfile

from measure import Measured, Scene, table
from harness.postgres import Postgres
from harness.s3 import VersityGw

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


class Bench(Scene):
    """One server with the data, one S3 server, and the ways from the one to the other and back."""

    def __init__(self, pg: Postgres, s3: VersityGw, folder: pathlib.Path):
        self.pg = pg
        section = {"conninfo": pg.conninfo(DATABASE), "restore_conninfo": pg.conninfo("postgres"), "tools": str(pg.pg_bin)}
        env = {"PGHOST": pg.host, "PGPORT": str(pg.port), "PGUSER": "postgres", "PGDATABASE": DATABASE,
               "PGPASSWORD": pg.password}
        super().__init__(s3, folder, "postgres", section, env, pg.pg_bin)

    def ways(self):
        target = f"s3://{self.s3.bucket}/dump"
        return {
            "`pg_dump -Fc -Z0 >/dev/null` (the limit)": lambda: self.shell("pg_dump -Fc -Z0 >/dev/null"),
            "`pg_dump \\| gzip \\| aws s3 cp`": lambda: self.shell(f"pg_dump | gzip | aws s3 cp - {target} --quiet"),
            "`pg_dump \\| zstd -3 \\| aws s3 cp`":
                lambda: self.shell(f"pg_dump | zstd -3 | aws s3 cp - {target} --quiet"),
            "`lifeboat-agent backup` to S3": lambda: self.boat.run("backup", timeout_s=3600),
        }

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
        backups = bench.backups(bench.ways(), chosen.repeat)
        table(backups, True)
        print(f"\nlifeboat against the zstd pipeline: {backups[3].cpu / backups[2].cpu:.2f} of its CPU, "
              f"{backups[3].wall / backups[2].wall:.2f} of its time; against the gzip pipeline: "
              f"{backups[3].cpu / backups[1].cpu:.2f} and {backups[3].wall / backups[1].wall:.2f}.\n")
        table(bench.restores(chosen.repeat), False)


main()
