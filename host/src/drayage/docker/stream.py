"""Reads the body of a streamed response of the engine, as it arrives.

docker-py makes two calls into urllib3 for each line that a container printed, reads an attachment from beneath the
buffer that may hold its first bytes, and takes a connection that was cut for the end of the output. Here, all that has
arrived is read at once, from the buffer, and a cut is an error.

Source:
    Docker Engine API, "Attach to a container", for the frames; RFC 9112, section 7.1, for the chunks.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

from drayage.engine import Stream
from drayage.errors import EngineUnavailableError

_READ_BYTES = 256 * 1024
_HEADER = struct.Struct(">BxxxI")
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}
_CRLF = b"\r\n"


class Body:
    """The body of a response whose headers have been read.

    Args:
        response: The response, as ``requests`` streams it.
        silence_s: How long nothing may come, in seconds, before the connection counts as cut; None is for ever.
    """

    def __init__(self, response: Any, *, silence_s: float | None = None) -> None:
        self._response = response
        message = response.raw._fp  # noqa: SLF001 - neither requests nor urllib3 hands out what has arrived
        self._buffer = message.fp
        self._is_chunked = bool(message.chunked)
        self._is_closed = False
        self._socket: Any = getattr(self._buffer.raw, "_sock", self._buffer.raw)
        # The client's time limit is meant for answers, not for a container that is silent.
        self._socket.settimeout(silence_s)

    def parts(self) -> Iterator[bytes]:
        """Yield what has arrived, split at arbitrary points, to the end or until it is closed.

        Raises:
            EngineUnavailableError: The connection was cut before the end.
        """
        try:
            yield from _unchunked(self._received()) if self._is_chunked else self._received()
        except (OSError, ValueError) as error:
            if not self._is_closed:
                raise EngineUnavailableError(f"The connection to the container engine was cut: {error}.") from error

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._is_closed = True
        # Closing alone would not wake a thread that reads. A TLS socket's own method would let it read what is still
        # encrypted.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._response.close()

    def send(self, content: bytes) -> None:
        """Write to the standard input of the process whose output this is.

        Raises:
            EngineUnavailableError: The connection was cut.
        """
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise EngineUnavailableError(f"The connection to the container engine was cut: {error}.") from error

    def _received(self) -> Iterator[bytes]:
        while not self._is_closed and (received := self._buffer.read1(_READ_BYTES)):
            yield received


def upgraded(api: Any, path: str, *words: str, silence_s: float | None = None, **request: Any) -> Body:
    """Ask the engine to make of a connection the standard streams of a process, and return it.

    docker-py's own methods take the connection away from the response, and wait beneath the buffers of TLS, where a
    line may stay until the next one comes.

    Args:
        api: Client of the engine.
        path: Path of the request, with places for words.
        words: The words.
        silence_s: As of a :class:`Body`.
        request: What else ``requests`` is to send.
    """
    response = api._post(  # noqa: SLF001
        api._url(path, *words),  # noqa: SLF001
        headers={"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"},
        stream=True,
        **request,
    )
    api._raise_for_status(response)  # noqa: SLF001
    return Body(response, silence_s=silence_s)


def _unchunked(received: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of a chunked body; a body that ends without its last chunk is a cut connection."""
    waiting = bytearray()
    for part in received:
        waiting += part
        content: list[bytes] = []
        start = 0
        while (end := waiting.find(_CRLF, start)) >= 0:
            size_bytes = int(waiting[start:end].split(b";")[0], 16)
            begin = end + len(_CRLF)
            if len(waiting) < begin + size_bytes + len(_CRLF):
                break
            if size_bytes == 0:
                yield b"".join(content)
                return
            content.append(bytes(waiting[begin : begin + size_bytes]))
            start = begin + size_bytes + len(_CRLF)
        del waiting[:start]
        if content:
            yield b"".join(content)
    raise OSError("it ended without its last chunk")


def frames(parts: Iterator[bytes]) -> Iterator[list[tuple[Stream, bytes]]]:
    """Yield the frames of both streams, all that have arrived at a time.

    Args:
        parts: A body in the engine's multiplexed form.

    Raises:
        EngineUnavailableError: The body ended within a frame.
    """
    waiting = bytearray()
    for part in parts:
        waiting += part
        whole: list[tuple[Stream, bytes]] = []
        start = 0
        while len(waiting) - start >= _HEADER.size:
            kind, size_bytes = _HEADER.unpack_from(waiting, start)
            begin = start + _HEADER.size
            if len(waiting) < begin + size_bytes:
                break
            whole.append((_STREAMS.get(kind, "stderr"), bytes(waiting[begin : begin + size_bytes])))
            start = begin + size_bytes
        del waiting[:start]
        if whole:
            yield whole
    if waiting:
        raise EngineUnavailableError("The connection to the container engine was cut within a line of output.")


def joined(whole: list[tuple[Stream, bytes]]) -> Iterator[tuple[Stream, bytes]]:
    """Yield frames with neighbours of one stream joined: a line costs much less than a call."""
    stream: Stream | None = None
    content: list[bytes] = []
    for name, frame in whole:
        if name != stream and stream is not None:
            yield stream, b"".join(content)
            content = []
        stream = name
        content.append(frame)
    if stream is not None:
        yield stream, b"".join(content)
