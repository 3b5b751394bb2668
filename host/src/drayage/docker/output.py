"""Follows a container's output on Docker: attached to it while it comes, or read from the engine's log of it.

A cursor is the number of bytes read of each stream, such as ``1024:0``.
"""

from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any

from drayage.docker.errors import engine_errors
from drayage.docker.stream import Body, frames, joined, upgraded
from drayage.engine import Stream
from drayage.errors import ContainerGoneError

_NOTHING_KEPT = "the engine's log driver `none` keeps no output, so what was not read while it came is gone"
# The engine's log has some 75 bytes for each line besides the line, and escapes with at most six bytes for one.
# Source: jsonlog of Docker Engine 20.10.
_BYTES_PER_LINE = 100
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\<>&') + b"\n"
_POLL_S = 0.25
_SIZE_UNITS = {"k": 1000, "m": 1000**2, "g": 1000**3}
# What the engine sets for a driver whose options are not given: size of a file, and number of files.
_UNBOUNDED = {"json-file": ("-1", "1"), "local": ("20m", "5")}


class AttachedOutput:
    """A container's output from now on.

    Args:
        api: Client of the engine.
        container_id: Id of a container.
        tty: Whether it has a terminal, and so a single stream.
        lost: Why what it wrote before cannot be read; None if it has not been started.
    """

    def __init__(self, api: Any, container_id: str, *, tty: bool, lost: str | None = None) -> None:
        self.lost = lost
        self.caught_up = True
        self._tty = tty
        self._read = _counts("")
        wanted = {"stdout": 1, "stderr": 1, "stream": 1}
        self._body = upgraded(api, "/containers/{0}/attach", container_id, params=wanted)

    @property
    def cursor(self) -> str:
        """The number of bytes that were read of each stream."""
        return _cursor(self._read)

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points."""
        for stream, chunk in _chunks(self._body, tty=self._tty):
            self._read[stream] += len(chunk)
            yield stream, chunk

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._body.close()


class LoggedOutput:
    """A container's output from a position on, out of the engine's log of it, until the container has ended.

    The log is read to its present end; as long as the container runs, it is then followed, and read again, since the
    engine may end a log that is followed before its last lines. Each time it is read from its start: two lines may have
    the same time, and a clock may go back, but bytes can be counted.

    Args:
        api: Client of the engine.
        container: The engine's description of the container.
        cursor: The position.
        is_running: Returns whether the container still runs.
    """

    def __init__(self, api: Any, container: Mapping[str, Any], cursor: str, *, is_running: Callable[[], bool]) -> None:
        self.lost: str | None = None
        self.caught_up = False
        self._api = api
        self._id: str = container["Id"]
        self._tty = bool(container["Config"]["Tty"])
        self._capacity_bytes = _capacity_bytes(container["HostConfig"]["LogConfig"])
        self._is_running = is_running
        self._closed = Event()
        self._body: Body | None = None
        self._read = _counts(cursor)

    @property
    def cursor(self) -> str:
        """The number of bytes that were read of each stream."""
        return _cursor(self._read)

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points."""
        goes_on = True
        while goes_on and not self._closed.is_set():
            # The order matters: what a container that has ended has printed is all in the log.
            goes_on = self._is_running()
            yield from self._unread(follow=False)
            if not self.caught_up:
                self.caught_up = True
                yield "stdout", b""
            if goes_on:
                before = self.cursor
                yield from self._unread(follow=True)
                if self.cursor == before:
                    # Between two starts of a container that a restart policy starts again, the log ends at once.
                    self._closed.wait(_POLL_S)

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._closed.set()
        if self._body is not None:
            self._body.close()

    def _unread(self, *, follow: bool) -> Iterator[tuple[Stream, bytes]]:
        """Read the log from its start, and yield what comes after the position."""
        if self._closed.is_set():
            return
        parameters = {"stdout": 1, "stderr": 1, "follow": int(follow)}
        try:
            with engine_errors(f"read the output of container {self._id[:12]}"):
                url = self._api._url("/containers/{0}/logs", self._id)  # noqa: SLF001 - docker-py waits for each line
                response = self._api._get(url, params=parameters, stream=True)  # noqa: SLF001
                self._api._raise_for_status(response)  # noqa: SLF001
        except ContainerGoneError:
            self.lost = "the container was removed before all of its output was read"
            return
        self._body = body = Body(response)
        if self._closed.is_set():
            # It was closed while the engine answered.
            body.close()
        seen, logged_bytes = _counts(""), 0
        try:
            for stream, chunk in _chunks(body, tty=self._tty):
                begin = self._read[stream] - seen[stream]
                seen[stream] += len(chunk)
                logged_bytes += _most_logged_bytes(chunk)
                if begin < len(chunk):
                    self._read[stream] = seen[stream]
                    yield stream, chunk[max(0, begin) :]
                else:
                    yield stream, b""
        finally:
            body.close()
        if logged_bytes > self._capacity_bytes:
            self.lost = (
                f"the engine's log of it keeps the last {self._capacity_bytes} bytes for certain, and it may have been "
                "longer: its beginning may be gone"
            )
        elif not (follow or self._closed.is_set()) and seen != self._read:
            self.lost = f"the engine's log of it holds {_cursor(seen)} bytes, and {self.cursor} were read before"


