# SPDX-License-Identifier: Apache-2.0
"""What an S3 server, and the line to it, can do to a backup: scripted answers, then a faulty proxy before a real one.

What passes is repeated and ends well; what stays ends with status 1, one line that names the cause, no manifest, and
nothing left after the next prune, not even an unfinished upload.
"""
import itertools

import pytest

from harness import scene as scenes
from harness.faults import FakeTools, wait_until
from harness.s3stub import Corrupt, DateSkew, Hold, Reset, Truncate, ok_with_error, status
from harness.scene import Scene
from harness.toxiproxy import Toxiproxy

DATA = r"/data/.*/database\.pgdump"
MANIFEST = r"/manifests/"
LONG_AGO_S = 3 * 24 * 3600
UPLOADING = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject", "HeadObject")


@pytest.fixture(scope="module", autouse=True)
def _databases(pg):
    scenes.fill(pg, "small", 2_000)
    scenes.fill(pg, "large", 17_000, width=32)  # 17 MiB as a dump: three parts, the last one short


@pytest.fixture(name="make")
def _make(pg, stub, tmp_path):
    """make(database="large", store={...}): a scene on the scripted server."""
    def build(database="large", **more):
        return Scene(tmp_path, pg, database, server=stub, **more)
    return build


def impatient(**more):
    """Store keys with which a fault that stays is over soon."""
    return {"retry_deadline": "1s", "stall_timeout": "2s", **more}


def is_good(scene, result):
    """The one backup there is was made by this run, is whole, and left nothing beside it."""
    backup = result.json[0]["backup"]
    assert scene.manifests() == [backup]
    scene.run("verify", backup)
    scene.live_untouched()


def forget_lost_uploads(scene, stub):
    """Creating an upload whose answer is lost leaves one that nobody knows of: gone once it is old."""
    for upload in stub.uploads.values():
        upload.initiated -= LONG_AGO_S
    scene.prune_cleans()


# --- answers that pass

PASSING = {"503": status(503, "SlowDown"), "500": status(500), "429": status(429, "TooManyRequests"),
           "503 unread": status(503, "SlowDown", read_body=False)}


@pytest.mark.parametrize("operation,answer", [
    *((operation, "503") for operation in UPLOADING), ("CreateMultipartUpload", "500"),
    ("CompleteMultipartUpload", "500"), ("UploadPart", "429"), ("UploadPart", "503 unread"),
    ("PutObject", "503 unread")])
def test_passing_answers_are_repeated(make, stub, operation, answer):
    scene = make()
    rule = stub.fail(operation, PASSING[answer], times=2)
    result = scene.run("backup")
    assert rule.fired == 2
    is_good(scene, result)
    scene.prune_cleans()


def test_complete_says_200_and_an_error(make, stub):
    scene = make()
    stub.fail("CompleteMultipartUpload", ok_with_error(), times=2)
    is_good(scene, scene.run("backup"))
    scene.prune_cleans()


def test_complete_says_200_and_an_error_but_did_it(make, stub):
    scene = make()
    stub.fail("CompleteMultipartUpload", ok_with_error(carried_out=True))
    is_good(scene, scene.run("backup"))
    scene.prune_cleans()


def test_complete_takes_its_time(make, stub):
    """Far beyond stall_timeout, and the request is not sent a second time."""
    scene = make(store=impatient(stall_timeout="1s"))
    held = stub.fail("CompleteMultipartUpload", Hold())
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        with pytest.raises(TimeoutError):
            wait_until(lambda: stub.count("CompleteMultipartUpload") > 1 or not running.running(), 4)
        held.action.release()
        result = running.wait(60)
    assert result.status == 0, str(result)
    is_good(scene, result)


def test_409_on_complete_starts_the_backup_over(make, stub, pg, tmp_path):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = make(tools=tools, component={"attempts": 2})
    stub.fail("CompleteMultipartUpload", status(409, "ConditionalRequestConflict"))
    result = scene.run("backup")
    assert len(tools.calls("pg_dump")) == 2
    is_good(scene, result)
    scene.prune_cleans()


