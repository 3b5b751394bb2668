"""The months' files in a folder of this machine."""

import stat
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.landing.errors import FolderError
from nyc_taxi.landing.names import month_of, preference, why_refused

EXPECTED = "yellow_tripdata_YYYY-MM.parquet, .csv or .csv.gz"


@dataclass(frozen=True)
class MonthlyFile:
    """A file with the TLC's name.

    Args:
        name: Its name.
        path: Where it is; a link is as good as the file that it leads to.
        month: Its month, such as ``2019-01``.
        size: Its size in bytes when the folder was read, for a bar of progress.
    """

    name: str
    path: Path
    month: str
    size: int


@dataclass(frozen=True)
class Folder:
    """What a folder holds for the landing zone.

    Args:
        files: The months' files, by month, one of each.
        passed_over: The names of a month's files in other formats than the preferred one, each with the name of that.
        refused: Why each other name that a person might take for a month's file is none.
    """

    files: list[MonthlyFile]
    passed_over: dict[str, str]
    refused: dict[str, str]


def read_folder(folder: Path) -> Folder:
    """Read the names in a folder.

    Args:
        folder: The folder; a link is as good as the folder that it leads to.

    Returns:
        What it holds; at least one file, or one name that is refused.

    Raises:
        FolderError: It is no folder that this user may read, or it holds neither.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise FolderError(
            f"The folder {folder} cannot be read ({error.strerror}). Name the folder that holds the TLC's files, "
            f"{EXPECTED}: make land DATA=folder"
        ) from error
    files, passed_over = [], {}
    refused = {name: reason for name in names if (reason := why_refused(name))}
    preferred: dict[str, str] = {}
    for month, _, name in sorted((month, preference(name), name) for name in names if (month := month_of(name))):
        # Also if it is refused: another format in its place might be another content.
        if preferred.setdefault(month, name) != name:
            passed_over[name] = preferred[month]
            continue
        try:
            files.append(MonthlyFile(name, folder / name, month, _size(folder / name)))
        except OSError as error:
            refused[name] = str(error.strerror)
    refused |= _in_subfolders(folder, names, {file.month for file in files})
    if not files and not refused:
        raise FolderError(f"The folder {folder} holds no file of a month: expected {EXPECTED}, got {_listed(names)}.")
    return Folder(files, passed_over, refused)


def _size(path: Path) -> int:
    """Return the size of a file; an OSError says what is wrong with any other thing, and what to do."""
    try:
        status = path.stat()
    except OSError as error:
        link = f" the link to {path.readlink()}" if path.is_symlink() else ""
        raise OSError(
            None, f"{link or 'it'} cannot be followed: {error.strerror}. Repair or remove it.".strip()
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise OSError(None, f"it is {kind}: expected one file. Put the month's file in its place, or take it away.")
    return status.st_size


def _in_subfolders(folder: Path, names: list[str], months: set[str]) -> dict[str, str]:
    """Return the subfolders with files of months that the folder itself lacks, each with what to do."""
    found = {}
    for name in names:
        try:
            inner = [] if name.startswith(".") else [entry.name for entry in (folder / name).iterdir()]
        except OSError:
            # No folder, or one that this user may not read.
            continue
        missed = sorted(each for each in inner if (month := month_of(each)) and month not in months)
        if missed:
            found[f"{name}/"] = (
                f"it is a folder with {_listed(missed)}, and only the files of {folder} itself land: name that folder, "
                "or move what is wanted out of it."
            )
    return found


def _listed(names: list[str]) -> str:
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else f"{len(names)} names, such as {names[0]}"
