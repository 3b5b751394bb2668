"""Convert a column of times, in any type that files have for them, to milliseconds."""

import datetime as dt
import re
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from generator.event_schema import TIMESTAMP
from generator.trip_values import Converted, OutOfRangeError, as_text, is_text, parse_texts, trim

NO_TIME: Final = ("", "nan", "nat")
"""Texts that stand for no time; pandas writes them."""

FIRST_S, END_S = -62_135_596_800, 253_402_300_800
"""The first second of the year 1, and the end of 9999: what every layer of the pipeline can hold."""

MS_PER_S: Final = 1000
MS_DIGITS: Final = 3
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNITS_PER_S: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_LONG: Final = np.iinfo(np.int64)
_TIME: Final = re.compile(
    r"(?P<year>[+-]?\d{4,6})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"([ T](?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d+))?)?)?",
    re.ASCII,
)
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")


def convert_times(values: pa.Array) -> Converted:
    """Convert times to milliseconds.

    Out of range are times before the year 1 or after 9999, and those with a fraction of a millisecond: a pickup that is
    rounded to another millisecond would be another trip.

    Args:
        values: Times without time zone, dates, or texts ``YYYY-MM-DD HH:MM:SS``.

    Returns:
        The conversion.

    Raises:
        WrongKindError: A text is no time.
    """
    if not is_text(values.type):
        return _to_milliseconds(values if types.is_timestamp(values.type) else values.cast(pa.timestamp("s")))
    received = as_text(values)
    for trimmed in (False, True):
        text = trim(received, NO_TIME) if trimmed else received
        try:
            # Arrow refuses a finer fraction than the unit; nanoseconds would not reach beyond 2262.
            found = _to_milliseconds(text.cast(pa.timestamp("us")))
        except pa.ArrowInvalid:
            continue
        if found.out_of_range is None:
            return found
        return Converted(found.values, pc.if_else(pc.is_valid(found.out_of_range), received, None))
    return parse_texts(received, TIMESTAMP, _parse, missing=NO_TIME)


def _to_milliseconds(times: pa.TimestampArray) -> Converted:
    unit, per_s = times.type.unit, _UNITS_PER_S[times.type.unit]
    counts = times.view(pa.int64())
    first, end = FIRST_S * per_s, END_S * per_s
    ends = pc.min_max(counts).as_py()
    if ends["min"] is None or first <= ends["min"] <= ends["max"] < end:
        try:
            return Converted(times.cast(TIMESTAMP))
        except pa.ArrowInvalid:
            pass
    numbers = counts.fill_null(0).to_numpy()
    held = (numbers >= max(first, _LONG.min)) & (numbers <= min(end - 1, _LONG.max))
    if per_s >= MS_PER_S:
        milliseconds, finer = np.divmod(numbers, per_s // MS_PER_S)
        held &= finer == 0
    else:
        milliseconds = np.where(held, numbers, 0) * MS_PER_S
    valid, kept = pc.is_valid(times), pa.array(held)
    return Converted(
        pc.if_else(pc.and_(valid, kept), pa.array(milliseconds).cast(TIMESTAMP), None),
        pc.if_else(pc.and_(valid, pc.invert(kept)), _spell(times, counts, unit), None),
    )


def _spell(times: pa.TimestampArray, counts: pa.Int64Array, unit: str) -> pa.StringArray:
    text = times.cast(pa.string())
    # Arrow has no date for years beyond 32767, and says so in angle brackets.
    far = pc.binary_join_element_wise(counts.cast(pa.string()), f"{unit} since 1970-01-01", " ")
    return pc.if_else(pc.starts_with(text, "<"), far, text)


def _parse(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(match[name] or 0) for name in _PARTS)
    # The calendar repeats every 400 years, so that a date of the year 10000 is checked too.
    time = dt.datetime(2000 + year % 400, month, day, hour, minute, second, tzinfo=dt.UTC)
    fraction = (match["fraction"] or "").rstrip("0")
    if not dt.MINYEAR <= year <= dt.MAXYEAR or len(fraction) > MS_DIGITS:
        raise OutOfRangeError
    since = time.replace(year=year) - _EPOCH
    return since // dt.timedelta(milliseconds=1) + int(fraction.ljust(MS_DIGITS, "0"))
