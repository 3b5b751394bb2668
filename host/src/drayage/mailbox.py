"""Implements the mailbox for an engine that mounts this machine's own files: two files in a folder, mounted one by one.

A mount point cannot be renamed, removed or replaced by a link, so the workload can only read the one file and write to
the other. Before a standby container has its context, a named pipe stands in the context's place: whoever opens it
waits. Its container has the folder mounted, read-only, because a mount of the pipe itself would never show the file
that takes its place.
"""

import contextlib
import errno
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO

from drayage.engine import Mount
from drayage.errors import ExchangeError
from drayage.strangers import open_regular, remedy, write_whole

CONTEXT_FILE = "context.json"
MESSAGES_FILE = "messages.jsonl"
WORKLOAD_FOLDER = "/drayage/io"
WORKLOAD_CONTEXT = f"{WORKLOAD_FOLDER}/{CONTEXT_FILE}"
WORKLOAD_MESSAGES = f"{WORKLOAD_FOLDER}/{MESSAGES_FILE}"

ENGINES = "engines"
"""The folder below the exchange root that keeps which engines see it."""

REPLACED = (
    f"the workload truncated or replaced {WORKLOAD_MESSAGES} after writing to it: a Pipes library must append to it"
)

_CHUNK_BYTES = 1024 * 1024
_POLL_S = 0.02
_FIRST_POLL_S = 0.01
_LONGEST_POLL_S = 1.0

_log = logging.getLogger(__name__)


def relay_image() -> str:
    """Return the image of the relay, which engines use that share no files with this machine."""
    return os.environ.get("DRAYAGE_RELAY_IMAGE") or "drayage/relay"


class FolderMailbox:
    """The mailbox of one attempt in a folder of this machine.

    Args:
        folder: The folder; it exists, and no workload can write to it.
        waits: Whether the container waits for its context.
        receives: Whether the workload may write messages; otherwise the host writes them itself.

    Raises:
        ExchangeError: The files cannot be made, or something else stands in the place of the messages.
    """

    def __init__(self, folder: Path, *, waits: bool = False, receives: bool = True) -> None:
        self._folder = folder
        self._context = folder / CONTEXT_FILE
        self._messages = folder / MESSAGES_FILE
        # A second name for the pipe: writing the context puts a regular file under the first one.
        self._pipe = folder.parent / "context.pipe"
        self._receives = receives
        self._collected = Event()
        try:
            if waits:
                os.mkfifo(self._context)
                self._context.chmod(0o644)
                self._pipe.hardlink_to(self._context)
            self._file = self._open()
        except OSError as error:
            raise ExchangeError(
                f"The mailbox {folder} cannot be made: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error

    def spec_part(self) -> Sequence[Mount]:
        """Return the mounts of both files; only of the messages if no context was put in."""
        messages = Mount(str(self._messages), WORKLOAD_MESSAGES, read_only=not self._receives, kind="local")
        if self._context.is_fifo():
            return [Mount(str(self._folder), WORKLOAD_FOLDER, kind="local"), messages]
        if self._context.exists():
            return [Mount(str(self._context), WORKLOAD_CONTEXT, kind="local"), messages]
        # The step's own injector takes the context another way.
        return [messages]

    def reserve_context(self) -> None:
        """Make an empty file in the context's place: the engine creates no container with a mount of what is not there.

        What is mounted is the file that stands there when the container is started.
        """
        try:
            self._context.touch(mode=0o644)
        except OSError as error:
            raise self._unwritten(error) from error

    def put_context(self, context: bytes) -> None:
        """Write the context, readable to every user id, and send it to a reader that waits on the pipe."""
        try:
            # An empty file only keeps the place.
            if not self._context.is_file() or not self._context.stat().st_size:
                write_whole(self._context, context, mode=0o644)
            if self._pipe.exists():
                with open_regular(self._context) as file:
                    waited_for = file.read()
                # In a thread, because a reader that stalls would otherwise block the code that watches the container.
                Thread(target=self._give, args=(waited_for,), name="drayage-context", daemon=True).start()
        except OSError as error:
            raise self._unwritten(error) from error

    def size_bytes(self) -> int:
        """Return the size of the messages."""
        try:
            return os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise ExchangeError(f"{self._messages} cannot be read: {error.strerror}") from error

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return at most 1 MiB of messages from an offset on."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                chunk = os.pread(self._file.fileno(), _CHUNK_BYTES, offset)
                if chunk:
                    return chunk
                self._require_whole(offset)
            except OSError as error:
                raise ExchangeError(f"{self._messages} cannot be read: {error.strerror}") from error
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return b""
            time.sleep(min(_POLL_S, left_s))

    def collect(self) -> None:
        """Close the messages, stop waiting for readers of the context, and remove the pipe."""
        self._collected.set()
        self._pipe.unlink(missing_ok=True)
        self._file.close()

    def _open(self) -> BinaryIO:
        """Make the messages file, and open it; continue what a former process made."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._messages, flags, 0o600)
        except FileExistsError:
            return open_regular(self._messages)
        # The workload may run as any user.
        os.fchmod(descriptor, 0o666)
        return os.fdopen(descriptor, "rb")

    def _unwritten(self, error: OSError) -> ExchangeError:
        return ExchangeError(
            f"The context cannot be written to {self._context}: {error.strerror}. "
            f"{remedy(error)}, and run the step again."
        )

    def _require_whole(self, offset: int) -> None:
        status = os.fstat(self._file.fileno())
        if status.st_size < offset or not os.path.samestat(status, self._messages.lstat()):
            raise ExchangeError(REPLACED)

    def _give(self, context: bytes) -> None:
        interval_s = _FIRST_POLL_S
        while not self._try_to_give(context) and not self._collected.wait(interval_s):
            interval_s = min(2 * interval_s, _LONGEST_POLL_S)

    def _try_to_give(self, context: bytes) -> bool:
        """Return whether no reader is left to wait for."""
        try:
            descriptor = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError as error:
            # ENXIO: no reader waits. The container is still loading its programs, or has opened the file meanwhile.
            if error.errno != errno.ENXIO:
                _log.warning("the context cannot be given yet: %s", error)
            return False
        os.set_blocking(descriptor, True)
        # A reader that ends before it has read everything is judged by its exit code.
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
            pipe.write(context)
        return True
