"""What becomes of values, in either format: converted, out of range, or refused."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from trip_files import ROWS, Write, read, refused, replaced

from generator.errors import TripValueError

PICKUP = "tpep_pickup_datetime"
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def place(path: Path, row: int) -> str:
    """Name a row, counted from 1, as an editor does."""
    return f"row {row}" if path.suffix == ".parquet" else f"line {row + 1}"


def column_of(trips: pa.Table, write: Write, column: str, values: pa.Array) -> tuple[list[Any], list[Any]]:
    """Write values in a column, and return what is read: the values, and the texts out of range."""
    found = read(write(replaced(trips.slice(0, len(values)), column, values)))
    texts = [dict(row or ()).get(column) for row in found["values_out_of_range"].to_pylist()]
    values = found[column].cast(pa.int64()) if pa.types.is_timestamp(found[column].type) else found[column]
    return values.to_pylist(), texts


@pytest.mark.parametrize(
    ("column", "wrong", "expected"),
    [
        ("trip_distance", "far", "a finite number"),
        ("fare_amount", "$5", "a finite number"),
        ("fare_amount", "1_000", "a finite number"),
        ("fare_amount", "1,000", "a finite number"),
        ("PULocationID", "Harlem", "a whole number"),
        ("PULocationID", "0x10", "a whole number"),
        (PICKUP, "yesterday", "a date and time"),
        (PICKUP, "2019-02-30 00:00:00", "a date and time"),
        (PICKUP, "10000-02-30 00:00:00", "a date and time"),
        (PICKUP, "2019-01-01 24:00:00", "a date and time"),
        (PICKUP, "2019-01-01T00:00:00Z", "a date and time"),
        (PICKUP, "1546300800", "a date and time"),
        (PICKUP, "01/31/2019 11:59:00 PM", "a date and time"),
    ],
)
def test_a_value_of_a_wrong_kind_refuses_the_file_and_names_its_row(
    trips: pa.Table, write: Write, column: str, wrong: str, expected: str
) -> None:
    """Such a file is no trip file, or its columns got mixed up; both formats say the same."""
    words = trips[column].cast(pa.string()).to_pylist()
    words[216], words[250] = wrong, wrong
    text = refused(path := write(replaced(trips, column, pa.array(words))), TripValueError)
    assert f"{place(path, 217)}, column {column}, has a value of a wrong kind" in text
    assert f"expected {expected}" in text
    assert f"got {wrong!r}; to do: correct the row" in text


def test_an_error_names_the_column_as_the_file_does(trips: pa.Table, write: Write) -> None:
    """Its reader looks for that name in an editor."""
    old = replaced(trips, "extra", pa.array(["much"] * ROWS)).rename_columns({"extra": "surcharge"})
    assert "column surcharge, has" in refused(write(old), TripValueError)


@pytest.mark.parametrize(
    ("column", "as_found", "expected", "out_of_range"),
    [
        ("passenger_count", [1.0, 1.5], [1, None], [None, "1.5"]),
        ("RatecodeID", [1e300, 2.0], [None, 2], ["1e+300", None]),
        ("VendorID", [float("inf"), None], [None, None], ["inf", None]),
        ("total_amount", [float("-inf"), 1.5], [None, 1.5], ["-inf", None]),
        ("total_amount", [1e308, -5e-324], [1e308, -5e-324], [None, None]),
        ("payment_type", pa.array([2**63, 2**63 - 1], pa.uint64()), [None, 2**63 - 1], ["9223372036854775808", None]),
        ("tip_amount", pa.array([2**53 + 1, 2**53 + 2]), [None, 2.0**53 + 2], ["9007199254740993", None]),
        (
            "extra",
            pa.array([Decimal("0.30"), Decimal("12345678901234567.89")]),
            [0.3, None],
            [None, "12345678901234567.89"],
        ),
        ("fare_amount", ["1e400", " 5 "], [None, 5.0], ["1e400", None]),
        ("fare_amount", ["+1.50", ".5"], [1.5, 0.5], [None, None]),
        ("RatecodeID", ["1e999999999", "9223372036854775807"], [None, 2**63 - 1], ["1e999999999", None]),
        ("RatecodeID", [" 99.0", "-9223372036854775809"], [99, None], [None, "-9223372036854775809"]),
        ("passenger_count", [" 2 ", ""], [2, None], [None, None]),
        ("passenger_count", [1.0, float("nan")], [1, None], [None, None]),
        ("passenger_count", ["1", "NaN"], [1, None], [None, None]),
        ("fare_amount", [float("nan"), 1.0], [None, 1.0], [None, None]),
        ("fare_amount", ["nan", "1"], [None, 1.0], [None, None]),
        ("fare_amount", ["", " "], [None, None], [None, None]),
        ("store_and_fwd_flag", ["NaN", " Y"], ["NaN", " Y"], [None, None]),
        ("store_and_fwd_flag", ["", None], ["", None], [None, None]),
    ],
)
def test_a_value_reads_alike_in_either_format(
    trips: pa.Table,
    write: Write,
    column: str,
    as_found: Any,
    expected: list[Any],
    out_of_range: list[str | None],
) -> None:
    """No value is rounded or cut to fit: one that does not fit is kept beside, and its row goes on."""
    values = as_found if isinstance(as_found, pa.Array) else pa.array(as_found)
    assert column_of(trips, write, column, values) == (expected, out_of_range)


OUT, WRONG, MISSING = "out of range", "wrong kind", None
ODD_NUMBERS: list[tuple[str, Any, Any]] = [
    # text, in a column of doubles, in one of whole numbers
    ("1e-400", OUT, OUT),
    ("-1e-400", OUT, OUT),
    ("0." + "0" * 400 + "1", OUT, OUT),
    ("1e-99999999999999999999", OUT, OUT),
    ("1.234567890123456e-310", OUT, OUT),
    ("5e-324", 5e-324, OUT),
    ("2.2250738585072014e-308", 2.2250738585072014e-308, OUT),
    ("1e400", OUT, OUT),
    ("1e99999999999999999999", OUT, OUT),
    ("1" * 5000, OUT, OUT),
    ("9007199254740993", OUT, 2**53 + 1),
    ("9223372036854775807", OUT, 2**63 - 1),
    ("1.5", 1.5, OUT),
    ("0e-400", 0.0, 0),
    ("0e999999", 0.0, 0),
    ("-0", 0.0, 0),
    ("0.00", 0.0, 0),
    ("5.0", 5.0, 5),
    ("5e0", 5.0, 5),
    ("0.5E1", 5.0, 5),
    ("+5", 5.0, 5),
    (" 5 ", 5.0, 5),
    ("\t5\u00a0", 5.0, 5),
    ("005", 5.0, 5),
    ("5.", 5.0, 5),
    ("Infinity", OUT, OUT),
    ("-inf", OUT, OUT),
    ("nan", MISSING, MISSING),
    ("-NaN", MISSING, MISSING),
    (" ", MISSING, MISSING),
    ("nan(12)", WRONG, WRONG),
    ("nan()", WRONG, WRONG),
    ("\u0131nf", WRONG, WRONG),
    ("1_000", WRONG, WRONG),
    ("1,5", WRONG, WRONG),
    ("1,000.50", WRONG, WRONG),
    ("1 000", WRONG, WRONG),
    ("\u0661\u0662", WRONG, WRONG),
    ("\uff11", WRONG, WRONG),
    ("\u22125", WRONG, WRONG),
    ("0x10", WRONG, WRONG),
    ("0b1", WRONG, WRONG),
    ("0x1p3", WRONG, WRONG),
    ("5f", WRONG, WRONG),
    ("5e", WRONG, WRONG),
    ("1e5.5", WRONG, WRONG),
    ("--5", WRONG, WRONG),
    ("+ 5", WRONG, WRONG),
    (".", WRONG, WRONG),
    ("5%", WRONG, WRONG),
    ("$5", WRONG, WRONG),
    ("(5)", WRONG, WRONG),
    ("true", WRONG, WRONG),
    ("NULL", WRONG, WRONG),
    ("N/A", WRONG, WRONG),
    ("-", WRONG, WRONG),
    ("1/2", WRONG, WRONG),
]


@pytest.mark.parametrize("column", ["fare_amount", "passenger_count"])
def test_an_odd_number_is_what_it_says_or_out_of_range_or_of_a_wrong_kind(
    trips: pa.Table, write: Write, column: str
) -> None:
    """The table of what each becomes: none is silently another number, in either format, alone or among plain ones."""
    fates = {text: fate[column == "passenger_count"] for text, *fate in ODD_NUMBERS}
    held = {text: fate for text, fate in fates.items() if fate not in (OUT, WRONG)}
    out = [text for text, fate in fates.items() if fate == OUT]
    held |= {"1": 1, "2": 2}
    for texts in ([*held], *([text, "1", "0.00"] for text in out), [*held, *out]):
        values, kept = column_of(trips, write, column, pa.array(texts))
        expected = [None if text in out else held[text] for text in texts]
        assert (values, kept) == (expected, [text if text in out else None for text in texts])
    for text in (text for text, fate in fates.items() if fate == WRONG):
        for words in ([text, "1"], [*held, text]):
            with pytest.raises(TripValueError, match="has a value of a wrong kind"):
                column_of(trips, write, column, pa.array(words))


@pytest.mark.parametrize(
    ("as_found", "expected", "out_of_range"),
    [
        (pa.array([FIRST_MS, LAST_MS], pa.timestamp("ms")), [FIRST_MS, LAST_MS], [None, None]),
        (pa.array([LAST_MS * 1000 + 1000, 0], pa.timestamp("us")), [None, 0], ["10000-01-01 00:00:00.000000", None]),
        (pa.array([FIRST_MS * 1000 - 1, 0], pa.timestamp("us")), [None, 0], ["0000-12-31 23:59:59.999999", None]),
        (pa.array([1_001, -1_000], pa.timestamp("us")), [None, -1], ["1970-01-01 00:00:00.001001", None]),
        (pa.array(["0001-01-01 00:00:00", "9999-12-31 23:59:59.999"]), [FIRST_MS, LAST_MS], [None, None]),
        (pa.array(["2601-12-20 12:00:00", " 1970-01-01 "]), [19_942_977_600_000, 0], [None, None]),
        (pa.array(["1970-01-01 00:00:00.0010000000", "NaT"]), [1, None], [None, None]),
        (pa.array(["1970-01-01 00:00", "1970-01-01T00:00:00.000001"]), [0, None], [None, "1970-01-01T00:00:00.000001"]),
        (pa.array(["10000-01-01 00:00:00", ""]), [None, None], ["10000-01-01 00:00:00", None]),
        (pa.array(["0000-12-31 23:59:59", None]), [None, None], ["0000-12-31 23:59:59", None]),
        (pa.array(["1970-01-01 00:00:00.123456789", None]), [None, None], ["1970-01-01 00:00:00.123456789", None]),
    ],
)
def test_a_time_reads_alike_in_either_format(
    trips: pa.Table, write: Write, as_found: pa.Array, expected: list[int | None], out_of_range: list[str | None]
) -> None:
    """Years 1 to 9999 and whole milliseconds are held; all else is kept beside, and never becomes another time."""
    assert column_of(trips, write, PICKUP, as_found) == (expected, out_of_range)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_the_same_time(trips: pa.Table, tmp_path: Path, unit: str) -> None:
    """The TLC changed from nanoseconds to microseconds; its meters record seconds."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    times = pa.array([1_546_300_800_000, None, 0], pa.timestamp("ms"))
    pq.write_table(replaced(trips.slice(0, 3), PICKUP, times.cast(pa.timestamp(unit))), path)
    assert read(path)[PICKUP].cast(pa.int64()).to_pylist() == [1_546_300_800_000, None, 0]


