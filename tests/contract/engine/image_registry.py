"""An image registry in this process, for an engine that reaches this machine.

Source: Docker Registry HTTP API V2, image manifest version 2 schema 2.
"""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class ImageRegistry:
    """A registry of tiny images.

    Args:
        server: The server that the engine talks to.
    """

    def __init__(self, server: "_Server") -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Its address, as the first part of an image's name."""
        return "{}:{}".format(*self._server.server_address[:2])

    def publish(self, name: str, files: dict[str, bytes]) -> str:
        """Publish an image, replacing an earlier one with that name; return the reference to pull."""
        layer = _tar(files)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/nothing"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._store(_CONFIG, json.dumps(config).encode()),
            "layers": [self._store(_LAYER, gzip.compress(layer, mtime=0))],
        }
        stored = self._store(_MANIFEST, json.dumps(manifest).encode())
        self._server.tags[name] = stored["digest"]
        return f"{self.url}/{name}:latest"

    def require_login(self, username: str, password: str) -> None:
        """Answer only this account from now on."""
        self._server.authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def _store(self, media_type: str, content: bytes) -> dict[str, Any]:
        self._server.blobs[_digest(content)] = (media_type, content)
        return {"mediaType": media_type, "size": len(content), "digest": _digest(content)}


@contextlib.contextmanager
def serve_registry(address: str = "127.0.0.1") -> Iterator[ImageRegistry]:
    """Serve a registry at an address of this machine until the block ends."""
    server = _Server((address, 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ImageRegistry(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    blobs: dict[str, tuple[str, bytes]]
    tags: dict[str, str]
    authorization: str | None = None

    def server_activate(self) -> None:
        self.blobs, self.tags = {}, {}
        super().server_activate()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.server.authorization not in (None, self.headers["Authorization"]):
            self._answer(401, "text/plain", b"", {"WWW-Authenticate": 'Basic realm="contract"'})
            return
        _, _, *name, kind, reference = self.path.split("/") if self.path != "/v2/" else ("", "v2", "", "")
        if not kind:
            self._answer(200, "application/json", b"{}", {})
            return
        digest = self.server.tags.get("/".join(name), "") if kind == "manifests" and ":" not in reference else reference
        if digest not in self.server.blobs:
            self._answer(404, "application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', {})
            return
        media_type, content = self.server.blobs[digest]
        self._answer(200, media_type, content, {"Docker-Content-Digest": digest})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, media_type: str, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": media_type, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the standard library's name
        """Log nothing."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()
