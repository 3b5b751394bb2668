"""Creates and reads the exchange directory, through which context goes in and messages come out.

There is one directory per attempt, ``<root>/<run>/<step>/<attempt>``, and it stays behind as evidence::

    io/context.json     what Dagster tells the workload; readable to every user id
    io/messages.jsonl   what the workload tells Dagster; writable to every user id
    stdout.log  stderr.log  container.json  verdict.json
    failure.txt         everything that was wrong, if it is too long to be shown
    owners              the runs that have owned the container; locked while one follows it (``owner_lock.py``)
    context.pipe        exists while a standby container may wait for its context (``mailbox.py``)

``container.json`` records how the container was made, and ``verdict.json`` how the step was judged (``record.py``).

The folder ``io`` is the container's mailbox (``mailbox.py``): all that a workload can write to is ``messages.jsonl``.
Files that a workload may have touched are opened with :func:`drayage.strangers.open_regular` nevertheless.
"""

import contextlib
import errno
import json
import os
import reprlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from drayage.errors import ExchangeError
from drayage.mailbox import CONTEXT_FILE, MESSAGES_FILE
from drayage.strangers import open_regular, write_whole

# The folder below the root for what `drayage replay` and `drayage shell` make, in the same layout one level deeper.
# The folders of `drayage conform` in it are separate exchange roots.
REPLAYS = "replays"
_LONGEST_RECORD_BYTES = 2**24


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
        return self.io / CONTEXT_FILE

    @property
    def awaits_context(self) -> bool:
        """Whether its container was started ahead of the step, and the step has not begun (``mailbox.py``)."""
        return self.context.is_fifo()

    @property
    def messages(self) -> Path:
        """The messages file, to which Pipes' default writer appends one message per line."""
        return self.io / MESSAGES_FILE

    @property
    def stdout(self) -> Path:
        """The log of the container's standard output."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """The log of the container's standard error."""
        return self.path / "stderr.log"

    def read_context(self) -> bytes | None:
        """Return the context as JSON; None if there is none, or none yet.

        Raises:
            ExchangeError: The context is not a regular file.
        """
        try:
            if self.awaits_context:
                return None
            with open_regular(self.context) as file:
                # An empty file only keeps the place of a context that never came.
                return file.read() or None
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
        write_whole(self.path / name, json.dumps(record, indent=2).encode() + b"\n", mode=0o600)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the content of a JSON file that :meth:`write_json` wrote; None if there is no such file.

        Args:
            name: ``container.json`` or ``verdict.json``.

        Raises:
            ExchangeError: The file is no regular file, or does not hold a JSON object.
        """
        try:
            with open_regular(self.path / name) as file:
                record = json.loads(file.read(_LONGEST_RECORD_BYTES))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ExchangeError(
                f"{self.path / name} does not hold JSON ({error}). Something else wrote to it: remove the "
                "directory to start the step from scratch."
            ) from error
        if not isinstance(record, dict):
            raise ExchangeError(
                f"{self.path / name} does not hold a JSON object: expected one, got {reprlib.repr(record)}. Something "
                "else wrote to it: remove the directory to start the step from scratch."
            )
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
        # A standby container's user must be able to open the folder.
        attempt.io.chmod(0o755)
        return attempt