@pytest.mark.parametrize(
    ("counts", "unit", "text"),
    [
        (2**62, "us", "4611686018427387904 us since 1970-01-01"),
        (-(2**62), "ms", "-4611686018427387904 ms since 1970-01-01"),
        (-1, "ns", "1969-12-31 23:59:59.999999999"),
    ],
)
def test_a_time_that_the_event_cannot_hold_is_kept_as_text(
    trips: pa.Table, tmp_path: Path, counts: int, unit: str, text: str
) -> None:
    """A time of a year that no calendar has is kept as its number."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips.slice(0, 2), PICKUP, pa.array([counts, 0], pa.timestamp(unit))), path)
    assert read(path)["values_out_of_range"].to_pylist() == [[(PICKUP, text)], None]


def test_int96_times_beyond_2262_are_as_they_are(trips: pa.Table, tmp_path: Path) -> None:
    """Read as nanoseconds, as by default, they become dates in other centuries."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    times = [dt.datetime(2601, 12, 20, 12), dt.datetime(9999, 12, 31), dt.datetime(1, 1, 1)]  # noqa: DTZ001  wall clock
    old = replaced(trips.slice(0, 3), PICKUP, pa.array(times, pa.timestamp("us")))
    pq.write_table(old, path, use_deprecated_int96_timestamps=True)
    assert read(path)[PICKUP].to_pylist() == times


