# SPDX-License-Identifier: Apache-2.0
"""Real Redis 7.0 and Valkey 9 servers on loopback, each in a folder of its own; Sentinels; and a small client.

with Redis("valkey") as server: server.call("SET", "a", 1); fill(server); digest(server)
"""
from __future__ import annotations

import hashlib
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from typing import Any, Iterable, Optional

from . import parts, process
from .certificates import Authority

KINDS = ("redis", "valkey")
DATABASES = 16


def program(kind: str) -> str:
    """The server of that kind: Debian's Redis, or the test part."""
    return "/usr/bin/redis-server" if kind == "redis" else str(parts.path("VALKEY"))


class ReplyError(Exception):
    """An error that the server answered."""


def encode(*words: Any) -> bytes:
    """A command as it is sent."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in encoded)


class Client:
    """One connection: client.call("SET", b"key", 1); replies are bytes, ints, None and lists of them."""

    def __init__(self, place: Any, *, context: Optional[ssl.SSLContext] = None, password: Optional[str] = None):
        family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(60)
        self.socket.connect(place)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        if password is not None:
            self.call("AUTH", password)

    def send(self, *words: Any) -> None:
        self.socket.sendall(encode(*words))

    def read(self) -> Any:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return None if rest == b"-1" else [self.read() for _ in range(int(rest))]

    def call(self, *words: Any) -> Any:
        self.send(*words)
        return self.read()

    def pipeline(self, commands: Iterable[tuple]) -> list[Any]:
        """All commands at once, then all replies."""
        sent = 0
        for words in commands:
            self.send(*words)
            sent += 1
        return [self.read() for _ in range(sent)]

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Redis:
    """kind: "redis" or "valkey". options: lines of its configuration. password: of the default user. tls: an authority
    that signs for it; client certificates are demanded then. folder: its dir, made when absent. A server that is to
    load a file finds it there as dump.rdb.
    """

    def __init__(self, kind: str = "redis", options: Optional[dict[str, Any]] = None, *, password: Optional[str] = None,
                 tls: Optional[Authority] = None, users: Iterable[str] = (), folder: Optional[pathlib.Path] = None):
        self.kind, self.password, self.tls, self.users = kind, password, tls, list(users)
        self.options = {"save": '""', "enable-debug-command": "yes", "repl-diskless-sync-delay": 0,
                        "databases": DATABASES, **(options or {})}
        self.own_folder = folder is None
        self.folder = folder or pathlib.Path()
        self.port = self.tls_port = 0
        self._server: Optional[subprocess.Popen] = None
        self._client: Optional[Client] = None

    def __enter__(self) -> "Redis":
        if self.own_folder:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-redis-", dir="/tmp"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = process.free_port()
        self.rdb_path, self.log = self.folder / "dump.rdb", self.folder / "server.log"
        self.unix_path = str(self.folder / "redis.sock")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _configuration(self) -> str:
        lines = [f"{key} {value}" for key, value in self.options.items()]
        lines += [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", f"unixsocket {self.unix_path}"]
        lines += [f"user {user}" for user in self.users]
        if self.password is not None:
            lines.append(f"requirepass {self.password}")
        if self.tls is not None:
            self.tls_port = process.free_port()
            own = self.tls.issue("redis", alt="DNS:localhost,IP:127.0.0.1")
            lines += [f"tls-port {self.tls_port}", f"tls-cert-file {own.cert}", f"tls-key-file {own.key}",
                      f"tls-ca-cert-file {self.tls.cert}"]
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """With the configuration as self.options says now; waits until it answers and has loaded."""
        path = self.folder / "server.conf"
        path.write_text(self._configuration())
        self._server = process.spawn([program(self.kind), str(path)], log=self.log, cwd="/")
        process.await_port(self._server, self.port, self.log)
        process.wait_until(self._loaded, 60, "the server has loaded its data")

    def _loaded(self) -> bool:
        try:
            with self.client() as client:
                return client.call("PING") == b"PONG"
        except (ReplyError, OSError):
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        process.end(self._server, number)
        self._server = None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> Client:
        return Client(("127.0.0.1", self.port), password=self.password)

    def call(self, *words: Any) -> Any:
        if self._client is None:
            self._client = self.client()
        return self._client.call(*words)

    def info(self, section: str) -> dict[str, str]:
        text = self.call("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def set(self, name: str, value: Any) -> None:
        self.call("CONFIG", "SET", name, value)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


class Sentinel:
    """A Sentinel that watches one primary: replicas() are the addresses that it knows."""

    def __init__(self, primary: Redis):
        self.primary = primary

    def __enter__(self) -> "Sentinel":
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-sentinel-", dir="/tmp"))
        self.port, self.log = process.free_port(), self.folder / "log"
        path = self.folder / "sentinel.conf"
        path.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                        f"sentinel monitor m 127.0.0.1 {self.primary.port} 1\n")
        self._server = process.spawn([program("redis"), str(path), "--sentinel"], log=self.log)
        process.await_port(self._server, self.port, self.log)
        self.client = Client(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        process.end(self._server, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def replicas(self) -> list[bytes]:
        return [one[1] for one in self.client.call("SENTINEL", "REPLICAS", "m")]

    def looked(self) -> int:
        """How many times it has read the primary's INFO, told by the age of the last one."""
        state = self.client.call("SENTINEL", "MASTER", "m")
        return int(dict(zip(state[::2], state[1::2]))[b"info-refresh"])


