"""Makes the folder that ``drayage conform`` works in, with a lock that shows whether its process is still alive."""

import fcntl
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drayage.exchange.directory import REPLAYS

_PREFIX = "conform-"
_LOCK = ".lock"


@contextmanager
def trial_folder(exchange_root: Path) -> Iterator[Path]:
    """Make a folder, lock it, and remove it at the end.

    Args:
        exchange_root: A directory of this machine that the engine can mount.

    Yields:
        The folder; its name is the deployment of the containers that are started from it.
    """
    folder = exchange_root / REPLAYS / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_abandoned(exchange_root: Path) -> list[Path]:
    """Return the folders whose process ended without removing them, as their released locks show.

    Args:
        exchange_root: As given to :func:`trial_folder`.
    """
    return [lock.parent for lock in sorted((exchange_root / REPLAYS).glob(f"{_PREFIX}*/{_LOCK}")) if _is_free(lock)]


def _is_free(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return False  # Its process is removing it right now.
    return True