def test_409_on_complete_for_ever(make, stub, pg, tmp_path):
    tools = FakeTools(pg.pg_bin, tmp_path / "tools")
    scene = make(tools=tools, component={"attempts": 2})
    stub.fail("CompleteMultipartUpload", status(409, "ConditionalRequestConflict"), times=None)
    scene.fails("backup", "409.*ConditionalRequestConflict|conflict")
    assert len(tools.calls("pg_dump")) == 2
    stub.clear()
    scene.nothing_happened()


def test_bad_digest_is_repeated(make, stub):
    scene = make()
    stub.fail("UploadPart", status(400, "BadDigest"), times=2)
    is_good(scene, scene.run("backup"))


# --- answers that stay

STAY = {
    "503": (status(503, "SlowDown"), "503.*SlowDown"),
    "500": (status(500), "500.*InternalError"),
    "403": (status(403, "AccessDenied"), "403.*AccessDenied"),
    "403 unread": (status(403, "AccessDenied", read_body=False), "403.*AccessDenied"),
    "BadDigest": (status(400, "BadDigest"), "BadDigest"),
    "nonsense": (status(418, body=b"<html>a proxy's page"), "418"),
}


@pytest.mark.parametrize("operation,answer", [
    *itertools.product(UPLOADING, ["503", "403"]), ("CompleteMultipartUpload", "500"), ("UploadPart", "BadDigest"),
    ("PutObject", "BadDigest"), ("UploadPart", "403 unread"), ("PutObject", "403 unread"),
    ("CreateMultipartUpload", "nonsense"), ("HeadObject", "nonsense")])
def test_answers_that_stay(make, stub, operation, answer):
    action, cause = STAY[answer]
    if operation == "HeadObject":
        cause = cause.split(".*", maxsplit=1)[0]  # a HEAD has no body to say more
    scene = make(store=impatient())
    stub.fail(operation, action, times=None)
    scene.fails("backup", cause)
    if answer.startswith("403"):
        assert stub.count("CompleteMultipartUpload") <= 1
    stub.clear()
    scene.nothing_happened()


def test_aborts_fail_too(make, stub):
    """What the job itself cannot take back, the next prune does."""
    scene = make(store=impatient())
    stub.fail("UploadPart", status(403, "AccessDenied"), times=None)
    stub.fail("AbortMultipartUpload", status(503, "SlowDown"), times=None)
    scene.fails("backup", "403.*AccessDenied")
    assert scene.store.uploads()
    stub.clear()
    scene.nothing_happened()


def test_deletes_fail_too(make, stub):
    scene = make(store=impatient())
    stub.fail("PutObject", status(403, "AccessDenied"), key=MANIFEST, times=None)
    stub.fail("DeleteObject", status(403, "AccessDenied"), times=None)
    scene.fails("backup", "403.*AccessDenied")
    assert scene.orphans()
    stub.clear()
    scene.nothing_happened()


def test_everything_fails_from_the_middle_on(make, stub):
    scene = make(store=impatient())
    stub.fail("UploadPart", Hold(), nth=2)
    with scene.start("backup") as running:
        assert stub.rules[0].action.reached.wait(30)
        stub.fail("*", Reset("before"), times=None)
        stub.rules[0].action.release()
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "reset|connection|recv|closed")
    stub.clear()
    scene.nothing_happened()


def test_complete_says_200_and_an_error_for_ever(make, stub):
    scene = make(store=impatient())
    stub.fail("CompleteMultipartUpload", ok_with_error(), times=None)
    scene.fails("backup", "CompleteMultipartUpload.*InternalError")
    stub.clear()
    scene.nothing_happened()


@pytest.mark.parametrize("attempts", [1, 2])
def test_another_client_aborts_the_upload(make, stub, attempts):
    scene = make(component={"attempts": attempts})
    held = stub.fail("UploadPart", Hold(), nth=2)
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        with stub.lock:
            stub.uploads.clear()
        held.action.release()
        result = running.wait(60)
    if attempts == 2:
        assert result.status == 0, str(result)
        is_good(scene, result)
    else:
        assert result.status == 1
        scenes.says_once(result, "NoSuchUpload")
        scene.nothing_happened()


# --- 412: somebody was here before

@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
def test_412_with_equal_bytes_is_success(make, stub, operation):
    """The answer was lost, and the repeated request meets its own object."""
    scene = make()
    stub.fail(operation, Reset("after", carried_out=True))
    if operation == "CompleteMultipartUpload":
        # As some servers do: the upload is gone, the key is taken.
        stub.fail(operation, status(412, "PreconditionFailed"), times=1)
    result = scene.run("backup")
    is_good(scene, result)
    scene.prune_cleans()


