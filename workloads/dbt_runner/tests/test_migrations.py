"""Marts files of older versions are migrated."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from step import PROJECT, Runner

from dbt_runner.errors import MartsUnreadableError
from dbt_runner.marts import open_marts
from dbt_runner.migrations import migrate

JANUARY, FEBRUARY = "2019-01", "2019-02"
CHAIN = ("taxi_zones", "rate_codes", "payment_types", "stg_zones", "stg_rate_codes", "stg_payment_types")
CHAIN += ("dim_locations", "dim_payment_types", "stg_trips", "int_trip_metrics", "fct_trips")
# What the version before lacked.
NEW = ("cbd_congestion_fee_usd", "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude")


def read(marts: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run a query on a marts file."""
    with duckdb.connect(marts, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_marts_file_of_the_version_before_is_migrated_and_keeps_its_months(runner: Runner) -> None:
    """Months that are not built again keep their rows, empty in the new columns, which stand as in a new file."""
    marts = Path(runner.environment["MARTS_DUCKDB_PATH"])
    assert runner.run(month=JANUARY, select=CHAIN).exit_code == 0
    january = f"select * from core.fct_trips where trip_month = '{JANUARY}' order by trip_id"  # noqa: S608  a constant
    columns, rows = read(marts, "describe core.fct_trips"), read(marts, january)
    with duckdb.connect(marts) as connection:
        for column in NEW:
            connection.execute(f"alter table core.fct_trips drop column {column}")
        connection.execute("drop table main.marts_version")
    step = runner.run(month=FEBRUARY, select=CHAIN)
    assert step.exit_code == 0, step.failure
    assert "migrated the marts' file: 0001_congestion_fee_and_coordinates" in step.log
    assert read(marts, "describe core.fct_trips") == columns
    assert read(marts, january) == rows
    assert read(marts, "select count(*) from core.fct_trips") == [(9993 + 9985,)]
    with open_marts(marts, {}) as opened:
        assert opened.migrate(PROJECT / "migrations") == []


def test_new_file_needs_no_migration_and_has_the_latest_version(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "marts.duckdb") as connection:
        assert migrate(connection, PROJECT / "migrations") == []
    latest = max(int(file.name[:4]) for file in (PROJECT / "migrations").iterdir())
    assert read(tmp_path / "marts.duckdb", "select version from marts_version") == [(latest,)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations of a table."""
    (tmp_path / "0001_fee.sql").write_text("alter table core.fct_trips add column fee double")
    (tmp_path / "0002_tax.sql").write_text("alter table core.fct_trips add column tax double;")
    return tmp_path


def test_migration_that_fails_leaves_the_version_that_was_reached(folder: Path) -> None:
    """The next step goes on from there."""
    with duckdb.connect() as connection:
        connection.execute("create schema core; create table core.fct_trips (trip_id varchar)")
        second = folder / "0002_tax.sql"
        good = second.read_text()
        second.write_text(f"{good} alter table core.fct_trips drop column absent;")
        with pytest.raises(MartsUnreadableError, match=r"does not fit the migration 0002_tax\.sql.*Move the file away"):
            migrate(connection, folder)
        assert connection.execute("select version from marts_version").fetchall() == [(1,)]
        second.write_text(good)
        assert migrate(connection, folder) == ["0002_tax"]
        assert [row[0] for row in connection.execute("describe core.fct_trips").fetchall()] == ["trip_id", "fee", "tax"]


def test_file_of_a_later_version_is_refused(folder: Path) -> None:
    """An older image would write rows without the columns that it does not know."""
    with duckdb.connect() as connection:
        connection.execute("create table marts_version as select 3 as version")
        with pytest.raises(MartsUnreadableError, match=r"version 3, and this image knows versions up to 2"):
            migrate(connection, folder)
