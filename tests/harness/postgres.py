# SPDX-License-Identifier: Apache-2.0
"""Real PostgreSQL servers on loopback, each in a folder of its own, run as user postgres.

initdb runs once per version and process; instances are copies of it and so share one system identifier. A test of
lineages asks for fresh=True. Durability is off: these servers are for behaviour, not for power cuts.
"""
from __future__ import annotations

import atexit
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Optional, Sequence

import psycopg2
from psycopg2 import sql as pgsql

from . import parts, process

VERSIONS = (15, 16, 18)
PASSWORD = "harness-superuser-password"
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "shared_buffers": "128MB", "max_wal_size": "4GB", "wal_level": "logical", "max_wal_senders": "5",
    "max_replication_slots": "5", "max_prepared_transactions": "5", "max_connections": "50",
    "logging_collector": "off", "log_min_messages": "warning",
}
_templates: dict[int, pathlib.Path] = {}


def bin_folder(version: int) -> pathlib.Path:
    """The folder of this version's programs: initdb, postgres, psql, pg_dump, ..."""
    return parts.path(f"PG{version}_BIN")


def _new_folder() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-pg-", dir="/tmp"))
    folder.chmod(0o711)
    return folder


def _own(folder: pathlib.Path) -> None:
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _as_postgres(argv: Sequence[Any], log: pathlib.Path, **more: Any) -> None:
    status = process.spawn(list(argv), log=log, user="postgres", **more).wait(120)
    if status != 0:
        raise RuntimeError(f"{argv[0]} ended with {status}: {log.read_text()[-2000:]}")


