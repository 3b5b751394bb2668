"""Convert a column of numbers, in any type that files have for them, to whole numbers or doubles."""

import math
import re
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from generator.trip_values import Converted, OutOfRangeError, as_text, is_text, parse_texts, trim, without_nan

NO_NUMBER: Final = ("", "nan", "+nan", "-nan")
"""Texts that stand for no number; pandas writes them."""

LEAST_LONG, MOST_LONG = -(2**63), 2**63 - 1
MOST_EXACT: Final = 2**53
"""Up to here a double holds every whole number."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_INFINITY: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


def convert_numbers(values: pa.Array, target: pa.DataType, *, named: bool = False) -> Converted:
    """Convert numbers to the event's type.

    Out of range are infinity, whole numbers beyond 64 bits, fractions in a column of whole numbers, and whole numbers
    that lie between two doubles. A decimal fraction becomes the nearest double.

    Args:
        values: Numbers or texts.
        target: int64 or float64.
        named: Whether texts that are no number are names, as in the columns of vendor and payment.

    Returns:
        The conversion.

    Raises:
        WrongKindError: A text is no number.
    """
    whole = types.is_integer(target)
    parse = _parse_whole if whole else _parse_double
    if is_text(values.type) or types.is_decimal(values.type):
        received = as_text(values)
        # Arrow would read 0x10 as a whole number.
        numbers = None if whole else _read_doubles(received)
        if numbers is not None:
            return Converted(numbers)
        return parse_texts(received, target, parse, missing=NO_NUMBER, named=named)
    if types.is_floating(values.type):
        values = values.cast(pa.float64())
        if not _is_finite(values):
            values = without_nan(values)
    if whole or types.is_integer(values.type) or _is_finite(values):
        try:
            return Converted(values.cast(target))
        except pa.ArrowInvalid:
            pass
    if whole and types.is_floating(values.type):
        parse = _whole_of_double
    return parse_texts(as_text(values), target, parse, missing=NO_NUMBER)


def _is_finite(values: pa.DoubleArray) -> bool:
    """Return whether there is no infinity, and nothing that is not a number.

    Both show in the sum, which takes a fraction of the time of a look at each value.
    """
    total = pc.sum(values).as_py()
    return total is None or math.isfinite(total) or bool(pc.all(pc.is_finite(values)).as_py())


def _read_doubles(received: pa.StringArray) -> pa.DoubleArray | None:
    """Return texts as doubles, or None if there is one that needs a closer look."""
    for trimmed in (False, True):
        try:
            numbers = (trim(received, NO_NUMBER) if trimmed else received).cast(pa.float64())
        except pa.ArrowInvalid:
            continue
        ends = pc.min_max(numbers).as_py()
        small = ends["min"] is None or -MOST_EXACT < ends["min"] <= ends["max"] < MOST_EXACT
        if small and _is_finite(numbers):
            return numbers
    return None


def _parse_whole(text: str) -> int:
    number = Decimal(_checked(text))
    # The exponent first: a short text such as 1e999999 would make a number of a million digits.
    if number.adjusted() > len(str(MOST_LONG)) or number != number.to_integral_value():
        raise OutOfRangeError
    if not LEAST_LONG <= number <= MOST_LONG:
        raise OutOfRangeError
    return int(number)


def _whole_of_double(text: str) -> int:
    """Return the whole number that a double is; beyond 2**53 its shortest text may name another."""
    number = float(text)
    if not number.is_integer() or not LEAST_LONG <= number <= MOST_LONG:
        raise OutOfRangeError
    return int(number)


def _parse_double(text: str) -> float:
    number = float(_checked(text))
    if math.isinf(number):
        raise OutOfRangeError
    # A smaller double holds 15 digits or more, and the nearest one is what the text's writer meant.
    if abs(number) >= MOST_EXACT and Decimal(text) not in {Decimal(number), Decimal(repr(number))}:
        raise OutOfRangeError
    return number


def _checked(text: str) -> str:
    if _INFINITY.fullmatch(text):
        raise OutOfRangeError
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return text
