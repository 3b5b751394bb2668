"""Creates and reads the exchange directory, through which context goes in and messages come out.

There is one directory per attempt, ``<root>/<run>/<step>/<attempt>``, and it stays behind as evidence::

    io/context.json     what Dagster tells the workload; readable to every user id
    io/messages.jsonl   what the workload tells Dagster; writable to every user id
    stdout.log  stderr.log  container.json  verdict.json
    failure.txt         everything that was wrong, if it is too long to be shown
    context.pipe        exists while a standby container may wait for its context (``context_pipe.py``)

``container.json`` records how the container was made, and ``verdict.json`` how the step was judged (``record.py``).

The workload is a stranger. It sees the two files of ``io`` alone, each mounted by itself, since a mount point cannot be
renamed, removed or replaced by a link. A standby container, whose context is not written yet, sees ``io`` as a folder
that it cannot write to. Files that a workload may have touched are opened with :func:`open_regular` nevertheless.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from drayage.errors import ExchangeError

# The folder below the root for what `drayage replay` and `drayage shell` make, in the same layout one level deeper.
# The folders of `drayage conform` in it are separate exchange roots.
REPLAYS = "replays"
_LONGEST_RECORD_BYTES = 2**24

WORKLOAD_IO = "/drayage/io"
WORKLOAD_CONTEXT = f"{WORKLOAD_IO}/context.json"
WORKLOAD_MESSAGES = f"{WORKLOAD_IO}/messages.jsonl"


@dataclass(frozen=True)
class Attempt:
    """The exchange directory of one attempt.

    Args:
        path: Absolute path as this process sees it.
        name: Path relative to the exchange root.
    """

    path: Path
    name: str

    @property
    def io(self) -> Path:
        """The part that the workload sees."""
        return self.path / "io"

    @property
    def context(self) -> Path:
        """The context file, as Pipes' default loader reads it."""
        return self.io / "context.json"

    @property
    def awaits_context(self) -> bool:
        """Whether its container was started ahead of the step, and the step has not begun (``context_pipe.py``)."""
        return self.context.is_fifo()

    @property
    def messages(self) -> Path:
        """The messages file, to which Pipes' default writer appends one message per line."""
        return self.io / "messages.jsonl"

    @property
    def stdout(self) -> Path:
        """The log of the container's standard output."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """The log of the container's standard error."""
        return self.path / "stderr.log"

    def write_context(self, context: str) -> None:
        """Write the context atomically, readable to every user id.

        Args:
            context: The context as JSON.

        Raises:
            ExchangeError: The file cannot be written.
        """
        try:
            _write_whole(self.context, context.encode(), mode=0o644)
        except OSError as error:
            raise ExchangeError(
                f"The context cannot be written to {self.context}: {error.strerror}. "
                "Free some space there, and run the step again."
            ) from error

    def read_context(self) -> bytes | None:
        """Return the context as JSON; None if there is none, or none yet.

        Raises:
            ExchangeError: The context is not a regular file.
        """
        try:
            if self.awaits_context:
                return None
            with open_regular(self.context) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def scrub_messages(self, clean_lines: Callable[[BinaryIO], Iterable[bytes]]) -> None:
        """Take secrets out of the messages, in the same file, which a container may have mounted.

        Args:
            clean_lines: Yields the lines of a file with the secrets removed.

        Raises:
            ExchangeError: The messages are not in a regular file any more.
        """
        clean = self.path / f".messages.{os.getpid()}"
        try:
            with open_regular(self.messages, write=True) as messages, clean.open("w+b") as copy:
                copy.writelines(clean_lines(messages))
                copy.seek(0)
                messages.seek(0)
                shutil.copyfileobj(copy, messages)
                messages.truncate()
        except PermissionError as error:
            # Root in the container can take the file away from the host's own user, but not its name.
            self.messages.unlink()
            raise ExchangeError(
                f"{self.messages} could not be opened ({error.strerror}): the workload changed its owner or mode. It "
                "was removed, because secrets may be in it. Let the workload only append to it."
            ) from error
        finally:
            clean.unlink(missing_ok=True)

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a JSON file beside the logs, atomically.

        Args:
            name: ``container.json`` or ``verdict.json``.
            record: The file's content.
        """
        _write_whole(self.path / name, json.dumps(record, indent=2).encode() + b"\n", mode=0o600)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the content of a JSON file that :meth:`write_json` wrote; None if there is no such file.

        Args:
            name: ``container.json`` or ``verdict.json``.

        Raises:
            ExchangeError: The file is no regular file, or does not hold JSON.
        """
        try:
            with open_regular(self.path / name) as file:
                record: dict[str, Any] = json.loads(file.read(_LONGEST_RECORD_BYTES))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ExchangeError(
                f"{self.path / name} does not hold JSON ({error}). Something else wrote to it: remove the "
                "directory to start the step from scratch."
            ) from error
        return record


@dataclass(frozen=True)
class Exchange:
    """The directories of all attempts under one root.

    Args:
        root: Absolute path as this process sees it.
    """

    root: Path

    def create(self, name: str) -> Attempt:
        """Create the directory of a new attempt; an existing one is never reused.

        Args:
            name: Path relative to the root; a number is appended if it is taken.

        Raises:
            ExchangeError: The directory cannot be created, or every numbered name is taken too.
        """
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                candidate = path if number == 1 else path.with_name(f"{path.name}.{number}")
                with contextlib.suppress(FileExistsError):
                    candidate.mkdir(mode=0o700)
                    return self._furnish(candidate)
        except OSError as error:
            advice = "Free some space there, or set" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Set"
            raise ExchangeError(
                f"The exchange directory {path} cannot be created: {error.strerror}. {advice} DRAYAGE_EXCHANGE_ROOT to "
                "a directory that this process may write to."
            ) from error
        raise ExchangeError(f"{path} and 998 more attempts already exist: run `drayage sweep`.")

    def open(self, name: str) -> Attempt | None:
        """Return the attempt with this name, which an earlier process began; None if its directory is gone.

        Args:
            name: Path relative to the root.
        """
        path = self.root / name
        return Attempt(path, name) if (path / "io").is_dir() else None

    def _furnish(self, path: Path) -> Attempt:
        attempt = Attempt(path, str(path.relative_to(self.root)))
        attempt.io.mkdir()
        attempt.io.chmod(0o755)
        attempt.messages.touch()
        attempt.messages.chmod(0o666)
        return attempt


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


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
