"""Bytes in, whole lines out, in bounded memory."""

from collections.abc import Iterator
from typing import Self

LONGEST_LINE_BYTES = 1024 * 1024
LONGEST_MESSAGE_BYTES = 256 * 1024 * 1024


class LineSplitter:
    """Puts lines together from chunks that may be cut anywhere.

    Args:
        limit_bytes: Longest line that is kept; of a longer one only ``limit_bytes`` are handed out, as
            :class:`OverlongLine`, and the rest up to its end is dropped.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._dropped_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk in, and yield each line that it completes, without its newline.

        Args:
            chunk: Bytes as they were read.
        """
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield self._take()
            start = end + 1
        self._keep(chunk[start:])

    def finish(self) -> bytes | None:
        """Hand out what is left without a newline at the end; None if nothing is."""
        if not self._buffer and not self._dropped_bytes:
            return None
        return self._take()

    def _keep(self, part: bytes) -> None:
        room = self._limit_bytes - len(self._buffer)
        self._buffer += part[:room]
        self._dropped_bytes += max(0, len(part) - room)

    def _take(self) -> bytes:
        line = bytes(self._buffer)
        if self._dropped_bytes:
            line = OverlongLine(line, len(line) + self._dropped_bytes)
        self._buffer.clear()
        self._dropped_bytes = 0
        return line


class OverlongLine(bytes):
    """The beginning of a line that was longer than the limit.

    Args:
        content: What was kept of it.
        size_bytes: How long it was in all.
    """

    size_bytes: int

    def __new__(cls, content: bytes, size_bytes: int) -> Self:
        """Keep the beginning, and remember the whole size."""
        line = super().__new__(cls, content)
        line.size_bytes = size_bytes
        return line
