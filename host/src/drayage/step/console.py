"""Shows output on a text stream of this process, in a thread of its own: a stream that stalls stops nothing else."""

import contextlib
import io
import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition, Thread
from typing import TextIO

from drayage.threads import background

_MOST_WAITING_CHARACTERS = 2**20
_PATIENCE_S = 3.0
# A stalled pipe is noticed between two pieces; smaller ones would cost more than they are worth.
_PIECE = 2**16
_POLL_MS = 200


class Console:
    """A text stream on which output is shown; it never stops the output, which is kept in files.

    Text waits for the stream in bounded memory. A stream that fails, or stays behind for several seconds, gets no more.

    Args:
        stream: The stream, such as ``sys.stdout``.
        patience_s: How long the stream may take for half of what may wait for it, in seconds.
    """

    def __init__(self, stream: TextIO, *, patience_s: float = _PATIENCE_S) -> None:
        self._stream = stream
        self._patience_s = patience_s
        self._changed = Condition()
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._thread: Thread | None = None
        self._is_over = self._has_ended = False
        self.problem: str | None = None

    def show(self, text: str) -> None:
        """Write text, with escapes for what the stream's encoding lacks; do nothing if the stream has failed."""
        if not text:
            return
        with self._changed:
            if self._characters > _MOST_WAITING_CHARACTERS:
                self._await(lambda: self._characters <= _MOST_WAITING_CHARACTERS // 2)
            if self.problem is not None or self._is_over:
                return
            self._waiting.append(text)
            self._characters += len(text)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = background(self._write_all, name="console")
                self._thread.start()

    def finish(self) -> None:
        """Wait until everything is shown, or the stream has failed."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            if self._thread is not None:
                self._await(lambda: self._has_ended)

    def _await(self, condition: Callable[[], bool]) -> None:
        if not self._changed.wait_for(lambda: self.problem is not None or condition(), self._patience_s):
            self._fail(f"it stalled for {self._patience_s:g} s")

    def _fail(self, problem: str) -> None:
        self.problem = self.problem or problem
        self._waiting.clear()
        self._changed.notify_all()

    def _write_all(self) -> None:
        try:
            with _writing(self._stream, lambda: self.problem is not None) as write:
                while (text := self._next()) is not None:
                    for start in range(0, len(text), _PIECE):
                        write(text[start : start + _PIECE])
                    with self._changed:
                        self._characters -= len(text)
                        self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - a stream of any kind may stand here, and raise anything
            with self._changed:
                self._fail(f"{type(error).__name__}: {error}")
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over or self.problem is not None)
            return self._waiting.popleft() if self._waiting else None


@contextlib.contextmanager
def _writing(stream: TextIO, given_up: Callable[[], bool]) -> Iterator[Callable[[str], None]]:
    """Yield what writes text to a stream."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # What was printed before stays before.
    stream.flush()
    descriptor = _own_descriptor(stream)
    if descriptor is None:

        def print_text(text: str) -> None:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()

        yield print_text
        return
    try:
        yield lambda text: _write(descriptor, text.encode(encoding, "backslashreplace"), given_up)
    finally:
        os.close(descriptor)


def _own_descriptor(stream: TextIO) -> int | None:
    """Return another descriptor of a stream that is a file of the system; None if it is anything else.

    A thread that waits in the stream's own ``write`` would hold its lock, and Python would abort at its end.
    """
    # Other kinds of streams, such as a notebook's, may name a descriptor to which they do not write.
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        return os.dup(stream.fileno())
    except io.UnsupportedOperation:
        return None


def _write(descriptor: int, content: bytes, given_up: Callable[[], bool]) -> None:
    left = memoryview(content)
    while left and not given_up():
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Another program may have made a terminal or pipe that it shares with this one non-blocking.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll(_POLL_MS)
