"""Keeps in the attempt's folder what a remote mailbox brought: the context, and every byte of messages that came.

The length of the messages is the offset from which to read on, in this process or another: so whoever reads, adopts,
replays or packs an attempt finds the same files as beside a local engine.
"""

import os
import time
from pathlib import Path
from threading import Condition

from drayage.errors import ExchangeError
from drayage.mailbox import CONTEXT_FILE, MESSAGES_FILE
from drayage.strangers import open_regular, remedy, write_whole

_CHUNK_BYTES = 2**20


class Mirror:
    """The files of one attempt's mailbox.

    One thread appends, any number read.

    Args:
        folder: The attempt's folder; it exists, and what a former process left there is continued.
        waits: Whether the container is started before its context is known; a named pipe then stands in its place.

    Raises:
        ExchangeError: The files cannot be made, or something else stands in their place.
    """

    def __init__(self, folder: Path, *, waits: bool) -> None:
        self._folder = folder
        self._context = folder / CONTEXT_FILE
        self._messages = folder / MESSAGES_FILE
        self._changed = Condition()
        try:
            if waits:
                # It is never opened: it tells any process that the container's step has not begun.
                os.mkfifo(self._context)
            self._descriptor, self.is_continued = self._open()
        except OSError as error:
            raise ExchangeError(
                f"The mailbox {folder} cannot be made: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error

    @property
    def size_bytes(self) -> int:
        """How much of the messages has come, in bytes."""
        try:
            return os.fstat(self._descriptor).st_size
        except OSError as error:
            raise ExchangeError(f"{self._messages} cannot be read: {error.strerror}") from error

    def append(self, chunk: bytes) -> None:
        """Keep what came.

        Raises:
            ExchangeError: It cannot be written.
        """
        try:
            while chunk:
                chunk = chunk[os.write(self._descriptor, chunk) :]
        except OSError as error:
            raise ExchangeError(
                f"{self._messages} cannot be written: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error
        self.notify()

    def notify(self) -> None:
        """Wake up who waits for more: there may never be more."""
        with self._changed:
            self._changed.notify_all()

    def read(self, offset: int, timeout_s: float) -> bytes:
        """Return at most 1 MiB of messages from an offset on; empty if none come within the time, in seconds.

        Raises:
            ExchangeError: The file cannot be read.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                try:
                    chunk = os.pread(self._descriptor, _CHUNK_BYTES, offset)
                except OSError as error:
                    raise ExchangeError(f"{self._messages} cannot be read: {error.strerror}") from error
                left_s = deadline - time.monotonic()
                if chunk or left_s <= 0:
                    return chunk
                self._changed.wait(left_s)

    def reserve_context(self) -> None:
        """Make an empty file in the context's place, as beside a local engine.

        Raises:
            ExchangeError: It cannot be made.
        """
        try:
            self._context.touch(mode=0o600)
        except OSError as error:
            raise self._unwritten(error) from error

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
            raise self._unwritten(error) from error
        return context

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
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the messages."""
        os.close(self._descriptor)

    def _open(self) -> tuple[int, bool]:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self._messages, flags, 0o600), False
        except FileExistsError:
            with open_regular(self._messages, write=True) as file:
                descriptor = os.dup(file.fileno())
            os.lseek(descriptor, 0, os.SEEK_END)
            return descriptor, True

    def _unwritten(self, error: OSError) -> ExchangeError:
        return ExchangeError(
            f"The context cannot be written to {self._context}: {error.strerror}. "
            f"{remedy(error)}, and run the step again."
        )
