# SPDX-License-Identifier: Apache-2.0
"""A scripted S3 server: correct and in memory, until a rule says otherwise; every request is recorded.

Path style only. The signature is not checked, but it must be there; digests that are sent are. A rule matches an
operation (S3's own name, "UploadPart", or "*"), a pattern searched in the key, and counts its matches: it acts from
the nth on, so many times.

    with S3Stub() as stub:
        stub.fail("UploadPart", status(503, "SlowDown"), nth=2, times=3)
        held = stub.fail("CompleteMultipartUpload", Hold())
        ...; held.action.reached.wait(10); held.action.release()
        assert stub.count("UploadPart") == 5
"""
from __future__ import annotations

import base64
import dataclasses
import datetime
import email.utils
import hashlib
import http.server
import itertools
import re
import socket
import struct
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from typing import Any, Optional, Union
from xml.sax.saxutils import escape

BUCKET = "backups"
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


# --- actions: what a matching rule does

@dataclasses.dataclass
class Status:
    """Answers so. carried_out: the request takes effect all the same, only its answer is lost."""
    code: int
    body: bytes
    headers: dict[str, str]
    carried_out: bool = False
    read_body: bool = True


def status(code: int, error: str = "InternalError", *, message: str = "scripted", headers: Optional[dict] = None,
           body: Optional[bytes] = None, carried_out: bool = False, read_body: bool = True) -> Status:
    """An error answer with S3's XML body, or the one given."""
    return Status(code, error_body(error, message) if body is None else body, dict(headers or {}), carried_out,
                  read_body)


def ok_with_error(error: str = "InternalError", message: str = "scripted", carried_out: bool = False) -> Status:
    """200 with an <Error> body, as S3 does when a Complete fails after its headers were sent."""
    return status(200, error, message=message, carried_out=carried_out)


@dataclasses.dataclass
class Reset:
    """TCP reset. when: "before" the body is read, "body" in its middle, "after" it (with carried_out: after the
    request took effect), "response": in the middle of the answer to a request that took effect."""
    when: str = "before"
    carried_out: bool = False


@dataclasses.dataclass
class Truncate:
    """The full Content-Length, but only so many body bytes (half when None), then an orderly close."""
    keep: Optional[int] = None


@dataclasses.dataclass
class Corrupt:
    """Flips all bits of one byte: of the answer's body, or for PutObject and UploadPart of what is stored.
    at: its offset, from the end when negative."""
    at: int = -1


@dataclasses.dataclass
class DateSkew:
    """The Date header is off by so many seconds; None leaves it out."""
    seconds: Optional[int] = 0


class Hold:
    """Waits, after the request was read, until release(); then goes on as if nothing had been, or after drop() resets
    the connection instead. reached is set when a request waits."""

    def __init__(self) -> None:
        self.reached, self._released = threading.Event(), threading.Event()
        self.dropped = False

    def release(self) -> None:
        self._released.set()

    def drop(self) -> None:
        """The request is lost."""
        self.dropped = True
        self.release()

    def wait(self) -> None:
        self.reached.set()
        self._released.wait()


Action = Union[Status, Reset, Truncate, Corrupt, DateSkew, Hold]


@dataclasses.dataclass
class Rule:
    """One fault; fired counts how often it acted."""
    operation: str
    action: Any
    key: str = ""
    nth: int = 1
    times: Optional[int] = 1
    matched: int = 0
    fired: int = 0

    def takes(self, operation: str, key: str) -> bool:
        """Counts a request; True when the rule acts on it."""
        if self.operation not in ("*", operation) or not re.search(self.key, key):
            return False
        self.matched += 1
        if self.matched < self.nth or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True


# --- state

@dataclasses.dataclass
class Stored:
    """An object; modified (Unix seconds) may be changed by a test."""
    data: bytes
    etag: str
    modified: float
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Begun:
    """A multipart upload; initiated (Unix seconds) may be changed by a test."""
    key: str
    initiated: float
    headers: dict[str, str]
    parts: dict[int, Stored] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Request:
    """What came in; headers in lower case; status is what was answered, 0 for a reset."""
    operation: str
    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0


class Refused(Exception):
    """A correct S3's own error."""

    def __init__(self, code: int, error: str, message: str = ""):
        super().__init__(error)
        self.code, self.error, self.message = code, error, message or error


class _Cut(Exception):
    """The connection ends here; reset says how."""

    def __init__(self, reset: bool):
        super().__init__()
        self.reset = reset


