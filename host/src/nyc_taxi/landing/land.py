"""Lands the months' files of a folder: uploads those whose content the landing zone does not have."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import quote

from nyc_taxi.landing.errors import RefusedFileError
from nyc_taxi.landing.folder import Folder, MonthlyFile
from nyc_taxi.landing.names import month_of
from nyc_taxi.landing.zone import CHANGED, LARGEST_OBJECT_BYTES, LandingZone

# S3 takes 2 KB of an object's own metadata, names included.
_LONGEST_ORIGIN = 1500


class Progress(Protocol):
    """Is told how far the landing is."""

    def begin(self, file: MonthlyFile) -> None:
        """A file's turn has come."""

    def sent(self, size: int) -> None:
        """So many bytes of that file were sent; fewer than before if it is sent again."""

    def end(self, file: MonthlyFile, what: str) -> None:
        """What has become of that file; empty if nothing has."""

    def replaced(self, name: str) -> None:
        """A month's file in another format was taken out of the landing zone."""


@dataclass
class Outcome:
    """What has become of a folder's files.

    Args:
        landed: The names of those that were uploaded.
        unchanged: The names of those that the landing zone had.
        refused: Why each of the others could not land.
    """

    landed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def land(folder: Folder, zone: LandingZone, progress: Progress, outcome: Outcome) -> None:
    """Land the files of a folder.

    A month's files replace those that the landing zone had of the month, in any format, so that a run reads what landed
    last.

    Args:
        folder: The files.
        zone: The landing zone.
        progress: Is told how far it is.
        outcome: Gets what has become of each file, also of those before an error.

    Raises:
        ZoneError: The object store does not answer, or refuses.
    """
    outcome.refused |= folder.refused
    for file in folder.files:
        progress.begin(file)
        try:
            is_new = _land_file(file, zone, progress.sent)
        except RefusedFileError as error:
            outcome.refused[file.name] = str(error)
            progress.end(file, "")
            continue
        (outcome.landed if is_new else outcome.unchanged).append(file.name)
        progress.end(file, "landed" if is_new else "")
    landed = {*outcome.landed, *outcome.unchanged}
    months = {file.month for file in folder.files} - {month_of(name) for name in outcome.refused}
    for name in _other_formats(zone, months, landed) if months else ():
        zone.remove(name)
        progress.replaced(name)


def _other_formats(zone: LandingZone, months: Iterable[str | None], landed: set[str]) -> list[str]:
    """Return the landing zone's files of these months that are not among those that landed."""
    names = [each.name for each in zone.objects()]
    return [name for name in names if month_of(name) in set(months) and name not in landed]


def _land_file(file: MonthlyFile, zone: LandingZone, sent: Callable[[int], None]) -> bool:
    """Upload a file if its content is new, and return whether it was."""
    with _opened(file.path) as content:
        watched = _WatchedFile(content, sent)
        if watched.size > LARGEST_OBJECT_BYTES:
            raise RefusedFileError(
                f"it has {watched.size:,} bytes, and the object store takes {LARGEST_OBJECT_BYTES:,}: convert it to "
                "parquet."
            )
        digest = hashlib.sha256()
        while block := watched.read(2**20):
            digest.update(block)
        if zone.sha256(file.name) == digest.hexdigest():
            return False
        watched.seek(0)
        zone.put(
            file.name,
            # What an upload reads of a file, this has.
            cast("BinaryIO", watched),
            size=watched.size,
            sha256=digest.hexdigest(),
            origin=origin_of(file.path),
            sending=watched.count,
        )
        return True


def origin_of(path: Path) -> str:
    """Return a path as an object's metadata name it.

    Args:
        path: The absolute path of a file.

    Returns:
        The path, percent-encoded; of a very long one the end, after ``…/``.
    """
    origin = quote(os.fsencode(path))
    folders = origin.split("/")
    while len(origin) > _LONGEST_ORIGIN and len(folders) > 1:
        folders = folders[1:]
        origin = "/".join([quote("…"), *folders])
    return origin


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        user = "you" if os.geteuid() else "root"
        raise RefusedFileError(
            f"{user} cannot read it: {error.strerror}. Give read permission, or take it away."
        ) from error
    with file:
        yield file


class _WatchedFile:
    """A file as it was when it was opened: reading its end fails if it has changed since.

    Args:
        file: The file.
        sent: Is told how much was read, once ``count`` was called.
    """

    def __init__(self, file: BinaryIO, sent: Callable[[int], None]) -> None:
        self._file = file
        self._sent = sent
        self._counts = False
        self._before = self._state()
        self.size = self._before[0]

    def count(self) -> None:
        """Count from now on, from the beginning: what is read is sent."""
        self._counts = True
        self._sent(0)

    def read(self, amount: int | None = None) -> bytes:
        left = self.size - self._file.tell()
        try:
            block = self._file.read(left if amount is None or amount < 0 else min(amount, left))
        except OSError as error:
            raise RefusedFileError(f"it cannot be read to its end: {error.strerror}.") from error
        # Before the last block, so that an upload which ends here has no whole object.
        is_cut_off = left > 0 and amount != 0 and not block
        if is_cut_off or (len(block) == left and self._state() != self._before):
            raise RefusedFileError(CHANGED)
        if self._counts:
            self._sent(self._file.tell())
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            # Its end as it was.
            return self._file.seek(self.size + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns
