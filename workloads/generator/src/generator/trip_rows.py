"""Turn rows of a file into trips: every value into the event's column, or as text into one of its two maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from generator.errors import TripValueError
from generator.event_schema import TEXT_MAP, TRIP_SCHEMA
from generator.trip_columns import DOWNLOAD_AGAIN, EXPECTED, NAME_COLUMNS, ColumnMatch
from generator.trip_numbers import convert_numbers
from generator.trip_times import convert_times
from generator.trip_values import Converted, WrongKindError, as_text

MOST_TEXT_BYTES: Final = 900_000
"""Largest size of an event's texts together. Kafka takes 1,048,588 bytes, with the numbers and names."""

SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class FileRows:
    """Successive rows of a file.

    Args:
        columns: All of the file's columns, in the file's types.
        place: Names a row, counted from 0, as an editor does, for example ``line 402``.
    """

    columns: list[pa.Array]
    place: Callable[[int], str]


def convert_rows(where: str, match: ColumnMatch, rows: FileRows) -> pa.RecordBatch:
    """Convert rows to trips.

    Args:
        where: The file, for the error message.
        match: The file's columns.
        rows: The rows.

    Returns:
        The trips, with the columns of ``TRIP_SCHEMA``.

    Raises:
        TripValueError: A value is of a wrong kind, too large or in no column; the message names its row.
    """
    count = len(rows.columns[0])
    _check_nameless(where, match, rows)
    found: dict[str, pa.Array] = {}
    out_of_range: dict[str, pa.StringArray] = {}
    for name in match.known:
        converted = _convert(where, match, rows, name)
        found[name] = converted.values
        if converted.out_of_range is not None:
            out_of_range[name] = converted.out_of_range
        if converted.names is not None:
            found[NAME_COLUMNS[name]] = converted.names
    unknown = {name: as_text(rows.columns[place]) for name, place in match.unknown.items()}
    found |= {"unknown_columns": text_map(unknown, count), "values_out_of_range": text_map(out_of_range, count)}
    trips = pa.RecordBatch.from_arrays(
        [found[field.name] if field.name in found else pa.nulls(count, field.type) for field in TRIP_SCHEMA],
        schema=TRIP_SCHEMA,
    )
    _check_sizes(where, trips, rows)
    return trips


def text_map(texts: Mapping[str, pa.StringArray], count: int) -> pa.MapArray:
    """Return one map a row.

    Args:
        texts: The values by key, one a row; null where the row's map lacks the key.
        count: Number of rows.

    Returns:
        The maps; null where one would be empty.
    """
    valid = np.array([column.is_valid().to_numpy(zero_copy_only=False) for column in texts.values()])
    if not valid.any():
        return pa.nulls(count, TEXT_MAP)
    sizes = valid.sum(axis=0, dtype=np.int32)
    rows, keys = np.nonzero(valid.T)
    values = pa.concat_arrays(list(texts.values())).take(pa.array(keys * count + rows))
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.MapArray.from_arrays(
        pa.array(offsets), pa.array(list(texts)).take(pa.array(keys)), values, mask=pa.array(sizes == 0)
    )


def _convert(where: str, match: ColumnMatch, rows: FileRows, name: str) -> Converted:
    values = rows.columns[match.known[name]]
    target = TRIP_SCHEMA.field(name).type
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count == len(values):
        return Converted(pa.nulls(len(values), target))
    try:
        if types.is_string(target):
            return Converted(as_text(values))
        if types.is_timestamp(target):
            return convert_times(values)
        return convert_numbers(values, target, named=name in NAME_COLUMNS)
    except WrongKindError as error:
        raise TripValueError(
            f"{rows.place(error.index)}, column {match.names[match.known[name]]}, has a value of a wrong kind",
            expected=EXPECTED[target],
            got=shorten(error.text),
            where=where,
            todo=f"correct the row, or {DOWNLOAD_AGAIN}",
        ) from error


def shorten(text: str) -> str:
    """Return a text in quotation marks, cut where it would fill a screen."""
    if len(text) <= SHOWN_CHARACTERS:
        return repr(text)
    return f"{text[:SHOWN_CHARACTERS]!r} and {len(text) - SHOWN_CHARACTERS:,} more characters"


def _check_nameless(where: str, match: ColumnMatch, rows: FileRows) -> None:
    """Raise if a row has a value in a column without a name; the TLC's rows of 2016 end with two empty ones."""
    for place in match.nameless:
        column = rows.columns[place]
        if column.null_count == len(column):
            continue
        text = as_text(column)
        index = pc.index(pc.fill_null(pc.not_equal(text, ""), False), True).as_py()  # noqa: FBT003  the value to look for
        if index >= 0:
            raise TripValueError(
                f"{rows.place(index)} has a value in column {place + 1}, which has no name",
                expected=f"values in the file's {len(match.names) - len(match.nameless)} named columns only",
                got=shorten(text[index].as_py()),
                where=where,
                todo=f"give the column a name, correct the row, or {DOWNLOAD_AGAIN}",
            )


def _check_sizes(where: str, trips: pa.RecordBatch, rows: FileRows) -> None:
    """Raise if the texts of a trip are larger than Kafka will take; the sender would only learn it half way."""
    sizes = np.zeros(trips.num_rows, np.int64)
    for column in trips.columns:
        if types.is_string(column.type) and column.null_count < len(column):
            sizes += pc.binary_length(column).fill_null(0).to_numpy()
        elif types.is_map(column.type) and column.null_count < len(column):
            sizes += _map_sizes(column)
    if sizes.max() <= MOST_TEXT_BYTES:
        return
    index = int((sizes > MOST_TEXT_BYTES).argmax())
    texts: dict[str, str] = {}
    for name, value in trips.slice(index, 1).to_pylist()[0].items():
        if isinstance(value, list):
            texts |= dict(value)
        elif isinstance(value, str):
            texts[name] = value
    largest = max(texts, key=lambda name: len(texts[name].encode()))
    raise TripValueError(
        f"{rows.place(index)} is too large for an event; most of it is in column {largest}",
        expected=f"texts of up to {MOST_TEXT_BYTES:,} bytes in a row",
        got=f"{sizes[index]:,} bytes: {shorten(texts[largest])}",
        where=where,
        todo=f"correct the row, or {DOWNLOAD_AGAIN}",
    )


def _map_sizes(maps: pa.MapArray) -> npt.NDArray[np.int64]:
    lengths = pc.add(pc.binary_length(maps.keys), pc.binary_length(maps.items)).to_numpy()
    ends = np.concatenate([[0], lengths.cumsum(dtype=np.int64)])[maps.offsets.to_numpy()]
    sizes: npt.NDArray[np.int64] = np.diff(ends)
    return sizes
