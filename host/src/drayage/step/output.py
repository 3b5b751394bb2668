"""Writes a container's output, line by line, to its files and to the compute logs, and keeps the last lines."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TextIO

from drayage.engine import Stream
from drayage.pipes.adapter import Adapter
from drayage.pipes.lines import (
    LONGEST_LINE_BYTES,
    LONGEST_MESSAGE_BYTES,
    OverlongLine,
    TerminalLineSplitter,
    Update,
)
from drayage.redaction import Redactor

TAIL_LINES = 30
_TAIL_LINE_CHARACTERS = 2000


class Console:
    """A text stream on which output is shown; it never stops the output, which is kept in files.

    Args:
        stream: The stream, such as ``sys.stdout``.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.problem: str | None = None

    def show(self, text: str) -> None:
        """Write text, with escapes for what the stream's encoding lacks; do nothing if the stream has failed."""
        if not text or self.problem is not None:
            return
        try:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError, LookupError) as error:
            self.problem = f"{type(error).__name__}: {error}"


class OutputLog:
    """One output stream of a container: its file, its unfinished line, and its last lines.

    Args:
        file: Where the bytes go.
        console: Where the lines go as text, for Dagster's compute logs, with each state of a progress bar.
        redact: Removes secrets from a line.
        intercept: Takes a line that is a message rather than output; returns whether it took the line.
        adapter: Reads metadata from the lines, which remain output as well.
    """

    def __init__(
        self,
        file: IO[bytes],
        console: Console,
        redact: Redactor,
        intercept: Callable[[bytes], bool] | None,
        adapter: Adapter | None = None,
    ) -> None:
        self._file = file
        self._console = console
        self._redact = redact
        self._intercept = intercept
        self._adapter = adapter
        self._splitter = TerminalLineSplitter(LONGEST_LINE_BYTES if intercept is None else LONGEST_MESSAGE_BYTES)
        self._shown: bytes | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    @property
    def tail(self) -> list[str]:
        """The last lines, shortened, without line ends."""
        return list(self._tail)

    @property
    def console_problem(self) -> str | None:
        """Why the console took no more; None if it took everything."""
        return self._console.problem

    def feed(self, chunk: bytes) -> None:
        """Take a chunk, which may begin and end anywhere in a line."""
        text: list[str] = []
        for line in self._splitter.feed(chunk):
            if not isinstance(line, Update):
                text.append(self._write(line, b"\n"))
            elif self._intercept is not None and self._intercept(line):
                self._splitter.take_back()
        self._file.flush()
        self._console.show("".join([*text, self._progress()]))

    def finish(self) -> None:
        """Write the last line if it did not end in a newline."""
        rest = self._splitter.finish()
        if rest is not None:
            self._console.show(self._write(rest, b""))
        self._file.flush()

    def _progress(self) -> str:
        """Return what to show of a line that is being overwritten: its latest state, once."""
        # Half of a secret cannot be told from other text.
        state = self._splitter.past() if self._redact else self._splitter.present()
        if state is None or state == self._shown:
            return ""
        self._shown = state
        return self._text(self._redact(state)) + "\r"

    def _write(self, line: bytes, end: bytes) -> str:
        """Keep a line, and return what to show of it."""
        self._shown = None
        if self._intercept is not None and self._intercept(line):
            # A message may have been written where a progress bar stood.
            before = self._splitter.before()
            if before is None:
                return ""
            line = before
        if self._adapter is not None:
            self._adapter.take_line(line)
        if isinstance(line, OverlongLine):
            clean = self._redact.beginning(line)
            clean += f" … [{line.size_bytes - len(line)} bytes of this line left out]".encode()
        else:
            clean = self._redact(line)
        self._file.write(clean + end)
        text = self._text(clean)
        self._tail.append(text[:_TAIL_LINE_CHARACTERS])
        # On the console every line is ended: the next one may belong to the other stream, or to Dagster.
        return text + "\n"

    @staticmethod
    def _text(clean: bytes) -> str:
        return clean.decode("utf-8", "backslashreplace").rstrip("\r")


class OutputLogs:
    """Both output streams of a container.

    Args:
        stdout: The log of its standard output.
        stderr: The log of its standard error.
        adapter: Reads metadata from the standard output of a program that does not use Pipes.
    """

    def __init__(self, stdout: OutputLog, stderr: OutputLog, adapter: Adapter | None = None) -> None:
        self._logs: dict[Stream, OutputLog] = {"stdout": stdout, "stderr": stderr}
        self._adapter = adapter
        self.last_line_at: float | None = None

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take a chunk of one stream."""
        self.last_line_at = time.monotonic()
        self._logs[stream].feed(chunk)

    def lose(self, text: str) -> None:
        """Note that some of the output is lost."""
        self.feed("stderr", f"drayage: some of the output is lost: {text}\n".encode())

    def finish(self) -> None:
        """Write the last line if it did not end in a newline."""
        for log in self._logs.values():
            log.finish()

    def end(self, exit_code: int) -> None:
        """Let the adapter, if there is one, report what it has read; called after the container has ended."""
        if self._adapter is not None:
            self.finish()
            self._adapter.end(exit_code)

    def console_problem(self) -> str | None:
        """Return why a console took no more of the output, which the files hold whole; None if both took everything."""
        return next((log.console_problem for log in self._logs.values() if log.console_problem), None)

    def last_lines(self) -> list[str]:
        """Return the last lines of standard error, or of standard output if there are none (a tty has only one)."""
        return self._logs["stderr"].tail or self._logs["stdout"].tail


@contextlib.contextmanager
def open_output_logs(
    stdout: Path,
    stderr: Path,
    redact: Redactor,
    *,
    intercept: Callable[[bytes], bool] | None = None,
    adapter: Adapter | None = None,
    keep: bool = False,
) -> Iterator[OutputLogs]:
    """Open the files of both streams, and close them at the end.

    Args:
        stdout: Path of the standard output's file.
        stderr: Path of the standard error's file.
        redact: Removes secrets from a line.
        intercept: Takes a line that is a message rather than output; returns whether it took the line.
        adapter: Reads metadata from the standard output of a program that does not use Pipes.
        keep: Whether to keep what an earlier run wrote; otherwise the files are emptied, and the container's output
            is read from its start.
    """
    mode = "ab" if keep else "wb"
    with stdout.open(mode) as out, stderr.open(mode) as err:
        out_log = OutputLog(out, Console(sys.stdout), redact, intercept, adapter)
        logs = OutputLogs(out_log, OutputLog(err, Console(sys.stderr), redact, intercept), adapter)
        try:
            yield logs
        finally:
            logs.finish()
