# SPDX-License-Identifier: Apache-2.0
"""One component as a fault finds it: a live database, a store, a state folder, a configuration.

It runs commands, and says afterwards what a fault must not have touched (the live database, backups that were
committed) and what must be gone after the next prune (data without a manifest, uploads, job records, scratch
databases).
"""
from __future__ import annotations

import json
import pathlib
import re
import shlex
from typing import Any, Iterable, Optional, Union

from psycopg2 import sql as pgsql

from .lifeboat import Lifeboat, Result
from .postgres import Postgres
from .s3 import ACCESS_KEY, REGION, SECRET_KEY, VersityGw
from .s3stub import S3Stub

COMPONENT = "orders"
_PART = re.compile(r"\.part-[0-9a-f]{8}$")


def fill(pg: Postgres, database: str, rows: int, width: int = 1, table: str = "orders") -> None:
    """A database with a table of so many rows; each is about 32 * width bytes of text in a dump."""
    pg.createdb(database)
    pg.sql(f"CREATE TABLE {table} (id bigint PRIMARY KEY, body text NOT NULL)", dbname=database)
    pg.sql(f"INSERT INTO {table} SELECT i, repeat(md5(i::text), {width}) FROM generate_series(1, {rows}) AS i",
           dbname=database)
    pg.sql(f"ANALYZE {table}", dbname=database)


def fingerprint(pg: Postgres, database: str) -> dict[str, tuple]:
    """Count and content of every table of a database."""
    tables = pg.sql("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')", dbname=database)
    return {table: pg.sql(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} AS t", dbname=database)[0]
            for (table,) in tables}


