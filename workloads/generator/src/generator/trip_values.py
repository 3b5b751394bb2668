"""Convert a column's values from the type in the file to the event's type, and change none.

Three things can become of a value: it is converted; the event's type cannot hold it exactly, so it is kept as text,
*out of range*; or it is of a wrong kind, such as letters in a fare, which refuses the file.
Text is read alike whether it comes from csv or from Parquet. Most batches take a fast path, Arrow's own conversion;
only where that fails, or may have changed a value, does Python look at each distinct text.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types


@dataclass(frozen=True, slots=True)
class Converted:
    """A column after conversion.

    Args:
        values: The values in the event's type; null where there is none, and where another part has it.
        out_of_range: The texts of the values that the event's type cannot hold, null elsewhere; None if there is none.
        names: The texts that are names instead of numbers, null elsewhere; None if there is none.
    """

    values: pa.Array
    out_of_range: pa.StringArray | None = None
    names: pa.StringArray | None = None


class WrongKindError(Exception):
    """A value is of a wrong kind.

    Args:
        index: Place of the first such value in the column.
        text: The value.
    """

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index
        self.text = text


class OutOfRangeError(Exception):
    """A text is of the right kind, but the event's type cannot hold its value."""


def parse_texts(
    received: pa.StringArray,
    target: pa.DataType,
    parse: Callable[[str], Any],
    *,
    missing: tuple[str, ...],
    named: bool = False,
) -> Converted:
    """Parse each distinct text.

    Args:
        received: The texts.
        target: The event's type.
        parse: Returns the value of a text without surrounding blanks; raises OutOfRangeError, or ValueError for a
            wrong kind.
        missing: Texts in lower case that stand for no value.
        named: Whether texts of a wrong kind are names.

    Returns:
        The conversion.

    Raises:
        WrongKindError: A text is of a wrong kind.
    """
    distinct = received.dictionary_encode()
    parsed: list[Any] = []
    too_large: list[int] = []
    wrong: list[int] = []
    for place, text in enumerate(distinct.dictionary.to_pylist()):
        parsed.append(None)
        if text.strip().lower() in missing:
            continue
        try:
            parsed[-1] = parse(text.strip())
        except OutOfRangeError:
            too_large.append(place)
        except ValueError:
            wrong.append(place)
    if wrong and not named:
        index = pc.index(_rows_of(distinct, wrong), True).as_py()  # the value to look for
        raise WrongKindError(index, received[index].as_py())
    return Converted(
        pa.array(parsed, target).take(distinct.indices),
        pc.if_else(_rows_of(distinct, too_large), received, None) if too_large else None,
        pc.if_else(_rows_of(distinct, wrong), received, None) if wrong else None,
    )


def _rows_of(distinct: pa.DictionaryArray, places: list[int]) -> pa.BooleanArray:
    return pc.is_in(distinct.indices, pa.array(places, distinct.indices.type))


def trim(received: pa.StringArray, missing: tuple[str, ...]) -> pa.StringArray:
    """Remove surrounding blanks, and texts that stand for no value.

    Args:
        received: The texts.
        missing: Texts in lower case that stand for no value.
    """
    text = pc.utf8_trim_whitespace(received)
    return pc.if_else(pc.is_in(pc.utf8_lower(text), pa.array(missing)), None, text)


def as_text(values: pa.Array) -> pa.StringArray:
    """Return values as text, null for null and for a double that is not a number.

    Args:
        values: Values of any type. Binary values become hexadecimal digits, nested ones JSON.
    """
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_string(values.type):
        return values
    if types.is_floating(values.type):
        values = without_nan(values.cast(pa.float64()))
    if _has_text_form(values.type):
        return values.cast(pa.string())
    return pa.array([None if value is None else _spell(value) for value in values.to_pylist()], pa.string())


def _has_text_form(found: pa.DataType) -> bool:
    return bool(
        types.is_temporal(found)
        or types.is_boolean(found)
        or is_number(found)
        or is_text(found)
        or types.is_null(found)
    )


def _spell(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else json.dumps(value, default=str, ensure_ascii=False)


def without_nan(values: pa.DoubleArray) -> pa.DoubleArray:
    """Turn not-a-number into null, because pandas writes missing values as such."""
    nan = pc.is_nan(values)
    return pc.if_else(nan, None, values) if pc.any(nan).as_py() else values


def is_text(found: pa.DataType) -> bool:
    """Return whether a type is text."""
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def is_number(found: pa.DataType) -> bool:
    """Return whether a type is a number."""
    return bool(types.is_integer(found) or types.is_floating(found) or types.is_decimal(found))
