"""Small monthly files made from real trips, for tests on the stack."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

JANUARY = Path(__file__).parent / "data" / "yellow_tripdata_2019-01.parquet"
TIMES = ("tpep_pickup_datetime", "tpep_dropoff_datetime")
_KEY = ("VendorID", *TIMES, "PULocationID", "DOLocationID", "fare_amount", "total_amount")


def valid_trips(month: str, count: int) -> pa.Table:
    """Move real trips to a month; each is valid, and no two have the same natural key."""
    shift = dt.datetime.fromisoformat(f"{month}-01") - dt.datetime(2019, 1, 1)  # noqa: DTZ001 - wall clock
    rows, keys = [], set()
    for row in pq.read_table(JANUARY).to_pylist():
        first_weeks = row[TIMES[0]].year == 2019 and row[TIMES[0]].month == 1 and row[TIMES[0]].day < 28
        if not first_weeks or row["fare_amount"] <= 0 or row["trip_distance"] < 0:
            continue
        moved = row | {name: row[name] + shift for name in TIMES}
        key = tuple(moved[name] for name in _KEY)
        if key not in keys:
            keys.add(key)
            rows.append(moved)
        if len(rows) == count:
            break
    assert len(rows) == count
    return pa.Table.from_pylist(rows, schema=pq.read_schema(JANUARY))


def replaced(table: pa.Table, **columns: list[object]) -> pa.Table:
    """Return a table in which some columns have other values."""
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    return table


def dearer(table: pa.Table, trips: int) -> pa.Table:
    """Return a table whose first trips cost a dollar more."""
    raised = {
        name: [round(value + (row < trips), 2) for row, value in enumerate(table[name].to_pylist())]
        for name in ("fare_amount", "total_amount")
    }
    return replaced(table, **raised)


def money(table: pa.Table) -> Decimal:
    """Return the sum of the totals, each in whole cents."""
    return sum((Decimal(f"{total:.2f}") for total in table["total_amount"].to_pylist()), Decimal(0))


def trips_of_2009() -> tuple[pa.Table, Decimal]:
    """Return ten trips under the column names of 2009, and the sum of their totals."""
    pickup = dt.datetime(2009, 1, 4, 2, 52)  # noqa: DTZ001 - wall clock
    trip = {
        "vendor_name": "VTS",
        "Trip_Pickup_DateTime": str(pickup),
        "Trip_Dropoff_DateTime": str(pickup + dt.timedelta(minutes=10)),
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
        "Total_Amt": 9.4,
    }
    rows = [trip | {"Fare_Amt": 8.9 + dollars, "Total_Amt": 9.4 + dollars} for dollars in range(10)]
    return pa.Table.from_pylist(rows), Decimal("139.00")
