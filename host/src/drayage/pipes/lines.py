"""Splits a stream of bytes into whole lines, in bounded memory."""

from collections.abc import Iterator
from typing import Self

LONGEST_LINE_BYTES = 1024 * 1024
LONGEST_MESSAGE_BYTES = 16 * 1024 * 1024


class LineSplitter:
    """Assembles lines from chunks that may be split at arbitrary points.

    Args:
        limit_bytes: Length of the longest line that is kept whole, in bytes. Of a longer line, only the first
            ``limit_bytes`` are returned, as :class:`OverlongLine`; the rest of the line is dropped.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._dropped_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Add a chunk, and yield each line that it completes, without its newline.

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
        """Return a last line that has no newline; None if there is none."""
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
        content: The part that was kept.
        size_bytes: Length of the whole line, in bytes.
    """

    size_bytes: int

    def __new__(cls, content: bytes, size_bytes: int) -> Self:
        """Create the kept part, with the size of the whole line."""
        line = super().__new__(cls, content)
        line.size_bytes = size_bytes
        return line
