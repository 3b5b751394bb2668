"""Whole builds of the real months, run by the command on a lake in a file."""

import shutil
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from lake_file import make_lake
from step import Ended, Runner

JANUARY, FEBRUARY = "2019-01", "2019-02"
MONTHLY = (
    "core.fct_trips",
    "intermediate.int_daily_summary",
    "intermediate.int_hourly_patterns",
    "analytics.daily_revenue",
    "analytics.hourly_demand",
    "analytics.location_performance",
)
PROMISED = {
    "execution_s",
    "rows_per_second",
    "dagster/row_count",
    "dagster/column_schema",
    "dagster/column_lineage",
    "dbt_status",
    "dbt_unique_id",
}


def read_month(marts: Path, month: str) -> dict[str, list[tuple[Any, ...]]]:
    """Read a month's rows of every mart, each in a fixed order."""
    with duckdb.connect(marts, read_only=True) as connection:
        return {
            name: connection.table(name).filter(f"trip_month = '{month}'").order("all").fetchall() for name in MONTHLY
        }


@dataclass(frozen=True)
class Builds:
    """February, then January, then February again, built into one file."""

    february: Ended
    february_alone: dict[str, list[tuple[Any, ...]]]
    january: Ended
    both: dict[str, dict[str, list[tuple[Any, ...]]]]
    again: Ended
    both_again: dict[str, dict[str, list[tuple[Any, ...]]]]
    marts: Path


@pytest.fixture(scope="module")
def builds(session_runner: Runner) -> Builds:
    """Build the months, the later month first."""
    marts = Path(session_runner.environment["MARTS_DUCKDB_PATH"])
    february = session_runner.run(month=FEBRUARY)
    february_alone = read_month(marts, FEBRUARY)
    january = session_runner.run(month=JANUARY)
    both = {month: read_month(marts, month) for month in (JANUARY, FEBRUARY)}
    again = session_runner.run(month=FEBRUARY)
    both_again = {month: read_month(marts, month) for month in (JANUARY, FEBRUARY)}
    return Builds(february, february_alone, january, both, again, both_again, marts)


