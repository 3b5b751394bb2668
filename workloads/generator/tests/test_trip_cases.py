"""Files of the kinds on which the pipeline once failed, with the number of trips and the sum of their totals."""

import datetime as dt
import gzip
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from trip_files import replaced

from generator.errors import TripValueError
from generator.event_schema import TIMESTAMP
from generator.month import Month
from generator.trip_file import TripFile

TIMES = ("tpep_pickup_datetime", "tpep_dropoff_datetime")
KEY = ("VendorID", *TIMES, "PULocationID", "DOLocationID", "fare_amount", "total_amount")
REAL = Path(__file__).resolve().parents[3] / "tests" / "data" / "yellow_tripdata_2019-01.parquet"
SHORTEST_MONTH_DAYS = 27
LATER_COLUMNS = ["congestion_surcharge", "Airport_fee"]
CONGESTION_ZONE_FEES = Decimal("337.50")
FAR = {3: dt.datetime(2601, 12, 20, 12), 4: dt.datetime(9999, 12, 31)}  # noqa: DTZ001  wall clock


def trips_of(month: str, count: int) -> pa.Table:
    """Return real trips of January 2019, moved to a month: positive fares, each trip like no other."""
    start = Month.parse(month).first_day
    rows: dict[Any, dict[str, Any]] = {}
    for row in pq.read_table(REAL).to_pylist():
        offset = row[TIMES[0]] - dt.datetime(2019, 1, 1)  # noqa: DTZ001  wall clock
        if 0 <= offset.days < SHORTEST_MONTH_DAYS and row["fare_amount"] > 0 and row["trip_distance"] >= 0:
            length = row[TIMES[1]] - row[TIMES[0]]
            pickup = dt.datetime.combine(start, dt.time()) + offset
            row |= {TIMES[0]: pickup, TIMES[1]: pickup + length}
            rows.setdefault(tuple(row[name] for name in KEY), row)
    return pa.Table.from_pylist(list(rows.values())[:count], schema=pq.read_schema(REAL))


def money(amounts: Iterable[float | None]) -> Decimal:
    """Sum amounts, each rounded to cents first."""
    return sum((Decimal(str(round(amount or 0.0, 2))) for amount in amounts), Decimal(0))


def write_csv(
    trips: pa.Table, path: Path, *, end: str = "\n", trailing: str = "", second_line: str | None = None
) -> None:
    """Write a file line by line, as the TLC did."""
    lines = [",".join(trips.column_names)] + ([second_line] if second_line is not None else [])
    lines += [
        ",".join("" if value is None else str(value) for value in row) + trailing
        for row in zip(*(column.to_pylist() for column in trips.columns), strict=True)
    ]
    path.write_bytes((end.join(lines) + end).encode())


def csv(folder: Path, trips: pa.Table) -> Path:
    write_csv(trips.drop_columns(["Airport_fee"]), path := folder / "yellow_tripdata_2021-02.csv")
    return path


def compressed_csv(folder: Path, trips: pa.Table) -> Path:
    plain = csv(folder, trips)
    path = folder / "yellow_tripdata_2021-01.csv.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def trailing_commas(folder: Path, trips: pa.Table) -> Path:
    path = folder / "yellow_tripdata_2016-09.csv"
    write_csv(trips.drop_columns(LATER_COLUMNS), path, end="\r\n", trailing=",,")
    return path


def empty_second_line(folder: Path, trips: pa.Table) -> Path:
    path = folder / "yellow_tripdata_2017-02.csv"
    write_csv(trips.drop_columns(LATER_COLUMNS), path, end="\r\n", second_line="")
    return path


def congestion_zone_fee(folder: Path, trips: pa.Table) -> Path:
    fees = [0.75 if index % 4 else 0.0 for index in range(len(trips))]
    totals = [round(total + fee, 2) for total, fee in zip(trips["total_amount"].to_pylist(), fees, strict=True)]
    trips = replaced(trips, "total_amount", pa.array(totals)).append_column("cbd_congestion_fee", pa.array(fees))
    pq.write_table(trips, path := folder / "yellow_tripdata_2025-02.parquet")
    return path


def unknown_column(folder: Path, trips: pa.Table) -> Path:
    surge = trips.append_column("surge_fee_2026", pa.array([0.5] * len(trips)))
    pq.write_table(surge, path := folder / "yellow_tripdata_2025-03.parquet")
    return path


def far_times(folder: Path, trips: pa.Table) -> Path:
    times = trips[TIMES[1]].to_pylist()
    for row, time in FAR.items():
        times[row] = time
    path = folder / "yellow_tripdata_2017-05.parquet"
    far = replaced(trips, TIMES[1], pa.array(times, TIMESTAMP))
    pq.write_table(far, path, use_deprecated_int96_timestamps=True)
    return path


def text_times(folder: Path, trips: pa.Table) -> Path:
    for name in TIMES:
        trips = replaced(
            trips, name, pa.array([value and str(value) for value in trips[name].to_pylist()], pa.string())
        )
    pq.write_table(trips, path := folder / "yellow_tripdata_2017-06.parquet")
    return path


Case = Callable[[Path, pa.Table], Path]
MONTHS: dict[Case, str] = {
    csv: "2021-02",
    compressed_csv: "2021-01",
    trailing_commas: "2016-09",
    empty_second_line: "2017-02",
    congestion_zone_fee: "2025-02",
    unknown_column: "2025-03",
    far_times: "2017-05",
    text_times: "2017-06",
}


