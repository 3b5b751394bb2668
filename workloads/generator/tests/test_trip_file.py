import hashlib
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from generator.errors import (
    TripColumnError,
    TripFileCutOffError,
    TripFileEmptyError,
    TripFileError,
    TripFileUnreadableError,
    TripValueError,
)
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.month import Month
from generator.synthesis import SyntheticTrips
from generator.trip_columns import NEWER_COLUMNS
from generator.trip_file import TripFile, find_trip_file
from generator.trip_format import BATCH_ROWS

MONTH = Month(2019, 1)
ROWS = 300

Write = Callable[[pa.Table], Path]


@pytest.fixture(scope="module")
def trips() -> pa.Table:
    """Trips in the types that the TLC's Parquet files have."""
    table = pa.Table.from_batches(SyntheticTrips(MONTH, seed=1, events=ROWS).batches())
    return table.drop_columns(["event_id"])


@pytest.fixture(params=["parquet", "csv"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Write a table in one of the two formats, under the TLC's name."""
    path = tmp_path / f"yellow_tripdata_2019-01.{request.param}"

    def write_file(table: pa.Table) -> Path:
        if path.suffix == ".parquet":
            pq.write_table(table, path, coerce_timestamps="us")
        else:
            pyarrow.csv.write_csv(table, path)
        return path

    return write_file


def read(path: Path) -> pa.Table:
    """Read a file as the step does."""
    return pa.Table.from_batches(TripFile(MONTH, path).batches())


def replaced(trips: pa.Table, column: str, values: pa.Array) -> pa.Table:
    """Put other values in the place of a column."""
    return trips.set_column(trips.schema.get_field_index(column), column, values)


def refused(path: Path, kind: type[TripFileError]) -> str:
    """Read a file that must be refused, and give the error's text."""
    with pytest.raises(kind, match=re.escape(str(path))) as caught:
        TripFile(MONTH, path)
    text = str(caught.value)
    assert "\n" not in text
    assert "to do:" in text
    return text


def test_a_file_yields_its_trips_with_ids_of_month_content_and_row(trips: pa.Table, write: Write) -> None:
    """Both formats give the same trips, and ids that lead back to the row."""
    path = write(trips)
    found = read(path)
    assert found.schema == TRIP_WITH_ID_SCHEMA
    assert found.drop_columns(["event_id"]).equals(trips.cast(TRIP_SCHEMA))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert found["event_id"][0].as_py() == f"2019-01.{digest}.000000001"
    assert found["event_id"][ROWS - 1].as_py() == f"2019-01.{digest}.000000300"


def test_a_file_knows_how_many_trips_it_has_and_adds_no_faults(trips: pa.Table, write: Write) -> None:
    """A replay sends what there is, once."""
    file = TripFile(MONTH, write(trips))
    assert (file.events, file.faults, file.kind) == (ROWS, (0, 0), "file")


@pytest.mark.parametrize("column", [name for name in TRIP_SCHEMA.names if name not in NEWER_COLUMNS])
def test_a_missing_column_is_named(trips: pa.Table, write: Write, column: str) -> None:
    """Each of the columns that every year has."""
    assert f"column {column} is missing" in refused(write(trips.drop_columns([column])), TripColumnError)


def test_all_missing_columns_are_named_together(trips: pa.Table, write: Write) -> None:
    """One failed run must be enough to learn all that is wrong."""
    path = write(trips.drop_columns(["VendorID", "total_amount"]))
    assert "column VendorID, total_amount is missing" in refused(path, TripColumnError)


def test_columns_that_older_files_lack_have_no_value(trips: pa.Table, write: Write) -> None:
    """Files from before a surcharge are good files."""
    found = read(write(trips.drop_columns(sorted(NEWER_COLUMNS))))
    for column in NEWER_COLUMNS:
        assert found[column].null_count == ROWS


def test_the_spelling_of_a_column_may_differ_in_case_and_blanks(trips: pa.Table, write: Write) -> None:
    """The TLC itself spelled them in several ways."""
    fees = pa.array([1.25] * ROWS)
    names = [" airport_fee" if name == "Airport_fee" else name for name in trips.column_names]
    found = read(write(replaced(trips, "Airport_fee", fees).rename_columns(names)))
    assert found["Airport_fee"].to_pylist() == [1.25] * ROWS


def test_a_column_that_is_there_twice_is_refused(trips: pa.Table, write: Write) -> None:
    """Choosing one of them would be a guess."""
    twice = trips.append_column("airport_fee", trips["Airport_fee"])
    assert "column Airport_fee is there 2 times" in refused(write(twice), TripColumnError)


def test_columns_that_the_event_does_not_have_are_left_out(trips: pa.Table, write: Write) -> None:
    """The TLC adds columns; that must not stop the month."""
    more = trips.append_column("cbd_congestion_fee", pa.array([0.75] * ROWS))
    assert read(write(more)).column_names == TRIP_WITH_ID_SCHEMA.names


def test_a_file_without_a_byte_is_empty(trips: pa.Table, write: Write) -> None:
    """What a failed download leaves."""
    path = write(trips)
    path.write_bytes(b"")
    assert "0 bytes" in refused(path, TripFileEmptyError)


def test_a_file_without_a_row_is_empty(trips: pa.Table, write: Write) -> None:
    """A month without trips is no month."""
    assert "without any row" in refused(write(trips.slice(0, 0)), TripFileEmptyError)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_refused_before_its_first_trip(trips: pa.Table, write: Write, kept: float) -> None:
    """What an interrupted download leaves, wherever it was interrupted."""
    path = write(trips)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "cut off" in refused(path, TripFileCutOffError)


def test_a_file_that_is_not_what_its_name_says_is_refused(trips: pa.Table, write: Write) -> None:
    """For example an error page that was saved under the name."""
    path = write(trips)
    path.write_bytes(b"\x89PNG\xff\n" * 100)
    refused(path, TripFileUnreadableError)


def test_damage_in_the_middle_of_a_parquet_file_is_found_before_its_first_trip(trips: pa.Table, tmp_path: Path) -> None:
    """The whole file is read before anything is sent."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(trips, path, compression="zstd")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = b"\xff" * 1000
    path.write_bytes(content)
    refused(path, TripFileUnreadableError)


def test_a_csv_line_with_too_few_values_is_named(trips: pa.Table, tmp_path: Path) -> None:
    """The line's number is what an editor asks for."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(trips, path)
    lines = path.read_text().splitlines()
    lines[100] = "1,2019-01-01 00:00:00"
    path.write_text("\n".join(lines) + "\n")
    text = refused(path, TripValueError)
    assert "line 101 has a wrong number of values" in text
    assert "expected 19; got 2" in text


def test_a_csv_with_windows_line_ends_a_byte_order_mark_and_blank_lines_is_read(
    trips: pa.Table, tmp_path: Path
) -> None:
    """What spreadsheets and some of the TLC's own files look like."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(trips, path)
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([lines[0], "", *lines[1:], ""]).encode())
    assert read(path).drop_columns(["event_id"]).equals(trips.cast(TRIP_SCHEMA))


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
    """By the type where the format has types, else by the first value."""
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
    """A time with a zone, or a flag for a fare, would be converted into something else."""
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
    """Rounding it would change real data unseen."""
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
def test_the_types_that_files_had_over_the_years_are_taken(
    trips: pa.Table, tmp_path: Path, column: str, as_found: pa.Array, expected: list[object]
) -> None:
    """Whole numbers as doubles, other units of time, columns without any value."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips.slice(0, 3), column, as_found), path)
    assert read(path)[column].to_pylist() == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_taken_to_the_millisecond(trips: pa.Table, tmp_path: Path, unit: str) -> None:
    """The TLC went from nano- to microseconds; its meters know seconds."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    times = pa.array([1_546_300_800_123, None, 0]).cast(pa.timestamp("ms"))
    as_found = pc.cast(times, options=pc.CastOptions(pa.timestamp(unit), allow_time_truncate=True))
    pq.write_table(replaced(trips.slice(0, 3), "tpep_pickup_datetime", as_found), path)
    assert read(path)["tpep_pickup_datetime"].cast(pa.int64()).to_pylist() == [
        1_546_300_800_000 if unit == "s" else 1_546_300_800_123,
        None,
        0,
    ]


def test_whole_numbers_that_a_csv_writes_as_decimals_are_taken(trips: pa.Table, tmp_path: Path) -> None:
    """As pandas writes a column of whole numbers with gaps."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(replaced(trips.slice(0, 2), "passenger_count", pa.array(["1.0", " 2 "])), path)
    assert read(path)["passenger_count"].to_pylist() == [1, 2]


def test_a_file_that_changes_while_it_is_sent_is_an_error(trips: pa.Table, write: Write) -> None:
    """The ids name the content that was checked."""
    file = TripFile(MONTH, write(trips))
    write(trips.slice(0, 200))
    with pytest.raises(TripFileError, match=r"changed while it was sent .*; expected 300 rows; got 200"):
        list(file.batches())


def test_a_file_that_may_not_be_read_is_refused(trips: pa.Table, write: Write) -> None:
    """Permissions and dangling links are not an absent month."""
    path = write(trips)
    path.unlink()
    path.symlink_to(path.parent / "nowhere")
    assert "No such file" in refused(path, TripFileUnreadableError)


def test_the_months_file_is_found_and_parquet_preferred(tmp_path: Path) -> None:
    """One month, one source."""
    assert find_trip_file(tmp_path, MONTH) is None
    csv_file = tmp_path / "yellow_tripdata_2019-01.csv"
    csv_file.touch()
    assert find_trip_file(tmp_path, MONTH) == csv_file
    parquet_file = tmp_path / "yellow_tripdata_2019-01.parquet"
    parquet_file.touch()
    assert find_trip_file(tmp_path, MONTH) == parquet_file
    assert find_trip_file(tmp_path, Month(2019, 2)) is None


def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    """Else a mistyped folder would quietly give a synthetic month."""
    with pytest.raises(TripFileUnreadableError, match=f"{tmp_path / 'nowhere'}.*No such file.*to do:"):
        find_trip_file(tmp_path / "nowhere", MONTH)


def test_a_file_comes_in_small_batches_however_large_a_row_group_is(trips: pa.Table, tmp_path: Path) -> None:
    """Older files of the TLC are one row group of millions of rows."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    many = pa.concat_tables([trips] * 500)
    pq.write_table(many, path, row_group_size=len(many))
    assert max(batch.num_rows for batch in TripFile(MONTH, path).batches()) <= BATCH_ROWS < len(many)
