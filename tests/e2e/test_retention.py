# SPDX-License-Identifier: Apache-2.0
"""What prune lets go and what it never does; list and show."""
import re

import pytest

import configs

DATABASE = "pruned"


@pytest.fixture(name="boat")
def _boat(pg, agent, tmp_path):
    pg.createdb(DATABASE)
    pg.psql("CREATE TABLE orders AS SELECT i, md5(i::text) FROM generate_series(1, 3000) i", dbname=DATABASE)
    yield agent(configs.config(tmp_path, configs.component(pg, DATABASE, retention={"keep_last": 2})))
    pg.sql(f"DROP DATABASE {DATABASE}")


def backup(boat):
    return boat.run("backup", "--json").json[-1]["backup"]


def stored_ids(folder):
    """Backup ids of everything that lies in the store, whatever it is."""
    return set(re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{6}", " ".join(configs.files(folder / "store"))))


def test_keep_last(boat, tmp_path):
    ids = [backup(boat) for _ in range(4)]
    # Prune follows each backup.
    assert list(configs.manifests(tmp_path)) == ids[2:] and stored_ids(tmp_path) == set(ids[2:])
    # The newest verified one stays, however old, until another is verified.
    boat.run("verify", f"{configs.NAME}@{ids[2]}")
    ids += [backup(boat) for _ in range(3)]
    assert list(configs.manifests(tmp_path)) == [ids[2], *ids[5:]]
    boat.run("verify")
    result = boat.run("prune", "--json")
    assert {one["backup"]: (one["action"], one["reason"]) for one in result.json if "backup" in one} == {
        ids[2]: ("remove", "no rule keeps it"), ids[5]: ("keep", "keep_last"), ids[6]: ("keep", "newest")}
    assert (result.json[-1]["kept"], result.json[-1]["removed"]) == (2, 1)
    assert stored_ids(tmp_path) == set(ids[5:])


def test_dry_run_changes_nothing(pg, boat, tmp_path):
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE)))
    ids = [backup(boat) for _ in range(4)]
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, retention={"keep_last": 1})))
    before = configs.files(tmp_path / "store")
    result = boat.run("prune", "--dry-run")
    assert configs.files(tmp_path / "store") == before
    assert all(f"{configs.NAME}@{one} would remove" in result.stdout for one in ids[:3])
    done = boat.run("prune", "--dry-run", "--json").json[-1]
    assert (done["removed"], done["kept"], done["dry_run"]) == (3, 1, True)
    assert configs.files(tmp_path / "store") == before
    boat.run("prune")
    assert stored_ids(tmp_path) == {ids[3]}


def test_keep_within_and_forever(pg, boat, tmp_path):
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, retention={"keep_within": "1d"})))
    ids = [backup(boat) for _ in range(3)]
    assert list(configs.manifests(tmp_path)) == ids
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, retention="forever")))
    assert boat.run("prune", "--json").json[-1]["removed"] == 0
    # The newest stays whatever the rule says.
    boat.configure(configs.config(tmp_path, configs.component(pg, DATABASE, retention={"keep_within": "1s"})))
    while len(configs.manifests(tmp_path)) > 1:
        boat.run("prune")
    boat.run("prune")
    assert list(configs.manifests(tmp_path)) == [ids[2]]


def test_a_backup_that_shrinks_holds_retention_until_it_is_adopted(pg, boat, tmp_path):
    ids = [backup(boat) for _ in range(2)]
    assert "nothing to adopt" in boat.run("adopt", configs.NAME, expect=1).stderr
    pg.sql("TRUNCATE orders", dbname=DATABASE)
    result = boat.run("backup", "--json")
    ids.append(result.json[-1]["backup"])
    assert "retention held" in result.stderr and ids[2] in result.stderr
    ids += [backup(boat) for _ in range(3)]
    assert list(configs.manifests(tmp_path)) == ids
    held = boat.run("prune", "--json")
    assert held.json[-1]["held"] is True and held.json[-1]["removed"] == 0
    adopted = boat.run("adopt", "--json", configs.NAME).json[-1]
    assert adopted["backup"] == ids[2]
    assert [one["adopted"] for one in boat.run("list", "--json").json] == [False, False, True, False, False, False]
    assert len(configs.records(tmp_path, "adopted")) == 1
    boat.run("prune")
    assert stored_ids(tmp_path) == set(ids[4:])


