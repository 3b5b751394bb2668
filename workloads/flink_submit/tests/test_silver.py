from collections.abc import Callable

import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, bronze_rows
from fake_flink import FakeFlink
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from flink_submit.errors import LakeError
from flink_submit.job_runner import JobRunner
from flink_submit.lake import Lake
from flink_submit.silver import clean

MONTH = "2019-01"
COUNTS = (
    "bronze_snapshot_id",
    "bronze_rows",
    "repeated_events",
    "rejected_rows",
    "repeated_trips",
    "cleaned_rows",
    "cleaned_offset_sum",
    "cleaned_checksum",
)


class Silver:
    """The four tables, and a Flink job that writes what a test chooses."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.bronze = self._create(catalog, "bronze.raw_trips", BRONZE_SCHEMA)
        ids = Schema(NestedField(1, "trip_id", StringType()), NestedField(2, "trip_month", StringType()))
        self.cleaned = self._create(catalog, "silver.cleaned_trips", ids)
        self.rejected = self._create(catalog, "silver.rejected_trips", ids)
        numbers = [NestedField(number, name, LongType()) for number, name in enumerate(COUNTS, start=2)]
        counts = Schema(NestedField(1, "trip_month", StringType()), *numbers)
        self.counts = self._create(catalog, "silver.month_counts", counts)

    @staticmethod
    def _create(catalog: SqlCatalog, name: str, schema: Schema) -> Table:
        table = catalog.create_table(name, schema=schema)
        with table.update_spec() as spec:
            spec.add_identity("trip_month")
        return table

    def receive(self, rows: int) -> None:
        """Add rows to the month in bronze."""
        self.bronze.append(bronze_rows(MONTH, "topic", 0, *range(rows)))

    def job(self, cleaned: int, rejected: int, repeats: int, counted: int | None = None) -> Callable[[str], None]:
        """Return a job that replaces the month as Flink does: a table that gets no row is left alone."""

        def write(job_id: str) -> None:
            """Write the month's rows and counts."""
            bronze = self.bronze.refresh().current_snapshot()
            assert bronze
            read = cleaned + rejected + repeats if counted is None else counted
            numbers = (bronze.snapshot_id, read, repeats, rejected, 0, cleaned, 100, 7)
            counts = [{"trip_month": MONTH, **dict(zip(COUNTS, numbers, strict=True))}]
            written = [(self.cleaned, trips("kept", cleaned)), (self.rejected, trips("refused", rejected))]
            for table, rows in [*written, (self.counts, counts)]:
                if rows:
                    data = pa.Table.from_pylist(rows, schema=table.schema().as_arrow())
                    properties = {"flink.job-id": job_id}
                    table.refresh().overwrite(data, f"trip_month = '{MONTH}'", snapshot_properties=properties)

        return write


def trips(kind: str, rows: int) -> list[dict[str, str]]:
    """Return rows of either table of trips."""
    return [{"trip_id": f"{kind} {number}", "trip_month": MONTH} for number in range(rows)]


@pytest.fixture
def silver(catalog: SqlCatalog) -> Silver:
    """The tables, all empty."""
    return Silver(catalog)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_reports_what_became_of_each_row_of_the_month(
    silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """The pipeline's checks rely on rows_read = rows_written + rows_rejected + duplicates."""
    silver.receive(10)
    flink.do = silver.job(cleaned=6, rejected=3, repeats=1)
    report = clean(MONTH, lake=lake, runner=runner)
    assert (report.rows_read, report.rows_written, report.rows_rejected, report.duplicates) == (10, 6, 3, 1)
    assert (report.row_count, report.table_name) == (6, "silver.cleaned_trips")
    assert [report.job_id] == flink.submitted


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_reads_the_very_snapshot_of_bronze_that_it_counts(
    silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """Otherwise rows that arrive in the meantime would break the sum."""
    silver.receive(2)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0)
    clean(MONTH, lake=lake, runner=runner)
    snapshot = silver.bronze.refresh().current_snapshot()
    assert snapshot
    assert any(f"'snapshot-id' = '{snapshot.snapshot_id}'" in statement for statement in flink.statements)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_a_rerun_gives_the_same_data_version(silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner) -> None:
    """Materializing again must not make the marts stale."""
    silver.receive(3)
    flink.do = silver.job(cleaned=3, rejected=0, repeats=0)
    first = clean(MONTH, lake=lake, runner=runner)
    silver.receive(3)
    flink.do = silver.job(cleaned=3, rejected=0, repeats=3)
    second = clean(MONTH, lake=lake, runner=runner)
    assert first.data_version == second.data_version
    assert (second.rows_read, second.duplicates) == (6, 3)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_empties_a_month_that_has_no_valid_trip_any_more(
    silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """Flink's overwrite leaves a partition alone that gets no row, so the old trips would stay for ever."""
    silver.receive(4)
    flink.do = silver.job(cleaned=4, rejected=0, repeats=0)
    clean(MONTH, lake=lake, runner=runner)
    flink.do = silver.job(cleaned=0, rejected=4, repeats=0)
    report = clean(MONTH, lake=lake, runner=runner)
    assert (report.row_count, report.rows_rejected) == (0, 4)
    assert lake.month_rows(silver.cleaned.refresh(), MONTH) == 0


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_empties_the_rejected_rows_of_a_month_that_has_none_any_more(
    silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """The tables' rows must add up to those of bronze."""
    silver.receive(4)
    flink.do = silver.job(cleaned=1, rejected=3, repeats=0)
    clean(MONTH, lake=lake, runner=runner)
    flink.do = silver.job(cleaned=4, rejected=0, repeats=0)
    assert clean(MONTH, lake=lake, runner=runner).rows_rejected == 0
    assert lake.month_rows(silver.rejected.refresh(), MONTH) == 0


@pytest.mark.usefixtures("silver")
def test_says_what_to_materialize_first_when_bronze_has_no_such_month(
    flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """An empty month is not a success: the step ran too early."""
    with pytest.raises(
        LakeError, match=r"no row of 2019-01\. .* generate_events and bronze/raw_trips of 2019-01 first"
    ):
        clean(MONTH, lake=lake, runner=runner)
    assert flink.submitted == []


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_the_rows_do_not_add_up(silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner) -> None:
    """A row lost between the tables must always fail the step."""
    silver.receive(10)
    flink.do = silver.job(cleaned=6, rejected=3, repeats=0)
    with pytest.raises(LakeError, match=r"do not add up: 10 in bronze\.raw_trips; 9 read"):
        clean(MONTH, lake=lake, runner=runner)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_the_job_left_the_counts_of_an_older_one(
    silver: Silver, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """Old counts would hide this job's result."""
    silver.receive(2)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0)
    clean(MONTH, lake=lake, runner=runner)
    silver.receive(1)
    flink.do = lambda _job_id: None
    with pytest.raises(LakeError, match=r"silver\.month_counts should have one row of 2019-01"):
        clean(MONTH, lake=lake, runner=runner)