@pytest.mark.parametrize("operation,key", [("PutObject", MANIFEST), ("CompleteMultipartUpload", DATA)])
@pytest.mark.parametrize("other", [b"other bytes", b""], ids=["other", "empty"])
def test_412_with_other_bytes_is_an_error(make, stub, operation, key, other):
    scene = make()
    held = stub.fail(operation, Hold(), key=key)
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        path = stub.seen(operation, key)[0].key
        stub.put(path, other)
        held.action.release()
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "exists|is there")
    assert scenes.kind_of(result) == "exists"
    assert path not in stub.objects or stub.objects[path].data == other
    if operation == "PutObject":
        # Somebody's manifest, unreadable for us: its data is nobody's orphan until a person has looked.
        assert stub.objects[path].data == other
        del stub.objects[path]
    scene.nothing_happened()


# --- resets in every phase of every operation

PHASES = [Reset("before"), Reset("body"), Reset("after"), Reset("after", carried_out=True), Reset("response")]
PHASE_IDS = ["before", "in the body", "after the body", "carried out", "in the answer"]


@pytest.mark.parametrize("operation", UPLOADING)
@pytest.mark.parametrize("phase", PHASES, ids=PHASE_IDS)
def test_reset_while_writing(make, stub, operation, phase):
    scene = make("small" if operation in ("PutObject", "HeadObject") else "large")
    rule = stub.fail(operation, phase)
    result = scene.run("backup")
    assert rule.fired == 1
    is_good(scene, result)
    forget_lost_uploads(scene, stub)


@pytest.mark.parametrize("phase", PHASES, ids=PHASE_IDS)
def test_resets_that_stay(make, stub, phase):
    """Each request of a kind is reset, whether or not it took effect: nothing is left, also of lost answers."""
    scene = make(store=impatient())
    stub.fail("CreateMultipartUpload", phase, times=None)
    scene.fails("backup", "CreateMultipartUpload.*(reset|closed|recv|broken|connection|send|empty)")
    stub.clear()
    scene.nothing_happened()


@pytest.mark.parametrize("phase", [PHASES[0], PHASES[2], PHASES[4]], ids=["before", "after", "in the answer"])
@pytest.mark.parametrize("command,operation", [("verify", "GetObject"), ("verify", "ListObjectsV2"),
                                               ("drill", "GetObject"), ("restore", "GetObject"),
                                               ("prune", "ListObjectsV2"), ("prune", "ListMultipartUploads")])
def test_reset_while_reading(make, stub, command, operation, phase):
    scene = make("small")
    backup = scene.backup()
    rule = stub.fail(operation, phase)
    scene.run(command, "" if command == "prune" else backup)
    assert rule.fired == 1
    assert scene.manifests() == [backup] and not scene.store.uploads() and not scene.orphans()
    scene.live_untouched()
    for name in scene.extra_databases():
        assert command == "restore"
        scene.pg.sql(f'DROP DATABASE "{name}"')


@pytest.mark.parametrize("phase", PHASES, ids=PHASE_IDS)
@pytest.mark.parametrize("operation", ["DeleteObject", "AbortMultipartUpload"])
def test_reset_while_removing(make, stub, operation, phase):
    """Of an unfinished upload, an orphan and a backup whose time has come."""
    scene = make("small", component={"retention": {"keep_last": 1}})
    first = scene.backup()
    held = stub.fail("PutObject", Hold(), key=MANIFEST)
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        running.kill_ours()
        running.wait(10)
    stub.clear()
    wait_until(lambda: len(scene.manifests()) == 2, 10, "the held request carried out")
    stub.objects.pop(stub.seen("PutObject", MANIFEST)[-1].key)
    stub.begin_upload(stub.seen("PutObject", DATA)[-1].key)
    assert scene.orphans() and scene.store.uploads() and scene.records()
    rule = stub.fail(operation, phase)
    scene.run("prune")
    assert rule.fired == 1
    assert scene.manifests() == [first]
    scene.is_clean()
    second = scene.backup()
    stub.clear()
    assert scene.manifests() == [second]
    scene.is_clean()
    scene.run("verify", second)


