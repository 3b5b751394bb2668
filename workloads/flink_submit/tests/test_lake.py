import signal

import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, bronze_rows
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import ServiceUnavailableError
from pyiceberg.table import Table

from flink_submit.deadline import deadline
from flink_submit.errors import LakeError, ServiceError, ServiceTimeoutError
from flink_submit.lake import Lake, column_schema, current_job_id, find_snapshot_of, rows_added_by


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """A partitioned table with two rows of January from job one, and one row of February from job two."""
    table = catalog.create_table("bronze.raw_trips", schema=BRONZE_SCHEMA)
    with table.update_spec() as spec:
        spec.add_identity("trip_month")
    january = [bronze_rows("2019-01", "topic", 0, offset) for offset in (0, 1)]
    table.append(pa.concat_tables(january), snapshot_properties={"flink.job-id": "one"})
    table.append(bronze_rows("2019-02", "topic", 0, 2), snapshot_properties={"flink.job-id": "two"})
    return table


def test_counts_a_month_now_and_at_a_snapshot(lake: Lake, table: Table) -> None:
    """Silver reads one snapshot of bronze, and is checked against that snapshot's rows."""
    first = find_snapshot_of(table, "one")
    assert lake.month_rows(table, "2019-01") == 2
    assert lake.month_rows(table, "2019-02") == 1
    assert lake.month_rows(table, "2019-02", first) == 0


def test_counts_what_a_job_added(table: Table) -> None:
    """The counts of Flink's vertices depend on how Flink chains them; a snapshot's counts do not."""
    assert (rows_added_by(table, "one"), rows_added_by(table, "two"), rows_added_by(table, "three")) == (2, 1, 0)
    assert current_job_id(table) == "two"


def test_a_snapshot_that_was_rolled_back_is_not_found(table: Table) -> None:
    """Work that was rolled back has to be done again."""
    first = find_snapshot_of(table, "one")
    assert first is not None
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    assert find_snapshot_of(table, "two") is None
    assert find_snapshot_of(table, "one") == first


def test_deletes_one_month_alone(lake: Lake, table: Table) -> None:
    """Flink's overwrite leaves a month alone that no longer has rows."""
    lake.delete_month(table, "2019-01")
    assert (lake.month_rows(table, "2019-01"), lake.month_rows(table, "2019-02")) == (0, 1)


def test_the_version_of_a_month_changes_with_its_own_rows_alone(lake: Lake, table: Table) -> None:
    """New rows of a month must make only that month stale."""
    january, february = lake.month_data_version(table, "2019-01"), lake.month_data_version(table, "2019-02")
    table.append(bronze_rows("2019-02", "topic", 0, 3))
    assert lake.month_data_version(table, "2019-01") == january
    assert lake.month_data_version(table, "2019-02") != february


def test_describes_columns_as_dagster_takes_them(table: Table) -> None:
    """Dagster refuses a schema in any other form, which fails the step."""
    columns = {column["name"]: column for column in column_schema(table)["columns"]}
    assert columns["kafka_offset"] == {
        "name": "kafka_offset",
        "type": "long",
        "description": "Offset of the record",
        "constraints": {"nullable": False, "unique": False, "other": []},
    }
    assert columns["event_id"]["constraints"]["nullable"]


def test_says_which_table_is_missing(lake: Lake) -> None:
    """The name shows what to materialize first."""
    assert lake.find_table("silver.cleaned_trips") is None
    with pytest.raises(LakeError, match=r"The catalog in a file has no table silver\.cleaned_trips"):
        lake.load_table("silver.cleaned_trips")


@pytest.mark.parametrize("error", [OSError("Connection refused"), ServiceUnavailableError("starting")])
def test_says_where_the_catalog_or_the_store_failed(lake: Lake, error: Exception) -> None:
    """The errors of pyiceberg and Arrow do not name the address."""
    with pytest.raises(ServiceError, match=r"The catalog in a file failed .*(refused|starting)"), lake.reading():
        raise error


def test_a_call_that_takes_too_long_is_ended() -> None:
    """Pyiceberg sets no time limit: with a hanging catalog the step would hang for ever."""
    with pytest.raises(ServiceTimeoutError, match="The catalog did not answer within"), deadline(0.05, "The catalog"):
        signal.pause()
