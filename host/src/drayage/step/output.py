"""Takes a container's output in: whole lines to files and to the compute logs, the last ones to the failure."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TextIO

from drayage.engine import Stream
from drayage.pipes.adapter import Adapter
from drayage.pipes.lines import LONGEST_LINE_BYTES, LONGEST_MESSAGE_BYTES, LineSplitter, OverlongLine

TAIL_LINES = 30
_TAIL_LINE_CHARACTERS = 2000


class OutputLog:
    """One stream of a container: its file, its line in the making, and its last lines.

    Args:
        file: Where the bytes go.
        console: Where the lines go as text, for Dagster's compute logs.
        redact: Takes secrets out of a line.
        intercept: Takes a line that is no output but a message; returns whether it did.
        adapter: Reads metadata out of the lines, which stay output nonetheless.
    """

    def __init__(
        self,
        file: IO[bytes],
        console: TextIO,
        redact: Callable[[bytes], bytes],
        intercept: Callable[[bytes], bool] | None,
        adapter: Adapter | None = None,
    ) -> None:
        self._file = file
        self._console = console
        self._redact = redact
        self._intercept = intercept
        self._adapter = adapter
        self._splitter = LineSplitter(LONGEST_LINE_BYTES if intercept is None else LONGEST_MESSAGE_BYTES)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    @property
    def tail(self) -> list[str]:
        """The last lines, shortened, without their ends."""
        return list(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk in, cut anywhere."""
        for line in self._splitter.feed(chunk):
            self._write(line, b"\n")
        self._file.flush()
        self._console.flush()

    def finish(self) -> None:
        """Write what is left without a newline at the end."""
        rest = self._splitter.finish()
        if rest is not None:
            self._write(rest, b"")
        self._file.flush()
        self._console.flush()

    def _write(self, line: bytes, end: bytes) -> None:
        if self._intercept is not None and self._intercept(line):
            return
        if self._adapter is not None:
            self._adapter.take_line(line)
        clean = self._redact(bytes(line))
        if isinstance(line, OverlongLine):
            clean += f" … [{line.size_bytes - len(line)} bytes of this line left out]".encode()
        self._file.write(clean + end)
        text = clean.decode("utf-8", "backslashreplace").rstrip("\r")
        # Lines always end on the console: the next one may be the other stream's, or Dagster's own.
        self._console.write(text + "\n")
        self._tail.append(text[:_TAIL_LINE_CHARACTERS])


class OutputLogs:
    """Both streams of a container.

    Args:
        stdout: The log of its standard output.
        stderr: The log of its standard error.
        adapter: Reads metadata out of the standard output of a program that knows nothing of Pipes.
    """

    def __init__(self, stdout: OutputLog, stderr: OutputLog, adapter: Adapter | None = None) -> None:
        self._logs: dict[Stream, OutputLog] = {"stdout": stdout, "stderr": stderr}
        self._adapter = adapter
        self.last_line_at: float | None = None

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take a chunk of one stream in."""
        self.last_line_at = time.monotonic()
        self._logs[stream].feed(chunk)

    def finish(self) -> None:
        """Write what is left without a newline at the end."""
        for log in self._logs.values():
            log.finish()

    def end(self, exit_code: int) -> None:
        """Let the adapter, if there is one, report what it read, now that the container has ended."""
        if self._adapter is not None:
            self.finish()
            self._adapter.end(exit_code)

    def last_lines(self) -> list[str]:
        """The last lines of standard error, or of standard output where that is empty (a tty has only one)."""
        return self._logs["stderr"].tail or self._logs["stdout"].tail


@contextlib.contextmanager
def open_output_logs(
    stdout: Path,
    stderr: Path,
    redact: Callable[[bytes], bytes],
    *,
    intercept: Callable[[bytes], bool] | None = None,
    adapter: Adapter | None = None,
    keep: bool = False,
) -> Iterator[OutputLogs]:
    """Open the files of both streams.

    Args:
        stdout: File of the standard output.
        stderr: File of the standard error.
        redact: Takes secrets out of a line.
        intercept: Takes a line that is no output but a message; returns whether it did.
        adapter: Reads metadata out of the standard output of a program that knows nothing of Pipes.
        keep: Whether what an earlier follower wrote stays; else the container's output is read from its start.
    """
    mode = "ab" if keep else "wb"
    with stdout.open(mode) as out, stderr.open(mode) as err:
        out_log = OutputLog(out, sys.stdout, redact, intercept, adapter)
        logs = OutputLogs(out_log, OutputLog(err, sys.stderr, redact, intercept), adapter)
        try:
            yield logs
        finally:
            logs.finish()
