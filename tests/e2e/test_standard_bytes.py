# SPDX-License-Identifier: Apache-2.0
"""Promise 4: what lies in a store is standard files; no lifeboat is needed to check or restore them."""
import hashlib
import subprocess

import pytest

import configs
import sample
from harness.postgres import Postgres

CODECS = {"zstd:1": (["zstd", "-dc"], ".zst"), "zstd:2": (["zstd", "-dc"], ".zst"), "gzip:9": (["gunzip", "-c"], ".gz"),
          "gzip": (["gunzip", "-c"], ".gz"), "none": (["cat"], "")}
PIECE = 64 << 10


@pytest.fixture(scope="module", name="database")
def _database(pg):
    return sample.make(pg, rows=20_000)


def named(manifest, name):
    """The object of this name."""
    (found,) = [one for one in manifest["objects"] if one["name"] == name]
    return found


def plain(folder, manifest, name, tool):
    """The pieces of an object through cat and its codec's tool, after the digests of all of them."""
    thing = named(manifest, name)
    pieces = sorted(folder.glob(thing["pieces"][0]["name"] + "*"))
    assert [path.name for path in pieces] == [piece["name"] for piece in thing["pieces"]]
    for path, piece in zip(pieces, thing["pieces"]):
        assert path.stat().st_size == piece["bytes"] <= PIECE
        assert hashlib.sha256(path.read_bytes()).hexdigest() == piece["sha256"]
    assert sum(piece["bytes"] for piece in thing["pieces"]) == thing["stored_bytes"]
    whole = subprocess.run(f"LC_ALL=C; cat '{folder}/{thing['pieces'][0]['name']}'* | {' '.join(tool)}", shell=True,
                           check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (thing["plain_bytes"], thing["plain_sha256"])
    return whole


@pytest.mark.parametrize("compress", CODECS)
def test_stored_files_open_with_common_tools(pg, agent, tmp_path, database, compress):
    tool, suffix = CODECS[compress]
    boat = agent(configs.config(tmp_path, configs.component(pg, database, compress=compress, piece_size=f"{PIECE}")))
    backup = boat.run("backup", "--json").json[-1]["backup"]
    manifest = configs.manifests(tmp_path)[backup]
    folder = configs.data(tmp_path, backup)
    assert {path.name for path in folder.iterdir()} == {
        piece["name"] for one in manifest["objects"] for piece in one["pieces"]}
    archive = plain(folder, manifest, "database.pgdump", tool)
    assert named(manifest, "database.pgdump")["pieces"][1]["name"] == f"database.pgdump{suffix}.0001"
    assert archive[:5] == b"PGDMP"
    roles = plain(folder, manifest, "globals.sql", tool)
    assert b'CREATE ROLE "Owner \xe2\x82\xac"' in roles
    # lifeboat reads its pieces, too.
    boat.run("verify")
    boat.run("drill", configs.NAME)


def test_restored_without_lifeboat(pg, agent, tmp_path, database):
    """On another server, with psql and pg_restore alone, as docs/FORMAT.md says."""
    boat = agent(configs.config(tmp_path, configs.component(pg, database)))
    backup = boat.run("backup", "--json").json[-1]["backup"]
    folder = configs.data(tmp_path, backup)
    before = sample.truth(pg, database, tmp_path / "before.sql")
    with Postgres(15, fresh=True) as new:
        roles, archive = (subprocess.run(["zstd", "-dc", str(folder / name)], check=True, stdout=subprocess.PIPE).stdout
                          for name in ("globals.sql.zst", "database.pgdump.zst"))
        new.tool("psql", "-X", "-q", "-d", "postgres", stdin=roles)
        new.tool("pg_restore", "-C", "-d", "postgres", stdin=archive)
        before.assert_same(sample.truth(new, database, tmp_path / "after.sql"))


def test_the_commands_of_the_format_page(pg, agent, tmp_path, database):
    """sha256sum over the manifest by jq, and a stream of one piece."""
    boat = agent(configs.config(tmp_path, configs.component(pg, database)))
    backup = boat.run("backup", "--json").json[-1]["backup"]
    folder = configs.data(tmp_path, backup)
    manifest = folder.parent.parent / "manifests" / f"{backup}.json"
    checked = subprocess.run(
        f"""jq -r '.objects[].pieces[] | .sha256 + "  " + .name' '{manifest}' | sha256sum -c""", shell=True, cwd=folder,
        check=True, capture_output=True, text=True)
    assert sorted(checked.stdout.splitlines()) == ["database.pgdump.zst: OK", "globals.sql.zst: OK"]


def test_same_bytes_in_s3(pg, s3, agent, tmp_path, database):
    """The bucket holds what the folder holds, fetched by another client."""
    config = configs.config(tmp_path, configs.component(pg, database, piece_size="1MiB"), stores=[configs.s3_store(s3)])
    boat = agent(config)
    backup = boat.run("backup", "--json").json[-1]["backup"]
    keys = s3.client.keys()
    root = f"some/prefix/test/e2e/{configs.NAME}/"
    assert all(key.startswith(root) for key in keys)
    (manifest_key,) = [key for key in keys if "/manifests/" in key]
    s3.cli("cp", "--recursive", f"s3://{s3.bucket}/some/prefix", str(tmp_path / "store"))
    manifest = configs.manifests(tmp_path)[backup]
    assert manifest_key.endswith(f"/{manifest['system']['lineage']}/manifests/{backup}.json")
    pieces = named(manifest, "database.pgdump")["pieces"]
    archive = b"".join((configs.data(tmp_path, backup) / piece["name"]).read_bytes() for piece in pieces)
    assert len(pieces) > 1
    listing = subprocess.run(["zstd", "-dc"], input=archive, check=True, stdout=subprocess.PIPE).stdout
    assert b"TABLE DATA public orders" in pg.tool("pg_restore", "--list", stdin=listing).stdout
    boat.run("drill", configs.NAME)
    s3.client.empty()
