"""Find the event's columns among a file's, which were named otherwise in other years, and check their types."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyarrow import types

from generator.errors import TripColumnError
from generator.event_schema import TIMESTAMP, TRIP_SCHEMA
from generator.trip_values import is_number, is_text

NAME_COLUMNS: Final = {"VendorID": "vendor_name", "payment_type": "payment_name"}
"""Columns that hold numbers in some years and texts in others, and the event's column for the texts."""

FILE_COLUMNS: Final = tuple(
    name for name in TRIP_SCHEMA.names if name not in {*NAME_COLUMNS.values(), "unknown_columns", "values_out_of_range"}
)
"""The event's columns that a file may have."""

OLDER_NAMES: Final = {
    "vendor_name": "VendorID",
    "vendor_id": "VendorID",
    "trip_pickup_datetime": "tpep_pickup_datetime",
    "pickup_datetime": "tpep_pickup_datetime",
    "trip_dropoff_datetime": "tpep_dropoff_datetime",
    "dropoff_datetime": "tpep_dropoff_datetime",
    "start_lon": "pickup_longitude",
    "start_lat": "pickup_latitude",
    "end_lon": "dropoff_longitude",
    "end_lat": "dropoff_latitude",
    "rate_code": "RatecodeID",
    "store_and_forward": "store_and_fwd_flag",
    "fare_amt": "fare_amount",
    "surcharge": "extra",
    "tip_amt": "tip_amount",
    "tolls_amt": "tolls_amount",
    "total_amt": "total_amount",
}
"""Names of 2009 to 2014 in lower case, and those of today."""

ZONES: Final = ("PULocationID", "DOLocationID")
COORDINATES: Final = ("pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude")

NEWER_COLUMNS: Final = frozenset({"improvement_surcharge", "congestion_surcharge", "Airport_fee", "cbd_congestion_fee"})
"""Columns that the TLC added over the years; if an older file lacks them, its trips have no value there."""

EXPECTED: Final = {
    pa.int64(): "a whole number",
    pa.float64(): "a finite number",
    TIMESTAMP: "a date and time without time zone, YYYY-MM-DD HH:MM:SS",
    pa.string(): "text",
}
"""For each type of the event, what a file's column should hold."""

DOWNLOAD_AGAIN: Final = "download the month's yellow taxi file from the TLC again"

_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")
_TODAYS_NAMES: Final = {name.lower(): name for name in FILE_COLUMNS} | OLDER_NAMES


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """A file's columns, by their place in the file.

    Args:
        names: The file's column names, without surrounding blanks.
        known: Place of each of the event's columns that the file has.
        unknown: Place of each column that the event does not have, by its name.
        nameless: Places of columns without a name, which must not have values.
    """

    names: Sequence[str]
    known: Mapping[str, int]
    unknown: Mapping[str, int]
    nameless: Sequence[int]


def match_columns(where: str, names: Sequence[str]) -> ColumnMatch:
    """Find the event's columns among a file's columns.

    The index that pandas leaves behind, ``__index_level_0__``, numbers the rows of an unpublished table: it is not part
    of the trip.

    Args:
        where: The file, for the error message.
        names: The file's column names; case and surrounding blanks do not matter, because the TLC itself wrote
            ``airport_fee`` and `` trip_distance`` in some years.

    Returns:
        The columns.

    Raises:
        TripColumnError: A column is missing or appears twice.
    """
    names = [name.strip() for name in names]
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if not _PANDAS_INDEX.fullmatch(name):
            places.setdefault(_TODAYS_NAMES.get(name.lower(), name), []).append(place)
    nameless = places.pop("", [])
    for name, several in places.items():
        if len(several) > 1:
            raise TripColumnError(
                f"column {name} appears {len(several)} times",
                expected="each column once",
                got=", ".join(names[place] for place in several),
                where=where,
                todo="keep one of them",
            )
    missing = [name for name in _required(places) if name not in places]
    if missing:
        raise TripColumnError(
            f"column {', '.join(missing)} is missing",
            expected="the columns of a yellow taxi file of any year, today " + ", ".join(FILE_COLUMNS),
            got=", ".join(filter(None, names)) or "no column",
            where=where,
            todo=DOWNLOAD_AGAIN,
        )
    return ColumnMatch(
        names,
        known={name: place for name, (place,) in places.items() if name in FILE_COLUMNS},
        unknown={name: place for name, (place,) in places.items() if name not in FILE_COLUMNS},
        nameless=nameless,
    )


def _required(found: Mapping[str, object]) -> list[str]:
    """Return the columns that a file must have: one year's, and either zones or coordinates."""
    by_coordinates = not any(name in found for name in ZONES) and any(name in found for name in COORDINATES)
    optional = {*NEWER_COLUMNS, *(ZONES if by_coordinates else COORDINATES)}
    return [name for name in FILE_COLUMNS if name not in optional]


def check_types(where: str, columns: ColumnMatch, found: Sequence[pa.DataType]) -> None:
    """Raise if a column's type does not fit the event.

    Args:
        where: The file, for the error message.
        columns: The file's columns.
        found: The types of all of the file's columns.

    Raises:
        TripColumnError: The type does not fit.
    """
    for name, place in columns.known.items():
        target = TRIP_SCHEMA.field(name).type
        if not _fits(found[place], target):
            raise TripColumnError(
                f"column {columns.names[place]} has a wrong type",
                expected=EXPECTED[target],
                got=str(found[place]),
                where=where,
                todo=DOWNLOAD_AGAIN,
            )


def _fits(found: pa.DataType, target: pa.DataType) -> bool:
    if types.is_dictionary(found):
        found = found.value_type
    if types.is_timestamp(target):
        fits = types.is_date(found) or (types.is_timestamp(found) and found.tz is None)
    else:
        fits = is_number(found)
    return bool(fits or is_text(found) or types.is_null(found))
