"""Opens files that a workload may have touched."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from drayage.errors import ExchangeError


def open_regular(path: Path, *, write: bool = False) -> BinaryIO:
    """Open a file that a workload may have touched: never follow a link, never wait for the other end of a pipe.

    Args:
        path: Path of the file.
        write: Whether to open it for reading and writing; its content stays.

    Raises:
        ExchangeError: It is a link, a pipe or another special file, or has another name elsewhere.
        FileNotFoundError: It does not exist.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise _not_regular(path.parent) from error
    try:
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
            raise _not_regular(path) from error
        raise
    finally:
        os.close(folder)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "r+b" if write else "rb")


def _not_regular(path: Path) -> ExchangeError:
    return ExchangeError(
        f"{path} is not a regular file with one name: a link, a pipe or a folder stands there. Something replaced it, "
        "perhaps the workload. Nothing was read from it; look at the directory, then remove it."
    )


def remedy(error: OSError) -> str:
    """Return what to do about a file that cannot be written, as a clause."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free some space there"
    if error.errno == errno.ENOENT:
        return "The directory was removed while the step ran: let nothing but `drayage sweep` remove it"
    return "Let the user of this process write there"


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file, which appears whole or not at all.

    Args:
        path: Path of the file, in a folder that no workload can write to.
        content: Its content.
        mode: Its permissions.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
