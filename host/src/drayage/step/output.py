"""Writes a container's output, line by line, to its files and to the compute logs, and keeps the last lines."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock

from drayage.engine import Stream
from drayage.errors import ExchangeError
from drayage.pipes.adapter import Adapter
from drayage.pipes.lines import (
    LONGEST_LINE_BYTES,
    LONGEST_MESSAGE_BYTES,
    OverlongLine,
    TerminalLineSplitter,
    Update,
)
from drayage.redaction import Redactor
from drayage.settings import OUTPUT_BYTES
from drayage.step.console import Console
from drayage.step.log_file import Allowance, LogFile
from drayage.step.losses import Losses

TAIL_LINES = 30
_TAIL_LINE_CHARACTERS = 2000
# Longer than a console may stall; only a file system or a message handler that hangs takes as long.
_BUSY_DEADLINE_S = 15.0


class OutputLog:
    """One output stream of a container: its file, its unfinished line, and its last lines.

    Whatever fails here is a loss, and the stream is read on: a workload whose output is not read blocks for ever.

    Args:
        file: Where the lines are kept.
        console: Where the lines go as text, for Dagster's compute logs, with each state of a progress bar.
        redact: Removes secrets from a line.
        losses: Told of what is lost.
        updates: How much of the states that are overwritten may be shown.
        intercept: Takes a line that is a message rather than output; returns whether it took the line.
        adapter: Reads metadata from the lines, which remain output as well.
    """

    def __init__(
        self,
        file: LogFile,
        console: Console,
        redact: Redactor,
        losses: Losses,
        *,
        updates: Allowance,
        intercept: Callable[[bytes], bool] | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        self._file = file
        self._console = console
        self._redact = redact
        self._losses = losses
        self._updates = updates
        self._intercept = intercept
        self._adapter = adapter
        self._splitter = TerminalLineSplitter(LONGEST_LINE_BYTES if intercept is None else LONGEST_MESSAGE_BYTES)
        # Nothing looks at its lines one by one.
        self._is_plain = not redact and intercept is None and adapter is None
        self._shown: bytes | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    @property
    def tail(self) -> list[str]:
        """The last lines, shortened, without line ends."""
        return list(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk, which may begin and end anywhere in a line."""
        text: list[str] = []
        try:
            first, whole, rest = self._parts(chunk)
            text += self._lines(first)
            text += [self._keep_whole(whole)] if self._file.has_room(len(whole)) else self._lines(whole)
            text += self._lines(rest)
            text.append(self._progress())
        except Exception as error:  # noqa: BLE001 - the stream is read on, whatever happens to a part of it
            self._lost(f"{len(chunk)} bytes for {self._file.name} were not all read", error)
        self._file.flush()
        self._console.show("".join(text))

    def finish(self) -> None:
        """Write the last line if it did not end in a newline, and close the file."""
        rest = self._splitter.finish()
        if rest is not None:
            self._console.show(self._keep(rest, b""))
        self._console.show(self._file.finish(self.tail))
        self._console.finish()
        if self._console.problem is not None:
            self._losses.note(f"this process's output took no more ({self._console.problem}); see {self._file.name}")

    def _parts(self, chunk: bytes) -> tuple[bytes, bytes, bytes]:
        """Return a chunk as the end of a line, whole lines, and the beginning of one; the latter two may be empty."""
        start, end = chunk.find(b"\n") + 1, chunk.rfind(b"\n") + 1
        if self._is_plain and start < end <= LONGEST_LINE_BYTES and b"\r" not in chunk:
            return chunk[:start], chunk[start:end], chunk[end:]
        return chunk, b"", b""

    def _lines(self, part: bytes) -> Iterator[str]:
        """Keep the lines that a part of the stream ends, and yield what to show of each."""
        for line in self._splitter.feed(part):
            if not isinstance(line, Update):
                yield self._keep(line, b"\n")
            elif self._is_message(line):
                self._splitter.take_back()

    def _keep_whole(self, lines: bytes) -> str:
        """Keep whole lines at once, and return what to show of them; tens of times as fast as line by line."""
        if not lines:
            return ""
        text = self._text(lines)
        self._tail.extend(line[:_TAIL_LINE_CHARACTERS] for line in text[:-1].rsplit("\n", TAIL_LINES)[-TAIL_LINES:])
        return text if self._file.keep(lines) else ""

    def _progress(self) -> str:
        """Return what to show of a line that is being overwritten: its latest state, once."""
        # Half of a secret cannot be told from other text.
        state = self._splitter.past() if self._redact else self._splitter.present()
        if state is None or state == self._shown or not self._updates.take(len(state)):
            return ""
        self._shown = state
        return self._text(self._redact(state)) + "\r"

    def _keep(self, line: bytes, end: bytes) -> str:
        """Keep a line, and return what to show of it."""
        self._shown = None
        if self._is_message(line):
            # A message may have been written where a progress bar stood.
            before = self._splitter.before()
            if before is None:
                return ""
            line = before
        if self._adapter is not None:
            try:
                self._adapter.take_line(line)
            except Exception as error:  # noqa: BLE001 - as above
                self._lost(f"the adapter failed at a line of {len(line)} bytes", error)
        try:
            clean = self._clean(line)
        except Exception as error:  # noqa: BLE001 - as above
            # Not kept as it is: there may be a secret in it.
            self._lost(f"a line of {len(line)} bytes for {self._file.name} could not be redacted", error)
            return ""
        text = self._text(clean)
        self._tail.append(text[:_TAIL_LINE_CHARACTERS])
        if self._file.keep(clean + end):
            # On the console every line is ended: the next one may belong to the other stream, or to Dagster.
            return text + "\n"
        return self._file.mark_limit() if self._file.left_out_lines == 1 else ""

    def _clean(self, line: bytes) -> bytes:
        if isinstance(line, OverlongLine):
            left_out = f" … [{line.size_bytes - len(line)} bytes of this line left out]"
            return self._redact.beginning(line) + left_out.encode()
        return self._redact(line)

    def _is_message(self, line: bytes) -> bool:
        try:
            return self._intercept is not None and self._intercept(line)
        except Exception as error:  # noqa: BLE001 - as above
            self._lost(f"a message in the output, {len(line)} bytes, was not taken", error)
            return False

    def _lost(self, what: str, error: Exception) -> None:
        self._losses.add(f"{what} ({type(error).__name__}: {error})")

    @staticmethod
    def _text(clean: bytes) -> str:
        return clean.decode("utf-8", "backslashreplace").rstrip("\r")


