"""Reads messages while the workload writes them, and reports everything that is not a whole message.

The stock readers treat a chunk of a log as a line, silently drop what they cannot parse, and stop at the first error.
The readers here continue after a bad message; the file's reader also reports a half-written last line, and holds at
most one message in memory.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, PipesParams

from drayage.errors import ExchangeError
from drayage.pipes.ledger import MessageSink
from drayage.pipes.lines import LONGEST_MESSAGE_BYTES, LineSplitter, OverlongLine
from drayage.strangers import open_regular

_CHUNK_BYTES = 1024 * 1024
_POLL_S = 0.02
_VERSION = "__dagster_pipes_version"
# A logger's prefix before a message may contain braces. The limit keeps a long broken line from being parsed once for
# each of its own braces.
_MOST_BRACES = 8
_MESSAGE_MEMBER = re.compile(rb'\{\s*"(?:%s|method|params)"\s*:' % _VERSION.encode())
_MESSAGE_BEGINS = f'{{"{_VERSION}"'.encode()


class MessageFileReader(dg.PipesMessageReader):
    """A Pipes message reader for one file, which outlives the session.

    Args:
        path: The file as this process sees it; it must exist.
        workload_path: The same file as the workload sees it.
        longest_message_bytes: Longest message that is accepted, in bytes; a longer one is reported as a problem.
    """

    def __init__(self, path: Path, *, workload_path: str, longest_message_bytes: int = LONGEST_MESSAGE_BYTES) -> None:
        self._path = path
        self._workload_path = workload_path
        self._longest_message_bytes = longest_message_bytes

    @contextlib.contextmanager
    def read_messages(self, handler: MessageSink) -> Iterator[PipesParams]:  # type: ignore[override]
        # The override: drayage passes its ledger, which accepts everything that Dagster's handler accepts, and more.
        """Follow the file in a thread until the session closes, then read the rest of it."""
        closing = Event()
        thread = Thread(target=self._follow, args=(handler, closing), name="drayage-messages", daemon=True)
        thread.start()
        try:
            yield {PipesDefaultMessageWriter.FILE_PATH_KEY: self._workload_path}
        finally:
            closing.set()
            thread.join()

    def no_messages_debug_text(self) -> str:
        """Return a sentence that says where messages were expected."""
        return f"Messages were read from {self._path}, which the container sees as {self._workload_path}."

    def _follow(self, handler: MessageSink, closing: Event) -> None:
        splitter = LineSplitter(self._longest_message_bytes)
        try:
            with open_regular(self._path) as file:
                for chunk in _chunks(file, closing):
                    for line in splitter.feed(chunk):
                        _deliver(line, handler)
                status = os.fstat(file.fileno())
                lost_bytes = file.tell() - status.st_size
                replaced = not os.path.samestat(status, self._path.lstat())
        except (OSError, ExchangeError) as error:
            handler.report_problem(f"the messages file {self._path} cannot be read: {error}")
            return
        rest = splitter.finish()
        if rest is not None:
            _deliver_rest(rest, handler)
        if lost_bytes > 0 or replaced:
            handler.report_problem(
                f"the workload truncated or replaced {self._workload_path} after writing to it: a Pipes "
                "library must append to it"
            )


class LogMessageReader(dg.PipesMessageReader):
    """Reads messages from the container's output, for workloads that cannot write files.

    It replaces the stock client's reader of Docker's log, which treats each chunk of the log as a line.
    """

    def __init__(self) -> None:
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
        _deliver(line[start:], self._handler)
        return True

    def no_messages_debug_text(self) -> str:
        """Return a sentence that says where messages were expected."""
        return "Messages were expected in the container's standard output and error."


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


def _chunks(file: BinaryIO, closing: Event) -> Iterator[bytes]:
    while True:
        # Order matters: `closing` is checked before the file is read, so everything written before it was set is read.
        last = closing.is_set()
        chunk = file.read(_CHUNK_BYTES)
        if chunk:
            yield chunk
        elif last:
            return
        else:
            closing.wait(_POLL_S)


def _deliver(line: bytes, handler: MessageSink) -> None:
    if isinstance(line, OverlongLine):
        handler.report_problem(
            f"a message of {line.size_bytes} bytes is longer than the {len(line)} bytes allowed", line
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
