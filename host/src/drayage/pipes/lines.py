"""Splits a stream of bytes into whole lines, in bounded memory."""

import re
from collections.abc import Iterator
from typing import Self

from drayage.settings import ONE_MESSAGE_BYTES

LONGEST_LINE_BYTES = 1024 * 1024
LONGEST_MESSAGE_BYTES = ONE_MESSAGE_BYTES


_LINE_END = re.compile(rb"\r*\n|\r+")
# A longer state is no progress bar, and copying it for each chunk would take long.
_LONGEST_UPDATE_BYTES = 4096
# What a progress bar overwrites itself with when it is over.
_INVISIBLE = re.compile(rb"(?:\s|\x1b\[[0-9;?]*[A-Za-z])*")


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
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            if not self._buffer and not self._dropped_bytes and len(part) <= self._limit_bytes:
                yield part
                continue
            self._keep(part)
            yield self._take()
        self._keep(rest)

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
        self._clear()
        return line

    def _clear(self) -> None:
        self._buffer.clear()
        self._dropped_bytes = 0


class TerminalLineSplitter(LineSplitter):
    """Assembles the lines of a terminal, of which a carriage return begins to overwrite the present one.

    Of a line that was overwritten, such as a progress bar, only the last state is kept that shows anything. A carriage
    return before a newline ends the line together with it.

    Args:
        limit_bytes: Length of the longest state that is kept whole, in bytes, as in :class:`LineSplitter`.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self._state: bytes | None = None
        self._before: bytes | None = None
        self._returned = self._overwritten = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Add a chunk, and yield each line that it completes, and each :class:`Update` of the present line.

        Args:
            chunk: Bytes as they were read.
        """
        if self._state is None and not self._returned and not self._overwritten and b"\r" not in chunk:
            # Most output, and many times as fast: a retry reads all of it again.
            self._before = None
            yield from super().feed(chunk)
            return
        chunk = b"\r" + chunk if self._returned and chunk else chunk
        # What a carriage return is depends on what follows it.
        whole = chunk.rstrip(b"\r")
        self._returned = len(whole) < len(chunk) or (self._returned and not chunk)
        start = 0
        for end in _LINE_END.finditer(whole):
            self._keep(whole[start : end.start()])
            start = end.end()
            if end[0].endswith(b"\n"):
                yield self._line(end[0][:-1])
                continue
            self._overwritten = True
            if not self._is_blank():
                self._before, self._state = self._state, self._take()
                yield Update(self._state)
            self._clear()
        self._keep(whole[start:])

    def finish(self) -> bytes | None:
        """Return a last line that has no newline; None if there is none."""
        if not self._buffer and self._state is None:
            return None
        return self._line(b"")

    def present(self) -> bytes | None:
        """Return the present state of a line that is being overwritten; None if there is none."""
        return self._visible() if self._overwritten or self._returned else None

    def past(self) -> bytes | None:
        """Return the last state of the present line that is no longer added to; None if there is none."""
        return self._visible() if self._returned else self._state

    def before(self) -> bytes | None:
        """Return the state that the last line or update overwrote; None if there was none."""
        return self._before

    def take_back(self) -> None:
        """Make the state before the last update the present one: the update was no output."""
        self._state, self._before = self._before, None

    def _visible(self) -> bytes | None:
        if len(self._buffer) > _LONGEST_UPDATE_BYTES or self._is_blank():
            return self._state
        return bytes(self._buffer)

    def _is_blank(self) -> bool:
        return _INVISIBLE.fullmatch(self._buffer) is not None

    def _line(self, returns: bytes) -> bytes:
        state, self._state, self._overwritten = self._state, None, False
        self._before = None
        if state is not None and self._is_blank():
            self._clear()
            return state
        self._before = state
        line = self._take()
        return line if isinstance(line, OverlongLine) else line + returns[:1]


class Update(bytes):
    """A state of a line that is overwritten."""


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