# --- reading back

def test_get_is_cut_and_goes_on(make, stub):
    scene = make()
    backup = scene.backup()
    stub.fail("GetObject", Truncate(), key=DATA, times=3)
    scene.run("verify", backup)
    assert any("range" in one.headers for one in stub.seen("GetObject", DATA))


def test_get_is_always_cut(make, stub):
    """Nothing of the body ever comes: the reader gives up at the deadline, and says whose bytes are missing."""
    scene = make("small", store=impatient())
    backup = scene.backup()
    stub.fail("GetObject", Truncate(0), key=DATA, times=None)
    scene.fails("verify", r"database\.pgdump", backup)
    scene.fails("drill", r"database\.pgdump", backup)
    scene.fails("restore", r"database\.pgdump", backup)
    stub.clear()
    scene.nothing_happened([backup])


@pytest.mark.parametrize("at", [0, 5_000, -1], ids=["first byte", "inside", "last byte"])
@pytest.mark.parametrize("command", ["verify", "drill", "restore"])
def test_get_is_corrupted(make, stub, command, at):
    scene = make("small")
    backup = scene.backup()
    stub.fail("GetObject", Corrupt(at), key=DATA, times=None)
    result = scene.fails(command, r"database\.pgdump", backup)
    assert at == 0 or scenes.kind_of(result) == "corrupt", str(result)
    stub.clear()
    assert not [key for key in scene.store.keys() if "/verified/" in key]
    scene.nothing_happened([backup])


@pytest.mark.parametrize("command", ["verify", "drill", "restore"])
def test_manifest_is_corrupted(make, stub, command):
    scene = make("small")
    backup = scene.backup()
    stub.objects[next(key for key in stub.objects if "/manifests/" in key)].data = b'{"format": 1, "id"'
    scene.fails(command, "manifest|corrupt", backup)
    scene.run("prune")
    assert scene.manifests() == [backup] and not scene.orphans()
    scene.live_untouched()


def test_part_is_stored_wrong(make, stub):
    """The store takes the right bytes and keeps others: found by reading back, and named."""
    scene = make()
    stub.fail("UploadPart", Corrupt(1000), nth=2)
    backup = scene.backup()
    result = scene.fails("verify", r"database\.pgdump", backup)
    assert scenes.kind_of(result) == "corrupt"
    scene.fails("restore", r"database\.pgdump", backup)
    scene.live_untouched()
    assert not scene.extra_databases()


def test_object_has_another_size_before_the_commit(make, stub):
    scene = make()
    held = stub.fail("HeadObject", Hold(), key=DATA)
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        with stub.lock:
            stored = stub.objects[stub.seen("HeadObject", DATA)[0].key]
            stored.data = stored.data[:-1]
        held.action.release()
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, r"database\.pgdump")
    assert scenes.kind_of(result) == "corrupt"
    assert not stub.seen("PutObject", MANIFEST)
    scene.nothing_happened()


def test_object_is_gone_before_the_commit(make, stub):
    scene = make()
    held = stub.fail("HeadObject", Hold(), key=DATA)
    with scene.start("backup") as running:
        assert held.action.reached.wait(30)
        with stub.lock:
            del stub.objects[stub.seen("HeadObject", DATA)[0].key]
        held.action.release()
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, r"database\.pgdump")
    assert not stub.seen("PutObject", MANIFEST)
    scene.nothing_happened()


# --- clocks, names, keys

@pytest.mark.parametrize("skew_s", [600, -600])
def test_clocks_are_apart(make, stub, skew_s):
    """Ages cannot be told: prune removes nothing, the backup itself stands."""
    scene = make("small", component={"retention": {"keep_last": 1}})
    first = scene.backup()
    stub.fail("*", DateSkew(skew_s), times=None)
    second = scene.backup()
    scene.fails("prune", "clock")
    assert scene.manifests() == sorted([first, second])
    assert not stub.count("DeleteObject")
    stub.clear()
    scene.run("prune")
    assert scene.manifests() == [second]


def test_answers_without_a_date(make, stub):
    scene = make("small")
    scene.backup()
    stub.fail("*", DateSkew(None), times=None)
    scene.fails("prune", "date")


