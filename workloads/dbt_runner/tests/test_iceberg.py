"""What is written to an Iceberg table, with a DuckDB file in place of the catalog.

The tests with the stack check that a real catalog and object store accept it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_runner.content import Column
from dbt_runner.errors import CatalogError, MartMissingError, MartsUnreadableError, PublishError
from dbt_runner.iceberg import Publisher, connect, open_publisher
from dbt_runner.settings import Settings

JANUARY, FEBRUARY = "2019-01", "2019-02"
TABLE = "marts.fct_trips"


class FilePublisher(Publisher):
    """A publisher without what only a catalog has: partitions and snapshots."""

    def create(self, target: str, columns: Sequence[Column], *, by_month: bool) -> None:
        """Create an ordinary DuckDB table."""
        assert by_month is any(column.name == "trip_month" for column in columns)
        super().create(target, columns, by_month=False)

    def snapshot_id(self, target: str) -> int | None:  # noqa: ARG002  only a catalog has snapshots
        """Return None, since there is no snapshot."""
        return None


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A mart of two months and one without, and an empty lake."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'marts.duckdb'}' as built")
        connection.execute(f"attach '{tmp_path / 'lake.duckdb'}' as lake")
        connection.execute("create schema built.core")
        connection.execute(
            "create table built.core.fct_trips as select n as trip_id, '2019-0' || (n % 2 + 1) as trip_month, "
            "(n / 3)::decimal(10, 2) as usd from range(1000) as numbers (n)"
        )
        connection.execute("create table built.core.dim_zones as select n as zone from range(10) as numbers (n)")
        yield connection


@pytest.fixture
def publisher(connection: duckdb.DuckDBPyConnection) -> Publisher:
    """A publisher from the marts to the lake."""
    publisher = FilePublisher(connection)
    publisher.require_namespace("marts")
    return publisher


def rows(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[Any, ...]]:
    """Read a relation's rows in a fixed order."""
    return connection.table(relation).order("all").fetchall()


def test_month_is_published_and_no_other(publisher: Publisher, connection: duckdb.DuckDBPyConnection) -> None:
    """Another month's rows may not have passed their tests."""
    published = publisher.publish("core.fct_trips", TABLE, [JANUARY], by_month=True)
    assert (published.rows_written, published.rows_deleted, published.found.rows) == (500, 0, 500)
    assert published.found == published.built
    assert {row[1] for row in rows(connection, f"lake.{TABLE}")} == {JANUARY}
    publisher.publish("core.fct_trips", TABLE, [FEBRUARY], by_month=True)
    assert rows(connection, f"lake.{TABLE}") == rows(connection, "built.core.fct_trips")


def test_publishing_the_same_rows_again_writes_nothing(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection
) -> None:
    """The order of the rows does not matter."""
    first = publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    connection.execute("create or replace table built.core.fct_trips as from built.core.fct_trips order by usd desc")
    again = publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    assert (first.rows_written, again.rows_written, again.rows_deleted) == (1000, 0, 0)
    assert again.found == first.found


@pytest.mark.parametrize(
    ("change", "written", "deleted"),
    [
        ("update built.core.fct_trips set usd = usd + 1 where trip_id = 4", 500, 500),
        ("delete from built.core.fct_trips where trip_id = 4", 499, 500),
        ("delete from built.core.fct_trips where trip_month = '2019-01'", 0, 500),
        ("insert into built.core.fct_trips values (4, '2019-01', 1.33)", 501, 500),
        ("insert into built.core.fct_trips values (4, '2019-03', 1.33)", 1, 0),
    ],
)
def test_only_the_month_that_changed_is_replaced(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection, change: str, written: int, deleted: int
) -> None:
    """This includes a month that lost all its rows, and one that has a row twice."""
    publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    connection.execute(change)
    published = publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    assert (published.rows_written, published.rows_deleted) == (written, deleted)
    assert rows(connection, f"lake.{TABLE}") == rows(connection, "built.core.fct_trips")


def test_mart_without_months_is_published_as_a_whole(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection
) -> None:
    publisher.publish("core.dim_zones", "marts.dim_zones", [JANUARY], by_month=False)
    connection.execute("update built.core.dim_zones set zone = 99 where zone = 3")
    published = publisher.publish("core.dim_zones", "marts.dim_zones", [FEBRUARY], by_month=False)
    assert (published.rows_written, published.rows_deleted) == (10, 10)
    assert rows(connection, "lake.marts.dim_zones") == rows(connection, "built.core.dim_zones")