@pytest.mark.parametrize(
    ("case", "count", "total"),
    [
        (csv, 800, "12782.88"),
        (compressed_csv, 700, "11247.63"),
        (trailing_commas, 400, "6084.04"),
        (empty_second_line, 400, "6084.04"),
        (congestion_zone_fee, 600, "9837.74"),
        (unknown_column, 50, "944.10"),
        (far_times, 300, "4584.67"),
        (text_times, 200, "3201.48"),
    ],
)
def test_a_file_gives_all_of_its_trips_and_their_totals(tmp_path: Path, case: Case, count: int, total: str) -> None:
    """Counts, sums and times are those of the file, in whatever shape it comes."""
    month, made = MONTHS[case], trips_of(MONTHS[case], count)
    path = case(tmp_path, made)
    assert path.name.startswith(f"yellow_tripdata_{month}")
    file = TripFile(Month.parse(month), path)
    found = pa.Table.from_batches(file.batches())
    assert file.events == len(found) == count
    fees = CONGESTION_ZONE_FEES if case is congestion_zone_fee else Decimal(0)
    assert money(found["cbd_congestion_fee"].to_pylist()) == fees
    assert money(found["total_amount"].to_pylist()) == Decimal(total)
    assert found["values_out_of_range"].null_count == count
    assert found[TIMES[0]].to_pylist() == made[TIMES[0]].to_pylist()
    dropoffs = made[TIMES[1]].to_pylist()
    if case is far_times:
        dropoffs[3], dropoffs[4] = FAR.values()
    assert found[TIMES[1]].to_pylist() == dropoffs
    assert file.unknown_columns == ({"surge_fee_2026": count} if case is unknown_column else {})


@pytest.mark.parametrize(("rows", "total"), [(slice(0, 950), "15053.93"), (slice(0, 900), "14323.20")])
def test_a_corrected_file_has_its_own_fingerprint(tmp_path: Path, rows: slice, total: str) -> None:
    """The TLC publishes months again; the events of the two must not be taken for each other."""
    path = tmp_path / "yellow_tripdata_2018-03.parquet"
    made = trips_of("2018-03", 950)
    pq.write_table(made, path)
    first = TripFile(Month(2018, 3), path).sha256
    if rows.stop < len(made):
        for name in ("fare_amount", "total_amount"):
            dollar_more = [round(value + (index < 100), 2) for index, value in enumerate(made[name].to_pylist())]
            made = replaced(made, name, pa.array(dollar_more))
        pq.write_table(made[rows], path)
    file = TripFile(Month(2018, 3), path)
    found = pa.Table.from_batches(file.batches())
    assert money(found["total_amount"].to_pylist()) == Decimal(total)
    assert (file.sha256 == first) == (rows.stop == 950)


def test_an_error_in_the_last_row_names_its_line(tmp_path: Path) -> None:
    """The header and an empty second line count."""
    path = empty_second_line(tmp_path, trips_of("2017-02", 400))
    content = path.read_bytes().rstrip(b"\r\n")
    path.write_bytes(content[: content.rindex(b",")] + b",much\r\n")
    with pytest.raises(TripValueError, match="line 402, column total_amount"):
        TripFile(Month(2017, 2), path)


def test_a_file_of_2009_keeps_vendors_payments_and_coordinates(tmp_path: Path) -> None:
    """It has no zones, and columns without any value are of type null."""
    row: dict[str, Any] = {
        "vendor_name": "VTS",
        "Trip_Pickup_DateTime": "2009-01-04 02:52:00",
        "Trip_Dropoff_DateTime": "2009-01-04 03:02:00",
        "Passenger_Count": 1,
        "Trip_Distance": 2.63,
        "Start_Lon": -73.991957,
        "Start_Lat": 40.721567,
        "Rate_Code": None,
        "store_and_forward": None,
        "End_Lon": -73.993803,
        "End_Lat": 40.695922,
        "Payment_Type": "CASH",
        "Fare_Amt": 8.9,
        "surcharge": 0.5,
        "mta_tax": None,
        "Tip_Amt": 0.0,
        "Tolls_Amt": 0.0,
    }
    path = tmp_path / "yellow_tripdata_2009-01.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"Total_Amt": 9.4 + n} for n in range(10)]), path)
    found = pa.Table.from_batches(TripFile(Month(2009, 1), path).batches())
    assert money(found["total_amount"].to_pylist()) == Decimal("139.00")
    trip = found.slice(9).to_pylist()[0]
    assert trip == dict.fromkeys(found.column_names) | {
        "event_id": trip["event_id"],
        "vendor_name": "VTS",
        "payment_name": "CASH",
        "tpep_pickup_datetime": dt.datetime(2009, 1, 4, 2, 52),  # noqa: DTZ001  wall clock
        "tpep_dropoff_datetime": dt.datetime(2009, 1, 4, 3, 2),  # noqa: DTZ001  wall clock
        "passenger_count": 1,
        "trip_distance": 2.63,
        "pickup_longitude": -73.991957,
        "pickup_latitude": 40.721567,
        "dropoff_longitude": -73.993803,
        "dropoff_latitude": 40.695922,
        "fare_amount": 8.9,
        "extra": 0.5,
        "tip_amount": 0.0,
        "tolls_amount": 0.0,
        "total_amount": 18.4,
    }


def test_the_number_of_values_in_unknown_columns_is_known(tmp_path: Path) -> None:
    """A column without any value is news, too."""
    path = tmp_path / "yellow_tripdata_2025-03.parquet"
    made = trips_of("2025-03", 50)
    more = made.append_column("new", pc.if_else(pc.equal(made["VendorID"], 1), 1, None))
    pq.write_table(more.append_column("empty", pa.nulls(len(made))), path)
    vendors = made["VendorID"].to_pylist().count(1)
    file = TripFile(Month(2025, 3), path)
    assert file.unknown_columns == {"new": vendors, "empty": 0}
    list(file.batches())
    assert file.unknown_columns == {"new": vendors, "empty": 0}