class NoOutput:
    """The output of a container that has ended, where the engine kept none of it.

    Args:
        lost: Why it cannot be read.
    """

    cursor = ""
    caught_up = True

    def __init__(self, lost: str) -> None:
        self.lost: str | None = lost

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield nothing."""
        return iter(())

    def close(self) -> None:
        """Do nothing."""


def open_log(
    api: Any, container: Mapping[str, Any], cursor: str, *, is_running: Callable[[], bool]
) -> "AttachedOutput | LoggedOutput | NoOutput":
    """Open a container's output from a position on; if the engine keeps none of it, from now on.

    Args:
        api: Client of the engine.
        container: The engine's description of the container.
        cursor: The position.
        is_running: Returns whether the container still runs.
    """
    if container["HostConfig"]["LogConfig"]["Type"] == "none":
        if not is_running():
            return NoOutput(_NOTHING_KEPT)
        return AttachedOutput(api, container["Id"], tty=container["Config"]["Tty"], lost=_NOTHING_KEPT)
    return LoggedOutput(api, container, cursor, is_running=is_running)


def _chunks(body: Body, *, tty: bool) -> Iterator[tuple[Stream, bytes]]:
    if tty:
        for part in body.parts():
            yield "stdout", part
        return
    for whole in frames(body.parts()):
        yield from joined(whole)


def _cursor(read: Mapping[Stream, int]) -> str:
    return f"{read['stdout']}:{read['stderr']}"


def _counts(cursor: str) -> dict[Stream, int]:
    out, _, err = cursor.partition(":")
    return {"stdout": int(out or 0), "stderr": int(err or 0)}


def _most_logged_bytes(chunk: bytes) -> int:
    """Return how much a part of the output takes in the engine's log at most, in bytes."""
    escaped = len(chunk.translate(None, _PLAIN))
    return len(chunk) + 5 * escaped + _BYTES_PER_LINE * (chunk.count(b"\n") + 1)


def _capacity_bytes(log: Mapping[str, Any]) -> float:
    """Return how much a log holds for certain before its beginning is dropped, in bytes; 0 if that is not known."""
    if log["Type"] not in _UNBOUNDED:
        return 0
    options = log.get("Config") or {}
    default_size, default_files = _UNBOUNDED[log["Type"]]
    size = options.get("max-size", default_size).strip().lower().removesuffix("b")
    if size == "-1":
        return float("inf")
    number, unit = (size[:-1], size[-1:]) if size[-1:] in _SIZE_UNITS else (size, "")
    # The oldest file is dropped when the youngest is full.
    return int(float(number) * _SIZE_UNITS.get(unit, 1)) * (int(options.get("max-file", default_files)) - 1)
