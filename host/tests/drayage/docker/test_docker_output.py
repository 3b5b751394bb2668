"""A container's output arrives whole even if the engine sends it together with the response headers."""

import contextlib
import socket
import struct
import threading
import time
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


class Pieces:
    """A buffer that gives out at most a few bytes at a time, however many have arrived."""

    def __init__(self, near: socket.socket, piece_bytes: int) -> None:
        self._file = near.makefile("rb")
        self._piece_bytes = piece_bytes
        self.raw = self._file.raw  # type: ignore[attr-defined]  # a buffered reader has it
        self.close = self._file.close

    def read1(self, size_bytes: int) -> bytes:
        return self._file.read1(min(size_bytes, self._piece_bytes))  # type: ignore[attr-defined]  # as above


class Response:
    """A response whose body arrives in pieces of a given size, after a time of silence."""

    def __init__(self, body: bytes, piece_bytes: int, silent_s: float = 0.0) -> None:
        self.near, self.far = socket.socketpair()
        self.raw = self
        self.chunked = True
        self._fp = self
        self.fp = Pieces(self.near, piece_bytes)

        def send() -> None:
            time.sleep(silent_s)
            # It may have been closed already.
            with self.far, contextlib.suppress(OSError):
                self.far.sendall(body)

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


def test_a_container_may_be_silent_for_longer_than_an_answer_may_take() -> None:
    response = Response(chunked(WHOLE) + b"0\r\n\r\n", 1000, silent_s=0.3)
    response.near.settimeout(0.05)
    body = Body(response)
    assert b"".join(body.parts()) == WHOLE
    body.close()


def test_a_body_that_this_process_closes_is_no_cut() -> None:
    body = Body(Response(chunked(WHOLE, WHOLE), 1000))
    parts = body.parts()
    assert next(parts).startswith(WHOLE)
    body.close()
    assert list(parts) == []


def test_output_that_ends_within_a_line_is_a_cut() -> None:
    """A proxy may end a body properly when the engine behind it dies."""
    with pytest.raises(EngineUnavailableError, match="within a line"):
        list(frames(iter([WHOLE, WHOLE[:-1]])))


class EngineOfOneLog:
    """The client of an engine, whose output can be closed while the engine answers."""

    def __init__(self) -> None:
        self.close_output: Callable[[], None] = lambda: None
        self.printed = WHOLE

    def _url(self, path: str, container_id: str) -> str:
        return path.format(container_id)

    def _get(self, _url: str, **_options: object) -> Response:
        self.close_output()
        return Response(chunked(self.printed) + b"0\r\n\r\n", 1000)

    def _raise_for_status(self, response: Response) -> None:
        """Find no fault."""


def test_an_output_that_is_closed_while_the_engine_answers_is_not_read() -> None:
    """Otherwise a step that is let go would read on until its container ends."""
    engine = EngineOfOneLog()
    container = {"Id": "a-container", "Config": {"Tty": False}, "HostConfig": {"LogConfig": {"Type": "json-file"}}}
    output = LoggedOutput(engine, container, "", is_running=lambda: True)
    engine.close_output = output.close
    assert [chunk for chunk in output if chunk[1]] == []
    assert output.lost is None


@pytest.mark.parametrize(("printed", "is_lost"), [(b"x" * 100, False), (b"\x00" * 100, True)], ids=["plain", "escaped"])
def test_what_the_engine_escapes_takes_more_of_its_log(printed: bytes, *, is_lost: bool) -> None:
    """A NUL is six bytes in the engine's log: a log that seems large enough may have dropped its beginning."""
    engine = EngineOfOneLog()
    engine.printed = struct.pack(">BxxxL", 1, len(printed)) + printed
    log = {"Type": "json-file", "Config": {"max-size": "400", "max-file": "2"}}
    container = {"Id": "a-container", "Config": {"Tty": False}, "HostConfig": {"LogConfig": log}}
    output = LoggedOutput(engine, container, "", is_running=lambda: False)
    assert [chunk for chunk in output if chunk[1]] == [("stdout", printed)]
    assert (output.lost is not None) is is_lost
