"""Shows whether a process still lives, by a lock that the kernel releases when the process ends.

A run of which Dagster keeps no record, such as that of ``dg.materialize`` in a script, belongs to its process: when the
process has ended, the run's containers are orphans.
"""

import fcntl
import os
import threading
import uuid
from pathlib import Path

from drayage.errors import ExchangeError

PROCESSES = "processes"
"""The folder below the exchange root that holds a lock for each such process."""

_PREFIX = "process-"
# The descriptors stay open until the process ends.
_held: dict[Path, tuple[Path, int]] = {}
_guard = threading.Lock()


def own_process(exchange_root: Path) -> str:
    """Return a name of this process that no other has; from the first call on, its lock shows that it lives.

    Args:
        exchange_root: The root of the exchange directories.

    Raises:
        ExchangeError: The lock cannot be written.
    """
    with _guard:
        path, _ = _held.get(exchange_root, (None, None))
        if path is None or not path.exists():
            path = exchange_root / PROCESSES / f"{_PREFIX}{uuid.uuid4().hex}"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _held[exchange_root] = (path, lock_new(path))
            except OSError as error:
                raise ExchangeError(
                    f"{path} cannot be written: {error.strerror}. Set DRAYAGE_EXCHANGE_ROOT to a directory that this "
                    "process may write to."
                ) from error
        return path.name


def is_process(name: str) -> bool:
    """Return whether a name is that of a process, and not that of a Dagster instance.

    Args:
        name: The owner's name.
    """
    return name.startswith(_PREFIX) and "/" not in name


def has_ended(exchange_root: Path, name: str) -> bool | None:
    """Return whether a process has ended; None if it did not work under this exchange root.

    Args:
        exchange_root: The root of the exchange directories.
        name: The process's name.
    """
    locked = is_locked(exchange_root / PROCESSES / name)
    return None if locked is None else not locked


def lock_new(path: Path) -> int:
    """Create a file that is locked as soon as it can be seen, and until the returned descriptor is closed.

    Args:
        path: The file; it must not exist.
    """
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
    except OSError:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return descriptor


def is_locked(path: Path) -> bool | None:
    """Return whether the process that locked a file still lives; None if there is no such file.

    Args:
        path: A file that :func:`lock_new` made.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look at the same time do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
