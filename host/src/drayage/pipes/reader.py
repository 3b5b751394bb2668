"""Reads messages while the workload writes them, and reports everything that is not a whole message.

The stock readers treat a chunk of a log as a line, silently drop what they cannot parse, and stop at the first error.
The readers here continue after a bad message; the file's reader also reports a half-written last line, and holds at
most one message in memory.
"""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Event

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, PipesParams

from drayage.engine import Mailbox
from drayage.errors import ExchangeError
from drayage.interrupts import wait_while_it_advances
from drayage.mailbox import WORKLOAD_MESSAGES
from drayage.pipes.ledger import MessageSink
from drayage.pipes.limits import DEFAULT_LIMITS, MessageLimits
from drayage.pipes.lines import LineSplitter, OverlongLine
from drayage.threads import background

_SHORTEST_POLL_S = 0.02
_LONGEST_POLL_S = 0.25
# Slow storage takes seconds, but not this long without a single message.
_STALL_S = 30.0
# A cancelled step must end within seconds, and its container has had some of them to stop.
_HURRIED_S = 2.0
_VERSION = "__dagster_pipes_version"
# A logger's prefix before a message may contain braces. The limit keeps a long broken line from being parsed once for
# each of its own braces.
_MOST_BRACES = 8
_MESSAGE_MEMBER = re.compile(rb'\{\s*"(?:%s|method|params)"\s*:' % _VERSION.encode())
_MESSAGE_BEGINS = f'{{"{_VERSION}"'.encode()