def _initdb(version: int, folder: pathlib.Path, args: Sequence[str]) -> pathlib.Path:
    """A new cluster in folder/data; folder stays root's but for what user postgres must write."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    _own(data)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    _own(secret)
    _as_postgres([bin_folder(version) / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile",
                  secret, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", *args], folder / "initdb.log")
    return data


def _template(version: int) -> pathlib.Path:
    if version not in _templates:
        folder = _new_folder()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _templates[version] = _initdb(version, folder, ())
    return _templates[version]


class Postgres:
    """with Postgres(16) as pg: pg.sql("SELECT 1")

    auth: "trust" or "scram-sha-256", for every user over TCP and the socket (superuser postgres, pg.password).
    settings: lines of postgresql.conf. initdb_args (for example a locale) imply fresh.
    """

    def __init__(self, version: int = 15, *, auth: str = "trust", settings: Optional[dict[str, str]] = None,
                 fresh: bool = False, initdb_args: Sequence[str] = ()):
        self.version, self.auth = version, auth
        self.settings = {**_SETTINGS, **(settings or {})}
        self.fresh, self.initdb_args = fresh or bool(initdb_args), initdb_args
        self.password = PASSWORD
        self.pg_bin = bin_folder(version)
        self.host, self.port = "127.0.0.1", 0
        self._primary: Optional[Postgres] = None
        self._server: Optional[subprocess.Popen] = None
        self.folder = pathlib.Path()

    @classmethod
    def replica_of(cls, primary: "Postgres", **options: Any) -> "Postgres":
        """A streaming standby: with Postgres.replica_of(pg) as standby: ..."""
        replica = cls(primary.version, auth=primary.auth, **options)
        replica._primary = primary
        return replica

    # -- life

    def __enter__(self) -> "Postgres":
        self.folder = _new_folder()
        self.data, self.log = self.folder / "data", self.folder / "server.log"
        try:
            self._make_data()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_data(self) -> None:
        if self._primary:
            self.data.mkdir(mode=0o700)
            _own(self.data)
            _as_postgres([self.pg_bin / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast",
                          "--no-sync", "-d", self._primary.conninfo()], self.folder / "basebackup.log")
        elif self.fresh:
            _initdb(self.version, self.folder, self.initdb_args)
        else:
            subprocess.run(["cp", "-a", "--reflink=auto", _template(self.version), self.data], check=True)
        sockets = self.folder / "socket"
        sockets.mkdir(mode=0o755)
        _own(sockets)
        (self.data / "pg_hba.conf").write_text(
            f"local all,replication all {self.auth}\nhost all,replication all 127.0.0.1/32 {self.auth}\n")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"unix_socket_directories = '{sockets}'\n")
            for name, value in self.settings.items():
                quoted = str(value).replace("'", "''")
                conf.write(f"{name} = '{quoted}'\n")

    def start(self) -> None:
        """Starts the server again after stop() or kill(), on the same port."""
        assert self._server is None, "the server runs"
        self.port = self.port or process.free_port()
        self._server = process.spawn([self.pg_bin / "postgres", "-D", self.data, "-p", self.port], log=self.log,
                                     user="postgres", death_signal=signal.SIGQUIT)
        try:
            process.wait_until(self._ready, 60, "PostgreSQL ready")
        except Exception as error:
            raise RuntimeError(f"PostgreSQL {self.version} did not start: {self.log.read_text()[-2000:]}") from error

    def _ready(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError("the server ended")
        try:
            # The last line is "ready" or "standby" only after the server accepts connections; the first tells this
            # server's file from the one that a killed server left.
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[0] == str(self._server.pid) and lines[7].strip() in ("ready", "standby")
        except (OSError, IndexError):
            return False

    def stop(self, mode: str = "fast") -> None:
        """smart waits for clients, fast ends their sessions, immediate ends without a checkpoint."""
        first = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        server, self._server = self._server, None
        process.end(server, first, 60)

    def kill(self) -> None:
        """kill -9 of the whole server."""
        server, self._server = self._server, None
        if server is None:
            return
        pids = [server.pid, *process.descendants(server.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        server.wait()
        process.wait_until(lambda: not any(process.alive(pid) for pid in pids), 10, "backends gone")

    def close(self) -> None:
        """Stops the server and removes its folder."""
        self.stop("immediate")
        try:
            # A killed server leaves its System V segment; only a next start would remove it.
            segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            subprocess.run(["ipcrm", "-m", segment], stderr=subprocess.DEVNULL, check=False)
        except (OSError, IndexError, AttributeError):
            pass
        if self.folder != pathlib.Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- use

    def conninfo(self, dbname: str = "postgres", user: str = "postgres", password: Optional[str] = None) -> str:
        """A libpq connection string; the superuser's password stands in it under scram unless another is given."""
        if password is None and user == "postgres" and self.auth != "trust":
            password = self.password
        pairs = {"host": self.host, "port": self.port, "user": user, "dbname": dbname, "password": password}
        return psycopg2.extensions.make_dsn(**{key: value for key, value in pairs.items() if value is not None})

    def connect(self, dbname: str = "postgres", user: str = "postgres", password: Optional[str] = None,
                autocommit: bool = True) -> Any:
        """A psycopg2 connection; the caller closes it."""
        connection = psycopg2.connect(self.conninfo(dbname, user, password), connect_timeout=10)
        connection.autocommit = autocommit
        return connection

    def sql(self, query: Any, args: Optional[Sequence[Any]] = None, *, dbname: str = "postgres",
            user: str = "postgres", password: Optional[str] = None) -> list[tuple]:
        """Runs one query in a connection of its own; its rows, or an empty list."""
        connection = self.connect(dbname, user, password)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, args)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def createdb(self, name: str, options: str = "") -> str:
        """CREATE DATABASE with the name quoted; options as in SQL."""
        self.sql(pgsql.SQL("CREATE DATABASE {} " + options).format(pgsql.Identifier(name)))
        return name

    def databases(self) -> set[str]:
        """The names of all databases but the templates."""
        return {name for (name,) in self.sql("SELECT datname FROM pg_database WHERE NOT datistemplate")}

    def tool(self, name: str, *args: str, stdin: Optional[bytes] = None, dbname: str = "postgres",
             check: bool = True) -> subprocess.CompletedProcess:
        """Runs pg_dump, pg_dumpall, pg_restore or psql of this version against this server, output as bytes."""
        env = process.clean_environment(PGHOST=self.host, PGPORT=str(self.port), PGUSER="postgres", PGDATABASE=dbname,
                                        PGPASSWORD=self.password)
        done = subprocess.run([str(self.pg_bin / name), *map(str, args)], env=env, input=stdin, capture_output=True,
                              check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done

    def psql(self, script: str, dbname: str = "postgres") -> str:
        """Runs a script of any length, stopping at the first error; its unaligned output."""
        done = self.tool("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", stdin=script.encode(),
                         dbname=dbname)
        return done.stdout.decode()
