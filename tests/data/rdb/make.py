#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the RDB files beside it with real servers, and what each server says it holds: NAME.rdb, NAME.json.

usage: make.py NAME=SERVER [MODULE...] -- NAME=SERVER [MODULE...] -- ...

names: the sum of the FNV-1a hashes of all keys, each as its database, its length and its first 1,024 bytes.
The files that are committed came from redis6=Redis 6.2.5 (RDB version 9), redis70=7.0.15 (10), redis74=7.4.1 (12, with
the modules ReJSON, RedisBloom and TimeSeries), valkey8=Valkey 8.1.8 (11) and valkey9=9.1.2 (80). A file's second part
of the name: none, everything; -plain, without checksum and compression; -cluster; -sync, as a replica gets it.
"""
from __future__ import annotations

import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional

HERE = pathlib.Path(__file__).resolve().parent
YEAR_2100_MS = 4102444800000
KINDS = ("string", "list", "set", "zset", "hash", "stream")


class Client:
    def __init__(self, path: pathlib.Path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, *words: Any) -> None:
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in encoded))

    def read(self) -> Any:
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return rest

    def __call__(self, *words: Any) -> Any:
        self.send(*words)
        return self.read()

    def try_(self, *words: Any) -> Optional[Any]:
        """What only some servers have."""
        try:
            return self(*words)
        except RuntimeError:
            return None


class Server:
    def __init__(self, program: str, *options: str):
        self.folder = tempfile.TemporaryDirectory(prefix="rdb-")
        self.path = pathlib.Path(self.folder.name)
        common = ["--port", "0", "--unixsocket", f"{self.path}/s", "--dir", str(self.path), "--save", ""]
        self.log = open(self.path / "log", "wb")
        self.process = subprocess.Popen([program, *common, *options], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client = Client(self.path / "s")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.path / "log").read_text()) from None
                time.sleep(0.02)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


def fill_strings(call: Client, rng: random.Random) -> None:
    for value in (0, 12, -128, 127, 128, -32768, 40000, -2147483648, 2147483647, 2147483648, -(2**63)):
        call("SET", f"number:{value}", value)
    for name, size in (("empty", 0), ("short", 1), ("most6", 63), ("least14", 64), ("most14", 1000)):
        call("SET", f"random:{name}", rng.randbytes(size))
    call("SET", "long:packed", b"abcd" * 4200)
    call("SET", "packed", b"x" * 100)
    for key in (b"", b"12345", b"-7", b"\0\xff\n\r\0", rng.randbytes(70), rng.randbytes(1500), b"key" * 600, b"k" * 30):
        call("SET", key, "v")
    for i in range(5):
        call("SET", f"expires:{i}", i, "PXAT" if i % 2 else "EXAT", (YEAR_2100_MS + i) if i % 2 else YEAR_2100_MS // 1000)


def fill_collections(call: Client, rng: random.Random) -> None:
    call("RPUSH", "list:small", 1, "two", b"\0" * 40)
    call.try_("CONFIG", "SET", "list-max-ziplist-size", "4")
    call.try_("CONFIG", "SET", "list-compress-depth", "1")
    for i in range(20):
        call("RPUSH", "list:nodes", f"element number {i} " * 4)
    call.try_("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b")
    call("RPUSH", "list:plain", "small", b"large" * 60, "small")
    call("SADD", "set:int16", 1, 2, 300)
    call("SADD", "set:int64", 1, 2**40)
    call("SADD", "set:small", "a", "b", 3)
    call("SADD", "set:table", *[f"member {i}" for i in range(40)], rng.randbytes(100))
    call("ZADD", "zset:small", 1, "a", 2.5, "b")
    call("ZADD", "zset:table", "-inf", b"x" * 80, "+inf", "b", 0.1, "c")
    call("HSET", "hash:small", "a", 1, "b", "two")
    call("HSET", "hash:table", "a", rng.randbytes(80), "b", b"y" * 90)
    call("EXPIRE", "hash:table", 10**9)
    call("SET", "hyperloglog:none", "v")
    call("PFADD", "hyperloglog", *range(30))
    for name, size in (("small", 4), ("table", 80)):
        call("HSET", f"hash:expiries:{name}", "a", b"v" * size, "b", 2, "c", 3)
        call.try_("HPEXPIREAT", f"hash:expiries:{name}", YEAR_2100_MS, "FIELDS", 2, "a", "c")


def fill_streams(call: Client) -> None:
    call("XGROUP", "CREATE", "stream:empty", "group", "$", "MKSTREAM")
    for i in range(130):
        call("XADD", "stream", f"{i + 1}-1", "field", i, "other", f"value {i}")
    call("XDEL", "stream", "5-1")
    for group in range(3):
        call("XGROUP", "CREATE", "stream", f"group{group}", group)
        for consumer in range(group):
            call("XREADGROUP", "GROUP", f"group{group}", f"consumer{consumer}", "COUNT", 3, "STREAMS", "stream", ">")
    call.try_("XGROUP", "CREATECONSUMER", "stream", "group0", "idle")
    call("XADD", "stream:plain", "7-0", "a", "b")


def fill_modules(call: Client) -> None:
    call.try_("JSON.SET", "json", "$", '{"a": [1, 2.5, "three", null, true], "b": {"c": "d"}}')
    call.try_("BF.ADD", "bloom", "member")
    call.try_("CMS.INITBYDIM", "sketch", 20, 3)
    call.try_("TOPK.RESERVE", "top", 3)
    call.try_("TS.CREATE", "series", "LABELS", "a", "b")
    for i in range(5):
        call.try_("TS.ADD", "series", i + 1, i * 1.5)


def fill(call: Client) -> None:
    rng = random.Random(7)
    fill_strings(call, rng)
    fill_collections(call, rng)
    fill_streams(call)
    fill_modules(call)
    for database in range(1, 16):
        call("SELECT", database)
        for i in range(database):
            call("SET", f"{database}:{i}", i, *(("PXAT", YEAR_2100_MS) if i % 3 == 0 else ()))
    call("SELECT", 0)
    for i in range(2):
        code = f"#!lua name=lib{i}\nredis.register_function('f{i}', function() return {i} end)"
        call.try_("FUNCTION", "LOAD", code)


def fnv1a(data: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in data:
        found = ((found ^ byte) * 0x100000001B3) % 2**64
    return found


def facts(call: Client, databases: int = 16) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = 0
    for database in range(databases):
        if databases > 1:
            call("SELECT", database)
        keys = call("KEYS", "*")
        assert len(keys) == call("DBSIZE")
        if not keys:
            continue
        types: dict[str, int] = {}
        for key in keys:
            names += fnv1a(bytes([database]) + len(key).to_bytes(2, "big") + key[:1024])
            kind = call("TYPE", key).decode()
            kind = kind if kind in KINDS else "module"
            types[kind] = types.get(kind, 0) + 1
        expires = sum(call("PTTL", key) >= 0 for key in keys)
        found[str(database)] = {"keys": len(keys), "expires": expires, "types": types}
    return {"databases": found, "functions": len(call.try_("FUNCTION", "LIST") or []), "names": f"{names % 2**64:016x}"}


def write(name: str, data: bytes, held: dict[str, Any], checksum: bool) -> None:
    version = int(data[6:9])
    (HERE / f"{name}.rdb").write_bytes(data)
    text = json.dumps({"version": version, "checksum": checksum, **held}, indent=1, sort_keys=True)
    (HERE / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(data)} bytes, version {version}")


def saved(server: Server) -> bytes:
    server.client("SAVE")
    return (server.path / "dump.rdb").read_bytes()


def synced(server: Server) -> bytes:
    client = Client(server.path / "s")
    client.send("SYNC")
    line = b"\n"
    while line == b"\n":
        line = client.file.readline()
    return client.file.read(int(line[1:]))


def free_port() -> int:
    """A cluster also listens at the one 10,000 above."""
    for port in range(21000, 29000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10000))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")


def make(name: str, program: str, modules: list[str]) -> None:
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    debug = [] if "v=6" in version else ["--enable-debug-command", "yes"]
    loaded = [word for module in modules for word in ("--loadmodule", module)]
    for suffix, options in (("", []), ("-plain", ["--rdbchecksum", "no", "--rdbcompression", "no"])):
        policy = ["--maxmemory-policy", "allkeys-lru" if suffix else "allkeys-lfu"]
        server = Server(program, "--repl-diskless-sync", "no", *debug, *policy, *options, *loaded)
        fill(server.client)
        held = facts(server.client)
        write(name + suffix, saved(server), held, suffix == "")
        server.close()
    server = Server(program, "--repl-diskless-sync", "no")
    server.client("SET", "a", 1)
    write(f"{name}-sync", synced(server), facts(server.client), True)
    server.close()
    server = Server(program, "--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", str(free_port()))
    for slot in range(0, 16384, 1024):
        server.client("CLUSTER", "ADDSLOTS", *range(slot, slot + 1024))
    deadline = time.monotonic() + 20
    while b"cluster_state:ok" not in server.client("CLUSTER", "INFO") and time.monotonic() < deadline:
        time.sleep(0.1)
    for i in range(8):
        server.client("SET", f"key{i}", i, *(("PXAT", YEAR_2100_MS) if i % 2 else ()))
    write(f"{name}-cluster", saved(server), facts(server.client, 1), True)
    server.close()


def main() -> None:
    part: list[str] = []
    for word in sys.argv[1:] + ["--"]:
        if word != "--":
            part.append(word)
            continue
        name, program = part[0].split("=", 1)
        make(name, program, part[1:])
        part = []


if __name__ == "__main__":
    main()
