"""Read the two formats of the TLC's files in batches, so that memory does not grow with the file."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from generator.errors import (
    TripFileCutOffError,
    TripFileEmptyError,
    TripFileUnreadableError,
    TripValueError,
)
from generator.trip_columns import check_type, match_columns

READ_BYTES: Final = 1 << 20
"""Size of one read, in bytes."""

BATCH_ROWS: Final = 32_768
PARQUET_MAGIC: Final = b"PAR1"

_DOWNLOAD_AGAIN: Final = "download the month's yellow taxi file from the TLC again"


class TripFormat(Protocol):
    """An open file of trips.

    Raises:
        TripFileError: Construction raises for faults that show without reading all rows, ``batches`` for the others.
    """

    columns: dict[str, str]
    """The file's name of each TLC column that it has."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the matched columns, in the file's types."""


def open_format(path: Path) -> TripFormat:
    """Open a file in the format of its suffix, ``.parquet`` or ``.csv``.

    Args:
        path: The file.

    Returns:
        The open file.

    Raises:
        TripFileError: The file is unreadable, empty or cut off, or its columns do not fit.
    """
    try:
        if path.stat().st_size == 0:
            raise TripFileEmptyError(
                "the trip file is empty",
                expected="trips",
                got="0 bytes",
                where=str(path),
                todo=f"{_DOWNLOAD_AGAIN}, or remove it to have the month synthesised",
            )
        return ParquetTrips(path) if path.suffix == ".parquet" else CsvTrips(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> TripFileUnreadableError:
    """Return the error for a file that the system or the format's reader cannot read."""
    return TripFileUnreadableError(
        "the trip file cannot be read",
        expected=f"a readable {path.suffix.removeprefix('.')} file",
        got=str(error),
        where=str(path),
        todo=f"check its permissions, or {_DOWNLOAD_AGAIN}",
    )


class ParquetTrips:
    """A Parquet file of trips."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _check_parquet_ends(path)
        with self._open() as file:
            schema = file.schema_arrow
        self.columns = match_columns(path, schema.names)
        for column, name in self.columns.items():
            check_type(path, column, schema.field(name).type)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the matched columns, by row group and page."""
        try:
            with self._open() as file:
                yield from file.iter_batches(BATCH_ROWS, columns=list(self.columns.values()))
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error

    def _open(self) -> pyarrow.parquet.ParquetFile:
        try:
            return pyarrow.parquet.ParquetFile(self._path, buffer_size=READ_BYTES)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error


def _check_parquet_ends(path: Path) -> None:
    """Distinguish a file that is cut off from one that is not Parquet.

    *Source*: Apache Parquet file format, "File format": a file starts and ends with the magic number.
    """
    with path.open("rb") as file:
        start = file.read(len(PARQUET_MAGIC))
        file.seek(-min(len(PARQUET_MAGIC), path.stat().st_size), 2)
        end = file.read()
    if start != PARQUET_MAGIC:
        raise unreadable(path, ValueError(f"the file starts with {start!r}, not {PARQUET_MAGIC!r}"))
    if end != PARQUET_MAGIC:
        raise TripFileCutOffError(
            "the trip file is cut off",
            expected=f"{PARQUET_MAGIC!r} as its last bytes",
            got=repr(end),
            where=str(path),
            todo=_DOWNLOAD_AGAIN,
        )


class CsvTrips:
    """A CSV file of trips: with a header, commas and UTF-8; an empty field is null."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _check_last_line(path)
        self._bad_line: pyarrow.csv.InvalidRow | None = None
        try:
            with path.open("rb") as file:
                first_line = file.readline().decode("utf-8-sig")
            self._header = next(csv.reader([first_line]))
        except (UnicodeDecodeError, csv.Error) as error:
            raise unreadable(path, error) from error
        self.columns = match_columns(path, self._header)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the matched columns as text; ``trip_columns`` converts them and reports failures."""
        names = list(self.columns.values())
        try:
            yield from pyarrow.csv.open_csv(
                self._path,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=self._header,
                    skip_rows=1,
                    block_size=READ_BYTES,
                    # Only with one thread does the reader know the number of a bad line.
                    use_threads=False,
                ),
                parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=self._refuse),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=names,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except (OSError, pa.ArrowException) as error:
            if self._bad_line is None:
                raise unreadable(self._path, error) from error
            raise TripValueError(
                f"line {self._bad_line.number} has a wrong number of values",
                expected=str(self._bad_line.expected_columns),
                got=f"{self._bad_line.actual_columns}: {self._bad_line.text[:80]!r}",
                where=str(self._path),
                todo=f"correct the line, or {_DOWNLOAD_AGAIN}",
            ) from error

    def _refuse(self, line: pyarrow.csv.InvalidRow) -> str:
        """Keep the line for the error message; the reader would drop an exception raised here."""
        self._bad_line = line
        return "error"


def _check_last_line(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(-1, 2)
        last = file.read()
    if last not in {b"\n", b"\r"}:
        raise TripFileCutOffError(
            "the trip file is cut off",
            expected="a line break at its end",
            got=f"{last!r} as its last byte",
            where=str(path),
            todo=f"{_DOWNLOAD_AGAIN}, or add the line break if the file is whole",
        )
