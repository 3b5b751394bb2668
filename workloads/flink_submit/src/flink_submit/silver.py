"""The step ``silver``: make one whole month of silver from bronze."""

from dataclasses import dataclass

from pyiceberg.table import Table

from flink_submit.bronze import TABLE as BRONZE_TABLE
from flink_submit.errors import LakeError
from flink_submit.job_runner import FinishedJob, JobRunner
from flink_submit.lake import Lake, column_schema, content_version, rows_added_by
from flink_submit.report import TableReport
from flink_submit.sql_files import read_statements

CLEANED_TABLE = "silver.cleaned_trips"
REJECTED_TABLE = "silver.rejected_trips"
COUNTS_TABLE = "silver.month_counts"


@dataclass(frozen=True)
class MonthCounts:
    """The fates of a month's bronze rows, as Flink counted them: a row of ``silver.month_counts``."""

    trip_month: str
    bronze_snapshot_id: int
    bronze_rows: int
    repeated_events: int
    rejected_rows: int
    repeated_trips: int
    cleaned_rows: int
    cleaned_offset_sum: int
    cleaned_checksum: int


def clean(month: str, *, lake: Lake, runner: JobRunner) -> TableReport:
    """Run the step.

    Args:
        month: The month to make, ``yyyy-MM``.
        lake: The Iceberg tables.
        runner: Runs the job in a session on Flink.

    Returns:
        Counts of the month, checked against each other.

    Raises:
        FlinkSubmitError: The step failed; the message says what to do.
    """
    name = f"{CLEANED_TABLE} {month}"
    runner.finish_earlier_jobs(name)
    snapshot_id, bronze_rows = _find_bronze_month(lake, month)
    values = {"month": month, "bronze_snapshot_id": str(snapshot_id)}
    runner.execute(read_statements("silver_tables.sql", {}))
    runner.execute(read_statements("silver_clean.sql", values))
    job = runner.run(
        name,
        identity=f"{name} {snapshot_id}",
        make_statements=lambda job_id: read_statements(
            "silver_write.sql", {**values, "job_name": name, "job_id": job_id}
        ),
    )
    counts = _read_counts(lake, month, snapshot_id)
    cleaned = _check_table(lake, CLEANED_TABLE, month, job, counts.cleaned_rows)
    _check_table(lake, REJECTED_TABLE, month, job, counts.rejected_rows)
    return _make_report(cleaned, bronze_rows, counts, job)


def _find_bronze_month(lake: Lake, month: str) -> tuple[int, int]:
    table = lake.find_table(BRONZE_TABLE)
    snapshot = table.current_snapshot() if table else None
    rows = lake.month_rows(table, month) if table and snapshot else 0
    if snapshot is None or rows == 0:
        raise LakeError(
            f"{BRONZE_TABLE} has no row of {month}. Expected the month's trips: materialize generate_events and "
            f"bronze/raw_trips of {month} first, then this partition again."
        )
    return snapshot.snapshot_id, rows


def _read_counts(lake: Lake, month: str, snapshot_id: int) -> MonthCounts:
    rows = lake.read_month(lake.load_table(COUNTS_TABLE), month)
    counts = [MonthCounts(**row) for row in rows]
    if len(counts) == 1 and counts[0].bronze_snapshot_id == snapshot_id:
        return counts[0]
    raise LakeError(
        f"{COUNTS_TABLE} should have one row of {month} counted from snapshot {snapshot_id} of {BRONZE_TABLE}, but has "
        f"{rows}. Another job wrote the month in the meantime: materialize this partition again."
    )


def _check_table(lake: Lake, name: str, month: str, job: FinishedJob, expected_rows: int) -> Table:
    """Delete a month that has become empty, which Flink leaves alone, and check the table's rows."""
    table = lake.load_table(name)
    held_rows = lake.month_rows(table, month)
    if expected_rows == 0 and held_rows > 0:
        lake.delete_month(table, month)
        table = lake.load_table(name)
        held_rows = lake.month_rows(table, month)
    added_rows = rows_added_by(table, job.job_id)
    if held_rows == added_rows == expected_rows:
        return table
    raise LakeError(
        f"{name} should hold {expected_rows} rows of {month}, but Flink job {job.job_id} added {added_rows} and the "
        f"table holds {held_rows}. Another job wrote the month in the meantime: materialize this partition again."
    )


def _make_report(cleaned: Table, bronze_rows: int, counts: MonthCounts, job: FinishedJob) -> TableReport:
    duplicates = counts.repeated_events + counts.repeated_trips
    if not bronze_rows == counts.bronze_rows == counts.cleaned_rows + counts.rejected_rows + duplicates:
        raise LakeError(
            f"The rows of {counts.trip_month} do not add up: {bronze_rows} in {BRONZE_TABLE}; {counts.bronze_rows} "
            f"read, {counts.cleaned_rows} cleaned, {counts.rejected_rows} rejected and {duplicates} repeats "
            f"by Flink job {job.job_id}. This is a bug in sql/flink/silver_clean.sql."
        )
    snapshot = cleaned.current_snapshot()
    return TableReport(
        table_name=CLEANED_TABLE,
        column_schema=column_schema(cleaned),
        row_count=counts.cleaned_rows,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        job_id=job.job_id,
        job_seconds=job.seconds,
        rows_read=bronze_rows,
        rows_written=counts.cleaned_rows,
        rows_rejected=counts.rejected_rows,
        duplicates=duplicates,
        data_version=content_version(
            counts.trip_month, str(counts.cleaned_rows), str(counts.cleaned_offset_sum), str(counts.cleaned_checksum)
        ),
    )
