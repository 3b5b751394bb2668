"""The copy of a container's messages on this machine: what a relay sends is appended, and all reading is from here.

Its length is the offset to go on from, after a cut and in another process. So what is judged is what is kept, whatever
the workload does to its own file.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import BinaryIO

from drayage.errors import ExchangeError
from drayage.mailbox import REPLACED
from drayage.strangers import open_regular

_CHUNK_BYTES = 2**20
# How far it may be ahead of its reader, who may never read what is over the step's limit.
_AHEAD_BYTES = 64 * 2**20
_REST_DEADLINE_S = 25.0


class Mirror:
    """A file that one thread appends to and another one reads.

    Args:
        path: The file, in a folder that no workload can write to; what a former process left there is continued.

    Raises:
        ExchangeError: Something else stands in its place.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changed = Condition()
        self.closed = False
        self._problem: str | None = None
        self._wanted = 0
        self._end_bytes: int | None = None
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "r+b")
            self.is_new = True
        except FileExistsError:
            self._file = open_regular(path, write=True)
            self.is_new = False
        self.taken_bytes = self._size_bytes()
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
        """Append what was taken, once its reader is not too far behind; do nothing if it was closed meanwhile."""
        self.await_change(lambda: self.taken_bytes - self._wanted < _AHEAD_BYTES)
        if self.closed:
            return
        view, written = memoryview(content), 0
        while written < len(view):
            written += os.pwrite(self._file.fileno(), view[written:], self.taken_bytes + written)
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
        """Note why no more can be taken."""
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
            ExchangeError: No more can be taken, or the rest does not come.
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
                    raise ExchangeError(f"{self._path} cannot be read: {error.strerror}") from error
                if self._problem is not None:
                    raise ExchangeError(self._problem)
                left_s = max(deadline - time.monotonic(), self._rest_s(offset))
                if left_s <= 0 or self.closed:
                    return b""
                self.changed.wait(left_s)

    def close(self) -> None:
        """Close the file, once nothing is appended any more."""
        self._file.close()

    def _size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

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
