"""Keeps the lines of one output stream in a file, up to a limit and as long as the disk takes them."""

from collections.abc import Sequence
from typing import IO

from drayage.step.losses import Losses


class Allowance:
    """How many bytes may be kept; several streams may share one.

    Args:
        limit_bytes: The number of bytes.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._left_bytes = limit_bytes

    def has(self, size_bytes: int) -> bool:
        """Return whether this many bytes may be kept too."""
        return size_bytes <= self._left_bytes

    def take(self, size_bytes: int) -> bool:
        """Return whether this many bytes may be kept too; after the first refusal, none may."""
        self._left_bytes = self._left_bytes - size_bytes if self.has(size_bytes) else -1
        return self._left_bytes >= 0


class LogFile:
    """The file of one output stream; an error of the file is a loss, and never stops the stream.

    Args:
        file: The file, open for writing without a buffer.
        name: What the file is called in texts, such as its path.
        allowance: How much may be kept.
        losses: Told of what is missing from the file.
    """

    def __init__(self, file: IO[bytes], name: str, *, allowance: Allowance, losses: Losses) -> None:
        self._file = file
        self._allowance = allowance
        self._losses = losses
        self._waiting: list[bytes] = []
        self._size_bytes = 0
        self._has_failed = False
        self._left_out_bytes = self._left_out_lines = 0
        self.name = name

    @property
    def left_out_lines(self) -> int:
        """How many lines were left out because of the limit."""
        return self._left_out_lines

    def has_room(self, size_bytes: int) -> bool:
        """Return whether this many bytes are within the limit."""
        return self._allowance.has(size_bytes)

    def keep(self, line: bytes) -> bool:
        """Keep a line, with its end, until :meth:`flush` writes it; return False if it is beyond the limit."""
        if self._allowance.take(len(line)):
            self._waiting.append(line)
            return True
        self._left_out_lines += 1
        self._left_out_bytes += len(line)
        return False

    def flush(self) -> None:
        """Write what was kept."""
        content, self._waiting = b"".join(self._waiting), []
        self._write(content)

    def mark_limit(self) -> str:
        """Write a line that says that the limit is reached, and return it."""
        mark = (
            f"[drayage: the output is longer than output_bytes, {self._allowance.limit_bytes} bytes: what follows is "
            "left out, but for the last lines]\n"
        )
        self.flush()
        self._write(mark.encode())
        return mark

    def finish(self, last_lines: Sequence[str]) -> str:
        """Write how much was left out, and the last lines of it; close the file; return what was written.

        Args:
            last_lines: The last lines of the stream, without line ends.
        """
        self.flush()
        text = ""
        if self._left_out_lines:
            shown = last_lines[-self._left_out_lines :]
            left_out = f"{self._left_out_lines} lines, {self._left_out_bytes} bytes, were left out"
            text = "\n".join([f"[drayage: {left_out}; the last {len(shown)} are:]", *shown, ""])
            self._write(text.encode("utf-8", "backslashreplace"))
            self._losses.note(
                f"{left_out} of {self.name}: the output is longer than output_bytes, "
                f"{self._allowance.limit_bytes} bytes"
            )
        try:
            self._file.close()
        except OSError as error:
            self._fail(error)
        return text

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        try:
            while left and not self._has_failed:
                written = self._file.write(left)
                self._size_bytes += written
                left = left[written:]
        except (OSError, ValueError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            self._losses.add(f"{self.name} took no more after {self._size_bytes} bytes ({reason})")
