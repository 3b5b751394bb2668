"""Makes the folder that ``drayage conform`` works in, with a lock that shows whether its process is still alive."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drayage.exchange.directory import REPLAYS
from drayage.exchange.process_lock import is_locked, lock_new

TRIAL_PREFIX = "conform-"
_LOCK = ".lock"
# A folder has no lock for a moment while it is made or removed, and for ever if its process was killed then.
_LONGEST_WITHOUT_LOCK_S = 3600.0


@contextmanager
def trial_folder(exchange_root: Path) -> Iterator[Path]:
    """Make a folder, lock it, and remove it at the end.

    Args:
        exchange_root: A directory of this machine that the engine can mount.

    Yields:
        The folder; its name is the deployment of the containers that are started from it.
    """
    folder = exchange_root / REPLAYS / f"{TRIAL_PREFIX}{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        lock = lock_new(folder / _LOCK)
        try:
            yield folder
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def trial_folders(exchange_root: Path) -> list[Path]:
    """Return the folders that exist.

    Args:
        exchange_root: As given to :func:`trial_folder`.
    """
    folders = (exchange_root / REPLAYS).glob(f"{TRIAL_PREFIX}*")
    return [folder for folder in sorted(folders) if folder.is_dir() and not folder.is_symlink()]


def is_abandoned(folder: Path) -> bool:
    """Return whether a folder's process ended without removing it, as the released lock shows.

    Args:
        folder: A folder that :func:`trial_folder` made.
    """
    locked = is_locked(folder / _LOCK)
    if locked is not None:
        return not locked
    try:
        return time.time() - folder.stat().st_mtime > _LONGEST_WITHOUT_LOCK_S
    except FileNotFoundError:
        return False  # Its process has just removed it.
