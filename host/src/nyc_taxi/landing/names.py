"""Which names are a month's file, and which only look like one.

The generator judges the names in the landing zone with code of its own: the table ``tests/landed_names.json`` holds
both to one rule.
"""

import re

from nyc_taxi.months import MonthError, require_month

FORMATS = ("parquet", "csv", "csv.gz")
"""The formats of a month's file, the preferred one first."""

_FILE = re.compile(r"yellow_tripdata_(?P<month>\d{4}-(0[1-9]|1[0-2]))\.(?P<format>parquet|csv|csv\.gz)", re.ASCII)
# Capitals, blanks, another separator, words before it, the rest of a download: whatever a person would take for a
# month's file. Each in a lookahead, so that none hides another one which begins within it.
_YEAR_AND_MONTH = (
    re.compile(r"(?<!\d)(?=(?P<year>\d{4})\D*(?P<month>\d{1,2})(?!\d))"),
    re.compile(r"(?<!\d)(?=(?P<year>\d{4})(?P<month>\d{2})\d{2}(?!\d))"),
    re.compile(r"(?<!\d)(?=(?P<month>\d{1,2})\D{0,3}(?P<year>\d{4})(?!\d))"),
)
# Of no month that could be told, such as 2021-13 or march_2021.
_OF_SOME_MONTH = re.compile(r".*yellow.?trip.?data.*\d{4}.*", re.DOTALL | re.IGNORECASE)
_UNFINISHED = (".crdownload", ".download", ".part", ".partial", ".tmp")


def month_of(name: str) -> str | None:
    """Return the month of a file with the TLC's name.

    Args:
        name: The file's name, without a folder.

    Returns:
        A month with a partition, such as ``2019-01``; None if the name is not that of a month's file.
    """
    named = _FILE.fullmatch(name)
    if named is None:
        return None
    try:
        return require_month(named["month"])
    except MonthError:
        return None


def preference(name: str) -> int:
    """Return the place of a month's file in the order of the formats, for sorting.

    Args:
        name: A name of which ``month_of`` knows the month.

    Returns:
        0 for the format that is preferred in a folder, and of those that landed at one moment.
    """
    return FORMATS.index(name.partition(".")[2])


def resembled_months(name: str) -> set[str]:
    """Return the months whose file a person might take a name for, although it is no month's file.

    Args:
        name: The file's name; the name of an object below the landing zone may hold folders.

    Returns:
        Months such as ``2019-01``; empty if the name is that of a month's file, or of something else.
    """
    if _FILE.fullmatch(name) or "yellow" not in name.lower() or _is_a_programs(name):
        return set()
    found = [match for pattern in _YEAR_AND_MONTH for match in pattern.finditer(name)]
    dates = [(int(match["year"]), int(match["month"])) for match in found]
    return {f"{year:04d}-{month:02d}" for year, month in dates if month in range(1, 13)}


def why_refused(name: str) -> str | None:
    """Return why a name that looks like a month's file is none.

    Args:
        name: The file's name; the name of an object below the landing zone may hold folders.

    Returns:
        What is wrong and what to do, as the rest of a sentence about the file; None if the name is a month's, or that
        of something else.
    """
    if month_of(name) is not None or _is_a_programs(name):
        return None
    if not resembled_months(name) and not _OF_SOME_MONTH.fullmatch(name):
        return None
    if named := _FILE.fullmatch(name):
        try:
            require_month(named["month"])
        except MonthError as error:
            return str(error)
    if name.lower().endswith(_UNFINISHED):
        return "it looks like a download that has not ended: wait for its end, or remove it and download it again."
    if "/" in name and month_of(name.rpartition("/")[2]):
        return "it is in a folder of the landing zone, where no run looks: put it into the landing zone itself."
    return (
        "it looks like a month's file, but is not named like one. Expected yellow_tripdata_YYYY-MM and .parquet, .csv "
        "or .csv.gz, in small letters: rename it if it is that month's file, or take it away."
    )


def _is_a_programs(name: str) -> bool:
    """Return whether a part of the name begins with a dot, as what other systems keep beside each file does."""
    return any(part.startswith(".") for part in name.split("/"))
