"""Builds that fail or are stopped, run by the command on a lake in a file."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from lake_file import make_lake
from step import Runner

JANUARY = "2019-01"


@pytest.mark.parametrize("limit", ["1MB", "6MB", "12MB"])
def test_build_that_lacks_memory_tells_what_helps(runner: Runner, limit: str) -> None:
    """The limits fail at different places: when dbt connects, in a model, when a model's rows are read."""
    step = runner.run(duckdb_memory_limit=limit)
    assert step.exit_code == 1
    assert "Out of Memory Error" in step.failure
    assert "give the step's container a larger DUCKDB_MEMORY_LIMIT" in step.failure


def test_failing_test_fails_the_step_and_is_named_with_model_and_rows(runner: Runner, tmp_path: Path) -> None:
    """The tested model itself was built and is reported."""
    lake = make_lake(
        tmp_path / "lake.duckdb",
        JANUARY,
        rows=50,
        change="""
            insert into silver.cleaned_trips
            select * replace (event_id || '-again' as event_id) from silver.cleaned_trips order by event_id limit 3
        """,
    )
    step = runner.run(select=("stg_trips",), lake_duckdb_path=str(lake))
    assert step.exit_code == 1
    assert "test unique_stg_trips_trip_id on stg_trips: 3 failing rows" in step.failure
    assert "\n" not in step.failure
    check = step.checks["unique_stg_trips_trip_id"]
    assert (check["passed"], check["severity"], check["metadata"]["failing_rows"]["raw_value"]) == (False, "ERROR", 3)
    assert set(step.materializations) == {"staging/stg_trips"}


def test_failing_model_is_named_with_the_database_error_and_stops_what_follows(runner: Runner, tmp_path: Path) -> None:
    """Nodes that do not depend on it are still built."""
    lake = make_lake(
        tmp_path / "lake.duckdb", JANUARY, rows=50, change="alter table silver.cleaned_trips drop tip_amount_usd"
    )
    step = runner.run(lake_duckdb_path=str(lake))
    assert step.exit_code == 1
    assert "model stg_trips:" in step.failure
    assert "tip_amount_usd" in step.failure
    assert "Skipped because of that:" in step.failure
    assert "fct_trips" in step.failure
    assert "core/dim_locations" in step.materializations
    assert "core/fct_trips" not in step.materializations


def test_sigterm_cancels_the_query_at_work_within_seconds(runner: Runner, tmp_path: Path) -> None:
    """A terminated run must not wait for DuckDB."""
    lake = make_lake(
        tmp_path / "lake.duckdb",
        JANUARY,
        rows=50,
        change="""
            alter table silver.cleaned_trips rename to few_trips;
            create view silver.cleaned_trips as
            select few_trips.* from few_trips, range(10_000_000_000) as endless (number) where sqrt(number) < -1
        """,
    )
    started = runner.start(select=("taxi_zones", "stg_trips"), lake_duckdb_path=str(lake))
    deadline = time.monotonic() + 120
    while "seed taxi_zones" not in started.messages():
        assert started.process.poll() is None, (started.io / "stderr").read_text()
        assert time.monotonic() < deadline, "the seed was not built within 120 s"
        time.sleep(0.05)
    started.process.send_signal(signal.SIGTERM)
    try:
        started.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        started.process.kill()
        pytest.fail("the step outlived SIGTERM")
    step = started.wait()
    assert step.exit_code == 143
    assert "told to stop (SIGTERM)" in step.failure