def error_body(error: str, message: str) -> bytes:
    """S3's error document."""
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(error)}</Code>'
            f"<Message>{escape(message)}</Message><RequestId>stub</RequestId></Error>").encode()


def _document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} {_XMLNS}>{inner}</{root}>'.encode()


def _iso(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _flip(data: bytes, at: int) -> bytes:
    if not data:
        return data
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]


def operation_of(method: str, key: str, query: dict[str, str]) -> str:
    """S3's name of a request."""
    if not key:
        if method == "GET":
            return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
        return {"HEAD": "HeadBucket", "PUT": "CreateBucket", "POST": "DeleteObjects"}.get(method, method)
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload",
                "GET": "ListParts"}.get(method, method)
    if method == "POST" and "uploads" in query:
        return "CreateMultipartUpload"
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, method)


class S3Stub:
    """The server: objects and uploads may be read and changed by a test; see the file's head for rules.

    page_size cuts lists into pages; min_part_bytes is S3's 5 MiB for all parts but the last.
    """

    def __init__(self, bucket: str = BUCKET, *, page_size: int = 1000, min_part_bytes: int = 5 << 20):
        self.bucket, self.page_size, self.min_part_bytes = bucket, page_size, min_part_bytes
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Begun] = {}
        self.requests: list[Request] = []
        self.rules: list[Rule] = []
        self.lock = threading.RLock()
        self.serving = 0
        self._upload_ids = itertools.count(1)
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "S3Stub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._server.shutdown()
        self._server.server_close()

    # -- for the test

    def fail(self, operation: str, action: Action, *, key: str = "", nth: int = 1,
             times: Optional[int] = 1) -> Rule:
        """Adds a rule; times=None is for ever. The first rule that takes a request acts alone."""
        rule = Rule(operation, action, key, nth, times)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Removes all rules and releases whoever is held."""
        with self.lock:
            rules, self.rules = self.rules, []
        for rule in rules:
            if isinstance(rule.action, Hold):
                rule.action.release()

    def seen(self, operation: str = "*", key: str = "") -> list[Request]:
        """The requests so far, in order of arrival."""
        with self.lock:
            return [one for one in self.requests
                    if operation in ("*", one.operation) and re.search(key, one.key)]

    def count(self, operation: str = "*", key: str = "") -> int:
        return len(self.seen(operation, key))

    def idle(self) -> bool:
        """No request is being served: what a client that died had sent is done or lost."""
        with self.lock:
            return self.serving == 0

    def put(self, key: str, data: bytes) -> None:
        """An object from another client, over whatever is there."""
        with self.lock:
            self._do_PutObject(Request("PutObject", "PUT", key, {}, {}, data))

    def begin_upload(self, key: str) -> None:
        """An upload that another client began."""
        with self.lock:
            self._do_CreateMultipartUpload(Request("CreateMultipartUpload", "POST", key, {}, {}))

    # -- for the handler

    def rule_for(self, request: Request) -> Optional[Any]:
        with self.lock:
            for rule in self.rules:
                if rule.takes(request.operation, request.key):
                    return rule.action
        return None

    def carry_out(self, request: Request, stored_flip: Optional[int] = None) -> tuple[int, dict[str, str], bytes]:
        """Does what a correct S3 does: status, headers, body. Raises Refused."""
        with self.lock:
            handler = getattr(self, "_do_" + request.operation, None)
            if handler is None:
                raise Refused(501, "NotImplemented", request.operation)
            self._check_digests(request)
            if stored_flip is not None and request.operation in ("PutObject", "UploadPart"):
                request = dataclasses.replace(request, body=_flip(request.body, stored_flip))
            return handler(request)

    @staticmethod
    def _check_digests(request: Request) -> None:
        if "authorization" not in request.headers and "X-Amz-Signature" not in request.query:
            raise Refused(403, "AccessDenied", "no Authorization header")
        if "x-amz-date" not in request.headers and "date" not in request.headers:
            raise Refused(403, "AccessDenied", "no date")
        digest = hashlib.sha256(request.body)
        sent = request.headers.get("x-amz-content-sha256", "")
        if sent.startswith("STREAMING-"):
            raise Refused(501, "NotImplemented", "chunked signatures")
        if sent and sent != "UNSIGNED-PAYLOAD" and sent != digest.hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        md5 = base64.b64encode(hashlib.md5(request.body).digest()).decode()
        if request.headers.get("content-md5", md5) != md5:
            raise Refused(400, "BadDigest", "Content-MD5")
        sha256 = base64.b64encode(digest.digest()).decode()
        if (request.operation in ("PutObject", "UploadPart")
                and request.headers.get("x-amz-checksum-sha256", sha256) != sha256):
            raise Refused(400, "BadDigest", "x-amz-checksum-sha256")

    def _refuse_existing(self, request: Request) -> None:
        condition = request.headers.get("if-none-match")
        if condition is None:
            return
        if condition != "*":
            raise Refused(501, "NotImplemented", "If-None-Match other than *")
        if request.key in self.objects:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")

    @staticmethod
    def _kept_headers(request: Request) -> dict[str, str]:
        return {name: value for name, value in request.headers.items()
                if name in ("content-type", "content-encoding", "cache-control") or name.startswith("x-amz-meta-")}

    def _object(self, key: str) -> Stored:
        if key not in self.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return self.objects[key]

    def _upload(self, request: Request) -> Begun:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None or upload.key != request.key:
            raise Refused(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        return upload

    def _do_HeadBucket(self, _request: Request) -> tuple[int, dict[str, str], bytes]:
        return 200, {"x-amz-bucket-region": "eu-test-1"}, b""

    def _do_PutObject(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self._refuse_existing(request)
        etag = f'"{hashlib.md5(request.body).hexdigest()}"'
        self.objects[request.key] = Stored(request.body, etag, time.time(), self._kept_headers(request))
        return 200, {"ETag": etag}, b""

    def _do_GetObject(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        stored = self._object(request.key)
        headers = {**stored.headers, "ETag": stored.etag, "Accept-Ranges": "bytes",
                   "Last-Modified": email.utils.formatdate(stored.modified, usegmt=True)}
        if request.headers.get("if-match", stored.etag) != stored.etag:
            raise Refused(412, "PreconditionFailed")
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if not asked or asked.group(0) == "bytes=-":
            return 200, headers, stored.data
        size = len(stored.data)
        first, last = asked.groups()
        if not first:
            begin, end = max(0, size - int(last)), size - 1
        else:
            begin, end = int(first), min(int(last or size), size - 1)
        if begin >= size or begin > end:
            raise Refused(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {begin}-{end}/{size}"
        return 206, headers, stored.data[begin:end + 1]

    def _do_HeadObject(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        return self._do_GetObject(request)

    def _do_DeleteObject(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.objects.pop(request.key, None)
        return 204, {}, b""

    def _do_DeleteObjects(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        if "delete" not in request.query:
            raise Refused(501, "NotImplemented")
        inner = ""
        for node in _parse(request.body).iterfind("{*}Object/{*}Key"):
            self.objects.pop(node.text or "", None)
            inner += f"<Deleted><Key>{escape(node.text or '')}</Key></Deleted>"
        return 200, {"Content-Type": "application/xml"}, _document("DeleteResult", inner)

    def _do_ListObjectsV2(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(int(query.get("max-keys", "1000")), self.page_size)
        after = query.get("start-after", "")
        if "continuation-token" in query:
            try:
                after = bytes.fromhex(query["continuation-token"]).decode()
            except ValueError:
                raise Refused(400, "InvalidArgument", "The continuation token provided is incorrect") from None
        encode = (lambda text: urllib.parse.quote(text, safe="/")) if query.get("encoding-type") == "url" else escape
        inner, taken, last, more, groups = "", 0, "", False, set()
        for key in sorted(self.objects, key=lambda text: text.encode()):
            rest = key.removeprefix(prefix)
            group = prefix + rest.split(delimiter, 1)[0] + delimiter if delimiter and delimiter in rest else ""
            if (not key.startswith(prefix) or key.encode() <= after.encode() or group in groups
                    or (group and after.startswith(group))):
                continue
            if taken == most:
                more = True
                break
            taken, last = taken + 1, key
            if group:
                groups.add(group)
                inner += f"<CommonPrefixes><Prefix>{encode(group)}</Prefix></CommonPrefixes>"
                continue
            stored = self.objects[key]
            inner += (f"<Contents><Key>{encode(key)}</Key><LastModified>{_iso(stored.modified)}</LastModified>"
                      f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size>"
                      "<StorageClass>STANDARD</StorageClass></Contents>")
        head = (f"<Name>{self.bucket}</Name><Prefix>{encode(prefix)}</Prefix><KeyCount>{taken}</KeyCount>"
                f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>")
        if query.get("encoding-type") == "url":
            head += "<EncodingType>url</EncodingType>"
        if more:
            head += f"<NextContinuationToken>{last.encode().hex()}</NextContinuationToken>"
        return 200, {"Content-Type": "application/xml"}, _document("ListBucketResult", head + inner)

    def _do_CreateMultipartUpload(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        upload_id = f"upload-{next(self._upload_ids)}"
        self.uploads[upload_id] = Begun(request.key, time.time(), self._kept_headers(request))
        inner = f"<Bucket>{self.bucket}</Bucket><Key>{escape(request.key)}</Key><UploadId>{upload_id}</UploadId>"
        return 200, {"Content-Type": "application/xml"}, _document("InitiateMultipartUploadResult", inner)

    def _do_UploadPart(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        upload, number = self._upload(request), int(request.query["partNumber"])
        if not 1 <= number <= 10000:
            raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        etag = f'"{hashlib.md5(request.body).hexdigest()}"'
        upload.parts[number] = Stored(request.body, etag, time.time())
        return 200, {"ETag": etag}, b""

    def _do_CompleteMultipartUpload(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        upload = self._upload(request)
        asked = [(int(node.findtext("{*}PartNumber") or 0), (node.findtext("{*}ETag") or "").strip('"'))
                 for node in _parse(request.body).iterfind("{*}Part")]
        if not asked:
            raise Refused(400, "MalformedXML")
        if [number for number, _ in asked] != sorted({number for number, _ in asked}):
            raise Refused(400, "InvalidPartOrder")
        if any(number not in upload.parts or upload.parts[number].etag.strip('"') != etag for number, etag in asked):
            raise Refused(400, "InvalidPart")
        chosen = [upload.parts[number] for number, _ in asked]
        if any(len(part.data) < self.min_part_bytes for part in chosen[:-1]):
            raise Refused(400, "EntityTooSmall")
        self._refuse_existing(request)
        digests = b"".join(hashlib.md5(part.data).digest() for part in chosen)
        etag = f'"{hashlib.md5(digests).hexdigest()}-{len(chosen)}"'
        self.objects[request.key] = Stored(b"".join(part.data for part in chosen), etag, time.time(), upload.headers)
        del self.uploads[request.query["uploadId"]]
        inner = (f"<Location>http://stub/{self.bucket}/{escape(request.key)}</Location><Bucket>{self.bucket}</Bucket>"
                 f"<Key>{escape(request.key)}</Key><ETag>{escape(etag)}</ETag>")
        return 200, {"Content-Type": "application/xml"}, _document("CompleteMultipartUploadResult", inner)

    def _do_AbortMultipartUpload(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self._upload(request)
        del self.uploads[request.query["uploadId"]]
        return 204, {}, b""

    def _do_ListParts(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        upload = self._upload(request)
        inner = (f"<Bucket>{self.bucket}</Bucket><Key>{escape(request.key)}</Key>"
                 f"<UploadId>{request.query['uploadId']}</UploadId><IsTruncated>false</IsTruncated>")
        for number, part in sorted(upload.parts.items()):
            inner += (f"<Part><PartNumber>{number}</PartNumber><LastModified>{_iso(part.modified)}</LastModified>"
                      f"<ETag>{escape(part.etag)}</ETag><Size>{len(part.data)}</Size></Part>")
        return 200, {"Content-Type": "application/xml"}, _document("ListPartsResult", inner)

    def _do_ListMultipartUploads(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        query = request.query
        encode = (lambda text: urllib.parse.quote(text, safe="/")) if query.get("encoding-type") == "url" else escape
        marker = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        most = min(int(query.get("max-uploads", "1000")), self.page_size)
        all_left = sorted((upload.key, upload_id) for upload_id, upload in self.uploads.items()
                          if upload.key.startswith(query.get("prefix", "")))
        # A key marker alone skips the whole key; with an upload id, only what is not after it.
        left = [entry for entry in all_left if (entry > marker if marker[1] else entry[0] > marker[0])]
        page = left[:most]
        inner = (f"<Bucket>{self.bucket}</Bucket><MaxUploads>{most}</MaxUploads>"
                 f"<IsTruncated>{str(len(left) > len(page)).lower()}</IsTruncated>")
        if len(left) > len(page):
            inner += (f"<NextKeyMarker>{encode(page[-1][0])}</NextKeyMarker>"
                      f"<NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>")
        for key, upload_id in page:
            inner += (f"<Upload><Key>{encode(key)}</Key><UploadId>{upload_id}</UploadId>"
                      f"<Initiated>{_iso(self.uploads[upload_id].initiated)}</Initiated></Upload>")
        return 200, {"Content-Type": "application/xml"}, _document("ListMultipartUploadsResult", inner)


def _parse(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise Refused(400, "MalformedXML") from None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, stub: S3Stub):
        self.stub = stub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""

    def shutdown_request(self, request: Any) -> None:
        # With a zero linger, closing at once makes it a reset; a shutdown before it would send an orderly end.
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        if linger == struct.pack("ii", 1, 0):
            request.close()
        else:
            super().shutdown_request(request)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _date_skew_s: Optional[int] = 0

    def log_message(self, *_args: Any) -> None:
        """The record is stub.requests."""

    def _split(self) -> Request:
        target = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(target.path.lstrip("/")).partition("/")
        query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(operation_of(self.command, key, query), self.command, key, query, headers)
        with self.server.stub.lock:
            self.server.stub.requests.append(request)
        if bucket != self.server.stub.bucket:
            request.operation = "NoSuchBucket"
        return request

    def _read(self, share: float = 1.0) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raise Refused(501, "NotImplemented", "chunked request body")
        wanted = int(int(self.headers.get("Content-Length") or 0) * share)
        data = self.rfile.read(wanted)
        if len(data) < wanted:
            raise _Cut(reset=False)
        return data

    def _serve(self) -> None:
        with self.server.stub.lock:
            self.server.stub.serving += 1
        try:
            self._serve_one()
        finally:
            with self.server.stub.lock:
                self.server.stub.serving -= 1

    def _serve_one(self) -> None:
        request = self._split()
        action = self.server.stub.rule_for(request)
        self._date_skew_s = action.seconds if isinstance(action, DateSkew) else 0
        try:
            self._answer(request, action)
        except _Cut as cut:
            self.close_connection = True
            if cut.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            self.close_connection = True

    def _answer(self, request: Request, action: Optional[Any]) -> None:
        if isinstance(action, Reset) and action.when in ("before", "body"):
            if action.when == "body":
                self._read(0.5)
            raise _Cut(reset=True)
        if isinstance(action, Status) and not action.read_body:
            self.close_connection = True
            self._send(request, action.code, action.headers, action.body)
            return
        try:
            request.body = self._read()
            if isinstance(action, Hold):
                action.wait()
                if action.dropped:
                    raise _Cut(reset=True)
            if isinstance(action, Status) or (isinstance(action, Reset) and action.when == "after"):
                if action.carried_out:
                    self.server.stub.carry_out(request)
                if isinstance(action, Reset):
                    raise _Cut(reset=True)
                self._send(request, action.code, action.headers, action.body)
                return
            if request.operation == "NoSuchBucket":
                raise Refused(404, "NoSuchBucket")
            flip = action.at if isinstance(action, Corrupt) else None
            code, headers, body = self.server.stub.carry_out(request, flip)
        except Refused as refused:
            code, headers, body = refused.code, {"Content-Type": "application/xml"}, error_body(refused.error,
                                                                                              refused.message)
        if isinstance(action, Corrupt) and request.operation not in ("PutObject", "UploadPart"):
            body = _flip(body, action.at)
        cut = None
        if isinstance(action, Reset):
            if not body or self.command == "HEAD":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
                raise _Cut(reset=True)
            cut = len(body) // 2
        elif isinstance(action, Truncate):
            cut = len(body) // 2 if action.keep is None else min(action.keep, len(body))
        self._send(request, code, headers, body, cut)
        if cut is not None:
            raise _Cut(reset=isinstance(action, Reset))

    def _send(self, request: Request, code: int, headers: dict[str, str], body: bytes,
              cut: Optional[int] = None) -> None:
        request.status = code
        self.send_response_only(code)
        if self._date_skew_s is not None:
            self.send_header("Date", email.utils.formatdate(time.time() + self._date_skew_s, usegmt=True))
        self.send_header("Server", "s3stub")
        for name, value in {"Content-Type": "application/octet-stream", **headers}.items():
            self.send_header(name, value)
        if code != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and code != 204:
            self.wfile.write(body if cut is None else body[:cut])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve
