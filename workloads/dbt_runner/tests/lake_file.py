"""A DuckDB file that stands for the lake: silver's tables made from the real months by silver's rules."""

from pathlib import Path

import duckdb

MONTHS = Path(__file__).parents[3] / "tests" / "data"

_MONEY = {
    "fare_amount": "fare_amount_usd",
    "extra": "extra_usd",
    "mta_tax": "mta_tax_usd",
    "tip_amount": "tip_amount_usd",
    "tolls_amount": "tolls_amount_usd",
    "improvement_surcharge": "improvement_surcharge_usd",
    "total_amount": "total_amount_usd",
    "congestion_surcharge": "congestion_surcharge_usd",
    "Airport_fee": "airport_fee_usd",
}
_PLACES = ("pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude")
_CLEANED = """
select
    md5(concat_ws('|', VendorID, tpep_pickup_datetime, tpep_dropoff_datetime, PULocationID, DOLocationID, fare_amount,
        total_amount)) as trip_id,
    '{month}.' || row_number() over (order by tpep_pickup_datetime, rowid) as event_id,
    '{month}' as trip_month,
    tpep_pickup_datetime::date as pickup_date,
    tpep_pickup_datetime as pickup_at,
    tpep_dropoff_datetime as dropoff_at,
    VendorID::integer as vendor_id,
    passenger_count::integer as passenger_count,
    trip_distance as trip_distance_miles,
    RatecodeID::integer as rate_code_id,
    store_and_fwd_flag as store_and_forward_flag,
    PULocationID::integer as pickup_location_id,
    DOLocationID::integer as dropoff_location_id,
    payment_type::integer as payment_type_id,
    {money},
    timestamp '2026-01-01' as ingested_at,
    null::decimal(10, 2) as cbd_congestion_fee_usd,
    {places}
from (select *, file_row_number as rowid from read_parquet('{file}', file_row_number = true))
where fare_amount >= 0 and trip_distance >= 0
"""


def make_lake(path: Path, *months: str, rows: int | None = None, change: str = "") -> Path:
    """Create the file.

    Args:
        path: The file to create.
        months: The months that silver holds.
        rows: Number of trips in each month, the earliest first; None for all.
        change: SQL to run on ``silver.cleaned_trips`` afterwards.

    Returns:
        The path.
    """
    money = ", ".join(f"{tlc}::decimal(10, 2) as {name}" for tlc, name in _MONEY.items())
    places = ", ".join(f"null::double as {place}" for place in _PLACES)
    limit = f" order by pickup_at, event_id limit {rows}" if rows else ""
    with duckdb.connect(path) as connection:
        connection.execute("create schema silver")
        for number, month in enumerate(months):
            query = _CLEANED.format(
                month=month, money=money, places=places, file=MONTHS / f"yellow_tripdata_{month}.parquet"
            )
            verb = "insert into silver.cleaned_trips" if number else "create table silver.cleaned_trips as"
            connection.execute(f"{verb} select * from ({query}){limit}")  # noqa: S608  the query is built from this file's own text
        connection.execute(
            "create table silver.month_counts as select trip_month, count(*) as cleaned_rows, 'v' as source_version "
            "from silver.cleaned_trips group by 1"
        )
        if change:
            connection.execute(change)
    return path
