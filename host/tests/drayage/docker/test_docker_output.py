"""A container's output arrives whole, also where the engine sends it in one go with the answer's head."""

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
    """What was said on a stream, as the engine frames it."""
    return struct.pack(">BxxxL", STREAMS[stream], len(SAID[stream])) + SAID[stream]


class EngineOfOneContainer(BaseHTTPRequestHandler):
    """Docker's interface, as far as it concerns a container's log: head and body leave in one piece."""

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path.endswith("/json"):
            self.answer(b'{"Config": {"Tty": false}}')
            return
        wanted = parse_qs(path.query)
        self.answer(b"".join(frame(stream) for stream in STREAMS if wanted[stream] == ["1"]))

    def answer(self, body: bytes) -> None:
        # The server closes after each answer; a client that is not told so sends its next question into nothing.
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request.sendall(head.encode() + body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[docker.APIClient]:
    """A client of such an engine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EngineOfOneContainer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = docker.APIClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_replay_holds_what_came_with_the_answers_head(api: docker.APIClient) -> None:
    output = ReplayedOutput(api, "a-container")
    assert sorted(output) == [("stderr", SAID["stderr"]), ("stdout", SAID["stdout"])]
    output.close()
