"""Read trip files in the TLC's formats as the step does."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from generator.errors import TripFileError
from generator.month import Month
from generator.trip_file import TripFile

MONTH = Month(2019, 1)
ROWS = 300
TLC_COLUMNS = [
    "VendorID",
    "tpep_pickup_datetime",
    "tpep_dropoff_datetime",
    "passenger_count",
    "trip_distance",
    "RatecodeID",
    "store_and_fwd_flag",
    "PULocationID",
    "DOLocationID",
    "payment_type",
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "total_amount",
    "congestion_surcharge",
    "Airport_fee",
]
"""The columns of files of 2023 and 2024."""

Write = Callable[[pa.Table], Path]


def read(path: Path) -> pa.Table:
    """Read a file as the step does."""
    return pa.Table.from_batches(TripFile(MONTH, path).batches())


def replaced(trips: pa.Table, column: str, values: pa.Array) -> pa.Table:
    """Return the trips with other values in a column."""
    return trips.set_column(trips.schema.get_field_index(column), column, values)


def refused(path: Path, kind: type[TripFileError]) -> str:
    """Read a file that must be refused, and return the error's text."""
    with pytest.raises(kind, match=re.escape(str(path))) as caught:
        TripFile(MONTH, path)
    text = str(caught.value)
    assert "\n" not in text
    assert "to do:" in text
    return text
