"""Which names in the landing zone are a month's file, and which only resemble one.

The host judges names when files land, with code of its own: the table ``tests/landed_names.json`` of the
repository holds both to one rule.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from generator.errors import TripFileError
from generator.month import Month

SUFFIXES: Final = (".parquet", ".csv", ".csv.gz")
"""The formats, the preferred one of several that landed at one moment first."""

_FILE: Final = re.compile(r"yellow_tripdata_\d{4}-(0[1-9]|1[0-2])\.(parquet|csv|csv\.gz)", re.ASCII)
# In a lookahead, so that none hides another one which begins within it.
_YEAR_AND_MONTH: Final = (
    re.compile(r"(?<!\d)(?=(?P<year>\d{4})\D*(?P<month>\d{1,2})(?!\d))"),
    re.compile(r"(?<!\d)(?=(?P<year>\d{4})(?P<month>\d{2})\d{2}(?!\d))"),
    re.compile(r"(?<!\d)(?=(?P<month>\d{1,2})\D{0,3}(?P<year>\d{4})(?!\d))"),
)


class FileChoice(NamedTuple):
    """The file that a month is read from.

    Args:
        name: The file's name.
        note: What to log about the choice; empty if there was none.
    """

    name: str
    note: str


def choose_file(landed: Mapping[str, dt.datetime], month: Month, where: str) -> FileChoice | None:
    """Choose a month's file in the landing zone: the one that landed last.

    Args:
        landed: When each file landed, by its name relative to the folder; names in folders below it contain a slash.
        month: The month.
        where: The folder, for the error message.

    Returns:
        The file; None if the month has none.

    Raises:
        TripFileError: A name resembles that of the month's file, but is none.
    """
    wanted = [f"yellow_tripdata_{month}{suffix}" for suffix in SUFFIXES]
    misnamed = [name for name in sorted(landed) if month in resembled_months(name)]
    if misnamed:
        raise TripFileError(
            f"the name of a file looks like that of {month}'s trips, but is another",
            expected=" or ".join(wanted),
            got=", ".join(map(repr, misnamed)),
            where=where,
            todo="give the month's file its name, and remove the others",
        )
    # The sort is stable: of those that landed at one moment, the preferred format stays first.
    found = sorted((name for name in wanted if name in landed), key=lambda name: landed[name], reverse=True)
    if not found:
        return None
    chosen, *others = found
    note = f"{month} is read from {chosen}, which landed last, not from {' or '.join(others)}"
    return FileChoice(chosen, note if others else "")


def resembled_months(name: str) -> set[Month]:
    """Return the months whose file a person might take a name for, although it is no month's file.

    Args:
        name: A name relative to the landing zone.

    Returns:
        The months; empty if the name is that of a month's file, of a program's own (it or a folder begins with a dot),
        or of something else.
    """
    if _FILE.fullmatch(name) or "yellow" not in name.lower() or any(part.startswith(".") for part in name.split("/")):
        return set()
    found = [match for pattern in _YEAR_AND_MONTH for match in pattern.finditer(name)]
    dates = [(int(match["year"]), int(match["month"])) for match in found]
    return {Month(year, number) for year, number in dates if number in range(1, 13)}
