"""Read csv files of trips in blocks of whole lines, as text.

Arrow parses a block; it knows neither an editor's line numbers nor rows that are longer than the header. Where it
fails, Python's own parser looks at the block's lines one after another: it finds the fault, or fills up the short
lines so that Arrow can parse them.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from generator.errors import TripFileCutOffError, TripFileEmptyError, TripValueError
from generator.trip_columns import DOWNLOAD_AGAIN, match_columns
from generator.trip_format import unreadable
from generator.trip_rows import FileRows, shorten

READ_BYTES: Final = 1 << 20
"""Size of one read, in bytes."""

MOST_ROW_BYTES: Final = 8 << 20
"""Size beyond which a row is not read: a quotation mark was opened and never closed, or this is no csv file."""

csv.field_size_limit(MOST_ROW_BYTES)


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole rows of a file.

    Args:
        content: The rows as they are in the file.
        line: Number of the first line in the file, counted from 1.
    """

    content: bytes
    line: int

    def records(self) -> Iterator[tuple[int, str, list[str]]]:
        """Yield each row that is not empty: the number of its first line, its text with line breaks, and its values."""
        lines = list(io.StringIO(self.content.decode(errors="replace"), newline=""))
        reader = csv.reader(lines)
        first = 0
        for values in reader:
            if values:
                yield self.line + first, "".join(lines[first : reader.line_num]), values
            first = reader.line_num

    def name(self, index: int) -> str:
        """Name a row, counted from 0, as an editor does."""
        return next(f"line {line}" for place, (line, _, _) in enumerate(self.records()) if place == index)


