"""Convert a column of numbers, in any type that files have for them, to whole numbers or doubles."""

import math
import re
import sys
from decimal import Decimal, InvalidOperation
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

LEAST_PRECISE: Final = sys.float_info.min
"""Below this a double holds fewer than 15 digits, and at last none: 1e-400 would become zero."""

LONGEST_PLAIN: Final = 300
"""Up to here a text without an exponent is zero or ``LEAST_PRECISE`` and more: that has 307 zeros after its point."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_INFINITY: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
_ZERO: Final = re.compile(r"[+-]?[0.]+(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


def convert_numbers(values: pa.Array, target: pa.DataType, *, named: bool = False) -> Converted:
    """Convert numbers to the event's type.

    Out of range are infinity, whole numbers beyond 64 bits, fractions in a column of whole numbers, whole numbers that
    lie between two doubles, and fractions so small that a double holds fewer than 15 of their digits. Any other decimal
    fraction becomes the nearest double.

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
        if small and _is_finite(numbers) and not _loses_digits(received, numbers):
            return numbers
    return None


def _loses_digits(received: pa.StringArray, numbers: pa.DoubleArray) -> bool:
    """Return whether a text that is not zero became zero, or a double that is too small for its digits."""
    # Most columns have no such text, and this takes a tenth of the time of a look at each zero.
    texts = received.buffers()[2]
    content = b"" if texts is None else texts.to_pybytes()
    longest = pc.max(pc.binary_length(received)).as_py() or 0
    if not (b"e" in content or b"E" in content) and longest <= LONGEST_PLAIN:
        return False
    least = received.filter(pc.less(pc.abs(numbers), LEAST_PRECISE)).unique().to_pylist()
    return not all(text is None or _ZERO.fullmatch(text.strip()) for text in least)


def _parse_whole(text: str) -> int:
    number = _exact(_checked(text))
    if number.is_zero():
        return 0
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
    # Between these a double holds 15 digits or more, and the nearest one is what the text's writer meant.
    precise = LEAST_PRECISE <= abs(number) < MOST_EXACT
    if not precise and _exact(text) not in {Decimal(number), Decimal(repr(number))}:
        raise OutOfRangeError
    return number


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # Its exponent has 19 digits or more.
        raise OutOfRangeError from None


def _checked(text: str) -> str:
    if _INFINITY.fullmatch(text):
        raise OutOfRangeError
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return text
