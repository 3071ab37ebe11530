# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (versitygw), and a small S3 client of the tests' own, so that lifeboat is judged by another."""
from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse
import xml.etree.ElementTree as ElementTree
from typing import Any, Iterator, Optional

from . import parts, process

ACCESS_KEY, SECRET_KEY, REGION = "harness-access", "harness-secret-key", "eu-test-1"


class S3Error(Exception):
    """An answer that is not 2xx; status and body are kept."""

    def __init__(self, status: int, body: bytes):
        super().__init__(f"{status}: {body[:500]!r}")
        self.status, self.body = status, body


@dataclasses.dataclass
class Listed:
    """One object of a list."""
    key: str
    size: int
    etag: str
    modified: str


@dataclasses.dataclass
class Upload:
    """One multipart upload that was begun and not ended."""
    key: str
    upload_id: str
    initiated: str


def _quote(text: str, safe: str = "") -> str:
    return urllib.parse.quote(text, safe=safe + "-_.~")


def _texts(node: ElementTree.Element) -> dict[str, str]:
    return {child.tag.rsplit("}", 1)[-1]: child.text or "" for child in node}


class S3Client:
    """SigV4, path style, one connection per request."""

    def __init__(self, endpoint: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY,
                 region: str = REGION, bucket: str = ""):
        self.host = urllib.parse.urlsplit(endpoint).netloc
        self.access_key, self.secret_key, self.region, self.bucket = access_key, secret_key, region, bucket

    def _sign(self, method: str, path: str, query: str, headers: dict[str, str], digest: str) -> str:
        day, scope_tail = headers["x-amz-date"][:8], f"{self.region}/s3/aws4_request"
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, path, query, *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
                               "", names, digest])
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], f"{day}/{scope_tail}",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret_key}".encode()
        for word in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{day}/{scope_tail}, SignedHeaders={names}, "
                f"Signature={signature}")

    def request(self, method: str, key: str = "", query: Optional[dict[str, str]] = None, body: bytes = b"",
                headers: Optional[dict[str, str]] = None) -> tuple[int, dict[str, str], bytes]:
        """One signed request in the client's bucket: status, headers in lower case, body. Never raises for a status."""
        path = "/" + _quote(self.bucket + ("/" + key if key else ""), "/")
        text = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted((query or {}).items()))
        digest = hashlib.sha256(body).hexdigest()
        now = datetime.datetime.now(datetime.timezone.utc)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        sent.update({"host": self.host, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"), "x-amz-content-sha256": digest})
        sent["authorization"] = self._sign(method, path, text, sent, digest)
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path + ("?" + text if text else ""), body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def _must(self, *args: Any, **more: Any) -> tuple[dict[str, str], bytes]:
        status, headers, body = self.request(*args, **more)
        if status // 100 != 2:
            raise S3Error(status, body)
        return headers, body

    def create_bucket(self) -> None:
        self._must("PUT")

    def put(self, key: str, data: bytes, **headers: str) -> None:
        """Header names with _ for -: if_none_match="*"."""
        self._must("PUT", key, body=data, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, key: str) -> bytes:
        return self._must("GET", key)[1]

    def head(self, key: str) -> Optional[dict[str, str]]:
        """The headers of an object, None when it is not there."""
        status, headers, body = self.request("HEAD", key)
        if status == 404:
            return None
        if status != 200:
            raise S3Error(status, body)
        return headers

    def delete(self, key: str) -> None:
        self._must("DELETE", key)

    def _pages(self, query: dict[str, str]) -> Iterator[ElementTree.Element]:
        while True:
            page = ElementTree.fromstring(self._must("GET", query=query)[1])
            yield page
            fields = _texts(page)
            if fields.get("IsTruncated") != "true":
                return
            if "uploads" in query:
                query = {**query, "key-marker": fields["NextKeyMarker"],
                         "upload-id-marker": fields["NextUploadIdMarker"]}
            else:
                query = {**query, "continuation-token": fields["NextContinuationToken"]}

    def list(self, prefix: str = "") -> list[Listed]:
        """All objects below a prefix, over all pages."""
        found = []
        for page in self._pages({"list-type": "2", "prefix": prefix}):
            for node in page.findall("{*}Contents"):
                fields = _texts(node)
                found.append(Listed(fields["Key"], int(fields["Size"]), fields.get("ETag", ""),
                                    fields["LastModified"]))
        return found

    def keys(self, prefix: str = "") -> list[str]:
        return [entry.key for entry in self.list(prefix)]

    def list_uploads(self, prefix: str = "") -> list[Upload]:
        """All multipart uploads that were begun and neither completed nor aborted."""
        found = []
        for page in self._pages({"uploads": "", "prefix": prefix}):
            for node in page.findall("{*}Upload"):
                fields = _texts(node)
                found.append(Upload(fields["Key"], fields["UploadId"], fields.get("Initiated", "")))
        return found

    def create_upload(self, key: str) -> str:
        return _texts(ElementTree.fromstring(self._must("POST", key, {"uploads": ""})[1]))["UploadId"]

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> str:
        """Sends one part; its ETag."""
        return self._must("PUT", key, {"partNumber": str(number), "uploadId": upload_id}, data)[0]["etag"]

    def complete_upload(self, key: str, upload_id: str, etags: list[str], **headers: str) -> bytes:
        body = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                       for number, etag in enumerate(etags, 1))
        return self._must("POST", key, {"uploadId": upload_id},
                          f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode(),
                          {name.replace("_", "-"): value for name, value in headers.items()})[1]

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._must("DELETE", key, {"uploadId": upload_id})

    def empty(self, prefix: str = "") -> None:
        """Removes all objects and uploads below a prefix."""
        for key in self.keys(prefix):
            self.delete(key)
        for upload in self.list_uploads(prefix):
            self.abort_upload(upload.key, upload.upload_id)


def _has_attributes(folder: pathlib.Path) -> bool:
    try:
        os.setxattr(folder, "user.harness", b"1")
        os.removexattr(folder, "user.harness")
        return True
    except OSError:
        return False


class VersityGw:
    """with VersityGw() as s3: s3.endpoint, s3.bucket, s3.access_key, s3.secret_key, s3.region, s3.client

    parent: where the data lies (a tmpfs with a limit, say). tls: https with a certificate for 127.0.0.1, s3.ca_file;
    s3.client then is None, use s3.cli().
    """

    def __init__(self, bucket: str = "backups", *, region: str = REGION, access_key: str = ACCESS_KEY,
                 secret_key: str = SECRET_KEY, parent: Optional[pathlib.Path] = None, tls: bool = False):
        self.bucket, self.region, self.access_key, self.secret_key = bucket, region, access_key, secret_key
        self.parent, self.tls = parent, tls
        self.port = 0
        self.ca_file: Optional[pathlib.Path] = None
        self.client: Optional[S3Client] = None
        self._server: Optional[subprocess.Popen] = None
        self.folder = pathlib.Path()

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> "VersityGw":
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-s3-", dir=self.parent))
        self.log, self.root = self.folder / "server.log", self.folder / "root"
        self.root.mkdir()
        try:
            if self.tls:
                self._certificate()
            self.start()
            if not self.tls:
                self.client = S3Client(self.endpoint, self.access_key, self.secret_key, self.region, self.bucket)
                self.client.create_bucket()
            else:
                self.cli("mb", f"s3://{self.bucket}")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _certificate(self) -> None:
        self.ca_file = self.folder / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=lifeboat test", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", str(self.folder / "key.pem"), "-out", str(self.ca_file)],
                       check=True, capture_output=True)

    def start(self) -> None:
        """Starts the server again after stop(), on the same port and data."""
        assert self._server is None, "the server runs"
        self.port = self.port or process.free_port()
        argv = [parts.path("VERSITYGW"), "--port", f"127.0.0.1:{self.port}", "--region", self.region, "--keep-alive",
                "--quiet"]
        if self.tls:
            argv += ["--cert", self.ca_file, "--key", self.folder / "key.pem"]
        argv += ["posix"]
        if not _has_attributes(self.root):
            (self.folder / "sidecar").mkdir(exist_ok=True)
            argv += ["--sidecar", self.folder / "sidecar"]
        env = process.clean_environment(ROOT_ACCESS_KEY=self.access_key, ROOT_SECRET_KEY=self.secret_key)
        self._server = process.spawn([*argv, self.root], log=self.log, env=env)
        process.await_port(self._server, self.port, self.log)

    def stop(self) -> None:
        server, self._server = self._server, None
        process.end(server)

    def close(self) -> None:
        self.stop()
        if self.folder != pathlib.Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """The variables that awscli (and a configuration's ${VAR}) read."""
        env = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
               "AWS_DEFAULT_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint,
               "AWS_EC2_METADATA_DISABLED": "true"}
        if self.ca_file:
            env["AWS_CA_BUNDLE"] = str(self.ca_file)
        return env

    def cli(self, *args: str, stdin: Optional[bytes] = None) -> bytes:
        """Runs aws s3 ARGS against this server; its output."""
        return subprocess.run([str(parts.path("AWSCLI")), "s3", *map(str, args)], check=True, input=stdin,
                              stdout=subprocess.PIPE, env=process.clean_environment(**self.environment())).stdout