class CsvTrips:
    """A csv file of trips, which may be compressed: with a header, commas and UTF-8; an empty field is null.

    Args:
        path: The file; compressed if its name ends with ``.gz``.
        where: How errors name the file.

    Raises:
        TripFileError: The header cannot be read, or its columns do not fit.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        self._header = self._read_header()
        self._line_break = b"\n" if self._header.endswith(b"\n") else b"\r"
        try:
            self._names = next(csv.reader([self._header.decode("utf-8-sig")], skipinitialspace=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise unreadable(where, error) from error
        self.match = match_columns(where, self._names)
        self._width = len(self._names)

    def rows(self) -> Iterator[FileRows]:
        """Read all columns, as text."""
        for block in self._blocks():
            columns = self._parse(block)
            if columns and len(columns[0]):
                yield FileRows(columns, block.name)

    def _read_header(self) -> bytes:
        try:
            with self._open() as file:
                line = file.readline(MOST_ROW_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error
        if not line:
            raise TripFileEmptyError(
                "the trip file is empty", expected="trips", got="0 bytes", where=self._where, todo=DOWNLOAD_AGAIN
            )
        if not line.endswith(b"\n"):
            line = line[: line.find(b"\r") + 1]
        if not line:
            raise self._cut_off("no line break")
        return line

    def _open(self) -> gzip.GzipFile | IO[bytes]:
        return gzip.open(self._path) if self._path.suffix == ".gz" else self._path.open("rb")

    def _blocks(self) -> Iterator[_Block]:
        rest, line = b"", 2
        try:
            with self._open() as file:
                file.read(len(self._header))
                while chunk := file.read(READ_BYTES):
                    rest += chunk
                    end = _end_of_rows(rest, self._line_break)
                    if end:
                        block, rest = _Block(rest[:end], line), rest[end:]
                        line += block.content.count(self._line_break)
                        yield block
                    elif len(rest) > MOST_ROW_BYTES:
                        raise self._endless(rest, line)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error
        if rest.count(b'"') % 2:
            raise self._endless(rest, line)
        if rest:
            raise self._cut_off(f"{rest[-1:]!r} as its last byte")

    def _parse(self, block: _Block) -> list[pa.StringArray]:
        try:
            columns = self._read(block.content)
        except pa.ArrowException:
            content = self._fill_up(block)
            try:
                columns = self._read(content)
            except pa.ArrowException as error:
                raise unreadable(self._where, error) from error
        if b'"' in block.content and len(columns[0]) < block.content.count(self._line_break):
            self._check_line_breaks(block)
        named = len(self._names)
        for column in columns[named:]:
            if column.null_count < len(column):
                # Quoted and empty, or a value: the look at each line tells.
                self._fill_up(block)
        return columns[:named]

    def _read(self, content: bytes) -> list[pa.StringArray]:
        names = [str(place) for place in range(self._width)]
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=len(content) + 1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=b'"' in content),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return [pc.cast(column.combine_chunks(), pa.string()) for column in table.columns]

    def _fill_up(self, block: _Block) -> bytes:
        """Append empty values to shorter rows, until all are as long as the longest.

        Raises:
            TripValueError: A row has too few values, or one more than the header that is not empty.
        """
        named = len(self._names)
        self._check_encoding(block)
        records = list(block.records())
        for line, text, values in records:
            if len(values) < named or any(values[named:]):
                raise TripValueError(
                    f"line {line} has a wrong number of values",
                    expected=f"{named}, as the header has columns; more only if they are empty",
                    got=f"{len(values)}: {shorten(text.rstrip())}",
                    where=self._where,
                    todo=f"correct the line, or {DOWNLOAD_AGAIN}",
                )
        self._width = max((len(values) for _, _, values in records), default=named)
        return "".join(
            text.rstrip("\r\n") + "," * (self._width - len(values)) + "\n" for _, text, values in records
        ).encode()

    def _check_line_breaks(self, block: _Block) -> None:
        """Raise if a value took the rows up to a later quotation mark for its own text: they would be lost.

        Raises:
            TripValueError: A value with line breaks has as many commas as a row; empty values may follow the row.
        """
        named = len(self._names)
        for line, _, values in block.records():
            for value in values:
                if ("\n" in value or "\r" in value) and value.count(",") >= 2 * named - 1 - len(values):
                    raise TripValueError(
                        f"the row that starts in line {line} has a quotation mark that seems to end in a later row",
                        expected="a second quotation mark within the row",
                        got=shorten(value),
                        where=self._where,
                        todo=f"correct the line, or {DOWNLOAD_AGAIN}",
                    )

    def _check_encoding(self, block: _Block) -> None:
        try:
            block.content.decode()
        except UnicodeDecodeError as error:
            line = block.line + block.content.count(self._line_break, 0, error.start)
            raise TripValueError(
                f"line {line} is not UTF-8",
                expected="text in UTF-8",
                got=repr(block.content[max(0, error.start - 20) : error.start + 20]),
                where=self._where,
                todo=f"save the file as UTF-8, or {DOWNLOAD_AGAIN}",
            ) from error

    def _endless(self, rest: bytes, line: int) -> TripValueError:
        return TripValueError(
            f"the row that starts in line {line} does not end",
            expected=f"a row of up to {MOST_ROW_BYTES:,} bytes, in which each quotation mark has its second one",
            got=shorten(rest.decode(errors="replace")),
            where=self._where,
            todo=f"correct the line, or {DOWNLOAD_AGAIN}",
        )

    def _unreadable(self, error: Exception) -> Exception:
        if isinstance(error, EOFError):
            return self._cut_off("compressed data without an end")
        return unreadable(self._where, error)

    def _cut_off(self, got: str) -> TripFileCutOffError:
        return TripFileCutOffError(
            "the trip file is cut off",
            expected="a line break at its end",
            got=got,
            where=self._where,
            todo=f"{DOWNLOAD_AGAIN}, or add the line break if the file is whole",
        )


def _end_of_rows(content: bytes, line_break: bytes) -> int:
    """Return the length of the whole rows, which end with a line break outside quotation marks."""
    if b'"' not in content:
        return content.rfind(line_break) + 1
    characters = np.frombuffer(content, np.uint8)
    inside = np.logical_xor.accumulate(characters == ord('"'))
    ends = np.flatnonzero((characters == ord(line_break)) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0
