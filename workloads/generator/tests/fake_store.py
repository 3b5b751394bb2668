"""An object store behind HTTP that does what a test wants."""

import datetime as dt
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from generator.landing import LandingZone

URL = "s3://landing/yellow/"
MODIFIED = dt.datetime(2026, 11, 29, 17, tzinfo=dt.UTC)


def landing_at(endpoint: str, url: str = URL, *, key: str = "reader", secret: str = "secret") -> LandingZone:  # noqa: S107  a test's
    """Return a landing zone for the code under test."""
    return LandingZone(url, endpoint=endpoint, region="us-east-1", access_key_id=key, secret_access_key=secret)


@dataclass
class FakeStore:
    """The part of an object store that the generator uses; it records every request for an object."""

    endpoint: str = ""
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    """Content and user metadata by key."""
    modified: dict[str, dt.datetime] = field(default_factory=dict)
    """When objects were written, by key; ``MODIFIED`` by default."""
    requests: list[str] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    """An answer to all requests, instead of an object store's."""
    before_get: Callable[[int], None] = lambda _: None
    """Called before each answer to a request for an object, with the number of earlier ones."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a step that reads this store."""
        return {
            "S3_ENDPOINT": self.endpoint,
            "S3_REGION": "us-east-1",
            "LANDING_URL": URL,
            "LANDING_ACCESS_KEY_ID": "reader",
            "LANDING_SECRET_ACCESS_KEY": "secret",
        }

    @property
    def landing(self) -> LandingZone:
        """The landing zone for the code under test."""
        return landing_at(self.endpoint)

    def put(self, name: str, content: bytes, *, later_s: int = 0, **metadata: str) -> None:
        """Land a file; with the hash of its content, unless the test gives another one."""
        self.modified[f"yellow/{name}"] = MODIFIED + dt.timedelta(seconds=later_s)
        digest = hashlib.sha256(content).hexdigest()
        self.objects[f"yellow/{name}"] = content, {"sha256": digest, "origin": f"/home/me/{name}"} | metadata

    def respond(self, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer as an object store does."""
        if self.answer is not None:
            return self.answer[0], {}, self.answer[1]
        address = urlsplit(path)
        if "list-type" in parse_qs(address.query):
            return 200, {}, self._list(parse_qs(address.query)["prefix"][0])
        self.before_get(len(self.requests))
        self.requests.append(headers.get("Range") or "")
        entry = self.objects.get(unquote(address.path).removeprefix("/landing/"))
        if entry is None:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        content, metadata = entry
        if headers.get("If-Match") not in {None, _e_tag(content)}:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        answer = {"ETag": _e_tag(content), "Last-Modified": f"{MODIFIED:%a, %d %b %Y %H:%M:%S} GMT"}
        answer |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        if headers.get("Range") is None:
            return 200, answer, content
        first, last = map(int, headers["Range"].removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        return 206, answer | {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}, part

    def _list(self, prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            f"<LastModified>{self.modified.get(key, MODIFIED):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(_e_tag(content))}</ETag><Size>{len(content)}</Size></Contents>"
            for key, (content, _) in self.objects.items()
            if key.startswith(prefix)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>landing</Name>'
            f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        ).encode()


def _e_tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324  that is what an ETag is


@contextmanager
def serve_store() -> Iterator[FakeStore]:
    """Serve an empty store until the block ends."""
    fake = FakeStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = fake.respond(self.path, self.headers)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()