@pytest.mark.parametrize(
    ("column", "as_found", "expected"),
    [
        ("payment_type", pa.array([1, 2, 3], pa.int32()), [1, 2, 3]),
        ("RatecodeID", pa.array([1, 2, 3], pa.uint8()), [1, 2, 3]),
        ("Airport_fee", pa.nulls(3), [None, None, None]),
        (PICKUP, pa.nulls(3), [None, None, None]),
        ("PULocationID", pa.nulls(3), [None, None, None]),
        ("tip_amount", pa.array([1, 2, 3]), [1.0, 2.0, 3.0]),
        ("trip_distance", pa.array([1.5, None, 0.1], pa.float32()), [1.5, None, 0.10000000149011612]),
        ("store_and_fwd_flag", pa.array(["N", None, "Y"], pa.large_string()), ["N", None, "Y"]),
        ("store_and_fwd_flag", pa.array(["N", None, "Y"]).dictionary_encode(), ["N", None, "Y"]),
        ("store_and_fwd_flag", pa.array([0.0, None, 1.0]), ["0", None, "1"]),
        ("passenger_count", pa.array(["1", None, "2"], pa.large_string()), [1, None, 2]),
        ("fare_amount", pa.array(["1.5", None, "2"]).dictionary_encode(), [1.5, None, 2.0]),
        ("extra", pa.array([Decimal("0.50"), None, Decimal("1.00")]), [0.5, None, 1.0]),
    ],
)
def test_the_types_that_files_had_over_the_years_are_accepted(
    trips: pa.Table, tmp_path: Path, column: str, as_found: pa.Array, expected: list[object]
) -> None:
    """Examples are whole numbers as doubles, numbers as text, and columns without any value."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips.slice(0, 3), column, as_found), path)
    assert read(path)[column].to_pylist() == expected


def test_a_large_double_is_the_whole_number_that_it_is_whatever_stands_beside_it(
    trips: pa.Table, tmp_path: Path
) -> None:
    """Its shortest text, by which batches with a fraction are read, names another number."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(replaced(trips.slice(0, 2), "RatecodeID", pa.array([2.0**60, 0.5])), path)
    assert read(path)["RatecodeID"].to_pylist() == [2**60, None]


