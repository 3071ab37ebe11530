# SPDX-License-Identifier: Apache-2.0
"""The S3 server's starter, the tests' own client, and the faulty proxy."""
import http.client

import pytest

from .s3 import S3Client, S3Error, VersityGw
from .toxiproxy import Toxiproxy


@pytest.fixture(scope="module", name="s3")
def _s3():
    with VersityGw() as server:
        yield server


def test_objects_and_conditional_put(s3):
    key = "a b/ü+=&/x"
    s3.client.put(key, b"one", if_none_match="*")
    with pytest.raises(S3Error) as caught:
        s3.client.put(key, b"two", if_none_match="*")
    assert caught.value.status == 412
    assert s3.client.get(key) == b"one"
    assert [(entry.key, entry.size) for entry in s3.client.list("a b/")] == [(key, 3)]
    s3.client.delete(key)
    assert s3.client.head(key) is None


def test_multipart(s3):
    upload = s3.client.create_upload("big")
    assert [entry.upload_id for entry in s3.client.list_uploads()] == [upload]
    parts = [b"1" * (5 << 20), b"2"]
    etags = [s3.client.upload_part("big", upload, number, data) for number, data in enumerate(parts, 1)]
    s3.client.complete_upload("big", upload, etags, if_none_match="*")
    assert s3.client.get("big") == b"".join(parts)
    s3.client.create_upload("other")
    s3.client.empty()
    assert s3.client.list() == [] and s3.client.list_uploads() == []


def test_wrong_secret_is_refused(s3):
    with pytest.raises(S3Error) as caught:
        S3Client(s3.endpoint, s3.access_key, "wrong", s3.region, s3.bucket).list()
    assert caught.value.status == 403


def test_stop_and_start_keeps_the_data(s3):
    s3.client.put("kept", b"x")
    s3.stop()
    with pytest.raises(OSError):
        s3.client.get("kept")
    s3.start()
    assert s3.client.get("kept") == b"x"


def test_tls_with_its_own_authority():
    with VersityGw(tls=True) as s3:
        s3.cli("cp", "-", "s3://backups/x", stdin=b"data")
        assert s3.cli("cp", "s3://backups/x", "-") == b"data"


def test_proxy_passes_cuts_and_recovers(s3):
    with Toxiproxy(s3.port) as proxy:
        client = S3Client(proxy.endpoint, s3.access_key, s3.secret_key, s3.region, s3.bucket)
        client.put("through", b"y" * 100000)
        name = proxy.add("limit_data", bytes=5000)
        with pytest.raises((OSError, http.client.HTTPException)):
            client.get("through")
        proxy.remove(name)
        assert len(client.get("through")) == 100000
        proxy.down()
        with pytest.raises(OSError):
            client.get("through")
        proxy.up()
        assert len(client.get("through")) == 100000
