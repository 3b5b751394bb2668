"""A container's output arrives whole even if the engine sends it together with the response headers."""

import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import docker
import pytest

from drayage.docker.output import ReplayedOutput

STREAMS = {"stdout": 1, "stderr": 2}
SAID = {"stdout": b"early=1\n", "stderr": b"a warning\n"}


def frame(stream: str) -> bytes:
    """Return the content of a stream, framed as the engine frames it."""
    return struct.pack(">BxxxL", STREAMS[stream], len(SAID[stream])) + SAID[stream]


class EngineOfOneContainer(BaseHTTPRequestHandler):
    """The part of Docker's API that serves a container's log; headers and body leave in one piece."""

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path.endswith("/json"):
            self.answer(b'{"Config": {"Tty": false}}')
            return
        wanted = parse_qs(path.query)
        self.answer(b"".join(frame(stream) for stream in STREAMS if wanted[stream] == ["1"]))

    def answer(self, body: bytes) -> None:
        # The server closes the connection after each response, and must say so: the client would reuse it.
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request.sendall(head.encode() + body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[docker.APIClient]:
    """Return a client of such an engine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EngineOfOneContainer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = docker.APIClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_replay_includes_what_came_with_the_response_headers(api: docker.APIClient) -> None:
    output = ReplayedOutput(api, "a-container")
    assert sorted(output) == [("stderr", SAID["stderr"]), ("stdout", SAID["stdout"])]
    output.close()
