"""The check that silver holds the months that are asked for."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from step import Runner

from dbt_runner.errors import CatalogError, MonthMissingError
from dbt_runner.silver import require_months


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake in memory; all trips of 2019-02 were rejected, and 2018-03 was made before months had versions."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as lake")
        connection.execute("create schema lake.silver")
        connection.execute(
            "create table lake.silver.month_counts as "
            "from (values ('2019-01', 9993, 'a'), ('2019-02', 0, 'b'), ('2018-03', 1850, null)) "
            "as counts (trip_month, cleaned_rows, source_version)"
        )
        yield connection


def test_months_that_silver_was_materialized_for_are_accepted(connection: duckdb.DuckDBPyConnection) -> None:
    """A month without any trip left has to be emptied in the marts too."""
    require_months(connection, ["2019-01", "2019-02"])
    require_months(connection, [])


def test_months_that_silver_lacks_are_named_with_the_remedy(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(MonthMissingError, match=r"no month 2019-03; .*Materialize silver/cleaned_trips of it first"):
        require_months(connection, ["2019-02", "2019-03"])
    with pytest.raises(MonthMissingError, match=r"no month 2018-12, 2019-03;"):
        require_months(connection, ["2018-12", "2019-01", "2019-03"])


def test_months_of_a_lake_before_there_were_versions_have_to_be_sent_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Silver itself is red for them; marts and published tables would be green with trips of several sources."""
    with pytest.raises(MonthMissingError, match=r"made 2018-03 before .*Materialize generate_events"):
        require_months(connection, ["2018-03", "2019-01"])
    connection.execute("alter table lake.silver.month_counts drop source_version")
    with pytest.raises(MonthMissingError, match=r"made 2019-01 before months had versions"):
        require_months(connection, ["2019-01"])


def test_lake_without_the_table_of_months_has_none(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("drop table lake.silver.month_counts")
    with pytest.raises(MonthMissingError, match="no month 2019-01"):
        require_months(connection, ["2019-01"])


def test_table_of_months_that_cannot_be_read_is_not_taken_for_an_empty_one(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute("alter table lake.silver.month_counts rename trip_month to month")
    with pytest.raises(CatalogError, match=r"cannot read lake\.silver\.month_counts"):
        require_months(connection, ["2019-01"])


def test_build_of_a_month_that_silver_lacks_fails_before_dbt(runner: Runner) -> None:
    """Without this, dbt would build and test nothing, and the step would be green."""
    step = runner.run(month="2019-02", last_month="2019-03")
    assert step.exit_code == 1
    assert "Silver has no month 2019-03;" in step.failure
    assert step.materializations == {}
    assert step.checks == {}
    with duckdb.connect(Path(runner.environment["MARTS_DUCKDB_PATH"]), read_only=True) as connection:
        assert connection.execute("select * from information_schema.tables").fetchall() == []
