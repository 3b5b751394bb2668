"""Reads a container's output from Docker: attached from now on, or replayed from its start."""

import contextlib
from collections.abc import Iterator
from queue import Queue
from threading import Thread
from typing import Any

import docker
import docker.errors

from drayage.engine import Stream

_WAITING_CHUNKS = 64


class AttachedOutput:
    """A container's output from now on, as (stream, bytes).

    Args:
        api: Client of the engine.
        container_id: Id of the container.
    """

    def __init__(self, api: docker.APIClient, container_id: str) -> None:
        self._closed = False
        self._stream = api.attach(container_id, stream=True, demux=True)

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points."""
        try:
            for stdout, stderr in self._stream:
                if stdout is not None:
                    yield "stdout", stdout
                if stderr is not None:
                    yield "stderr", stderr
        except (OSError, ValueError):
            # Closing takes the socket away from the reading thread, which then ends as if the output had ended.
            if not self._closed:
                raise

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._closed = True
        _close(self._stream)


class ReplayedOutput:
    """A container's output from its start, and then live, as (stream, bytes).

    It uses one request per stream instead of an attachment: docker-py reads an attachment from beneath the buffer of
    the HTTP response's headers, and would lose what the engine sends together with the headers, as a replay does.

    Args:
        api: Client of the engine.
        container_id: Id of the container.
    """

    def __init__(self, api: docker.APIClient, container_id: str) -> None:
        self._closed = False
        self._streams: dict[Stream, Any] = {
            "stdout": api.logs(container_id, stdout=True, stderr=False, stream=True, follow=True),
            "stderr": api.logs(container_id, stdout=False, stderr=True, stream=True, follow=True),
        }
        # Bounded, because logs may be long. A consumer that stops reading has closed the streams.
        self._chunks: Queue[tuple[Stream, bytes] | Exception | None] = Queue(_WAITING_CHUNKS)

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points."""
        for name in self._streams:
            Thread(target=self._read, args=(name,), name=f"drayage-replay-{name}", daemon=True).start()
        for _ in self._streams:
            while (chunk := self._chunks.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._closed = True
        for stream in self._streams.values():
            _close(stream)

    def _read(self, name: Stream) -> None:
        try:
            for chunk in self._streams[name]:
                self._chunks.put((name, chunk))
        except Exception as error:  # noqa: BLE001 - raised again where the output is read
            if not self._closed:
                self._chunks.put(error)
        finally:
            self._chunks.put(None)


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError, docker.errors.DockerException):
        stream.close()
    # If the engine hung up first, docker-py's close gives up and leaves the socket open.
    stream._response.close()  # noqa: SLF001
