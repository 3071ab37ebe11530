# SPDX-License-Identifier: Apache-2.0
"""A scripted Redis server, for what a real one does not show: payloads that lie, marks that are split anywhere.

with RedisStub(payload=[b"$5\r\n", b"REDIS"]) as stub: stub.port. Each piece of the payload is sent by itself, and the
next only when lifeboat has had time to read it; None closes the connection. answers: a reply per command's first word,
as it goes over the wire, in place of the usual one; an answer of None closes the connection.
"""
from __future__ import annotations

import socket
import threading
import time
from typing import Any, Iterable, Optional

from .redis import Client

_INFO = ("redis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:" + "1" * 40 + "\r\nrole:master\r\n"
         "master_replid:" + "2" * 40 + "\r\nused_memory:1000\r\nrdb_last_save_time:100\r\nrdb_bgsave_in_progress:0\r\n"
         "rdb_last_bgsave_status:ok\r\n")
FULLRESYNC = b"+FULLRESYNC " + b"3" * 40 + b" 14\r\n"


class RedisStub:
    """stub.commands: what was sent, as lists of bytes, of all connections in order."""

    def __init__(self, payload: Iterable[Optional[bytes]] = (), answers: Optional[dict[str, Optional[bytes]]] = None,
                 pause_s: float = 0.0):
        self.payload, self.answers, self.pause_s = list(payload), dict(answers or {}), pause_s
        self.commands: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ended = False

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> "RedisStub":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = Client.__new__(Client)
        reader.file = connection.makefile("rb")
        try:
            while self._answer(connection, reader.read()):
                pass
        except (OSError, ConnectionError, ValueError):
            pass
        finally:
            connection.close()
            reader.file.close()

    def _answer(self, connection: socket.socket, command: list[bytes]) -> bool:
        word = command[0].decode().upper()
        self.commands.append(command)
        if word in self.answers:
            answer = self.answers[word]
            if answer is None:
                return False
            connection.sendall(answer)
            return True
        if word == "PSYNC":
            return self._send_payload(connection)
        usual: dict[str, Any] = {"PING": b"+PONG\r\n", "INFO": b"$%d\r\n%s\r\n" % (len(_INFO), _INFO.encode())}
        connection.sendall(usual.get(word, b"+OK\r\n"))
        return True

    def _send_payload(self, connection: socket.socket) -> bool:
        connection.sendall(FULLRESYNC)
        for piece in self.payload:
            if piece is None:
                return False
            connection.sendall(piece)
            time.sleep(self.pause_s)
        return True