class MailboxReader(dg.PipesMessageReader):
    """A Pipes message reader for a mailbox, whose content outlives the session.

    Args:
        mailbox: The mailbox.
        kept_in: The file that keeps what is read, to be named to people.
        limits: How much the workload may write.
        stall_s: How long the session waits for the last messages while none is taken, in seconds.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        kept_in: Path,
        limits: MessageLimits = DEFAULT_LIMITS,
        stall_s: float = _STALL_S,
    ) -> None:
        self._mailbox = mailbox
        self._kept_in = kept_in
        self._limits = limits
        self._stall_s = stall_s

    @contextlib.contextmanager
    def read_messages(self, handler: MessageSink) -> Iterator[PipesParams]:  # type: ignore[override]
        # The override: drayage passes its ledger, which accepts everything that Dagster's handler accepts, and more.
        """Read in a thread until the session closes, and then the rest."""
        following = _Following(self._mailbox, self._limits, handler)
        following.start()
        try:
            yield {PipesDefaultMessageWriter.FILE_PATH_KEY: WORKLOAD_MESSAGES}
        except BaseException:
            following.hurry()
            raise
        following.finish(self._stall_s)

    def no_messages_debug_text(self) -> str:
        """Return a sentence that says where messages were expected."""
        return f"Messages were read from {self._kept_in}, which the container sees as {WORKLOAD_MESSAGES}."


class _Following:
    """The thread that reads one mailbox while it fills."""

    def __init__(self, mailbox: Mailbox, limits: MessageLimits, handler: MessageSink) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._handler = handler
        self._closing, self._abandoned, self._done = Event(), Event(), Event()
        self._read_bytes = self._taken_bytes = 0
        self._digest = _digest()
        self._is_over_limit = False

    def start(self) -> None:
        background(self._run, name="messages").start()

    def finish(self, stall_s: float) -> None:
        """Read the rest; a cancel ends the wait soon, and a reader that takes nothing is a problem."""
        self._closing.set()
        try:
            done = wait_while_it_advances(self._done, lambda: self._taken_bytes, stall_s=stall_s)
        except BaseException:
            self.hurry()
            raise
        self._abandoned.set()
        if not done:
            self._report_unread(stall_s)

    def hurry(self) -> None:
        """Read the rest for a moment only: the step ends early."""
        self._closing.set()
        if not self._done.wait(_HURRIED_S):
            self._abandoned.set()
            self._report_unread(_HURRIED_S)

    def _run(self) -> None:
        try:
            self._follow()
        except ExchangeError as error:
            self._handler.report_problem(str(error))
        except BaseException as error:  # noqa: BLE001 - whatever ended the thread, messages were not read
            self._handler.report_problem(
                f"the messages were read only in part, because reading them failed ({type(error).__name__}: {error})"
            )
        finally:
            self._done.set()

    def _follow(self) -> None:
        splitter = LineSplitter(self._limits.message_bytes)
        for chunk in self._chunks():
            for line in splitter.feed(chunk):
                if self._abandoned.is_set():
                    return
                _deliver(line, self._handler)
                self._taken_bytes += _size_bytes(line) + 1
        rest = splitter.finish()
        # What is over the limit cuts a line, and has been reported.
        if rest is not None and not self._is_over_limit:
            _deliver_rest(rest, self._handler)
        if not (self._abandoned.is_set() or self._is_over_limit):
            self._require_unchanged()

    def _chunks(self) -> Iterator[bytes]:
        most_bytes = self._limits.messages_bytes
        active_at = time.monotonic()
        while not self._abandoned.is_set():
            # Order matters: `closing` is checked before the messages are, so all that came before it was set is read.
            last = self._closing.is_set()
            # Not what was read of them: messages may be written much faster than they are understood.
            if not self._is_over_limit and self._mailbox.size_bytes() > most_bytes:
                self._is_over_limit = True
                self._handler.reach_limit(self._limits.exceeded())
            chunk = self._mailbox.read(self._read_bytes, timeout_s=0)[: most_bytes - self._read_bytes]
            if chunk:
                self._read_bytes += len(chunk)
                self._digest.update(chunk)
                active_at = time.monotonic()
                yield chunk
            elif last or self._is_over_limit:
                return
            else:
                self._closing.wait(poll_s(time.monotonic() - active_at))

    def _require_unchanged(self) -> None:
        """Report a workload that wrote over what had been read: what is kept would not be what was judged."""
        digest, offset = _digest(), 0
        while offset < self._read_bytes and not self._abandoned.is_set():
            chunk = self._mailbox.read(offset, timeout_s=0)[: self._read_bytes - offset]
            if not chunk:
                break
            digest.update(chunk)
            offset += len(chunk)
        if digest.digest() != self._digest.digest() and not self._abandoned.is_set():
            self._handler.report_problem(
                f"the workload changed {WORKLOAD_MESSAGES} after writing to it: a Pipes library must append to it"
            )

    def _report_unread(self, within_s: float) -> None:
        self._handler.report_problem(
            f"the messages after the first {self._taken_bytes} bytes were not read: none was taken within "
            f"{within_s:g} s. Something that handles them hangs, or the disk does"
        )


def _digest() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def poll_s(silent_s: float) -> float:
    """Return how long to wait before looking for messages again, in seconds.

    Args:
        silent_s: How long there was none, in seconds. A first message is found within a fiftieth of a second, and a
            step that is silent for long costs next to nothing.
    """
    return min(_LONGEST_POLL_S, max(_SHORTEST_POLL_S, silent_s / 100))


class LogMessageReader(dg.PipesMessageReader):
    """Reads messages from the container's output, for workloads that cannot write files.

    It replaces the stock client's reader of Docker's log, which treats each chunk of the log as a line.

    Args:
        limits: How much the workload may send.
    """

    def __init__(self, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._taken_bytes = 0
        self._handler: MessageSink | None = None

    @contextlib.contextmanager
    def read_messages(self, handler: MessageSink) -> Iterator[PipesParams]:  # type: ignore[override]
        # The override: as above.
        """Deliver the messages that :meth:`take_line` finds, until the session closes."""
        self._handler = handler
        try:
            yield {PipesDefaultMessageWriter.STDIO_KEY: PipesDefaultMessageWriter.STDERR}
        finally:
            self._handler = None

    def take_line(self, line: bytes) -> bool:
        """Deliver the message in a line of output, if there is one; it may follow text that has no newline.

        Args:
            line: A whole line, without its newline.

        Returns:
            Whether the line held a message, and so is not output.
        """
        start = _message_start(line)
        if self._handler is None or start < 0:
            return False
        self._taken_bytes += _size_bytes(line)
        if self._taken_bytes > self._limits.messages_bytes:
            self._handler.reach_limit(self._limits.exceeded())
            return True
        _deliver(self._cut(line, start), self._handler)
        return True

    def no_messages_debug_text(self) -> str:
        """Return a sentence that says where messages were expected."""
        return "Messages were expected in the container's standard output and error."

    def _cut(self, line: bytes, start: int) -> bytes:
        """Return the message in a line, without the text before it, and cut if it is too long."""
        size_bytes, most_bytes = _size_bytes(line) - start, self._limits.message_bytes
        message = line[start:]
        return OverlongLine(message[:most_bytes], size_bytes) if size_bytes > most_bytes else message


def _size_bytes(line: bytes) -> int:
    return line.size_bytes if isinstance(line, OverlongLine) else len(line)


def _message_start(line: bytes) -> int:
    """Return the position at which a message begins in a line of output; -1 if there is no message."""
    if line.startswith(_MESSAGE_BEGINS):
        return 0
    if _VERSION.encode() not in line:
        return -1
    # JSON members have no order, and some languages write them in a different order each time.
    for brace in islice(re.finditer(rb"\{", line), _MOST_BRACES):
        with contextlib.suppress(ValueError, RecursionError):
            return brace.start() if _VERSION in json.loads(line[brace.start() :]) else -1
    # A half-written message must be reported too.
    broken = _MESSAGE_MEMBER.search(line)
    return broken.start() if broken else -1


def _deliver(line: bytes, handler: MessageSink) -> None:
    if isinstance(line, OverlongLine):
        handler.report_problem(
            f"a message of {line.size_bytes} bytes is longer than the {len(line)} bytes allowed (message_bytes)", line
        )
        return
    if not line.strip():
        return
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        handler.report_problem(f"a line of {len(line)} bytes is not JSON ({error})", line)
        return
    handler.handle_message(message)


def _deliver_rest(rest: bytes, handler: MessageSink) -> None:
    """Deliver a last line without a newline if it is whole JSON, otherwise report it."""
    try:
        whole = not isinstance(rest, OverlongLine) and isinstance(json.loads(rest), dict)
    except (ValueError, RecursionError):
        whole = False
    if whole:
        _deliver(rest, handler)
    elif rest.strip():
        handler.report_problem(
            f"the last line is half-written ({len(rest)} bytes without a newline): the workload died while writing "
            "a message, or its disk was full",
            rest,
        )