# --- content ---

def _noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same each time."""
    blocks = (hashlib.sha256(b"%d %d" % (seed, count)).digest() for count in range((size + 31) // 32))
    return b"".join(blocks)[:size]


def _strings() -> Iterable[tuple]:
    for number in (0, -1, 12, 127, 128, 32767, 32768, 2 ** 31 - 1, 2 ** 31, -2 ** 63):
        yield "SET", f"int:{number}", number
    for size in (0, 1, 44, 45, 63, 64, 16383, 16384, 70_000, 1_500_000):
        yield "SET", f"text:{size}", b"ab" * (size // 2) + b"c" * (size % 2)
        yield "SET", f"noise:{size}", _noise(size)
    yield "SET", b"", b"the empty key"
    yield "SET", bytes(range(256)), bytes(range(255, -1, -1))
    yield "SET", _noise(70_000, 1), "a long key"
    yield "SETBIT", "bitmap", 100_000, 1
    yield "SETBIT", "bitmap", 7, 1


def _collections() -> Iterable[tuple]:
    for count in (1, 100, 3000):
        yield "RPUSH", f"list:{count}", *[f"item {i}" for i in range(count)]
        yield "SADD", f"set:int:{count}", *range(count)
        yield "SADD", f"set:text:{count}", *[f"member {i}" for i in range(count)]
        yield "HSET", f"hash:{count}", *[word for i in range(count) for word in (f"field {i}", f"value {i}")]
        yield "ZADD", f"zset:{count}", *[word for i in range(count) for word in (i / 3, f"member {i}")]
    yield "RPUSH", "list:large items", _noise(10_000), _noise(20_000, 2), b"small"
    yield "SADD", "set:wide", 1, 2 ** 40, -2 ** 62
    yield "HSET", "hash:large value", "field", _noise(1000)
    yield "ZADD", "zset:ends", "-inf", "low", "inf", "high", "0.1", "mid", 5, b"\x00\xff"
    yield "PFADD", "hll:sparse", *range(10)
    yield "PFADD", "hll:dense", *range(20_000)
    yield "GEOADD", "geo", 13.36, 38.11, "Palermo", 15.08, 37.50, "Catania"


def _streams() -> Iterable[tuple]:
    for i in range(500):
        yield "XADD", "stream", f"{i + 1}-0", "field", f"value {i}", *(("more", i) if i % 3 == 0 else ())
    yield "XDEL", "stream", "7-0", "8-0"
    yield "XGROUP", "CREATE", "stream", "readers", "0"
    yield "XGROUP", "CREATE", "stream", "idle", "$"
    yield "XREADGROUP", "GROUP", "readers", "alice", "COUNT", 20, "STREAMS", "stream", ">"
    yield "XREADGROUP", "GROUP", "readers", "bob", "COUNT", 5, "STREAMS", "stream", ">"
    yield "XACK", "stream", "readers", "1-0", "2-0"
    yield "XADD", "stream:emptied", "5-5", "a", "b"
    yield "XDEL", "stream:emptied", "5-5"


def fill(server: Redis, keys: int = 2000) -> None:
    """Every type and encoding, in each of the databases; expiries to the millisecond; functions."""
    with server.client() as client:
        client.pipeline([*_strings(), *_collections(), *_streams()])
        client.pipeline([("PEXPIREAT", f"int:{number}", 4_102_444_800_000 + number) for number in (0, 12, 127)])
        client.call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('one', function() return 1 end)")
        for number in range(1, DATABASES):
            client.call("SELECT", number)
            client.pipeline([("SET", f"key:{number}:{i}", f"value {i}") for i in range(keys // DATABASES)])
            client.call("PEXPIREAT", f"key:{number}:0", 4_102_444_800_123)


def digest(server: Redis) -> dict[Any, str]:
    """A digest per database that holds keys, of values, expiries and consumer groups; one of all, one of functions."""
    found: dict[Any, str] = {"all": server.call("DEBUG", "DIGEST").decode()}
    with server.client() as client:
        found["functions"] = hashlib.sha256(client.call("FUNCTION", "DUMP")).hexdigest()
        for number in range(DATABASES):
            client.call("SELECT", number)
            keys = sorted(client.call("KEYS", "*"))
            if keys:
                found[number] = _digest_of(client, keys)
    return found


def _digest_of(client: Client, keys: list[bytes]) -> str:
    total = hashlib.sha256()
    values = client.pipeline([("DEBUG", "DIGEST-VALUE", key) for key in keys])
    times = client.pipeline([("PEXPIRETIME", key) for key in keys])
    types = client.pipeline([("TYPE", key) for key in keys])
    for key, value, when, kind in zip(keys, values, times, types):
        total.update(repr((key, value, when, kind)).encode())
        if kind == b"stream":
            total.update(repr(_stream(client.call("XINFO", "STREAM", key, "FULL", "COUNT", 0))).encode())
    return total.hexdigest()


def _stream(reply: Any) -> Any:
    """Without what differs between equal streams: the shape of the tree, and the clocks of consumers."""
    if isinstance(reply, list):
        skipped = (b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time")
        return [_stream(one) for i, one in enumerate(reply)
                if one not in skipped and not (i > 0 and reply[i - 1] in skipped)]
    return reply