def test_columns_that_the_mart_has_gained_are_added_to_the_table(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection
) -> None:
    """Months that are not published keep their rows, empty in the new columns, as in the mart."""
    publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    connection.execute("alter table built.core.fct_trips add column fee_usd decimal(10, 2)")
    connection.execute("alter table built.core.fct_trips add column longitude double")
    connection.execute("update built.core.fct_trips set fee_usd = 0.75 where trip_month = '2019-01'")
    published = publisher.publish("core.fct_trips", TABLE, [JANUARY], by_month=True)
    assert (published.rows_written, published.rows_deleted) == (500, 500)
    assert published.found == published.built
    assert connection.table(f"lake.{TABLE}").columns == ["trip_id", "trip_month", "usd", "fee_usd", "longitude"]
    assert rows(connection, f"lake.{TABLE}") == rows(connection, "built.core.fct_trips")
    assert publisher.publish("core.fct_trips", TABLE, [], by_month=True).rows_written == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("drop column usd", r"has usd DECIMAL\(10,2\) that the mart lacks, and lacks nothing"),
        ("rename usd to tip_usd", r"lacks tip_usd DECIMAL"),
        (
            "alter usd type decimal(18, 2)",
            r"has usd DECIMAL\(10,2\) that the mart lacks, and lacks usd DECIMAL\(18,2\)",
        ),
    ],
)
def test_table_with_other_columns_is_refused_and_left(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection, change: str, expected: str
) -> None:
    """Such a change concerns every month, not only the one being published."""
    publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    connection.execute(f"alter table built.core.fct_trips {change}")
    with pytest.raises(PublishError, match=f"{expected}.*Drop the table"):
        publisher.publish("core.fct_trips", TABLE, [JANUARY], by_month=True)
    assert len(rows(connection, f"lake.{TABLE}")) == 1000


def test_mart_that_was_never_built_is_named(publisher: Publisher) -> None:
    with pytest.raises(MartMissingError, match=r"no core\.daily_revenue.*Materialize the mart first"):
        publisher.publish("core.daily_revenue", TABLE, [], by_month=True)


def test_lack_of_memory_is_reported_with_advice(publisher: Publisher, connection: duckdb.DuckDBPyConnection) -> None:
    """The advice must not blame the catalog or the store, which work."""
    connection.execute("set max_temp_directory_size = '0 bytes'; set memory_limit = '1MB'")
    with pytest.raises(PublishError, match=r"Out of Memory Error.*The table is unchanged.* DUCKDB_MEMORY_LIMIT"):
        publisher.publish("core.fct_trips", TABLE, [], by_month=True)


def test_publishing_keeps_within_its_memory_limit(environment: dict[str, str], tmp_path: Path) -> None:
    """By default DuckDB takes four fifths of the machine's memory."""
    config = settings_for(tmp_path).duckdb_config
    with connect(config | {"extension_directory": environment["DUCKDB_EXTENSION_DIRECTORY"]}) as connection:
        row = connection.execute("select current_setting('memory_limit'), current_setting('temp_directory')").fetchone()
    assert row == ("953.6 MiB", str(tmp_path / "duckdb"))


def test_failure_in_the_middle_leaves_the_table_as_it_was(
    publisher: Publisher, connection: duckdb.DuckDBPyConnection
) -> None:
    """Delete and insert happen in one commit."""
    connection.execute(
        f"create table lake.{TABLE} (trip_id bigint, trip_month varchar, usd decimal(10, 2) check (usd < 400))"
    )
    publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    before = rows(connection, f"lake.{TABLE}")
    connection.execute("update built.core.fct_trips set usd = 500 where trip_id = 4")
    with pytest.raises(PublishError, match=r"CHECK constraint failed.*The table is unchanged"):
        publisher.publish("core.fct_trips", TABLE, [], by_month=True)
    assert len(before) == 1000
    assert rows(connection, f"lake.{TABLE}") == before


def settings_for(folder: Path) -> Settings:
    """Return settings whose catalog address does not answer."""
    return Settings(
        iceberg_catalog_uri="http://127.0.0.1:1",
        iceberg_warehouse="s3://warehouse/",
        s3_endpoint="http://127.0.0.1:1",
        s3_region="us-east-1",
        s3_access_key_id="it's",
        s3_secret_access_key="secret",  # noqa: S106  a made-up secret
        marts_duckdb_path=folder / "marts.duckdb",
        duckdb_extension_directory=folder / "extensions",
        duckdb_memory_limit="1GB",
        duckdb_temp_directory=folder / "duckdb",
        dbt_project_dir=Path(),
        dbt_profiles_dir=Path(),
        dbt_prepared_path=Path(),
    )


def test_missing_marts_file_is_reported(tmp_path: Path) -> None:
    """Publishing comes after building, which creates the file."""
    with (
        pytest.raises(MartsUnreadableError, match=r"marts\.duckdb"),
        open_publisher(settings_for(tmp_path), duckdb.connect()),
    ):
        pass


def test_catalog_that_cannot_be_attached_is_reported(tmp_path: Path) -> None:
    """Missing extensions are enough to make the attachment fail here."""
    duckdb.connect(tmp_path / "marts.duckdb").close()
    with (
        pytest.raises(CatalogError, match=r"cannot attach .* http://127\.0\.0\.1:1"),
        open_publisher(settings_for(tmp_path), duckdb.connect()),
    ):
        pass


def test_missing_extensions_are_reported(tmp_path: Path) -> None:
    """The image contains them, so the image or its setting is wrong."""
    with pytest.raises(PublishError, match=r"cannot load its extensions from .*DUCKDB_EXTENSION_DIRECTORY"):
        connect({"extension_directory": str(tmp_path)})
