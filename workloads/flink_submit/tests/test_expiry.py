import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, CatalogInAFile, PipesSession, bronze_rows
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType

from flink_submit.expiry import TableExpiry, expire
from flink_submit.ingested import find_unreported_jobs, write_note
from flink_submit.lake import Lake
from flink_submit.report import StepReport

MONTH = "2019-01"
SOON = timedelta(seconds=1)


@pytest.fixture
def cleaned(catalog: CatalogInAFile) -> Table:
    """A table whose month was replaced twice, so that the last snapshot holds all rows."""
    table = catalog.create_table("silver.cleaned_trips", schema=Schema(NestedField(1, "trip_month", StringType())))
    table.append(pa.table({"trip_month": [MONTH]}))
    for _ in range(2):
        table.overwrite(pa.table({"trip_month": [MONTH]}))
    return table.refresh()


def files_of(table: Table) -> set[Path]:
    """Return every file of a table except the metadata files."""
    folder = Path(table.location().removeprefix("file://"))
    return {path for path in folder.rglob("*") if path.suffix in {".parquet", ".avro"}}


@pytest.mark.usefixtures("catalog")
def test_a_missing_table_has_nothing_to_expire(lake: Lake, report: StepReport) -> None:
    """The first maintenance may run before the first month."""
    assert expire(lake, older_than=datetime.now(UTC), keep=(), report=report) == {}


def test_old_snapshots_go_with_the_files_that_only_they_need(lake: Lake, report: StepReport, cleaned: Table) -> None:
    """The current content stays, and the space is freed."""
    before, content = files_of(cleaned), cleaned.scan().to_arrow()
    total = len(cleaned.snapshots())
    (done,) = expire(lake, older_than=datetime.now(UTC) + SOON, keep=(), report=report).values()
    after = cleaned.refresh()
    assert (done.snapshots_before, done.snapshots_after, len(after.snapshots())) == (total, 1, 1)
    assert done.files_deleted == len(before) - len(files_of(after)) > 0
    assert after.scan().to_arrow() == content


def test_snapshots_that_are_young_or_named_stay_readable(lake: Lake, report: StepReport, cleaned: Table) -> None:
    """A snapshot that a materialization reported must stay readable."""
    first, total = cleaned.snapshots()[0], len(cleaned.snapshots())
    young = expire(lake, older_than=datetime.now(UTC) - timedelta(days=1), keep=(), report=report)
    assert young == {"silver.cleaned_trips": TableExpiry(total, total, 0)}
    (done,) = expire(lake, older_than=datetime.now(UTC) + SOON, keep={first.snapshot_id}, report=report).values()
    assert done.snapshots_after == 2
    assert cleaned.refresh().scan(snapshot_id=first.snapshot_id).to_arrow().num_rows == 1


def test_bronze_keeps_what_the_next_step_asks_for(catalog: CatalogInAFile, lake: Lake, report: StepReport) -> None:
    """Without the noted snapshot the next step could not know which jobs are still unreported."""
    table = catalog.create_table("bronze.raw_trips", schema=BRONZE_SCHEMA)
    for offset in range(4):
        rows = bronze_rows(MONTH, "topic", 0, offset)
        table.append(rows, snapshot_properties={"flink.job-id": f"job {offset}"})
        if offset == 1:
            current = table.current_snapshot()
            assert current
            write_note(table, "topic", {0: 2}, current.snapshot_id)
            table.refresh()
    expired = expire(lake, older_than=datetime.now(UTC) + SOON, keep=(), report=report)
    assert expired["bronze.raw_trips"].snapshots_after == 3
    assert find_unreported_jobs(table.refresh()) == ["job 2", "job 3"]
    assert table.scan().to_arrow().num_rows == 4


def test_the_numbers_are_reported_for_all_tables_and_each(report: StepReport, pipes: PipesSession) -> None:
    """The UI plots the counts before and after."""
    counts = {"snapshots_before": 3, "snapshots_after": 1, "files_deleted": 5}
    report.expired({"a": counts, "b": counts})
    (message,) = pipes.messages("report_asset_materialization")
    metadata = {name: value["raw_value"] for name, value in message["metadata"].items()}
    assert metadata == {name: 2 * count for name, count in counts.items()} | {"tables": {"a": counts, "b": counts}}
    assert json.dumps(metadata)
