"""Passes log messages on to Dagster in batches, in their order, and never holds up the messages that follow them.

Dagster stores one log message at a time, fifty to three hundred a second; a thread of their own stores up to a thousand
at once. What comes faster than that waits, up to a limit; what comes on top of it is counted, and one warning says how
many there were and where they are.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Event, Thread
from typing import NamedTuple

from drayage.interrupts import wait
from drayage.threads import background

_MOST_WAITING = 50_000
_MOST_WAITING_BYTES = 32 * 2**20
_MOST_AT_ONCE = 1000
_MOST_BYTES_AT_ONCE = 2**20
# Enough for all that may wait, if storage takes a thousand a second.
_DEADLINE_S = 60.0
_HURRIED_S = 1.0
_IN_STORE = "to Dagster's event log"


class LogLine(NamedTuple):
    """One log message.

    Args:
        level: Its level, as the workload named it.
        text: Its text.
        at_s: When it arrived, in seconds since the epoch.
    """

    level: str
    text: str
    at_s: float


class LogLines:
    """The log messages of one step, on their way to Dagster.

    Args:
        write: Stores log messages, in their order.
        report_problem: Called with a clause if some could not be stored.
        where: Where those are that Dagster does not get, as a clause.
        deadline_s: How long to wait for the last ones, in seconds.
        hurried_s: How long to wait for them when the step ends early, in seconds.
    """

    def __init__(
        self,
        write: Callable[[Sequence[LogLine]], None],
        *,
        report_problem: Callable[[str], None],
        where: str,
        deadline_s: float = _DEADLINE_S,
        hurried_s: float = _HURRIED_S,
    ) -> None:
        self._write = write
        self._report_problem = report_problem
        self._deadlines_s = {False: deadline_s, True: hurried_s}
        self._queue = _Queue(where)
        self._thread: Thread | None = None
        self._ended = Event()

    def put(self, level: str, text: str) -> None:
        """Take a log message; this never blocks."""
        self._queue.put(LogLine(level, text, time.time()))
        if self._thread is None:
            self._thread = background(self._run, name="log-lines")
            self._thread.start()

    def finish(self, *, hurried: bool) -> None:
        """Wait until all is stored; what is not by the deadline is counted, and a warning takes its place.

        Args:
            hurried: Whether the step ends early: it then waits for a moment only, as when it is cancelled meanwhile.
        """
        if self._thread is None:
            return
        self._queue.close()
        try:
            wait(self._ended, self._deadlines_s[hurried])
        finally:
            self._queue.leave_out_rest()
            if not self._ended.wait(self._deadlines_s[True]):
                self._report_problem(f"the last log messages were not written {_IN_STORE}: writing them hangs")

    def _run(self) -> None:
        try:
            while lines := self._queue.take():
                try:
                    self._write(lines)
                except Exception as error:  # noqa: BLE001 - any error of the storage loses these, and only these
                    self._report_problem(
                        f"{_messages(len(lines))} not written to Dagster's event log ({_named(error)})"
                    )
        except BaseException as error:  # noqa: BLE001 - whatever ended the thread, log messages were lost
            self._report_problem(f"log messages were not written {_IN_STORE} ({_named(error)})")
        finally:
            self._ended.set()


class _Queue:
    """Holds a limited number of log messages, and counts the others."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._changed = Condition()
        # Each with the number of log messages that it stands for: a warning stands for those that were left out.
        self._lines: deque[tuple[LogLine, int]] = deque()
        self._waiting_bytes = 0
        self._left_out = 0
        self._closed = False

    def put(self, line: LogLine) -> None:
        with self._changed:
            full = len(self._lines) >= _MOST_WAITING or self._waiting_bytes + len(line.text) > _MOST_WAITING_BYTES
            # Until all that waits is stored, so that one warning stands for many.
            if self._lines and (full or self._left_out):
                self._left_out += 1
                return
            self._warn()
            self._append(line, 1)
            self._changed.notify()

    def take(self) -> Sequence[LogLine]:
        """Wait for log messages, and return some; none if there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)
            taken: list[LogLine] = []
            taken_bytes = 0
            while self._lines and len(taken) < _MOST_AT_ONCE and taken_bytes < _MOST_BYTES_AT_ONCE:
                taken.append(self._lines.popleft()[0])
                taken_bytes += len(taken[-1].text)
            self._waiting_bytes -= taken_bytes
            return taken

    def close(self) -> None:
        with self._changed:
            self._warn()
            self._closed = True
            self._changed.notify()

    def leave_out_rest(self) -> None:
        with self._changed:
            self._left_out += sum(count for _, count in self._lines)
            self._lines.clear()
            self._warn()

    def _warn(self) -> None:
        if self._left_out:
            text = f"{_messages(self._left_out)} left out here, because they came faster than Dagster's event log "
            self._append(LogLine("WARNING", f"{text}stores them; {self._where}", time.time()), self._left_out)
            self._left_out = 0

    def _append(self, line: LogLine, count: int) -> None:
        self._lines.append((line, count))
        self._waiting_bytes += len(line.text)


def _messages(count: int) -> str:
    return "1 log message was" if count == 1 else f"{count:,} log messages were"


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
