# SPDX-License-Identifier: Apache-2.0
"""The scripted S3 server: correct without rules, and each fault as it says."""
import email.utils
import http.client
import threading
import time

import pytest

from . import process
from .s3 import S3Client, S3Error
from .s3stub import Corrupt, DateSkew, Hold, Reset, S3Stub, Truncate, ok_with_error, status


@pytest.fixture(name="stub")
def _stub():
    with S3Stub(page_size=3, min_part_bytes=4) as server:
        yield server


@pytest.fixture(name="client")
def _client(stub):
    return S3Client(stub.endpoint, bucket=stub.bucket)


def code_of(call, *args, **more):
    with pytest.raises(S3Error) as caught:
        call(*args, **more)
    return caught.value.status


def test_correct_without_rules(stub, client):
    for number in range(7):
        client.put(f"p/k {number}ü", b"x" * number)
    client.put("q", b"other")
    assert client.keys("p/") == [f"p/k {number}ü" for number in range(7)]
    assert stub.count("ListObjectsV2") == 3
    assert code_of(client.put, "q", b"again", if_none_match="*") == 412
    assert client.request("GET", "q", headers={"Range": "bytes=1-2"})[::2] == (206, b"th")
    assert client.request("GET", "q", headers={"Range": "bytes=9-"})[0] == 416
    assert client.head("q")["content-length"] == "5"
    client.delete("q")
    assert client.head("q") is None and code_of(client.get, "q") == 404
    status_code, _, body = client.request("GET", query={"list-type": "2", "prefix": "", "delimiter": "/"})
    assert status_code == 200 and body.count(b"<CommonPrefixes>") == 1 and b"<Contents>" not in body


def test_multipart(stub, client):
    uploads = [client.create_upload(key) for key in ("a", "a", "a", "b", "c")]
    assert [entry.upload_id for entry in client.list_uploads()] == uploads
    etags = [client.upload_part("a", uploads[0], number, data) for number, data in enumerate((b"1234", b"5"), 1)]
    assert code_of(client.complete_upload, "a", uploads[0], etags[::-1]) == 400
    client.complete_upload("a", uploads[0], etags, if_none_match="*")
    assert client.get("a") == b"12345" and stub.objects["a"].etag.endswith('-2"')
    assert code_of(client.complete_upload, "a", uploads[1],
                   [client.upload_part("a", uploads[1], 1, b"x")], if_none_match="*") == 412
    client.abort_upload("b", uploads[3])
    assert code_of(client.abort_upload, "b", uploads[3]) == 404
    assert len(stub.uploads) == 3


def test_digests_and_authorization_are_asked_for(stub, client):
    assert client.request("PUT", "k", body=b"x", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})[0] == 400
    connection = http.client.HTTPConnection("127.0.0.1", stub.port)
    connection.request("GET", "/backups/k")
    assert connection.getresponse().status == 403
    connection.close()


def test_status_by_count_key_and_times(stub, client):
    stub.fail("PutObject", status(503, "SlowDown"), key=r"^x/", nth=2, times=2)
    codes = [client.request("PUT", key, body=b"d")[0] for key in ("x/1", "y", "x/2", "x/3", "x/4")]
    assert codes == [200, 200, 503, 503, 200]
    assert [one.status for one in stub.seen("PutObject")] == codes
    stub.fail("PutObject", status(500, carried_out=True))
    assert client.request("PUT", "done", body=b"d")[0] == 500 and client.get("done") == b"d"
    stub.fail("PutObject", status(403, "AccessDenied", read_body=False))
    assert client.request("PUT", "small", body=b"d")[0] == 403 and stub.objects.keys() >= {"done"}


def test_complete_answers_200_with_an_error(stub, client):
    upload = client.create_upload("k")
    etag = client.upload_part("k", upload, 1, b"data")
    stub.fail("CompleteMultipartUpload", ok_with_error())
    assert b"<Error>" in client.complete_upload("k", upload, [etag])
    assert "k" not in stub.objects and upload in stub.uploads


@pytest.mark.parametrize("when,carried_out", [("before", False), ("body", False), ("after", False), ("after", True),
                                              ("response", True)])
def test_reset(stub, client, when, carried_out):
    stub.fail("PutObject", Reset(when, carried_out=carried_out))
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.put("k", b"d" * 3000000)
    process.wait_until(lambda: ("k" in stub.objects) == carried_out, 5)


def test_reset_truncate_and_corrupt_a_body(stub, client):
    client.put("k", b"d" * 3000000)
    stub.fail("GetObject", Reset("response"))
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        client.get("k")
    stub.fail("GetObject", Truncate(10))
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.get("k")
    assert len(caught.value.partial) == 10
    stub.fail("GetObject", Corrupt(5))
    assert client.get("k")[5] == ord("d") ^ 0xFF and client.get("k")[5] == ord("d")
    stub.fail("PutObject", Corrupt())
    client.put("k2", b"dd")
    assert stub.objects["k2"].data == bytes([ord("d"), ord("d") ^ 0xFF])


def test_date_skew(stub, client):
    stub.fail("HeadBucket", DateSkew(600))
    stub.fail("HeadBucket", DateSkew(None))
    date = email.utils.parsedate_to_datetime(client.request("HEAD")[1]["date"]).timestamp()
    assert 590 < date - time.time() < 610
    assert "date" not in client.request("HEAD")[1]


def test_hold(stub, client):
    hold = stub.fail("PutObject", Hold()).action
    worker = threading.Thread(target=client.put, args=("k", b"d"))
    worker.start()
    assert hold.reached.wait(10) and "k" not in stub.objects
    hold.release()
    worker.join(10)
    assert client.get("k") == b"d"


def test_held_and_dropped(stub, client):
    hold = stub.fail("PutObject", Hold()).action
    failures = []

    def put():
        try:
            client.put("k", b"d")
        except (ConnectionError, http.client.HTTPException) as error:
            failures.append(error)

    worker = threading.Thread(target=put)
    worker.start()
    assert hold.reached.wait(10) and not stub.idle()
    hold.drop()
    worker.join(10)
    process.wait_until(stub.idle, 10, "idle")
    assert failures and client.head("k") is None


def test_another_client(stub, client):
    stub.put("k", b"1")
    stub.put("k", b"22")
    stub.begin_upload("u")
    assert client.get("k") == b"22" and [one.key for one in client.list_uploads()] == ["u"]
