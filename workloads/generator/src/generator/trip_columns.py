"""Convert the TLC's columns from the types in its files to the event's types.

The types differ over the years: whole numbers may come as doubles, seconds as micro- or nanoseconds, text as large
text, and a column without any value as type null. All of these are accepted; nothing is guessed.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from generator.errors import TripColumnError, TripValueError
from generator.event_schema import TIMESTAMP, TRIP_SCHEMA

NEWER_COLUMNS: Final = frozenset({"improvement_surcharge", "congestion_surcharge", "Airport_fee"})
"""Columns that the TLC added over the years; if an older file lacks them, its trips have no value there."""

_TRUNCATE_TIME: Final = pc.CastOptions(target_type=TIMESTAMP, allow_time_truncate=True)


def match_columns(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Find the TLC's columns among a file's columns.

    Args:
        path: The file, for the error message.
        names: The file's column names; case and surrounding blanks do not matter, because the TLC itself wrote
            ``airport_fee`` and `` trip_distance`` in some years.

    Returns:
        The file's name of each TLC column that it has.

    Raises:
        TripColumnError: A column is missing or appears twice.
    """
    names = list(names)
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(name.strip().lower(), []).append(name)
    matched: dict[str, str] = {}
    missing: list[str] = []
    for column in TRIP_SCHEMA.names:
        match spellings.get(column.lower(), []):
            case [name]:
                matched[column] = name
            case [] if column not in NEWER_COLUMNS:
                missing.append(column)
            case [_, _, *_] as several:
                raise TripColumnError(
                    f"column {column} appears {len(several)} times",
                    expected="each column once",
                    got=", ".join(several),
                    where=str(path),
                    todo="keep one of them",
                )
    if missing:
        raise TripColumnError(
            f"column {', '.join(missing)} is missing",
            expected="the TLC's yellow taxi columns, " + ", ".join(TRIP_SCHEMA.names),
            got=", ".join(names) or "no column",
            where=str(path),
            todo="download the month's yellow taxi file from the TLC again",
        )
    return matched


def check_type(path: Path, column: str, found: pa.DataType) -> None:
    """Raise if a column's type does not fit the event.

    Args:
        path: The file, for the error message.
        column: Name of the TLC's column.
        found: The column's type in the file's schema.

    Raises:
        TripColumnError: The type does not fit.
    """
    accepts, expected = _ACCEPTED[TRIP_SCHEMA.field(column).type]
    if not (types.is_null(found) or accepts(found)):
        raise TripColumnError(
            f"column {column} has a wrong type",
            expected=expected,
            got=str(found),
            where=str(path),
            todo="download the month's yellow taxi file from the TLC again",
        )


def cast_column(path: Path, column: str, values: pa.Array, first_row: int) -> pa.Array:
    """Convert values to the event's type.

    Args:
        path: The file, for the error message.
        column: Name of the TLC's column.
        values: The file's values.
        first_row: Row of the first value in the file, counted from 1.

    Returns:
        The converted values.

    Raises:
        TripValueError: A value does not fit the type; the message names the first such value.
    """
    target = TRIP_SCHEMA.field(column).type
    try:
        return _cast(values, target)
    except pa.ArrowInvalid as error:
        place = _first_failure(values, target)
        raise TripValueError(
            f"row {first_row + place}, column {column}, has a value of a wrong type",
            expected=_ACCEPTED[target][1],
            got=repr(values[place].as_py()),
            where=str(path),
            todo="correct the row, or download the month's file from the TLC again",
        ) from error


def _cast(values: pa.Array, target: pa.DataType) -> pa.Array:
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if _is_text(values.type) and not types.is_string(target):
        values = pc.utf8_trim_whitespace(values)
    if types.is_timestamp(target):
        if _is_text(values.type):
            values = values.cast(pa.timestamp("ns"))
        return pc.cast(values, options=_TRUNCATE_TIME)
    if _is_text(values.type) and not types.is_string(target):
        values = values.cast(pa.float64())
    if types.is_floating(values.type):
        values = _without_nan(values)
    return values.cast(target)


def _without_nan(values: pa.Array) -> pa.Array:
    """Turn not-a-number into null, because pandas writes missing values as such; refuse infinity."""
    if pc.any(pc.is_inf(values)).as_py():
        message = "infinite value"
        raise pa.ArrowInvalid(message)
    return pc.if_else(pc.is_nan(values), None, values)


def _first_failure(values: pa.Array, target: pa.DataType) -> int:
    """Find the first value that cannot be cast, by bisection."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(values.slice(low, middle - low), target)
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def _is_text(found: pa.DataType) -> bool:
    if types.is_dictionary(found):
        found = found.value_type
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def _is_number(found: pa.DataType) -> bool:
    return bool(types.is_integer(found) or types.is_floating(found) or types.is_decimal(found))


def _is_wall_clock(found: pa.DataType) -> bool:
    return bool(types.is_timestamp(found) and found.tz is None)


_ACCEPTED: Final[dict[pa.DataType, tuple[Callable[[pa.DataType], bool], str]]] = {
    pa.int64(): (_is_number, "a whole number"),
    pa.float64(): (_is_number, "a finite number"),
    TIMESTAMP: (_is_wall_clock, "a date and time without time zone, YYYY-MM-DD HH:MM:SS"),
    pa.string(): (_is_text, "text"),
}
"""For each type of the event: the check for types of a file that fit, and their description."""
