# SPDX-License-Identifier: Apache-2.0
"""Promise 10: a secret appears in no output, file, key or argument list, whatever goes well or wrong."""
import pathlib
import threading
import time
import urllib.parse

import pytest

import configs
from harness.faults import FakeTools
from harness.lifeboat import Lifeboat
from harness.postgres import Postgres
from harness.process import descendants
from harness.s3 import VersityGw
from harness.s3stub import S3Stub, status

MARK = "MARKq7Zx"
# The mark in the middle of what quoting and encoding are for.
PASSWORD = f"a'b\\ {MARK} \"@:/%#?&={MARK}"
DATABASE = "secretive"


@pytest.fixture(scope="module", name="server")
def _server():
    with Postgres(15, auth="scram-sha-256") as pg:
        pg.createdb(DATABASE)
        pg.psql("CREATE TABLE orders AS SELECT i, md5(i::text) FROM generate_series(1, 3000) i", dbname=DATABASE)
        pg.sql("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD %s", [PASSWORD])
        yield pg


def keywords(pg, database, password=PASSWORD):
    value = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"host=127.0.0.1 port={pg.port} user=keeper dbname={database} password = '{value}'"


def uri(pg, database, password=PASSWORD):
    return f"postgresql://keeper:{urllib.parse.quote(password, safe='')}@127.0.0.1:{pg.port}/{database}"


def uri_parameter(pg, database, password=PASSWORD):
    return f"postgres://127.0.0.1:{pg.port}/{database}?user=keeper&password={urllib.parse.quote(password, safe='')}"