class Folder:
    """A local store's files, seen as keys and unfinished parts."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def _files(self) -> list[str]:
        return sorted(str(file.relative_to(self.path)) for file in self.path.rglob("*") if file.is_file())

    def keys(self) -> list[str]:
        return [key for key in self._files() if not _PART.search(key)]

    def uploads(self) -> list[str]:
        return [key for key in self._files() if _PART.search(key)]


class Bucket:
    """The same of an S3 server, scripted or real."""

    def __init__(self, server: Union[S3Stub, VersityGw]):
        self.server = server

    def keys(self) -> list[str]:
        if isinstance(self.server, S3Stub):
            with self.server.lock:
                return sorted(self.server.objects)
        return sorted(self.server.client.keys())

    def uploads(self) -> list[str]:
        if isinstance(self.server, S3Stub):
            with self.server.lock:
                return sorted(upload.key for upload in self.server.uploads.values())
        return sorted(upload.key for upload in self.server.client.list_uploads())


class Scene:
    """scene = Scene(tmp_path, pg, "db"); scene.run("backup"); scene.fails("backup", "connection"); scene.is_clean()

    server: an S3 server, or None for a local store in store_path. endpoint: the way to it, through a proxy say.
    component, postgres, store: keys over those written here. name: several scenes may share a folder's parent.
    """

    def __init__(self, folder: pathlib.Path, pg: Postgres, database: str, *, server: Any = None,
                 endpoint: str = "", store_path: Optional[pathlib.Path] = None,
                 state_path: Optional[pathlib.Path] = None, tools: Any = None, pg_port: int = 0,
                 component: Optional[dict[str, Any]] = None, postgres: Optional[dict[str, Any]] = None,
                 store: Optional[dict[str, Any]] = None):
        self.folder, self.pg, self.database, self.server = pathlib.Path(folder), pg, database, server
        self.state = pathlib.Path(state_path or self.folder / "state")
        port = pg_port or pg.port
        if server is None:
            self.store_path = pathlib.Path(store_path or self.folder / "store")
            self.store: Union[Folder, Bucket] = Folder(self.store_path)
            store_config = {"name": "main", "type": "local", "path": str(self.store_path)}
        else:
            self.store = Bucket(server)
            store_config = {"name": "main", "type": "s3", "bucket": server.bucket, "region": REGION,
                            "endpoint": endpoint or server.endpoint, "path_style": True, "access_key": ACCESS_KEY,
                            "secret_key": SECRET_KEY, "retry_deadline": "20s", "stall_timeout": "10s"}
        postgres_config = {"conninfo": f"host=127.0.0.1 port={port} user=postgres dbname={database}",
                           "restore_conninfo": f"host=127.0.0.1 port={port} user=postgres dbname=postgres",
                           "tools": str(tools.folder if tools is not None else pg.pg_bin), "lock_timeout": "2s"}
        self.config = {
            "identity": {"cluster": "test", "namespace": "e2e"},
            "state": {"path": str(self.state)},
            "components": [{"name": COMPONENT, "system": "postgres",
                            "postgres": {**postgres_config, **(postgres or {})}, "stores": ["main"],
                            "compress": "none", "retention": {"keep_last": 5}, "attempts": 1,
                            "deadline": "5m", "stall_timeout": "60s", **(component or {})}],
            "stores": [{**store_config, **(store or {})}],
        }
        self.lifeboat = Lifeboat(self.folder / "agent", self.config)
        self.before = fingerprint(pg, database)
        self.databases_before = pg.databases()

    # -- commands

    def configure(self, *, component: Optional[dict[str, Any]] = None, store: Optional[dict[str, Any]] = None) -> None:
        """Changes keys of the component or of the store."""
        self.config["components"][0].update(component or {})
        self.config["stores"][0].update(store or {})
        self.lifeboat.configure(self.config)

    def words(self, command: str, backup: str = "") -> list[str]:
        """The command line, with what a restore wants besides."""
        name, *more = shlex.split(command)
        return [name, "--json", *(["--yes"] if name == "restore" else []), *more,
                COMPONENT + ("@" + backup if backup else "")]

    def run(self, command: str, backup: str = "", expect: Any = 0, timeout_s: float = 120) -> Result:
        return self.lifeboat.run(*self.words(command, backup), expect=expect, timeout_s=timeout_s)

    def start(self, command: str, backup: str = "") -> Any:
        return self.lifeboat.start(*self.words(command, backup))

    def backup(self) -> str:
        """A good backup; its id."""
        return self.run("backup").json[-1]["backup"]

    def fails(self, command: str, cause: str, backup: str = "", timeout_s: float = 120) -> Result:
        """The command fails with status 1 and says why, once."""
        result = self.run(command, backup, expect=1, timeout_s=timeout_s)
        says_once(result, cause)
        return result

    # -- what must hold

    def manifests(self) -> list[str]:
        """Ids of the committed backups, oldest first."""
        return sorted(pathlib.PurePath(key).stem for key in self.store.keys() if "/manifests/" in key)

    def records(self) -> list[str]:
        return sorted(str(path) for path in self.state.glob("jobs/*/*"))

    def extra_databases(self) -> set[str]:
        """Databases that were not there at first."""
        return self.pg.databases() - self.databases_before

    def live_untouched(self) -> None:
        """The live database serves, under its own name, with all its rows."""
        assert fingerprint(self.pg, self.database) == self.before

    def orphans(self) -> list[str]:
        """Objects that belong to no committed backup."""
        ids = self.manifests()
        return [key for key in self.store.keys()
                if "/manifests/" not in key and not any(name in key for name in ids)]

    def is_clean(self, databases: Iterable[str] = ()) -> None:
        """Nothing is left of jobs that are over. databases: those that may be there besides."""
        assert not self.orphans()
        assert not self.store.uploads()
        assert not self.records()
        assert not self.extra_databases() - set(databases)

    def prune_cleans(self) -> None:
        """The next prune, and then nothing is left of dead jobs; committed backups are all kept."""
        kept = self.manifests()
        self.run("prune")
        assert self.manifests() == kept
        self.is_clean()

    def nothing_happened(self, manifests: Iterable[str] = ()) -> None:
        """After a failed backup: no new manifest, nothing on the server, and no trace after a prune."""
        assert self.manifests() == sorted(manifests)
        self.live_untouched()
        assert not self.extra_databases()
        self.prune_cleans()


def error_lines(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if " level=error " in line]


def says_once(result: Result, cause: str) -> None:
    """One error line, with the cause (a pattern, without regard to case), on standard error and as JSON."""
    lines = error_lines(result)
    assert len(lines) == 1, str(result)
    assert re.search(cause, lines[0], re.IGNORECASE), f"no {cause!r} in {lines[0]}"
    failed = [one for one in result.json if one.get("result") == "failed"]
    assert len(failed) == 1, str(result)
    assert re.search(cause, failed[0]["error"]["text"] + " " + failed[0]["error"]["kind"], re.IGNORECASE), failed
    assert "Sanitizer" not in result.stderr, str(result)


def kind_of(result: Result) -> str:
    """The kind of the error of a failed command."""
    return next(one["error"]["kind"] for one in result.json if one.get("result") == "failed")


def manifest(scene: Scene, backup: str) -> dict[str, Any]:
    """The manifest of a backup, by lifeboat's own words."""
    return next(json.loads(line)["manifest"] for line in scene.run("show", backup).stdout.splitlines()
                if line.startswith("{"))
