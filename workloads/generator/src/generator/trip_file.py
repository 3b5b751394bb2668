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

from generator.errors import TripFileEmptyError, TripFileError
from generator.event_id import event_ids
from generator.event_schema import TRIP_WITH_ID_SCHEMA
from generator.faults import FaultCount
from generator.month import Month
from generator.trip_columns import DOWNLOAD_AGAIN
from generator.trip_csv import CsvTrips
from generator.trip_format import TripFormat, unreadable
from generator.trip_parquet import ParquetTrips
from generator.trip_rows import convert_rows

FINGERPRINT_DIGITS: Final = 8
"""Number of hexadecimal digits of the file's SHA-256 in its trips' event ids."""


class TripFile:
    """The trips of a month with a file.

    Args:
        month: The file's month.
        path: The file, under a name that ends like the TLC's.
        where: How errors name the file; by default its path.

    Raises:
        TripFileError: The file cannot be sent as a whole.
    """

    faults = FaultCount(duplicates=0, invalid=0)
    """A replay adds no faults; those in the file itself are for the pipeline to find."""

    def __init__(self, month: Month, path: Path, where: str = "") -> None:
        self.month = month
        self._path = path
        self._where = where or str(path)
        self._format = _open_format(path, self._where)
        self.sha256 = _sha256(path, self._where)
        self.events = 0
        self.unknown_columns = dict.fromkeys(self._format.match.unknown, 0)
        """Number of values in each of the file's columns that the event does not have."""
        for batch in self._trips():
            self.events += batch.num_rows
            for found in batch.column("unknown_columns").keys.value_counts().to_pylist():
                self.unknown_columns[found["values"]] += found["counts"]
        if self.events == 0:
            raise TripFileEmptyError(
                "the trip file is empty",
                expected="trips",
                got="columns without any row",
                where=self._where,
                todo=DOWNLOAD_AGAIN,
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the trips.

        Yields:
            ``event_id`` and the trip's columns.
        """
        first_row = 1
        for batch in self._trips():
            rows = np.arange(first_row, first_row + batch.num_rows)
            ids = event_ids(f"{self.month}.{self.sha256[:FINGERPRINT_DIGITS]}", rows)
            yield pa.RecordBatch.from_arrays([ids, *batch.columns], schema=TRIP_WITH_ID_SCHEMA)
            first_row += batch.num_rows
        if first_row - 1 != self.events:
            raise TripFileError(
                "the trip file changed while it was sent",
                expected=f"{self.events} rows",
                got=f"{first_row - 1}",
                where=self._where,
                todo="materialize the month again",
            )

    def _trips(self) -> Iterator[pa.RecordBatch]:
        for rows in self._format.rows():
            yield convert_rows(self._where, self._format.match, rows)


def _open_format(path: Path, where: str) -> TripFormat:
    try:
        if path.stat().st_size == 0:
            raise TripFileEmptyError(
                "the trip file is empty", expected="trips", got="0 bytes", where=where, todo=DOWNLOAD_AGAIN
            )
        return ParquetTrips(path, where) if path.suffix == ".parquet" else CsvTrips(path, where)
    except OSError as error:
        raise unreadable(where, error) from error


def _sha256(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(where, error) from error
