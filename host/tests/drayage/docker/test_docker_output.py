"""A container's output arrives whole even if the engine sends it together with the response headers."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import pytest

from drayage.docker import output as output_module
from drayage.docker.output import LoggedOutput
from drayage.docker.stream import Body, frames
from drayage.errors import EngineUnavailableError

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


def followed(
    api: docker.APIClient, log: Mapping[str, Any], cursor: str = "", is_running: Callable[[], bool] = lambda: False
) -> LoggedOutput:
    container = {"Id": "a-container", "Config": {"Tty": False}, "HostConfig": {"LogConfig": log}}
    return LoggedOutput(api, container, cursor, is_running=is_running)


def test_a_replay_includes_what_came_with_the_response_headers(api: docker.APIClient) -> None:
    output = followed(api, {"Type": "json-file"})
    assert sorted(output) == [("stderr", SAID["stderr"]), ("stdout", b""), ("stdout", SAID["stdout"])]
    assert (output.lost, output.cursor) == (None, "8:10")
    output.close()


def test_it_goes_on_from_a_cursor(api: docker.APIClient) -> None:
    output = followed(api, {"Type": "json-file"}, cursor="6:10")
    assert [chunk for chunk in output if chunk[1]] == [("stdout", b"1\n")]
    assert output.lost is None


def test_skipping_what_was_read_before_is_progress(api: docker.APIClient) -> None:
    """Skipping millions of lines takes minutes, in which whoever waits for the end must not give up."""
    output = followed(api, {"Type": "json-file"}, cursor="8:10")
    assert sorted(output) == [("stderr", b""), ("stdout", b""), ("stdout", b"")]
    assert output.lost is None


def test_a_container_between_two_starts_is_not_asked_for_its_log_without_pause(
    api: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart policy waits up to a minute, and the engine ends the log of what does not run at once."""
    monkeypatch.setattr(output_module, "_POLL_S", 60)
    asked = threading.Semaphore(0)

    def is_running() -> bool:
        asked.release()
        return True

    output = followed(api, {"Type": "json-file"}, is_running=is_running)
    reading = threading.Thread(target=lambda: list(output))
    reading.start()
    assert asked.acquire(timeout=30)
    assert not asked.acquire(timeout=0.5)
    output.close()
    reading.join(timeout=30)
    assert not reading.is_alive()


def test_a_log_that_became_shorter_is_a_loss(api: docker.APIClient) -> None:
    output = followed(api, {"Type": "json-file"}, cursor="9:10")
    assert [chunk for chunk in output if chunk[1]] == []
    assert output.lost is not None


@pytest.mark.parametrize(
    ("log", "is_lost"),
    [
        ({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}, False),
        ({"Type": "json-file", "Config": {"max-size": "100", "max-file": "2"}}, True),
        ({"Type": "json-file", "Config": {"max-size": "1m"}}, True),
        ({"Type": "json-file", "Config": {}}, False),
        ({"Type": "local", "Config": {}}, False),
        ({"Type": "journald", "Config": {}}, True),
    ],
    ids=str,
)
def test_a_log_that_may_have_dropped_its_beginning_is_a_loss(
    api: docker.APIClient, log: dict[str, Any], *, is_lost: bool
) -> None:
    output = followed(api, log)
    list(output)
    assert (output.lost is not None) is is_lost


def chunked(*parts: bytes) -> bytes:
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)


class Response:
    """A response whose body arrives in pieces of a given size."""

    def __init__(self, body: bytes, piece_bytes: int) -> None:
        self.near, self.far = socket.socketpair()
        self.raw = self
        self.chunked = True
        self._fp = self
        self.fp = self.near.makefile("rb")

        def send() -> None:
            for start in range(0, len(body), piece_bytes):
                self.far.sendall(body[start : start + piece_bytes])
            self.far.close()

        threading.Thread(target=send, daemon=True).start()

    def close(self) -> None:
        self.fp.close()
        self.near.close()


WHOLE = frame("stdout") + frame("stderr")


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 1000])
def test_frames_are_put_together_wherever_they_are_split(piece_bytes: int) -> None:
    """A chunk may hold part of a frame, and a read part of a chunk."""
    body = Body(Response(chunked(WHOLE[:5], WHOLE[5:11], WHOLE[11:]) + b"0\r\n\r\n", piece_bytes))
    got = [each for whole in frames(body.parts()) for each in whole]
    assert got == [("stdout", SAID["stdout"]), ("stderr", SAID["stderr"])]
    body.close()


@pytest.mark.parametrize("kept_bytes", [0, 10, -1, -6])
def test_a_body_without_its_last_chunk_is_a_cut(kept_bytes: int) -> None:
    """Otherwise an engine that dies would look like a container that has ended."""
    whole = chunked(WHOLE) + b"0\r\n\r\n"
    body = Body(Response(whole[: kept_bytes or 0] if kept_bytes >= 0 else whole[: kept_bytes - 3], 1000))
    with pytest.raises(EngineUnavailableError, match="was cut"):
        list(frames(body.parts()))
    body.close()
