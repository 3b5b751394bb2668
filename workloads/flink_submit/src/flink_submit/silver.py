"""The step ``silver``: make one whole month of silver from bronze."""

from collections.abc import Callable
from dataclasses import dataclass

from pyiceberg.table import Table

from flink_submit.bronze import TABLE as BRONZE_TABLE
from flink_submit.completeness import count_version_rows
from flink_submit.errors import LakeError
from flink_submit.job_runner import FinishedJob, JobRunner
from flink_submit.lake import Lake, column_schema, content_version, rows_added_by
from flink_submit.migrations import migrate
from flink_submit.month_versions import CurrentVersion
from flink_submit.report import StepReport, TableReport
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
    superseded_rows: int
    rounded_rows: int
    rows_without_vendor: int
    source: str
    source_version: str
    source_name: str


def clean(
    version: CurrentVersion,
    read_version: Callable[[], CurrentVersion],
    *,
    topic_name: str,
    lake: Lake,
    runner: JobRunner,
    report: StepReport,
) -> TableReport:
    """Run the step.

    Args:
        version: The current version of the month to make.
        read_version: Reads it again, after silver was written.
        topic_name: The topic that bronze ingests.
        lake: The Iceberg tables.
        runner: Runs the job in a session on Flink.
        report: Receives log lines.

    Returns:
        Counts of the month, checked against each other.

    Raises:
        FlinkSubmitError: The step failed; the message says what to do.
    """
    if version.topic != topic_name:
        raise LakeError(
            f"The current version of {version.month}, {version.source_version}, was sent to topic {version.topic}, but "
            f"bronze reads {topic_name}. Materialize generate_events and bronze/raw_trips of {version.month} again."
        )
    month = version.month
    name = f"{CLEANED_TABLE} {month}"
    runner.finish_earlier_jobs(name)
    bronze = _find_bronze_month(lake, runner, version)
    report.say(f"The current version of {month} is {version.source_name} ({version.source_version})")
    runner.execute(read_statements("silver_tables.sql", {}))
    migrate([CLEANED_TABLE, REJECTED_TABLE, COUNTS_TABLE], lake=lake, runner=runner)
    values = {
        "month": month,
        "bronze_snapshot_id": str(bronze.snapshot_id),
        "source_version": version.source_version,
    }
    runner.execute(read_statements("silver_clean.sql", values))
    job = runner.run(
        name,
        identity=f"{name} {bronze.snapshot_id} {version.source_version}",
        make_statements=lambda job_id: read_statements(
            "silver_write.sql",
            {
                **values,
                "superseded_rows": str(bronze.rows - bronze.version_rows),
                "source": version.source,
                "source_name": version.source_name,
                "job_name": name,
                "job_id": job_id,
            },
        ),
    )
    counts = _read_counts(lake, month, bronze, version)
    cleaned = _check_table(lake, CLEANED_TABLE, month, job, counts.cleaned_rows)
    _check_table(lake, REJECTED_TABLE, month, job, counts.rejected_rows)
    _check_still_current(version, read_version())
    return _make_report(cleaned, bronze, counts, job)


@dataclass(frozen=True)
class _BronzeMonth:
    """The month in a snapshot of bronze: all its rows, and those of the current version."""

    snapshot_id: int
    rows: int
    version_rows: int


def _find_bronze_month(lake: Lake, runner: JobRunner, version: CurrentVersion) -> _BronzeMonth:
    if lake.find_table(BRONZE_TABLE):
        migrate([BRONZE_TABLE], lake=lake, runner=runner)
    table = lake.find_table(BRONZE_TABLE)
    snapshot = table.current_snapshot() if table else None
    if table is None or snapshot is None:
        raise LakeError(
            f"{BRONZE_TABLE} has no row. Expected the trips of {version.month}: materialize bronze/raw_trips of "
            f"{version.month} first, then this partition again."
        )
    version_rows = count_version_rows(lake, table, version)
    return _BronzeMonth(snapshot.snapshot_id, lake.month_rows(table, version.month), version_rows)


def _read_counts(lake: Lake, month: str, bronze: _BronzeMonth, version: CurrentVersion) -> MonthCounts:
    rows = lake.read_month(lake.load_table(COUNTS_TABLE), month)
    counts = [MonthCounts(**row) for row in rows]
    expected = (bronze.snapshot_id, version.source_version)
    if len(counts) == 1 and (counts[0].bronze_snapshot_id, counts[0].source_version) == expected:
        return counts[0]
    raise LakeError(
        f"{COUNTS_TABLE} should have one row of {month} counted for version {version.source_version} from snapshot "
        f"{bronze.snapshot_id} of {BRONZE_TABLE}, but has {rows}. Another job wrote the month in the meantime: "
        "materialize this partition again."
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


def _check_still_current(made: CurrentVersion, current: CurrentVersion) -> None:
    """Raise if another version became the current one in the meantime: its own step may have written before this one.

    A version that becomes the current one after this has its step after this one's commit.
    """
    if current.source_version == made.source_version:
        return
    raise LakeError(
        f"While silver was made of {made.source_version} ({made.source_name}), {current.source_version} "
        f"({current.source_name}) became the current version of {made.month}. Materialize bronze/raw_trips of "
        f"{made.month}, then this partition again."
    )


def _make_report(cleaned: Table, bronze: _BronzeMonth, counts: MonthCounts, job: FinishedJob) -> TableReport:
    duplicates = counts.repeated_events + counts.repeated_trips
    kept = counts.cleaned_rows + counts.rejected_rows + duplicates
    if (bronze.rows, bronze.version_rows) != (counts.bronze_rows, kept) or counts.bronze_rows != (
        kept + counts.superseded_rows
    ):
        raise LakeError(
            f"The rows of {counts.trip_month} do not add up: {bronze.rows} in {BRONZE_TABLE}, {bronze.version_rows} of "
            f"them of version {counts.source_version}; {counts.bronze_rows} read, {counts.superseded_rows} superseded, "
            f"{counts.cleaned_rows} cleaned, {counts.rejected_rows} rejected and {duplicates} repeats by Flink job "
            f"{job.job_id}. This is a bug in sql/flink/silver_clean.sql."
        )
    snapshot = cleaned.current_snapshot()
    return TableReport(
        table_name=CLEANED_TABLE,
        column_schema=column_schema(cleaned),
        row_count=counts.cleaned_rows,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        job_id=job.job_id,
        job_seconds=job.seconds,
        rows_read=bronze.rows,
        rows_written=counts.cleaned_rows,
        rows_rejected=counts.rejected_rows,
        duplicates=duplicates,
        data_version=content_version(
            counts.trip_month,
            counts.source_version,  # the offsets of a topic that was created again may be the same
            str(counts.cleaned_rows),
            str(counts.cleaned_offset_sum),
            str(counts.cleaned_checksum),
        ),
        details={
            "rows_superseded": counts.superseded_rows,
            "rows_rounded": counts.rounded_rows,
            "rows_without_vendor": counts.rows_without_vendor,
            "source": counts.source,
            "source_version": counts.source_version,
            "source_name": counts.source_name,
        },
    )
