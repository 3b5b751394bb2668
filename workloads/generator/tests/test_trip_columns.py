from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from trip_files import ROWS, Write, read, refused

from generator.errors import TripColumnError, TripValueError
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.trip_columns import NEWER_COLUMNS


def replaced(trips: pa.Table, column: str, values: pa.Array) -> pa.Table:
    """Return the trips with other values in a column."""
    return trips.set_column(trips.schema.get_field_index(column), column, values)


@pytest.mark.parametrize("column", [name for name in TRIP_SCHEMA.names if name not in NEWER_COLUMNS])
def test_a_missing_column_is_named(trips: pa.Table, write: Write, column: str) -> None:
    """This holds for each of the columns that every year has."""
    assert f"column {column} is missing" in refused(write(trips.drop_columns([column])), TripColumnError)


def test_all_missing_columns_are_named_together(trips: pa.Table, write: Write) -> None:
    """One failed run should show everything that is wrong."""
    path = write(trips.drop_columns(["VendorID", "total_amount"]))
    assert "column VendorID, total_amount is missing" in refused(path, TripColumnError)


def test_columns_that_older_files_lack_have_no_value(trips: pa.Table, write: Write) -> None:
    """Files from before a surcharge are valid."""
    found = read(write(trips.drop_columns(sorted(NEWER_COLUMNS))))
    for column in NEWER_COLUMNS:
        assert found[column].null_count == ROWS


def test_the_spelling_of_a_column_may_differ_in_case_and_blanks(trips: pa.Table, write: Write) -> None:
    """The TLC itself spelled columns in several ways."""
    fees = pa.array([1.25] * ROWS)
    names = [" airport_fee" if name == "Airport_fee" else name for name in trips.column_names]
    found = read(write(replaced(trips, "Airport_fee", fees).rename_columns(names)))
    assert found["Airport_fee"].to_pylist() == [1.25] * ROWS


def test_a_column_that_appears_twice_is_refused(trips: pa.Table, write: Write) -> None:
    """Choosing one of them would be a guess."""
    twice = trips.append_column("airport_fee", trips["Airport_fee"])
    assert "column Airport_fee appears 2 times" in refused(write(twice), TripColumnError)


def test_columns_that_the_event_does_not_have_are_left_out(trips: pa.Table, write: Write) -> None:
    """The TLC adds columns, which must not fail the month."""
    more = trips.append_column("cbd_congestion_fee", pa.array([0.75] * ROWS))
    assert read(write(more)).column_names == TRIP_WITH_ID_SCHEMA.names


@pytest.mark.parametrize(
    ("column", "wrong", "expected"),
    [
        ("trip_distance", "far", "a finite number"),
        ("PULocationID", "Harlem", "a whole number"),
        ("tpep_pickup_datetime", "yesterday", "a date and time"),
    ],
)
def test_text_in_the_place_of_a_value_is_refused(
    trips: pa.Table, write: Write, column: str, wrong: str, expected: str
) -> None:
    """The type shows it if the format has types, otherwise the first value."""
    path = write(replaced(trips, column, pa.array([wrong] * ROWS)))
    text = refused(path, TripColumnError if path.suffix == ".parquet" else TripValueError)
    assert f"column {column}" in text
    assert f"expected {expected}" in text


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("tpep_pickup_datetime", pa.array([0] * ROWS, pa.timestamp("us", "UTC"))),
        ("tpep_dropoff_datetime", pa.array([1] * ROWS)),
        ("store_and_fwd_flag", pa.array([1] * ROWS)),
        ("fare_amount", pa.array([True] * ROWS)),
    ],
)
def test_a_parquet_column_of_a_wrong_type_is_refused(
    trips: pa.Table, tmp_path: Path, column: str, found: pa.Array
) -> None:
    """A time with a zone, or a flag as a fare, would change its meaning when converted."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips, column, found), path)
    text = refused(path, TripColumnError)
    assert f"column {column} has a wrong type" in text
    assert f"got {found.type}" in text


@pytest.mark.parametrize(
    ("column", "value"),
    [("passenger_count", 1.5), ("VendorID", float("inf")), ("total_amount", float("-inf")), ("RatecodeID", 1e300)],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(
    trips: pa.Table, write: Write, column: str, value: float
) -> None:
    """Rounding it would silently change real data."""
    values = [1.0] * ROWS
    values[217] = value
    text = refused(write(replaced(trips, column, pa.array(values))), TripValueError)
    assert f"row 218, column {column}" in text


@pytest.mark.parametrize(
    ("column", "as_found", "expected"),
    [
        ("passenger_count", pa.array([1.0, None, 2.0]), [1, None, 2]),
        ("passenger_count", pa.array([1.0, float("nan"), 2.0]), [1, None, 2]),
        ("payment_type", pa.array([1, 2, 3], pa.int32()), [1, 2, 3]),
        ("RatecodeID", pa.array([1, 2, 3], pa.uint8()), [1, 2, 3]),
        ("Airport_fee", pa.nulls(3), [None, None, None]),
        ("tip_amount", pa.array([1, 2, 3]), [1.0, 2.0, 3.0]),
        ("store_and_fwd_flag", pa.array(["N", None, "Y"], pa.large_string()), ["N", None, "Y"]),
        ("store_and_fwd_flag", pa.array(["N", None, "Y"]).dictionary_encode(), ["N", None, "Y"]),
        ("extra", pa.array([Decimal("0.50"), None, Decimal("1.00")]), [0.5, None, 1.0]),
    ],
)
def test_the_types_that_files_had_over_the_years_are_accepted(
    trips: pa.Table, tmp_path: Path, column: str, as_found: pa.Array, expected: list[object]
) -> None:
    """Examples are whole numbers as doubles, other units of time, and columns without any value."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips.slice(0, 3), column, as_found), path)
    assert read(path)[column].to_pylist() == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_read_to_the_millisecond(trips: pa.Table, tmp_path: Path, unit: str) -> None:
    """The TLC changed from nanoseconds to microseconds; its meters record seconds."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    times = pa.array([1_546_300_800_123, None, 0]).cast(pa.timestamp("ms"))
    as_found = pc.cast(times, options=pc.CastOptions(pa.timestamp(unit), allow_time_truncate=True))
    pq.write_table(replaced(trips.slice(0, 3), "tpep_pickup_datetime", as_found), path)
    assert read(path)["tpep_pickup_datetime"].cast(pa.int64()).to_pylist() == [
        1_546_300_800_000 if unit == "s" else 1_546_300_800_123,
        None,
        0,
    ]


def test_whole_numbers_that_a_csv_writes_as_decimals_are_accepted(trips: pa.Table, tmp_path: Path) -> None:
    """Pandas writes a column of whole numbers with missing values this way."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(replaced(trips.slice(0, 2), "passenger_count", pa.array(["1.0", " 2 "])), path)
    assert read(path)["passenger_count"].to_pylist() == [1, 2]