def test_size_that_comes_back_ends_the_hold(pg, boat, tmp_path):
    backup(boat)
    pg.psql("CREATE TABLE aside AS TABLE orders; TRUNCATE orders; ALTER TABLE aside SET UNLOGGED; DROP TABLE aside",
            dbname=DATABASE)
    backup(boat)
    pg.psql("INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 3000) i", dbname=DATABASE)
    ids = [backup(boat) for _ in range(2)]
    assert list(configs.manifests(tmp_path)) == ids


def test_list_and_show(pg, boat, tmp_path):
    assert "no backup" in boat.run("list").stdout
    assert boat.run("list", "--json").stdout == ""
    first = backup(boat)
    boat.run("verify")
    (line,) = boat.run("list", "--json").json
    manifest = configs.manifests(tmp_path)[first]
    plain = sum(one["plain_bytes"] for one in manifest["objects"])
    stored = sum(one["stored_bytes"] for one in manifest["objects"])
    assert {key: line[key] for key in ("command", "component", "result", "backup", "lineage", "readable",
                                       "recovery_point", "plain_bytes", "stored_bytes", "adopted")} == {
        "command": "list", "component": configs.NAME, "result": "done", "backup": first,
        "lineage": manifest["system"]["lineage"], "readable": True, "recovery_point": manifest["recovery_point"],
        "plain_bytes": plain, "stored_bytes": stored, "adopted": False}
    assert line["duration_ms"] >= 0 and line["verified"].endswith("Z")
    assert stored == sum(path.stat().st_size for path in configs.data(tmp_path, first).iterdir())
    text = boat.run("list").stdout
    assert first in text and text.splitlines()[0].split()[:2] == ["COMPONENT", "BACKUP"]

    (shown,) = boat.run("show", "--json", f"{configs.NAME}@{first}").json
    assert shown["manifest"] == manifest
    assert manifest["system"]["version"].startswith("15.")
    assert manifest["system"]["lineage"] == str(pg.sql("SELECT system_identifier FROM pg_control_system()")[0][0])
    assert manifest["started"] <= manifest["recovery_point"] <= manifest["ended"]
    assert manifest["identity"]["cluster"] == "test" and manifest["restored_from"] is None
    text = boat.run("show", f"{configs.NAME}@latest").stdout
    assert first in text and all(piece["sha256"] in text for one in manifest["objects"] for piece in one["pieces"])


def test_a_manifest_that_cannot_be_read_hides_nothing(boat, tmp_path):
    """A damaged manifest is told, its data is no orphan, the other backups stay usable."""
    ids = [backup(boat), backup(boat)]
    path = next((tmp_path / "store").glob(f"*/*/*/*/manifests/{ids[1]}.json"))
    path.write_text(path.read_text()[:-200])
    # The state folder keeps copies of manifests; another agent has none.
    boat.configure({**boat.config, "state": {"path": str(tmp_path / "other")}})
    result = boat.run("list", "--json")
    assert {one["backup"]: one["readable"] for one in result.json} == {ids[0]: True, ids[1]: False}
    before = configs.files(tmp_path / "store")
    boat.run("prune")
    assert configs.files(tmp_path / "store") == before
    assert boat.run("show", "--json", f"{configs.NAME}@latest").json[-1]["manifest"]["id"] == ids[0]
    boat.run("show", f"{configs.NAME}@{ids[1]}", expect=1)
    assert boat.run("verify", "--all", expect=1).stderr.count("level=error") == 1
