"""Keeps in the attempt's folder what a remote mailbox brought: the context, and every byte of messages that came.

All reading is from here, so what is judged is what is kept, whatever the workload does to its own file. The length of
the messages is the offset to go on from, after a cut and in another process: whoever reads, adopts, replays or packs an
attempt finds the same files as beside a local engine.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import BinaryIO

from drayage.errors import ExchangeError
from drayage.mailbox import CONTEXT_FILE, MESSAGES_FILE, REPLACED
from drayage.strangers import open_regular, remedy, write_whole

_CHUNK_BYTES = 2**20
_REST_DEADLINE_S = 25.0


class Mirror:
    """The files of one attempt's mailbox: one thread appends messages, any number read them.

    Args:
        folder: The attempt's folder, in which no workload can write; it exists, and what a former process left there is
            continued.
        waits: Whether the container is started before its context is known; a named pipe then stands in its place.
        ahead_bytes: How far the messages may be ahead of their reader, who may never read what is over the step's
            limit; None is any length.

    Raises:
        ExchangeError: The files cannot be made, or something else stands in their place.
    """

    def __init__(self, folder: Path, *, waits: bool, ahead_bytes: int | None) -> None:
        self._context = folder / CONTEXT_FILE
        self._messages = folder / MESSAGES_FILE
        self._ahead_bytes = ahead_bytes
        self.changed = Condition()
        """Held while something changes that others wait for."""
        self.closed = False
        self._problem: str | None = None
        self._wanted = 0
        self._end_bytes: int | None = None
        try:
            self._file, self.is_new = self._open(waits=waits)
        except OSError as error:
            raise ExchangeError(
                f"The mailbox {folder} cannot be made: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error
        self.taken_bytes = self._size_bytes()
        """How much was appended, by this process or a former one."""
        self._last_taken_at = time.monotonic()

    @property
    def knows_end(self) -> bool:
        """Whether it is known how much there is to take."""
        return self._end_bytes is not None

    def await_change(self, holds: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Wait until something holds, or the mirror is closed."""
        with self.changed:
            self.changed.wait_for(lambda: holds() or self.closed, timeout_s)

    def append(self, content: bytes) -> None:
        """Append what was taken, once its reader is not too far behind; do nothing if it was closed meanwhile.

        Raises:
            ExchangeError: It cannot be written.
        """
        ahead_bytes = self._ahead_bytes
        if ahead_bytes is not None:
            self.await_change(lambda: self.taken_bytes - self._wanted < ahead_bytes)
        if self.closed:
            return
        view, written = memoryview(content), 0
        try:
            while written < len(view):
                written += os.pwrite(self._file.fileno(), view[written:], self.taken_bytes + written)
        except OSError as error:
            raise ExchangeError(
                f"{self._messages} cannot be written: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error
        with self.changed:
            self.taken_bytes += written
            self._last_taken_at = time.monotonic()
            self.changed.notify_all()

    def note_end(self, size_bytes: int) -> None:
        """Note how much there is in all; what is on its way is waited for."""
        with self.changed:
            self._end_bytes = size_bytes
            self._last_taken_at = time.monotonic()
            self.changed.notify_all()
        if size_bytes < self.taken_bytes:
            self.fail(REPLACED)

    def fail(self, problem: str) -> None:
        """Note why no more can be taken; the first reason counts."""
        with self.changed:
            self._problem = self._problem or problem
            self.changed.notify_all()

    def size_bytes(self) -> int:
        """Return how much there is, as far as it is known."""
        with self.changed:
            return max(self._size_bytes(), self._end_bytes or 0)

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return at most 1 MiB from an offset on; empty if nothing comes within the time, in seconds.

        Raises:
            ExchangeError: No more can be taken, the rest does not come, or the file cannot be read.
        """
        deadline = time.monotonic() + timeout_s
        with self.changed:
            self._wanted = max(self._wanted, offset)
            self.changed.notify_all()
            while True:
                try:
                    if chunk := os.pread(self._file.fileno(), _CHUNK_BYTES, offset):
                        return chunk
                except OSError as error:
                    raise self._unreadable(error) from error
                if self._problem is not None:
                    raise ExchangeError(self._problem)
                left_s = max(deadline - time.monotonic(), self._rest_s(offset))
                if left_s <= 0 or self.closed:
                    return b""
                self.changed.wait(left_s)

    def context(self) -> bytes | None:
        """Return the context; None if there is none yet.

        Raises:
            ExchangeError: It cannot be read.
        """
        try:
            if not self._context.is_file():
                return None
            with open_regular(self._context) as file:
                return file.read() or None
        except OSError as error:
            raise ExchangeError(f"{self._context} cannot be read: {error.strerror}") from error

    def keep_context(self, context: bytes) -> bytes:
        """Keep the context, and return what is kept: a second call changes nothing.

        Raises:
            ExchangeError: It cannot be written.
        """
        kept = self.context()
        if kept is not None:
            return kept
        try:
            write_whole(self._context, context, mode=0o600)
        except OSError as error:
            raise ExchangeError(
                f"The context cannot be written to {self._context}: {error.strerror}. {remedy(error)}, and run the "
                "step again."
            ) from error
        return context

    def stop(self) -> None:
        """Let nothing be appended any more, and whoever waits wait no longer."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def close(self) -> None:
        """Stop, and close the messages, once no thread is appending."""
        self.stop()
        self._file.close()

    def _open(self, *, waits: bool) -> tuple[BinaryIO, bool]:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(self._messages, flags, 0o600), "r+b")
        except FileExistsError:
            return open_regular(self._messages, write=True), False
        try:
            if waits:
                # It is never opened: it tells any process that the container's step has not begun.
                os.mkfifo(self._context, 0o600)
        except OSError:
            file.close()
            raise
        return file, True

    def _size_bytes(self) -> int:
        try:
            return os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> ExchangeError:
        return ExchangeError(f"{self._messages} cannot be read: {error.strerror}")

    def _rest_s(self, offset: int) -> float:
        """Return how long to wait for what is on its way after the container's end, in seconds; 0 if nothing is."""
        if self._end_bytes is None or offset >= self._end_bytes:
            return 0
        left_s = self._last_taken_at + _REST_DEADLINE_S - time.monotonic()
        if left_s <= 0:
            raise ExchangeError(
                f"{self._end_bytes - offset} bytes of messages after the first {offset} did not come from the engine "
                f"within {_REST_DEADLINE_S:.0f} s"
            )
        return left_s
