"""Lands the months' files of a folder: uploads those whose content the landing zone does not have."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import quote, unquote

from nyc_taxi.landing.errors import OvertakenError, RefusedFileError
from nyc_taxi.landing.folder import Folder, MonthlyFile
from nyc_taxi.landing.names import month_of
from nyc_taxi.landing.zone import CHANGED, LARGEST_OBJECT_BYTES, LandingZone, current_files

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

    def note(self, name: str, what: str) -> None:
        """Something else is to be said of a file, in the folder or in the landing zone."""


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

    A run reads what landed last of a month, whatever its name: nothing has to be removed, so that two landings at once,
    or one that is killed, lose no file.

    Args:
        folder: The files.
        zone: The landing zone.
        progress: Is told how far it is.
        outcome: Gets what has become of each file, also of those before an error.

    Raises:
        ZoneError: The object store does not answer, or refuses.
    """
    outcome.refused |= folder.refused
    for name, preferred in folder.passed_over.items():
        progress.note(name, f"not landed, since the folder has {preferred} of the same month")
    current = {each.name for each in current_files(zone.objects()).values()}
    contents: dict[str, str] = {}
    for file in folder.files:
        progress.begin(file)
        try:
            is_new, contents[file.name] = _land_file(file, zone, progress.sent, is_current=file.name in current)
        except RefusedFileError as error:
            outcome.refused[file.name] = str(error)
            progress.end(file, "")
            continue
        (outcome.landed if is_new else outcome.unchanged).append(file.name)
        progress.end(file, "landed" if is_new else "")
    if contents:
        _compare(contents, zone, progress, outcome)


def _compare(contents: dict[str, str], zone: LandingZone, progress: Progress, outcome: Outcome) -> None:
    """Say which other files of the months are there; refuse what is no longer the one that a run reads."""
    objects = zone.objects()
    current = current_files(objects)
    for name, e_tag in contents.items():
        month = month_of(name) or ""
        now = current.get(month)
        if now is None or (now.name, now.e_tag) != (name, e_tag):
            (outcome.landed if name in outcome.landed else outcome.unchanged).remove(name)
            what = f"{now.name} landed after it, and runs read that" if now else "it was removed again"
            outcome.refused[name] = (
                f"it was there, but somebody else lands the same month: {what}. Agree on who does; if it is you, land "
                "it again."
            )
            continue
        for other in objects:
            if other.name != name and month_of(other.name) == month:
                progress.note(other.name, f"is in the landing zone too; runs read {name}, which landed last")


def _land_file(
    file: MonthlyFile, zone: LandingZone, sent: Callable[[int], None], *, is_current: bool
) -> tuple[bool, str]:
    """Upload a file if its content is new, or another one of the month landed after it.

    Returns:
        Whether that was so, and what the object store calls the content.
    """
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
        before = zone.find(file.name)
        if is_current and before is not None and before.sha256 == digest.hexdigest():
            return False, before.e_tag
        watched.seek(0)
        try:
            return True, zone.put(
                file.name,
                # What an upload reads of a file, this has.
                cast("BinaryIO", watched),
                size=watched.size,
                sha256=digest.hexdigest(),
                origin=origin_of(file.path),
                before=before,
                sending=watched.count,
            )
        except OvertakenError as error:
            now = zone.find(file.name)
            # Of the same content it may even be this request, the answer to which was lost before it was repeated.
            if now is not None and now.sha256 == digest.hexdigest():
                return True, now.e_tag
            origin = f", from {unquote(now.origin)}" if now and now.origin else ""
            raise RefusedFileError(
                f"another file of this name landed at the same time{origin}, and stays. Agree on who lands the month; "
                "if it is you, land it again, which replaces the other."
            ) from error


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