def query(marts: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run a query on the marts."""
    with duckdb.connect(marts, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_real_months_give_the_known_figures(builds: Builds) -> None:
    """These figures are the pipeline's contract with the readers of the marts."""
    assert [step.exit_code for step in (builds.february, builds.january, builds.again)] == [0, 0, 0], (
        builds.january.stderr
    )
    trips = query(
        builds.marts,
        "select trip_month, count(*), sum(total_amount_usd), count(distinct pickup_date) from core.fct_trips "
        "group by 1 order by 1",
    )
    assert trips == [(JANUARY, 9993, Decimal("157365.02"), 31), (FEBRUARY, 9985, Decimal("185056.70"), 28)]
    revenue = query(
        builds.marts,
        "select trip_month, count(*), sum(total_amount_usd) from analytics.daily_revenue group by 1 order by 1",
    )
    assert revenue == [(JANUARY, 31, Decimal("157365.02")), (FEBRUARY, 28, Decimal("185056.70"))]


def test_building_a_month_leaves_a_later_month_as_it_is(builds: Builds) -> None:
    """January is built after February here: it must not be skipped, nor change February."""
    assert builds.both[FEBRUARY] == builds.february_alone


def test_building_a_month_again_changes_no_row(builds: Builds) -> None:
    """Repeating a run must not change a number."""
    assert builds.both_again == builds.both


def test_money_stays_decimal(builds: Builds) -> None:
    """A double would lose cents."""
    columns = query(
        builds.marts,
        "select table_schema || '.' || table_name || '.' || column_name, data_type from information_schema.columns "
        "where column_name like '%amount_usd' and table_schema in ('staging', 'core', 'analytics')",
    )
    assert len(columns) > 10
    assert {name for name, data_type in columns if not data_type.startswith("DECIMAL")} == set()


def test_every_seed_and_model_is_materialized_once_with_what_it_promises(
    builds: Builds, session_runner: Runner
) -> None:
    """The host requires these names, and the UI plots them."""
    nodes = session_runner.manifest["nodes"].values()
    expected = {f"{node['schema']}/{node['name']}" for node in nodes if node["resource_type"] in ("seed", "model")}
    materializations = builds.january.materializations
    assert set(materializations) == expected
    assert {key: PROMISED - set(metadata) for key, metadata in materializations.items()} == {
        key: set() for key in expected
    }
    trips = materializations["core/fct_trips"]
    assert trips["dagster/row_count"] == 9993  # only this month's rows, although the mart holds February too
    assert trips["dbt_unique_id"] == "model.nyc_taxi.fct_trips"
    assert trips["rows_per_second"] == pytest.approx(9993 / trips["execution_s"], rel=0.01)
    columns = {column["name"]: column for column in trips["dagster/column_schema"]["columns"]}
    assert columns["total_amount_usd"]["type"] == "DECIMAL(10,2)"
    assert columns["total_amount_usd"]["description"] == "Total charged, in US dollars."
    lineage = trips["dagster/column_lineage"]["deps_by_column"]
    assert lineage["pickup_location_id"] == [{"asset_key": ["core", "dim_locations"], "column_name": "location_id"}]
    assert materializations["analytics/daily_revenue"]["dagster/row_count"] == 31 + 28
    assert materializations["seeds/taxi_zones"]["dagster/row_count"] == 265


def test_every_data_test_is_a_check_on_the_model_it_tests(builds: Builds, session_runner: Runner) -> None:
    """Dbt names no model for a test written as a query."""
    tests = {node["name"] for node in session_runner.manifest["nodes"].values() if node["resource_type"] == "test"}
    assert len(tests) >= 74
    checks = builds.january.checks
    assert set(checks) == tests
    assert checks["fct_trips_has_every_silver_trip"]["asset_key"] == "core/fct_trips"
    assert checks["daily_revenue_covers_every_day"]["asset_key"] == "analytics/daily_revenue"
    assert checks["unique_fct_trips_trip_id"]["passed"] is True
    assert checks["unique_fct_trips_trip_id"]["severity"] == "ERROR"


def test_data_version_names_the_months_rows(builds: Builds) -> None:
    """Downstream assets are stale if, and only if, the month's own rows have changed."""
    february, january, again = (versions(step) for step in (builds.february, builds.january, builds.again))
    assert again == february
    monthly = {name.replace(".", "/") for name in MONTHLY}
    assert {key for key in february if february[key] != january[key]} >= monthly
    # A dimension without months is the same in both builds.
    assert february["core/dim_locations"] == january["core/dim_locations"]


def versions(step: Ended) -> dict[str, str]:
    """Return the data versions by asset."""
    return {report["asset_key"]: report["data_version"] for report in step.reports("report_asset_materialization")}


def test_checks_show_the_kept_numbers_even_when_they_pass(builds: Builds) -> None:
    """A reader of the check wants to see what was compared."""
    checks = {name: check["metadata"] for name, check in builds.january.checks.items()}
    trips = checks["fct_trips_has_every_silver_trip"]
    assert (trips["silver_trips"]["raw_value"], trips["fct_trips"]["raw_value"]) == (9993, 9993)
    money = checks["daily_revenue_has_silver_money"]
    assert money["numbers"]["raw_value"] == [
        {
            "trip_month": JANUARY,
            "silver_usd": "157365.02",
            "fct_trips_usd": "157365.02",
            "daily_revenue_usd": "157365.02",
            "is_failing": False,
        }
    ]
    neighbours = checks["fct_trips_is_like_its_neighbours"]
    assert (neighbours["trips"]["raw_value"], neighbours["next_month_trips"]["raw_value"]) == (9993, 9985)
    assert "previous_month_trips" not in neighbours


def test_month_that_lacks_trips_beside_its_neighbour_warns_with_the_numbers(runner: Runner, tmp_path: Path) -> None:
    """A half-empty month warns instead of failing; a range of months is built in one step."""
    lake = make_lake(
        tmp_path / "lake.duckdb",
        JANUARY,
        FEBRUARY,
        rows=100,
        change="delete from silver.cleaned_trips where trip_month = '2019-02' and hash(event_id) % 3 > 0",
    )
    step = runner.run(month=JANUARY, last_month=FEBRUARY, lake_duckdb_path=str(lake))
    assert step.exit_code == 0, step.failure
    check = step.checks["fct_trips_is_like_its_neighbours"]
    assert (check["passed"], check["severity"], check["metadata"]["failing_rows"]["raw_value"]) == (False, "WARN", 2)
    numbers = {row["trip_month"]: row for row in check["metadata"]["numbers"]["raw_value"]}
    assert numbers[JANUARY]["trips"] == numbers[FEBRUARY]["previous_month_trips"] == 100
    assert numbers[FEBRUARY]["trips"] == numbers[JANUARY]["next_month_trips"] < 50
    assert step.materializations["core/fct_trips"]["dagster/row_count"] == 100 + numbers[FEBRUARY]["trips"]


def test_parts_that_do_not_add_up_to_the_total_warn_with_the_sum_of_each_column(builds: Builds) -> None:
    """In February 2019 a vendor booked the congestion surcharge as an extra too; in January there was none."""
    january, february = (step.checks["fct_trips_parts_are_the_total"] for step in (builds.january, builds.february))
    assert january["passed"]
    assert january["metadata"]["unexplained_amount_usd"]["raw_value"] == 59.55
    assert (february["passed"], february["severity"]) == (False, "WARN")
    sums = {name: february["metadata"][name]["raw_value"] for name in ("extra_usd", "congestion_surcharge_usd")}
    assert sums == {"extra_usd": 11483.0, "congestion_surcharge_usd": 21817.5}
    assert february["metadata"]["total_amount_usd"]["raw_value"] == 185056.7
    assert february["metadata"]["unexplained_amount_usd"]["raw_value"] == -8228.54


def test_fee_of_the_congestion_zone_and_coordinates_reach_the_facts(runner: Runner, tmp_path: Path) -> None:
    """The fee is a part of the total; trips of files without zones have coordinates and unknown zones."""
    lake = make_lake(
        tmp_path / "lake.duckdb",
        JANUARY,
        rows=100,
        change="""
            update silver.cleaned_trips
            set cbd_congestion_fee_usd = 0.75, total_amount_usd = total_amount_usd + 0.75,
                pickup_location_id = null, dropoff_location_id = null,
                pickup_longitude = -73.9, pickup_latitude = 40.7, dropoff_longitude = -74.0, dropoff_latitude = 40.8
        """,
    )
    step = runner.run(lake_duckdb_path=str(lake))
    assert step.exit_code == 0, step.failure
    assert query(
        Path(runner.environment["MARTS_DUCKDB_PATH"]),
        "select distinct pickup_location_id, dropoff_location_id, cbd_congestion_fee_usd, pickup_longitude, "
        "pickup_latitude, dropoff_longitude, dropoff_latitude from core.fct_trips",
    ) == [(264, 264, Decimal("0.75"), -73.9, 40.7, -74.0, 40.8)]
    numbers = step.checks["fct_trips_parts_are_the_total"]["metadata"]
    assert numbers["cbd_congestion_fee_usd"]["raw_value"] == 75.0
    assert numbers["unexplained_amount_usd"]["raw_value"] == 0.0


def test_days_without_trips_warn_for_the_built_month_alone(runner: Runner, tmp_path: Path) -> None:
    """Otherwise a gap in one month would be reported with every other month too."""
    gap = "delete from silver.cleaned_trips where pickup_date in ('2019-01-05', '2019-01-07')"
    lake = str(make_lake(tmp_path / "lake.duckdb", JANUARY, FEBRUARY, change=gap))
    january = runner.run(month=JANUARY, lake_duckdb_path=lake).checks["daily_revenue_covers_every_day"]
    assert (january["passed"], january["severity"]) == (False, "WARN")
    assert january["metadata"]["numbers"]["raw_value"] == [
        {
            "trip_month": JANUARY,
            "calendar_days": 31,
            "days_with_trips": 29,
            "days_without_trips": "2019-01-05, 2019-01-07",
            "is_failing": True,
        }
    ]
    february = runner.run(month=FEBRUARY, lake_duckdb_path=lake).checks["daily_revenue_covers_every_day"]
    assert february["passed"]
    assert february["metadata"]["days_with_trips"]["raw_value"] == 28


def test_oddities_of_real_trips_warn_with_their_count(builds: Builds) -> None:
    """They are known and counted, and must not fail the step."""
    odd = builds.january.checks["stg_trips_dropoff_is_after_pickup"]
    assert (odd["passed"], odd["severity"], odd["metadata"]["failing_rows"]["raw_value"]) == (False, "WARN", 8)
    assert "stg_trips_dropoff_is_after_pickup on stg_trips: 8 rows" in builds.january.log
    assert "7 warned, 0 failed, 0 skipped" in builds.january.log


def test_credentials_are_in_no_output(builds: Builds, session_runner: Runner) -> None:
    """Secrets reach DuckDB as SQL, which dbt can log."""
    secret = session_runner.environment["S3_SECRET_ACCESS_KEY"]
    assert secret not in builds.january.stdout + builds.january.stderr + str(builds.january.messages)


def test_trips_without_codes_warn_and_lead_to_unknown_members(runner: Runner, tmp_path: Path) -> None:
    """The TLC's files since 2020 have such trips, and a meter can report any distance."""
    lake = make_lake(
        tmp_path / "lake.duckdb",
        JANUARY,
        rows=200,
        change="""
            update silver.cleaned_trips
            set vendor_id = null, passenger_count = null, rate_code_id = null, payment_type_id = null,
                store_and_forward_flag = null, pickup_location_id = null, dropoff_location_id = 999,
                total_amount_usd = null, trip_distance_miles = 1e300
            where event_id in (select event_id from silver.cleaned_trips order by event_id limit 5)
        """,
    )
    step = runner.run(lake_duckdb_path=str(lake))
    assert step.exit_code == 0, step.failure
    assert step.checks["stg_trips_payment_type_is_recorded"]["metadata"]["failing_rows"]["raw_value"] == 5
    assert step.checks["stg_trips_dropoff_location_is_listed"]["severity"] == "WARN"
    unknown = query(
        Path(runner.environment["MARTS_DUCKDB_PATH"]),
        "select distinct rate_code_id, payment_type_id, pickup_location_id, dropoff_location_id from core.fct_trips "
        "where vendor_id is null",
    )
    assert unknown == [(99, 5, 264, 264)]


def test_month_that_lost_its_trips_loses_them_in_the_marts(builds: Builds, runner: Runner, tmp_path: Path) -> None:
    """If only months with new rows were replaced, an emptied month would keep its old rows for ever."""
    chain = ("taxi_zones", "rate_codes", "payment_types", "stg_zones", "stg_rate_codes", "stg_payment_types")
    chain += ("dim_locations", "dim_payment_types", "stg_trips", "int_trip_metrics", "fct_trips")
    marts = Path(runner.environment["MARTS_DUCKDB_PATH"])
    shutil.copy(builds.marts, marts)
    months = "select trip_month, count(*) from core.fct_trips group by 1 order by 1"
    assert query(marts, months) == [(JANUARY, 9993), (FEBRUARY, 9985)]
    empty = make_lake(
        tmp_path / "empty.duckdb",
        JANUARY,
        FEBRUARY,
        change="delete from silver.cleaned_trips where trip_month = '2019-01'",
    )
    step = runner.run(month=JANUARY, select=chain, lake_duckdb_path=str(empty))
    assert step.exit_code == 0, step.failure
    assert query(marts, months) == [(FEBRUARY, 9985)]
