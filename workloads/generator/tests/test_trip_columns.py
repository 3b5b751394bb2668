from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from trip_files import ROWS, TLC_COLUMNS, Write, read, refused, replaced

from generator.errors import TripColumnError, TripValueError
from generator.trip_columns import NEWER_COLUMNS

OLD_COLUMNS = {
    # The columns of 2009 in the file's order, and the event's.
    2009: {
        "vendor_name": "VendorID",
        "Trip_Pickup_DateTime": "tpep_pickup_datetime",
        "Trip_Dropoff_DateTime": "tpep_dropoff_datetime",
        "Passenger_Count": "passenger_count",
        "Trip_Distance": "trip_distance",
        "Start_Lon": "pickup_longitude",
        "Start_Lat": "pickup_latitude",
        "Rate_Code": "RatecodeID",
        "store_and_forward": "store_and_fwd_flag",
        "End_Lon": "dropoff_longitude",
        "End_Lat": "dropoff_latitude",
        "Payment_Type": "payment_type",
        "Fare_Amt": "fare_amount",
        "surcharge": "extra",
        "mta_tax": "mta_tax",
        "Tip_Amt": "tip_amount",
        "Tolls_Amt": "tolls_amount",
        "Total_Amt": "total_amount",
    },
    2010: {
        "vendor_id": "VendorID",
        "pickup_datetime": "tpep_pickup_datetime",
        "dropoff_datetime": "tpep_dropoff_datetime",
        "passenger_count": "passenger_count",
        "trip_distance": "trip_distance",
        "pickup_longitude": "pickup_longitude",
        "pickup_latitude": "pickup_latitude",
        "rate_code": "RatecodeID",
        "store_and_fwd_flag": "store_and_fwd_flag",
        "dropoff_longitude": "dropoff_longitude",
        "dropoff_latitude": "dropoff_latitude",
        "payment_type": "payment_type",
        "fare_amount": "fare_amount",
        "surcharge": "extra",
        "mta_tax": "mta_tax",
        "tip_amount": "tip_amount",
        "tolls_amount": "tolls_amount",
        "total_amount": "total_amount",
    },
}
COORDINATES = {
    "pickup_longitude": -73.991957,
    "pickup_latitude": 40.721567,
    "dropoff_longitude": -73.958816528320312,
    "dropoff_latitude": 0.0,
}


