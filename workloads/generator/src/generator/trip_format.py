"""What the two formats of the TLC's files have in common. Both are read in pieces: memory does not grow with a file."""

from collections.abc import Iterator
from typing import Protocol

from generator.errors import TripFileUnreadableError
from generator.trip_columns import DOWNLOAD_AGAIN, ColumnMatch
from generator.trip_rows import FileRows


class TripFormat(Protocol):
    """An open file of trips.

    Raises:
        TripFileError: Construction raises for faults that show without reading all rows, ``rows`` for the others.
    """

    match: ColumnMatch
    """The file's columns."""

    def rows(self) -> Iterator[FileRows]:
        """Read all columns, in the file's types."""


def unreadable(where: str, error: Exception) -> TripFileUnreadableError:
    """Return the error for a file that the system or the format's reader cannot read."""
    return TripFileUnreadableError(
        "the trip file cannot be read",
        expected="a readable file in the format of its name",
        got=str(error) or type(error).__name__,
        where=where,
        todo=f"check its permissions, or {DOWNLOAD_AGAIN}",
    )
