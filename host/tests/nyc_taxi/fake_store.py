"""An object store in memory that speaks as much S3 as the landing zone needs."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET_AND_PREFIX = "/landing/yellow/"


@dataclass
class FakeStore:
    """The objects below the landing zone, by name; each request is counted by its method."""

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    written: dict[str, datetime] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuses: str | None = None
    """The error code with which it answers every request."""
    before: Callable[[str, str], None] = lambda _method, _name: None
    """Called before each answer, with the request's method and object: another program may act in between."""

    def clear(self) -> None:
        """Be as new."""
        for kept in (self.objects, self.metadata, self.written, self.requests):
            kept.clear()
        self.refuses = None
        self.before = lambda _method, _name: None

    def put(self, name: str, content: bytes, **metadata: str) -> None:
        """Have an object, later than all before."""
        now = max(self.written.values(), default=datetime(2024, 1, 1, tzinfo=UTC)) + timedelta(seconds=1)
        self.objects[name], self.metadata[name], self.written[name] = content, metadata, now


@contextmanager
def running_store() -> Iterator[FakeStore]:
    """Serve a store on a free port."""
    store = FakeStore()

    class Handler(_Handler):
        pass

    Handler.store = store
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        store.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield store
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FakeStore

    def do_GET(self) -> None:
        self._count()
        found = sorted(self.store.objects.items())
        contents = "".join(
            f"<Contents><Key>yellow/{escape(name)}</Key><ETag>{escape(_e_tag(content))}</ETag>"
            f"<LastModified>{self.store.written[name]:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for name, content in found
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")

    def do_HEAD(self) -> None:
        self._count()
        metadata = self.store.metadata.get(self._name)
        named = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        if metadata is not None:
            named["ETag"] = _e_tag(self.store.objects[self._name])
        self._answer(404 if metadata is None else 200, headers=named)

    def do_PUT(self) -> None:
        self._count()
        size = int(self.headers["Content-Length"])
        content = self.rfile.read(size)
        if len(content) < size:
            self.close_connection = True
            return
        if self.headers["x-amz-checksum-sha256"] != base64.b64encode(hashlib.sha256(content).digest()).decode():
            self._answer(400, "<Error><Code>BadDigest</Code><Message>not what was said</Message></Error>")
            return
        there = self.store.objects.get(self._name)
        wanted = self.headers["If-Match"], self.headers["If-None-Match"]
        if wanted != ((None, "*") if there is None else (_e_tag(there), None)):
            self._answer(412, "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>")
            return
        prefix = "x-amz-meta-"
        named = {name.lower(): value for name, value in self.headers.items()}
        metadata = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
        self.store.put(self._name, content, **metadata)
        self._answer(200, headers={"ETag": _e_tag(content)})

    @property
    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(BUCKET_AND_PREFIX)

    def _count(self) -> None:
        self.store.before(self.command, self._name)
        self.store.requests.append(self.command)

    def _answer(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        if self.store.refuses:
            status, body = 403, f"<Error><Code>{self.store.refuses}</Code><Message>no</Message></Error>"
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def _e_tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324 - that is what an ETag is