@pytest.mark.parametrize("column", ["store_and_fwd_flag", "VendorID", "new"])
def test_a_value_that_kafka_would_refuse_is_named(trips: pa.Table, write: Write, column: str) -> None:
    """Kafka's limit is a megabyte; it would refuse the event after thousands were sent."""
    texts = ["N"] * ROWS
    texts[217] = "x" * 2_000_000
    wide = trips.append_column(column, pa.array(texts)) if column == "new" else replaced(trips, column, pa.array(texts))
    text = refused(path := write(wide), TripValueError)
    named = "vendor_name" if column == "VendorID" else column
    assert f"{place(path, 218)} is too large for an event; most of it is in column {named}" in text
    assert len(text) < 700


def test_a_large_value_in_the_place_of_a_number_is_shown_in_part(trips: pa.Table, write: Write) -> None:
    """Neither a screen nor a message has room for it."""
    texts = trips["fare_amount"].cast(pa.string()).to_pylist()
    texts[217] = "x" * 2_000_000
    text = refused(write(replaced(trips, "fare_amount", pa.array(texts))), TripValueError)
    assert "and 1,999,920 more characters" in text
    assert len(text) < 700


def test_a_row_just_within_the_limit_is_read(trips: pa.Table, write: Write) -> None:
    """The limit counts all texts of a row, and those of no other row."""
    texts = pa.array(["x" * 440_000] * 4)
    found = read(write(replaced(trips.slice(0, 4), "store_and_fwd_flag", texts).append_column("new", texts)))
    assert found["unknown_columns"].to_pylist()[3] == [("new", "x" * 440_000)]
