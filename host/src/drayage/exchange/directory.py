"""The exchange directory: how context goes in and messages come out, and what remains as evidence.

One directory an attempt, ``<root>/<run>/<step>/<attempt>``::

    io/context.json     what Dagster tells the workload; readable to every user id
    io/messages.jsonl   what the workload tells Dagster; writable to every user id
    stdout.log  stderr.log  container.json  verdict.json
    context.pipe        while a container that stood by may wait for its context (``held_context.py``)

``container.json`` says how the container was made (``record.py``), ``verdict.json`` what became of it.
Only ``io`` is mounted into the workload: it must not rewrite the evidence beside it.
"""

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drayage.errors import ExchangeError

# Below the root: what `drayage replay` and `drayage shell` make; the same form, one level deeper. The folders of
# `drayage conform` there are exchange roots of their own.
REPLAYS = "replays"

WORKLOAD_IO = "/drayage/io"
WORKLOAD_CONTEXT = f"{WORKLOAD_IO}/context.json"
WORKLOAD_MESSAGES = f"{WORKLOAD_IO}/messages.jsonl"


@dataclass(frozen=True)
class Attempt:
    """The exchange directory of one attempt.

    Args:
        path: Absolute path as this process sees it.
        name: The path below the exchange root.
    """

    path: Path
    name: str

    @property
    def io(self) -> Path:
        """The part that the workload sees."""
        return self.path / "io"

    @property
    def context(self) -> Path:
        """Context, as Pipes' default loader reads it."""
        return self.io / "context.json"

    @property
    def awaits_context(self) -> bool:
        """Whether its container was started ahead of the step, which has not begun (``held_context.py``)."""
        return self.context.is_fifo()

    @property
    def messages(self) -> Path:
        """Messages, one a line, as Pipes' default writer appends them."""
        return self.io / "messages.jsonl"

    @property
    def stdout(self) -> Path:
        """The container's standard output."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """The container's standard error."""
        return self.path / "stderr.log"

    def write_context(self, context: str) -> None:
        """Write the context, readable to every user id, whole or not at all.

        Args:
            context: Its JSON.

        Raises:
            ExchangeError: The directory cannot be written.
        """
        try:
            _write_whole(self.context, context.encode(), mode=0o644)
        except OSError as error:
            raise ExchangeError(
                f"The context cannot be written to {self.context}: {error.strerror}. "
                "Free some space there, and run the step again."
            ) from error

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a JSON file beside the logs, whole or not at all.

        Args:
            name: ``container.json`` or ``verdict.json``.
            record: Its content.
        """
        _write_whole(self.path / name, json.dumps(record, indent=2).encode() + b"\n", mode=0o600)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file written by :meth:`write_json`; None if there is none."""
        try:
            record: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ExchangeError(
                f"{self.path / name} holds no JSON ({error}). Something else wrote there: remove the "
                "directory to start the step afresh."
            ) from error
        return record


@dataclass(frozen=True)
class Exchange:
    """All attempts' directories under one root.

    Args:
        root: Absolute path as this process sees it.
    """

    root: Path

    def create(self, name: str) -> Attempt:
        """Make the directory of a new attempt, never one that is in use.

        Args:
            name: Path below the root.

        Raises:
            ExchangeError: The root cannot be written.
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
                f"The exchange directory {path} cannot be made: {error.strerror}. {advice} DRAYAGE_EXCHANGE_ROOT to a "
                "directory that this process may write."
            ) from error
        raise ExchangeError(f"{path} and 998 more attempts exist: run `drayage sweep`.")

    def open(self, name: str) -> Attempt | None:
        """Find the directory of an attempt that an earlier process began; None if it is gone."""
        path = self.root / name
        return Attempt(path, name) if (path / "io").is_dir() else None

    def _furnish(self, path: Path) -> Attempt:
        attempt = Attempt(path, str(path.relative_to(self.root)))
        attempt.io.mkdir()
        attempt.io.chmod(0o755)
        attempt.messages.touch()
        attempt.messages.chmod(0o666)
        return attempt


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