def test_wrong_bucket(make, stub):
    scene = make("small", store={"bucket": "elsewhere"})
    scene.fails("backup", "NoSuchBucket.*elsewhere|elsewhere.*NoSuchBucket")
    assert not stub.objects and not stub.uploads
    scene.live_untouched()


@pytest.mark.parametrize("database", ["small", "large"])
@pytest.mark.parametrize("keys,cause", [({"access_key": "somebody"}, "InvalidAccessKeyId|XAdminUserNotFound"),
                                        ({"secret_key": "a-wrong-secret"}, "403.*SignatureDoesNotMatch"),
                                        ({"bucket": "elsewhere"}, "NoSuchBucket")],
                         ids=["access key", "secret key", "bucket"])
def test_wrong_keys(pg, s3, tmp_path, database, keys, cause):
    scene = Scene(tmp_path, pg, database, server=s3, store=keys)
    result = scene.fails("backup", cause)
    assert "a-wrong-secret" not in result.stderr + result.stdout
    scene.live_untouched()
    assert not scene.store.keys() and not scene.store.uploads()


# --- a real server behind a faulty line

@pytest.fixture(name="line")
def _line(s3):
    with Toxiproxy(s3.port) as proxy:
        yield proxy


@pytest.fixture(name="far")
def _far(pg, s3, line, tmp_path):
    """make(store={...}): a scene on the real server, through the line; the bucket is emptied afterwards."""
    def build(**more):
        return Scene(tmp_path, pg, "large", server=s3, endpoint=line.endpoint, **more)
    yield build
    s3.client.empty()


def test_slow_store(far, line):
    line.add("bandwidth", stream="upstream", rate=16_000)
    line.add("latency", stream="downstream", latency=50, jitter=20)
    scene = far()
    is_good(scene, scene.run("backup"))
    scene.prune_cleans()


def test_store_cuts_every_connection(far, line):
    """Each connection ends after ten megabytes: one part goes through, the next one needs another."""
    line.add("limit_data", stream="upstream", bytes=10_000_000)
    scene = far()
    is_good(scene, scene.run("backup"))
    line.reset()
    scene.prune_cleans()


def uploading(s3):
    return wait_until(lambda: s3.client.list_uploads() and s3.client.list_uploads()[0], 30, "an upload begun")


def test_store_stops_answering(far, s3, line):
    scene = far(store=impatient())
    line.add("bandwidth", stream="upstream", rate=8_000)
    with scene.start("backup") as running:
        uploading(s3)
        line.add("timeout", stream="upstream", timeout=0)
        line.add("timeout", stream="downstream", timeout=0)
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "UploadPart.*(stall|slow|time|moved|answer)")
    line.reset()
    scene.nothing_happened()


def test_store_goes_down_in_the_middle(far, s3, line):
    scene = far(store=impatient())
    line.add("bandwidth", stream="upstream", rate=8_000)
    with scene.start("backup") as running:
        uploading(s3)
        line.down()
        result = running.wait(60)
    assert result.status == 1
    scenes.says_once(result, "UploadPart.*connect")
    line.reset()
    line.up()
    scene.nothing_happened()


def test_store_comes_back(far, s3, line):
    scene = far()
    scene.config["log"] = {"level": "debug"}
    scene.configure()
    toxic = line.add("bandwidth", stream="upstream", rate=8_000)
    with scene.start("backup") as running:
        uploading(s3)
        line.down()
        wait_until(lambda: "trying again" in running.stderr, 10, "noticed")
        line.remove(toxic)
        line.up()
        result = running.wait(60)
    assert result.status == 0, str(result)
    is_good(scene, result)
    scene.prune_cleans()


def test_server_restarts_in_the_middle(far, s3, line):
    scene = far()
    toxic = line.add("bandwidth", stream="upstream", rate=8_000)
    with scene.start("backup") as running:
        uploading(s3)
        s3.stop()
        line.remove(toxic)
        s3.start()
        result = running.wait(60)
    assert result.status == 0, str(result)
    is_good(scene, result)
    scene.prune_cleans()


def test_store_is_away(far, line):
    line.down()
    scene = far(store=impatient())
    scene.fails("backup", "connect")
    scene.fails("verify", "connect")
    scene.fails("prune", "connect")
    line.up()
    scene.nothing_happened()