class OutputLogs:
    """Both output streams of a container; chunks may come from one thread, and the end from another.

    Args:
        stdout: The log of its standard output.
        stderr: The log of its standard error.
        losses: Told of what is lost.
        adapter: Reads metadata from the standard output of a program that does not use Pipes.
    """

    def __init__(self, stdout: OutputLog, stderr: OutputLog, losses: Losses, adapter: Adapter | None = None) -> None:
        self._logs: dict[Stream, OutputLog] = {"stdout": stdout, "stderr": stderr}
        self._losses = losses
        self._adapter = adapter
        self._lock = Lock()
        self._over = Event()
        self.last_line_at: float | None = None

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take a chunk of one stream."""
        self.last_line_at = time.monotonic()
        with self._lock:
            if self._over.is_set():
                self.lose(f"{len(chunk)} bytes of {stream} came after the end")
                return
            self._logs[stream].feed(chunk)
            if self._over.is_set():
                # The end came meanwhile, and did not wait.
                self._finish()

    def lose(self, text: str) -> None:
        """Record that output was lost on its way, which makes the step red; may be called from any thread.

        Args:
            text: What was lost and why, as a clause without a full stop.
        """
        self._losses.add(text)

    def finish(self) -> None:
        """Write the last lines that did not end in a newline, and close the files; a second call does nothing."""
        if not self._lock.acquire(timeout=_BUSY_DEADLINE_S):
            self._over.set()
            self.lose(f"the output was not read to its end: what takes it has not returned for {_BUSY_DEADLINE_S:g} s")
            return
        try:
            if not self._over.is_set():
                self._over.set()
                self._finish()
        finally:
            self._lock.release()

    def end(self, exit_code: int) -> None:
        """Finish, and let the adapter, if there is one, report what it has read; called after the container has ended.

        The adapter reports nothing if output was lost: what it has read may be wrong.
        """
        self.finish()
        if self._adapter is None:
            return
        try:
            if self._losses.count:
                self._adapter.abandon()
            else:
                self._adapter.end(exit_code)
        except Exception as error:  # noqa: BLE001 - as above; what it has read is a stranger's
            self.lose(f"the adapter failed ({type(error).__name__}: {error})")

    def last_lines(self) -> list[str]:
        """Return the last lines of standard error, or of standard output if there are none (a tty has only one)."""
        return self._logs["stderr"].tail or self._logs["stdout"].tail

    def _finish(self) -> None:
        for log in self._logs.values():
            log.finish()


@contextlib.contextmanager
def open_output_logs(
    stdout: Path,
    stderr: Path,
    redact: Redactor,
    *,
    losses: Losses | None = None,
    limit_bytes: int = OUTPUT_BYTES,
    intercept: Callable[[bytes], bool] | None = None,
    adapter: Adapter | None = None,
    keep: bool = False,
) -> Iterator[OutputLogs]:
    """Open the files of both streams, and close them at the end.

    Args:
        stdout: Path of the standard output's file.
        stderr: Path of the standard error's file.
        redact: Removes secrets from a line.
        losses: Told of what is lost.
        limit_bytes: How much of both streams together is kept, in bytes.
        intercept: Takes a line that is a message rather than output; returns whether it took the line.
        adapter: Reads metadata from the standard output of a program that does not use Pipes.
        keep: Whether to keep what an earlier run wrote; otherwise the files are emptied, and the container's output
            is read from its start.

    Raises:
        ExchangeError: A file cannot be opened.
    """
    losses = Losses() if losses is None else losses
    allowance, updates = Allowance(limit_bytes), Allowance(limit_bytes)

    def open_log(path: Path, console: Console, adapter: Adapter | None = None) -> OutputLog:
        try:
            file = path.open("ab" if keep else "wb", buffering=0)
        except OSError as error:
            raise ExchangeError(f"The log {path} cannot be opened: {error.strerror}. Is its disk full?") from error
        log_file = LogFile(file, str(path), allowance=allowance, losses=losses)
        return OutputLog(log_file, console, redact, losses, updates=updates, intercept=intercept, adapter=adapter)

    logs = OutputLogs(
        open_log(stdout, Console(sys.stdout), adapter), open_log(stderr, Console(sys.stderr)), losses, adapter
    )
    try:
        yield logs
    finally:
        logs.finish()
