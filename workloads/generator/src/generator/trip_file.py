"""Read a month of trips from the TLC's file.

The whole file is read and checked before its first trip is sent, so that a fault in the last row cannot leave the month
half sent.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from generator.errors import TripFileEmptyError, TripFileError, TripFileUnreadableError
from generator.event_id import event_ids
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.faults import FaultCount
from generator.month import Month
from generator.trip_columns import cast_column
from generator.trip_format import open_format, unreadable

FINGERPRINT_DIGITS: Final = 8
"""Number of hexadecimal digits of the file's SHA-256 in its trips' event ids."""

SUFFIXES: Final = (".parquet", ".csv")
"""The formats, the preferred one first."""


def find_trip_file(folder: Path, month: Month) -> Path | None:
    """Look for a month's file.

    Args:
        folder: The folder of the TLC's files, which keep the TLC's names.
        month: The month.

    Returns:
        The file; None if the month has none.

    Raises:
        TripFileUnreadableError: The folder is missing or unreadable.
    """
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise TripFileUnreadableError(
            "the folder of trip files cannot be read",
            expected="a folder, which may be empty",
            got=error.strerror or str(error),
            where=str(folder),
            todo="mount an existing folder there that the step's user can read",
        ) from error
    for suffix in SUFFIXES:
        name = f"yellow_tripdata_{month}{suffix}"
        if name in names:
            return folder / name
    return None


class TripFile:
    """The trips of a month with a file.

    Args:
        month: The file's month.
        path: The file.

    Raises:
        TripFileError: The file cannot be sent as a whole.
    """

    kind = "file"
    faults = FaultCount(duplicates=0, invalid=0)
    """A replay adds no faults; those in the file itself are for the pipeline to find."""

    def __init__(self, month: Month, path: Path) -> None:
        self.month = month
        self.file_name = path.name
        self._path = path
        self._format = open_format(path)
        self._fingerprint = _fingerprint(path)
        self.events = sum(batch.num_rows for batch in self._trips())
        if self.events == 0:
            raise TripFileEmptyError(
                "the trip file is empty",
                expected="trips",
                got="columns without any row",
                where=str(path),
                todo="download the file again, or remove it to have the month synthesised",
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the trips.

        Yields:
            ``event_id`` and the TLC's columns.
        """
        first_row = 1
        for batch in self._trips():
            rows = np.arange(first_row, first_row + batch.num_rows)
            ids = event_ids(f"{self.month}.{self._fingerprint}", rows)
            yield pa.RecordBatch.from_arrays([ids, *batch.columns], schema=TRIP_WITH_ID_SCHEMA)
            first_row += batch.num_rows
        if first_row - 1 != self.events:
            raise TripFileError(
                "the trip file changed while it was sent",
                expected=f"{self.events} rows",
                got=f"{first_row - 1}",
                where=str(self._path),
                todo="materialize the month again",
            )

    def _trips(self) -> Iterator[pa.RecordBatch]:
        first_row = 1
        columns = self._format.columns
        for batch in self._format.batches():
            yield pa.RecordBatch.from_arrays(
                [
                    cast_column(self._path, field.name, batch.column(columns[field.name]), first_row)
                    if field.name in columns
                    else pa.nulls(batch.num_rows, field.type)
                    for field in TRIP_SCHEMA
                ],
                schema=TRIP_SCHEMA,
            )
            first_row += batch.num_rows


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:FINGERPRINT_DIGITS]
    except OSError as error:
        raise unreadable(path, error) from error
