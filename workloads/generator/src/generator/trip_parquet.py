"""Read Parquet files of trips."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet

from generator.errors import TripFileCutOffError
from generator.trip_columns import DOWNLOAD_AGAIN, check_types, match_columns
from generator.trip_format import unreadable
from generator.trip_rows import FileRows

READ_BYTES: Final = 1 << 20
"""Size of one read, in bytes."""

BATCH_ROWS: Final = 32_768
PARQUET_MAGIC: Final = b"PAR1"


class ParquetTrips:
    """A Parquet file of trips.

    Args:
        path: The file.
        where: How errors name the file.

    Raises:
        TripFileError: It is no Parquet file, it is cut off, or its columns do not fit.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        self._check_ends()
        with self._open() as file:
            schema = file.schema_arrow
        self.match = match_columns(where, schema.names)
        check_types(where, self.match, schema.types)

    def rows(self) -> Iterator[FileRows]:
        """Read all columns, by row group and page."""
        first = 1
        try:
            with self._open() as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    yield FileRows(batch.columns, partial(_name_row, first))
                    first += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._where, error) from error

    def _open(self) -> pyarrow.parquet.ParquetFile:
        try:
            return pyarrow.parquet.ParquetFile(
                self._path,
                buffer_size=READ_BYTES,
                # Nanoseconds, the default, end in 2262, and later times would silently become others.
                coerce_int96_timestamp_unit="us",
            )
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._where, error) from error

    def _check_ends(self) -> None:
        """Distinguish a file that is cut off from one that is not Parquet.

        *Source*: Apache Parquet file format, "File format": a file starts and ends with the magic number.
        """
        with self._path.open("rb") as file:
            start = file.read(len(PARQUET_MAGIC))
            file.seek(-len(start), 2)
            end = file.read()
        if start != PARQUET_MAGIC:
            raise unreadable(self._where, ValueError(f"the file starts with {start!r}, not {PARQUET_MAGIC!r}"))
        if end != PARQUET_MAGIC:
            raise TripFileCutOffError(
                "the trip file is cut off",
                expected=f"{PARQUET_MAGIC!r} as its last bytes",
                got=repr(end),
                where=self._where,
                todo=DOWNLOAD_AGAIN,
            )


def _name_row(first: int, index: int) -> str:
    return f"row {first + index}"