def of_year(trips: pa.Table, year: int) -> pa.Table:
    """Return the trips under the column names of an older year, with names for vendors and payments."""
    columns: dict[str, Any] = {name: pa.array([value] * len(trips)) for name, value in COORDINATES.items()}
    columns |= {"VendorID": pa.array(["VTS", "CMT", "DDS"] * (len(trips) // 3))}
    columns |= {"payment_type": pa.array(["CASH", "Cre", "No Charge"] * (len(trips) // 3))}
    return pa.table(
        {
            old: columns.get(today, trips[today] if today in TLC_COLUMNS else None)
            for old, today in OLD_COLUMNS[year].items()
        }
    )


@pytest.mark.parametrize("year", [2009, 2010])
def test_the_columns_of_older_years_become_those_of_today(trips: pa.Table, write: Write, year: int) -> None:
    """Such files name vendors and payments, and have coordinates instead of zones."""
    found = read(write(of_year(trips, year)))
    assert found["vendor_name"].to_pylist()[:3] == ["VTS", "CMT", "DDS"]
    assert found["payment_name"].to_pylist()[:3] == ["CASH", "Cre", "No Charge"]
    for column in ("tpep_pickup_datetime", "tpep_dropoff_datetime", "trip_distance", "store_and_fwd_flag", "extra"):
        assert found[column].equals(trips[column])
    for column, degrees in COORDINATES.items():
        assert found[column].to_pylist() == [degrees] * ROWS
    for column in ("VendorID", "payment_type", "PULocationID", "DOLocationID", "unknown_columns"):
        assert found[column].null_count == ROWS


def test_coordinates_and_todays_names_go_together(trips: pa.Table, write: Write) -> None:
    """So it was in the csv files of 2015 and of the first half of 2016, which spelled RateCodeID."""
    old = trips.drop_columns(["PULocationID", "DOLocationID", *NEWER_COLUMNS & set(TLC_COLUMNS)])
    old = old.rename_columns({"RatecodeID": "RateCodeID"})
    for name, degrees in COORDINATES.items():
        old = old.append_column(name, pa.array([degrees] * ROWS))
    found = read(write(old))
    assert found["RatecodeID"].equals(trips["RatecodeID"])
    assert found["dropoff_longitude"].to_pylist() == [COORDINATES["dropoff_longitude"]] * ROWS


def test_numbers_and_names_of_vendors_may_stand_in_one_column(trips: pa.Table, write: Write) -> None:
    """Each goes to its own column of the event; a text of blanks, or pandas' missing value, is neither."""
    vendors = pa.array(["1", " VTS", "2.0", "nan", " ", None, "1.5"])
    found = read(write(replaced(trips.slice(0, 7), "VendorID", vendors)))
    assert found["VendorID"].to_pylist() == [1, None, 2, None, None, None, None]
    assert found["vendor_name"].to_pylist() == [None, " VTS", None, None, None, None, None]
    assert found["values_out_of_range"].to_pylist()[5:] == [None, [("VendorID", "1.5")]]


@pytest.mark.parametrize("column", [name for name in TLC_COLUMNS if name not in NEWER_COLUMNS])
def test_a_missing_column_is_named(trips: pa.Table, write: Write, column: str) -> None:
    """This holds for each of the columns that every year has."""
    assert f"column {column} is missing" in refused(write(trips.drop_columns([column])), TripColumnError)


@pytest.mark.parametrize("column", COORDINATES)
def test_a_missing_coordinate_is_named(trips: pa.Table, write: Write, column: str) -> None:
    """A file has zones or coordinates; where it has neither, or half, a column got lost."""
    (old,) = (name for name, today in OLD_COLUMNS[2009].items() if today == column)
    assert f"column {column} is missing" in refused(write(of_year(trips, 2009).drop_columns([old])), TripColumnError)


def test_all_missing_columns_are_named_together(trips: pa.Table, write: Write) -> None:
    """One failed run should show everything that is wrong."""
    path = write(trips.drop_columns(["VendorID", "total_amount", "PULocationID", "DOLocationID"]))
    assert "column VendorID, PULocationID, DOLocationID, total_amount is missing" in refused(path, TripColumnError)


def test_columns_that_older_files_lack_have_no_value(trips: pa.Table, write: Write) -> None:
    """Files from before a surcharge are valid."""
    found = read(write(trips.drop_columns(sorted(NEWER_COLUMNS & set(TLC_COLUMNS)))))
    for column in NEWER_COLUMNS:
        assert found[column].null_count == ROWS


def test_the_congestion_zones_fee_is_a_column_of_the_event(trips: pa.Table, write: Write) -> None:
    """The TLC's files have it since January 2025."""
    found = read(write(trips.append_column("cbd_congestion_fee", pa.array([0.75] * ROWS))))
    assert found["cbd_congestion_fee"].to_pylist() == [0.75] * ROWS
    assert found["unknown_columns"].null_count == ROWS


def test_the_spelling_of_a_column_may_differ_in_case_and_blanks(trips: pa.Table, write: Write) -> None:
    """The TLC itself spelled columns in several ways."""
    fees = pa.array([1.25] * ROWS)
    names = [" airport_fee" if name == "Airport_fee" else name for name in trips.column_names]
    found = read(write(replaced(trips, "Airport_fee", fees).rename_columns(names)))
    assert found["Airport_fee"].to_pylist() == [1.25] * ROWS


@pytest.mark.parametrize(("again", "named"), [("airport_fee", "Airport_fee"), ("vendor_name", "VendorID"), ("x ", "x")])
def test_a_column_that_appears_twice_is_refused(trips: pa.Table, write: Write, again: str, named: str) -> None:
    """Choosing one of them would be a guess, also if one has the name of another year, or is unknown."""
    twice = trips.append_column("x", trips["VendorID"]).append_column(again, trips["VendorID"])
    assert f"column {named} appears 2 times" in refused(write(twice), TripColumnError)


def test_columns_that_the_event_does_not_have_are_kept_as_text(trips: pa.Table, write: Write) -> None:
    """The TLC adds columns, which must neither fail the month nor get lost."""
    more = trips.slice(0, 3).append_column(" surge_fee_2026", pa.array([0.5, None, 1.25]))
    found = read(write(more.append_column("note", pa.array(["NaN", "", None]))))
    assert found["unknown_columns"].to_pylist() == [
        [("surge_fee_2026", "0.5"), ("note", "NaN")],
        [("note", "")],
        [("surge_fee_2026", "1.25")],
    ]


@pytest.mark.parametrize(
    ("as_found", "texts"),
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array([1.5, float("nan")]), ["1.5", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([Decimal("0.50"), None]), ["0.50", None]),
        (pa.array([0, 1], pa.timestamp("us", "UTC")), ["1970-01-01 00:00:00.000000Z", "1970-01-01 00:00:00.000001Z"]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array([b"\xff\x00", None]), ["ff00", None]),
        (pa.array([[1, 2], None]), ["[1, 2]", None]),
        (pa.array([{"a": "é"}, None]), ['{"a": "é"}', None]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_an_unknown_column_may_have_any_type(
    trips: pa.Table, tmp_path: Path, as_found: pa.Array, texts: list[str | None]
) -> None:
    """Nobody knows what the TLC will publish."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(trips.slice(0, 2).append_column("new", as_found), path)
    assert read(path)["unknown_columns"].to_pylist() == [text and [("new", text)] for text in texts]


def test_the_index_that_pandas_left_behind_is_no_column_of_the_trip(trips: pa.Table, tmp_path: Path) -> None:
    """The file of 2010-02 has such a column: row numbers of an unpublished table."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(trips.append_column("__index_level_0__", pa.array(range(ROWS))), path)
    assert read(path)["unknown_columns"].null_count == ROWS


def test_a_value_in_a_column_without_a_name_is_refused(trips: pa.Table, write: Write) -> None:
    """There is no way to keep it; without values, such a column is the TLC's own comma too many."""
    empty = trips.append_column("", pa.nulls(ROWS, pa.string())).append_column(" ", pa.array([""] * ROWS))
    assert read(write(empty)).num_rows == ROWS
    full = trips.append_column("", pa.array([None] * 250 + ["?"] * 50))
    text = refused(path := write(full), TripValueError)
    assert (
        f"{'row 251' if path.suffix == '.parquet' else 'line 252'} has a value in column 20, which has no name" in text
    )


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("tpep_pickup_datetime", pa.array([0] * ROWS, pa.timestamp("us", "UTC"))),
        ("tpep_dropoff_datetime", pa.array([1] * ROWS)),
        ("store_and_fwd_flag", pa.array([True] * ROWS)),
        ("fare_amount", pa.array([True] * ROWS)),
        ("VendorID", pa.array([b"1"] * ROWS)),
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


def test_a_csv_column_name_may_be_quoted_and_have_a_byte_order_mark(trips: pa.Table, tmp_path: Path) -> None:
    """Spreadsheets write such headers."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(trips, path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path).num_rows == ROWS
