"""Which names are a month's file, and which only look like one."""

import re

from nyc_taxi.months import MonthError, require_month

FORMATS = ("parquet", "csv", "csv.gz")
"""The formats of a month's file, the one that a run prefers first."""

_FILE = re.compile(r"yellow_tripdata_(?P<month>\d{4}-(0[1-9]|1[0-2]))\.(?P<format>parquet|csv|csv\.gz)", re.ASCII)
# Capitals, blanks, another separator, words before it, the rest of a download: whatever a person would take for a
# month's file. A name that begins with a dot is a program's own, such as what other systems keep beside each file.
_LOOKS_ALIKE = re.compile(r"(?!\.).*yellow.?trip.?data.*\d{4}.*", re.ASCII | re.DOTALL | re.IGNORECASE)
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
    """Return the place of a month's file in the order in which a run prefers the formats, for sorting.

    Args:
        name: A name of which ``month_of`` knows the month.

    Returns:
        0 for the preferred format.
    """
    return FORMATS.index(name.partition(".")[2])


def why_refused(name: str) -> str | None:
    """Return why a name that looks like a month's file is none.

    Args:
        name: The file's name; the name of an object below the landing zone may hold folders.

    Returns:
        What is wrong and what to do, as the rest of a sentence about the file; None if the name is a month's, or that
        of something else.
    """
    if month_of(name) is not None or not _LOOKS_ALIKE.fullmatch(name):
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
