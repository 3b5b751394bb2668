"""Measures and removes folders that a stranger may have prepared.

No link is followed, whatever it points to. What this user owns is removed even from folders without search permission,
at any depth and with any name. What cannot be removed is reported, and the rest is removed nevertheless.
"""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK_BYTES = 512
_USABLE = stat.S_IRWXU


@dataclass
class TreeSize:
    """What a folder holds.

    Args:
        size_bytes: What its files occupy on the disk, in bytes; a hole in a file occupies nothing.
        changed_s: Latest change of one of its files, in seconds since the epoch; 0 if it has none.
        problems: What could not be read, and why.
    """

    size_bytes: int = 0
    changed_s: float = 0.0
    problems: list[OSError] = field(default_factory=list)


def measure_tree(path: str | Path) -> TreeSize:
    """Measure a folder.

    Args:
        path: The folder.
    """
    found = TreeSize()
    waiting = [str(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    status = entry.stat(follow_symlinks=False)
                    found.size_bytes += status.st_blocks * _BLOCK_BYTES
                    found.changed_s = max(found.changed_s, status.st_mtime)
        except FileNotFoundError:
            # A step has just removed it.
            continue
        except OSError as error:
            found.problems.append(error)
    return found


def remove_tree(path: Path) -> list[OSError]:
    """Remove a folder and everything in it.

    Each folder inside is first moved to the top, so that neither depth nor the length of a path has a limit.

    Args:
        path: The folder, in a folder that no stranger can write to.

    Returns:
        What could not be removed, and why; then the folder is still there.
    """
    problems: list[OSError] = []
    prefix, numbers = uuid.uuid4().hex, count()
    try:
        with _folder(path.parent) as parent, _usable_folder(path.name, parent) as top:
            waiting = _empty(top, problems)
            while waiting:
                name = waiting.pop()
                try:
                    with _usable_folder(name, top) as folder:
                        for inner in _empty(folder, problems):
                            moved = f"{prefix}-{next(numbers)}"
                            try:
                                os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=top)
                                waiting.append(moved)
                            except OSError as error:
                                problems.append(error)
                    os.rmdir(name, dir_fd=top)
                except OSError as error:
                    problems.append(error)
            os.rmdir(path.name, dir_fd=parent)
    except OSError as error:
        problems.append(error)
    # Whoever removed something in the meantime did what was wanted.
    return [problem for problem in problems if not isinstance(problem, FileNotFoundError)]


def _empty(folder: int, problems: list[OSError]) -> list[str]:
    """Remove the files of a folder, and return the names of its folders, which can then be moved."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    _make_usable(entry.name, folder)
                    folders.append(entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder)
            except OSError as error:
                problems.append(error)
    return folders


def _make_usable(name: str, parent: int) -> None:
    """Let the owner read, write and search a folder; only its owner can do so, others learn it by what fails next."""
    handle = os.open(name, os.O_PATH | _FOLDER, dir_fd=parent)
    try:
        status = os.fstat(handle)
        mode = stat.S_IMODE(status.st_mode)
        if mode & _USABLE != _USABLE and status.st_uid == os.geteuid():
            # By its descriptor: a name could have become a link by now.
            os.chmod(f"/proc/self/fd/{handle}", mode | _USABLE)  # noqa: PTH101 - not a path of a file
    finally:
        os.close(handle)


@contextmanager
def _usable_folder(name: str, parent: int) -> Iterator[int]:
    _make_usable(name, parent)
    descriptor = os.open(name, os.O_RDONLY | _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
