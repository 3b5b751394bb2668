"""A month of implausible trips: each is kept or rejected for the right reason, and the audit agrees."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stack import REPOSITORY, Stack

pytestmark = pytest.mark.stack

MONTH = "2011-05"
SECOND = 1_000_000
# 2011-05-15 12:00 in microseconds since 1970, and the same day and time in 2012 and in 12012.
PICKUP = 1_305_460_800 * SECOND
YEAR_2012 = 1_337_083_200 * SECOND
YEAR_12012 = YEAR_2012 + 3_652_425 * 86_400 * SECOND


def strange_month() -> pa.Table:
    """Create trips that differ from a real one as their names say, and in their times."""
    schema = pq.read_schema(REPOSITORY / "tests" / "data" / "yellow_tripdata_2019-01.parquet")
    real = pq.read_table(REPOSITORY / "tests" / "data" / "yellow_tripdata_2019-01.parquet").slice(0, 1).to_pylist()[0]
    plain = {**real, "tpep_pickup_datetime": PICKUP, "tpep_dropoff_datetime": PICKUP + 600 * SECOND}
    trips = [
        plain,
        {**plain, "tpep_dropoff_datetime": PICKUP + 700 * SECOND},
        {**plain, "tpep_dropoff_datetime": PICKUP + 800 * SECOND},
        {**plain, "tpep_dropoff_datetime": YEAR_2012},
        {**plain, "tpep_dropoff_datetime": YEAR_12012},
        {**plain, "tip_amount": 1e9},
        {**plain, "tpep_pickup_datetime": YEAR_12012},
        {**plain, "tpep_pickup_datetime": None},
    ]
    return pa.table({field.name: pa.array([trip[field.name] for trip in trips], field.type) for field in schema})


def test_strange_trips_are_kept_or_rejected_for_the_right_reason(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / f"yellow_tripdata_{MONTH}.parquet"
    pq.write_table(strange_month(), file)
    with stack.landed(file):
        launch = stack.launch(MONTH)
    assert launch.exit_code == 0, launch.output
    scan = (
        stack.catalog()
        .load_table("silver.cleaned_trips")
        .scan(row_filter=f"trip_month = '{MONTH}'", selected_fields=("trip_id",))
    )
    kept = scan.to_arrow()["trip_id"].to_pylist()
    assert len(set(kept)) == len(kept) == 4
    rejected = (
        stack.catalog()
        .load_table("silver.rejected_trips")
        .scan(row_filter=f"trip_month = '{MONTH}'", selected_fields=("rejection_reason",))
    )
    assert sorted(rejected.to_arrow()["rejection_reason"].to_pylist()) == [
        "pickup_time_missing",
        "value_out_of_range",
        "value_out_of_range",
        "value_out_of_range",
    ]
    assert all(passed for _, passed in stack.checks("audit", launch.run_id).values())
