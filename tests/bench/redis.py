# SPDX-License-Identifier: Apache-2.0
"""The measuring behind redis.sh."""
from __future__ import annotations

import argparse
import pathlib
import random
import statistics
import tempfile
from typing import Iterable

from measure import Measured, Scene, table
from harness.redis import KINDS, Redis, encode
from harness.s3 import VersityGw

BATCH = 1000
WORDS = ("BTC-USD", "ETH-USD", "SOL-USD", "filled", "cancelled", "limit", "market", "mobile", "browser", "premium",
         "europe", "america", "asia", "deposit", "withdrawal", "verified")


def value(number: int, chance: random.Random) -> bytes:
    """What caches hold: sessions as JSON, hashes of a user's fields, lists of the last events."""
    word = [WORDS[chance.getrandbits(4)] for _ in range(4)]
    noise, at = f"{chance.getrandbits(256):064x}", 1_760_000_000_000 + number * 300 + chance.getrandbits(12)
    if number % 20 < 12:
        text = (f'{{"id":{number},"user":{chance.getrandbits(20)},"token":"{noise}","plan":"{word[0]}","device":'
                f'{{"kind":"{word[1]}","region":"{word[2]}","address":"10.{number % 251}.{at % 241}.7"}},"created":{at},'
                f'"balance":{chance.getrandbits(34) / 100},"last":{{"symbol":"{word[3]}","price":{at % 99991},'
                f'"order":"{noise[:16]}"}}}}')
        return encode("SET", f"session:{number}", text, "PX", 86_400_000 + number)
    if number % 20 < 17:
        return encode("HSET", f"user:{number}", "id", number, "name", f"{word[0]} {number}", "secret", noise[:40], "plan",
                      word[1], "region", word[2], "seen", at, "balance", chance.getrandbits(30), "state", word[3])
    return encode("RPUSH", f"events:{number}", *(f"{at + i * 7919}:{word[i % 4]}:{noise[i * 6:i * 6 + 12]}" for i in range(8)))


def fill(server: Redis, keys: int) -> None:
    chance = random.Random(5)
    with server.client() as client:
        for start in range(0, keys, BATCH):
            numbers = range(start, min(start + BATCH, keys))
            client.socket.sendall(b"".join(value(number, chance) for number in numbers))
            for _ in numbers:
                client.read()


class Bench(Scene):
    """One server with the data, one S3 server, and the ways from the one to the other."""

    def __init__(self, server: Redis, s3: VersityGw, folder: pathlib.Path):
        super().__init__(s3, folder, "redis", {"url": server.url}, {}, pathlib.Path("/usr/bin"))
        self.server = server

    def ways(self):
        cli, target, copy = f"redis-cli -p {self.server.port}", f"s3://{self.s3.bucket}/dump", self.folder / "copy"
        return {
            "`redis-cli --rdb - >/dev/null` (the limit)": lambda: self.shell(f"{cli} --rdb - >/dev/null 2>&1"),
            "`redis-cli --rdb - \\| zstd -3 \\| aws s3 cp`":
                lambda: self.shell(f"{cli} --rdb - 2>/dev/null | zstd -3 | aws s3 cp - {target} --quiet"),
            "BGSAVE, sleep 30, copy, gzip, `aws s3 cp`":
                lambda: self.shell(f"{cli} BGSAVE >/dev/null; sleep 30; cp {self.server.rdb_path} {copy}; gzip -f {copy}; "
                                   f"aws s3 cp {copy}.gz {target} --quiet; rm {copy}.gz"),
            "`lifeboat-agent backup` to S3": lambda: self.boat.run("backup", timeout_s=3600),
        }


def middle(ours: Iterable[float], others: Iterable[float]) -> float:
    """Of the ratios within each round."""
    return statistics.median(one / other for one, other in zip(ours, others))


def against(ours: Measured, limit: Measured, pipeline: Measured, script: Measured) -> str:
    return (f"lifeboat, median of the rounds: {middle(ours.wall_s, limit.wall_s):.2f} of the limit's time; "
            f"{middle(ours.cpu_s, pipeline.cpu_s):.2f} of the zstd pipeline's CPU, "
            f"{middle(ours.wall_s, pipeline.wall_s):.2f} of its time; {middle(ours.cpu_s, script.cpu_s):.2f} and "
            f"{middle(ours.wall_s, script.wall_s):.2f} of the script's.")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keys", type=int, default=3_500_000)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--kind", choices=KINDS, default="redis")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as folder, Redis(chosen.kind) as server, \
         VersityGw() as s3:
        fill(server, chosen.keys)
        server.call("SAVE")
        print(f"{chosen.kind}, {chosen.keys:,} keys, {server.rdb_path.stat().st_size / 1e6:,.0f} MB of RDB, "
              f"least of {chosen.repeat}\n")
        bench = Bench(server, s3, pathlib.Path(folder))
        limit, pipeline, script, ours = measured = bench.backups(bench.ways(), chosen.repeat)
        table(measured, True)
        print(f"\n{against(ours, limit, pipeline, script)}")


main()
