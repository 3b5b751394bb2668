"""Decides which process may follow, adopt or remove the container of an attempt: the one that holds its lock.

The lock is on a file in the attempt's directory, where no workload can write. The kernel releases it when the process
ends, however it ends, so that a container whose host was killed is free at once. The file lists the runs that have
owned the container; a run that adopts it adds itself.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt

OWNERS_FILE = "owners"


class OwnerLock:
    """The lock on an attempt, held until it is released or this process ends.

    Args:
        attempt: The attempt.
        file: Its file of owners, locked.
    """

    def __init__(self, attempt: Attempt, file: BinaryIO) -> None:
        self._attempt = attempt
        self._file = file

    def owners(self) -> tuple[str, ...]:
        """Return the ids of the runs that have owned the container: the one that started it, then its adopters."""
        self._file.seek(0)
        # A host that was killed may have written half of a line: an id that no run has is never taken for an owner
        # that has ended.
        added = self._file.read().decode(errors="replace").split()
        return tuple(dict.fromkeys((starting_run(self._attempt), *added)))

    def add_owner(self, run_id: str) -> None:
        """Record that a run owns the container from now on.

        Raises:
            ExchangeError: It cannot be recorded.
        """
        try:
            self._file.seek(0)
            content = self._file.read()
            # Half of a line, which a killed host left, must not become the beginning of this one.
            begin = b"\n" if content and not content.endswith(b"\n") else b""
            self._file.write(begin + f"{run_id}\n".encode())
            self._file.flush()
        except OSError as error:
            raise _unusable(self._attempt.path / OWNERS_FILE, error) from error

    def release(self) -> None:
        """Let another process take the lock."""
        self._file.close()


def lock_attempt(attempt: Attempt) -> OwnerLock | None:
    """Take the lock on an attempt, without waiting for it.

    Args:
        attempt: The attempt.

    Returns:
        The lock; None if another process or step holds it, or the attempt has been removed.

    Raises:
        ExchangeError: The file system refuses locks, or has no space left.
    """
    path = attempt.path / OWNERS_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    file = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        file.close()
        raise _unusable(path, error) from error
    if os.fstat(descriptor).st_nlink == 0:
        # The sweeper removed the directory in between.
        file.close()
        return None
    return OwnerLock(attempt, file)


@contextmanager
def ownership(attempt: Attempt | None) -> Iterator[bool]:
    """Keep every other process from following or adopting the container of an attempt, for what must not meet that.

    Args:
        attempt: The attempt; None if its directory is gone, so that nothing can follow its container.

    Yields:
        Whether this process owns the container now; False if another process does.

    Raises:
        ExchangeError: The file system refuses locks.
    """
    # A step locks its attempt before it makes the container. To make the file here would need space on a full disk,
    # and make the directory look new.
    if attempt is None or not os.path.lexists(attempt.path / OWNERS_FILE):
        yield True
        return
    lock = lock_attempt(attempt)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def starting_run(attempt: Attempt) -> str:
    """Return the id of the run that made an attempt."""
    return attempt.name.split("/", 1)[0]


def _unusable(path: Path, error: OSError) -> ExchangeError:
    advice = "Free some space there, or set" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Set"
    return ExchangeError(
        f"The lock {path}, which decides between hosts that could adopt one container, cannot be used: "
        f"{error.strerror}. {advice} DRAYAGE_EXCHANGE_ROOT to a directory of a file system that "
        "has locks (`flock`)."
    )
