# SPDX-License-Identifier: Apache-2.0
"""Configurations, and what lies in a local store, read by other means than lifeboat's."""
from __future__ import annotations

import copy
import hashlib
import json
import pathlib
from typing import Any

from harness.postgres import Postgres

NAME = "orders-db"


def component(pg: Postgres, database: str, name: str = NAME, **more: Any) -> dict[str, Any]:
    """A Postgres component of this database; postgres={...} adds to its section, other keys stand beside it."""
    section = {"conninfo": pg.conninfo(database), "restore_conninfo": pg.conninfo("postgres"),
               "tools": str(pg.pg_bin), **more.pop("postgres", {})}
    return {"name": name, "system": "postgres", "postgres": section, "stores": ["disk"], "retention": "forever", **more}


def config(folder: pathlib.Path, *components: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole configuration with a local store in folder/store and the state in folder/state."""
    return {"identity": {"cluster": "test", "namespace": "e2e"}, "state": {"path": str(folder / "state")},
            "components": [copy.deepcopy(one) for one in components],
            "stores": [{"name": "disk", "type": "local", "path": str(folder / "store")}], **more}


def s3_store(s3: Any, **more: Any) -> dict[str, Any]:
    """The stores[] item, called disk like the local one, of an S3 server."""
    return {"name": "disk", "type": "s3", "bucket": s3.bucket, "prefix": "some/prefix", "region": s3.region,
            "endpoint": s3.endpoint, "path_style": True, "access_key": s3.access_key, "secret_key": s3.secret_key, **more}


def files(folder: pathlib.Path) -> dict[str, str]:
    """Each file below a folder with the digest of its content."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def manifests(folder: pathlib.Path, name: str = NAME) -> dict[str, dict[str, Any]]:
    """The manifests of a component in the local store below folder, by backup id, oldest first."""
    found = {path.stem: json.loads(path.read_text()) for path in (folder / "store").glob(f"*/*/{name}/*/manifests/*.json")}
    return dict(sorted(found.items(), key=lambda item: item[1]["recovery_point"]))


def data(folder: pathlib.Path, backup: str) -> pathlib.Path:
    """The folder of a backup's objects."""
    return next((folder / "store").glob(f"*/*/*/*/data/{backup}"))


def records(folder: pathlib.Path, kind: str = "verified") -> list[dict[str, Any]]:
    """The records of this kind, oldest first."""
    found = [json.loads(path.read_text()) for path in (folder / "store").glob(f"*/*/*/*/{kind}/*.json")]
    return sorted(found, key=lambda record: record["time"])