class Watch:
    """Reads the argument lists of a process and all below it for as long as it lives."""

    def __init__(self, pid):
        self.pid, self.seen, self.stop = pid, set(), threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _look(self):
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                self.seen.add(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
            except OSError:
                pass

    def _run(self):
        while not self.stop.is_set():
            self._look()
            time.sleep(0.002)

    def __enter__(self):
        self._look()  # once at least: a wrong configuration ends it before a thread gets its turn
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def clean(text):
    return MARK not in text and urllib.parse.quote(MARK) not in text


def run(boat, *args, expect=0):
    """A command; neither its output nor any argument list below it holds the mark."""
    with boat.start(*args) as running, Watch(running.pid) as watch:
        result = running.wait(300)
    assert result.status in ([expect] if isinstance(expect, int) else expect), str(result)
    assert clean(result.stdout) and clean(result.stderr), str(result)
    assert watch.seen and all(MARK.encode() not in line for line in watch.seen)
    return result


def no_trace(*folders):
    for folder in folders:
        for path in folder.rglob("*"):
            assert clean(str(path))
            assert not path.is_file() or MARK.encode() not in path.read_bytes(), path


COMMANDS = [["check"], ["check", "--grants"], ["backup"], ["list"], ["verify"], ["drill"], ["show", configs.NAME],
            ["restore", "--yes", "--drop-old", configs.NAME], ["prune"]]


@pytest.mark.parametrize("form", [keywords, uri, uri_parameter])
@pytest.mark.parametrize("way,log", [("plain", "logfmt"), ("variable", "json"), ("file", "logfmt")])
def test_connection_strings(server, tmp_path, form, way, log):
    fake = FakeTools(server.pg_bin, tmp_path / "tools")
    boat = Lifeboat(tmp_path / "agent", "")
    values = {"conninfo": form(server, DATABASE), "restore_conninfo": form(server, "postgres")}
    section = configs.component(server, DATABASE, postgres={"tools": str(fake.folder)})
    for key, value in values.items():
        del section["postgres"][key]
        if way == "plain":
            section["postgres"][key] = value
        elif way == "variable":
            section["postgres"][key] = "${" + key.upper() + "}"
            boat.env[key.upper()] = value
        else:
            (tmp_path / key).write_text(value + "\n")
            section["postgres"][key + "_file"] = str(tmp_path / key)
    boat.configure(configs.config(tmp_path, section, log={"format": log, "level": "debug"}))
    for command in COMMANDS:
        run(boat, command[0], "--json", *command[1:])
        run(boat, *command) if command[0] in ("check", "list", "show") else None
    assert fake.calls() and all(clean(" ".join(call.argv)) for call in fake.calls())
    no_trace(tmp_path / "store", tmp_path / "state")


@pytest.mark.parametrize("form", [keywords, uri, uri_parameter])
def test_connections_that_fail(server, tmp_path, form):
    """A wrong password, no such database, nobody listening, a tool that fails with all it knows, and bad strings."""
    fake = FakeTools(server.pg_bin, tmp_path / "tools")
    boat = Lifeboat(tmp_path / "agent", "")

    def configure(conninfo, restore_conninfo=form(server, "postgres")):
        section = configs.component(server, DATABASE, postgres={
            "conninfo": conninfo, "restore_conninfo": restore_conninfo, "tools": str(fake.folder)})
        boat.configure(configs.config(tmp_path, section, log={"level": "debug"}))

    configure(form(server, DATABASE))
    run(boat, "backup")
    nobody = form(server, DATABASE).replace(str(server.port), "1")
    for bad in (form(server, DATABASE, PASSWORD + "x"), form(server, "not_there"), nobody):
        configure(bad)
        for command in COMMANDS[:3]:
            run(boat, command[0], "--json", *command[1:], expect=1)
            run(boat, *command, expect=1)
    configure(form(server, DATABASE), form(server, "postgres", PASSWORD + "x"))
    for command in ("drill", "restore --yes"):
        run(boat, *command.split(), configs.NAME, "--json", expect=1)
    configure(form(server, DATABASE))
    for tool, command in (("pg_dump", "backup"), ("pg_restore", "drill"), ("pg_restore", "verify")):
        fake.exit(tool, 1, stderr=f"{tool}: error: connection failed: password was {PASSWORD}")
        run(boat, command, "--json", expect=1)
        run(boat, command, expect=1)
        fake.clear()
    no_trace(tmp_path / "store", tmp_path / "state")


@pytest.mark.parametrize("bad", [
    f"host=x password='{MARK}", f"host=x password={MARK} nonsense", f"postgresql://u:{MARK}@x@h/d",
    f"postgresql://u:{MARK}%zz@h/d", f"{MARK}", f"postgresql://u:{MARK}@h:notaport/d", f"host=x pasword={MARK}",
    f"postgresql://h/d?password={MARK}&nonsense=1", f"password={MARK} host='",
])
def test_strings_that_are_no_connection_strings(server, tmp_path, bad):
    boat = Lifeboat(tmp_path / "agent", "")
    for key in ("conninfo", "restore_conninfo"):
        section = configs.component(server, DATABASE, postgres={key: bad})
        boat.configure(configs.config(tmp_path, section))
        for command in (["backup"], ["check"], ["check", "--json"]):
            run(boat, *command, expect=[0, 1, 2])


def test_s3_keys(server, tmp_path):
    secret = f"{MARK}/+secret"
    with VersityGw(access_key="visible-access", secret_key=secret) as s3:
        for way in ("plain", "file", "environment"):
            folder = tmp_path / way
            folder.mkdir()
            store = configs.s3_store(s3, retry_deadline="2s")
            boat = Lifeboat(folder / "agent", "")
            if way == "file":
                (folder / "secret").write_text(store.pop("secret_key") + "\n")
                store["secret_key_file"] = str(folder / "secret")
            elif way == "environment":
                boat.env.update(AWS_ACCESS_KEY_ID=store.pop("access_key"), AWS_SECRET_ACCESS_KEY=store.pop("secret_key"))
            config = configs.config(folder, configs.component(server, DATABASE), stores=[store], log={"level": "debug"})
            boat.configure(config)
            for command in COMMANDS:
                run(boat, command[0], "--json", *command[1:])
            store["region"] = "eu-wrong-9"
            boat.configure({**config, "stores": [store]})
            run(boat, "list", "--json", expect=[0, 1, 2])
            store.update(region=s3.region, bucket="not-there")
            boat.configure({**config, "stores": [store]})
            run(boat, "backup", "--json", expect=1)
            no_trace(folder / "state")
        # Wrong by one letter: the server refuses, and its answer quotes the request.
        store = configs.s3_store(s3, secret_key=secret + "x", retry_deadline="2s")
        boat = Lifeboat(tmp_path / "agent", configs.config(tmp_path, configs.component(server, DATABASE), stores=[store]))
        for command in COMMANDS[:4]:
            run(boat, command[0], "--json", *command[1:], expect=1)
        assert all(clean(key) and MARK.encode() not in s3.client.get(key) for key in s3.client.keys())


def test_s3_answers_that_quote_a_secret(server, tmp_path):
    """A server, or a proxy before it, that gives back what it was sent."""
    with S3Stub() as stub:
        store = {"name": "disk", "type": "s3", "bucket": stub.bucket, "endpoint": stub.endpoint, "region": "eu-test-1",
                 "path_style": True, "access_key": "visible", "secret_key": f"secret-{MARK}",
                 "session_token": f"token-{MARK}", "retry_deadline": "1s"}
        boat = Lifeboat(tmp_path / "agent", configs.config(tmp_path, configs.component(server, DATABASE), stores=[store],
                                                           log={"level": "debug"}))
        run(boat, "backup", "--json")
        for code in (400, 403, 503):
            stub.fail("*", status(code, "Quoting", message=f"you sent secret-{MARK} and token-{MARK}"), times=None)
            for command in COMMANDS[2:4]:
                run(boat, command[0], "--json", *command[1:], expect=[1, 2])
            stub.clear()
        assert all(clean(key) for key in stub.objects)
    no_trace(tmp_path / "state")
