"""The step ``bronze``: append everything that is new in the topic to bronze, each committed record once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyiceberg.table import Table

from flink_submit.errors import LakeError
from flink_submit.ingested import (
    current_snapshot_id,
    find_unreported_jobs,
    read_ingested_ends,
    read_noted_topics,
    read_reported_ends,
    write_note,
)
from flink_submit.job_runner import FinishedJob, JobRunner
from flink_submit.lake import Lake, column_schema, current_job_id, find_snapshot_of, rows_added_by
from flink_submit.migrations import migrate
from flink_submit.offsets import IngestPlan, TopicBounds, check_nothing_lost_since, format_offsets, plan_ingest
from flink_submit.reconciliation import Reconciliation, reconcile
from flink_submit.report import StepReport, TableReport
from flink_submit.settings import BronzeSettings
from flink_submit.sql_files import read_statements
from flink_submit.topic import Topic

TABLE = "bronze.raw_trips"
QUARANTINE_VIEW = "bronze.quarantine"
# So few offsets may all be ends of transactions; reading them from the broker is faster than running a Flink job.
PROBED_SPAN = 100


def ingest(
    month: str, *, settings: BronzeSettings, topic: Topic, lake: Lake, runner: JobRunner, report: StepReport
) -> TableReport:
    """Run the step.

    Args:
        month: The month to report on, ``yyyy-MM``.
        settings: The addresses of the broker and the registry, for Flink.
        topic: The topic to ingest; all its months are ingested, whichever month is reported on.
        lake: The Iceberg tables.
        runner: Runs the jobs in a session on Flink.
        report: Receives log lines and progress.

    Returns:
        Counts of the records and rows ingested since a step last reported, and the month's row count.

    Raises:
        FlinkSubmitError: The step failed; the message says what to do.
    """
    topic.read_bounds()  # raises if the broker or the topic is missing, before anything is created
    jobs = runner.finish_earlier_jobs(TABLE)
    runner.execute(read_statements("bronze_tables.sql", {}))
    migrate([TABLE], lake=lake, runner=runner)
    (view,) = read_statements("bronze_quarantine.sql", {})
    lake.ensure_view(QUARANTINE_VIEW, view, lake.load_table(TABLE))
    ingestion = _Ingestion(settings, topic, lake, runner, report)
    read = ingestion.run()
    jobs += ingestion.jobs
    table = lake.load_table(TABLE)
    reported = read_reported_ends(table, read.topic_id)
    spans = {number: (max(first, reported.get(number, 0)), read.ends[number]) for number, first in read.firsts.items()}
    reconciliation = reconcile(topic, lake, TABLE, read.topic_id, spans)
    result = _make_report(lake, table, month, reconciliation, sum(job.seconds for job in jobs))
    if reconciliation.records_missing == reconciliation.rows_repeated == 0:
        # Without a note, every later step finds the difference again.
        with lake.reading():
            write_note(table, read.topic_id, read.ends, read.snapshot_id)
    return result


@dataclass(frozen=True)
class _Read:
    """The offsets that the table holds: all from ``firsts`` to ``ends``, and in ``snapshot_id`` none beyond these."""

    topic_id: str
    firsts: Mapping[int, int]
    ends: Mapping[int, int]
    snapshot_id: int | None


@dataclass
class _Ingestion:
    """Brings the table up to the topic's end, in one job unless another attempt's job commits in between."""

    settings: BronzeSettings
    topic: Topic
    lake: Lake
    runner: JobRunner
    report: StepReport
    jobs: list[FinishedJob] = field(default_factory=list)

    def run(self) -> _Read:
        while True:
            # Load the table before reading the bounds, so that the broker's end is at or after the table's.
            before = self.lake.load_table(TABLE)
            bounds = self.topic.read_settled_bounds(self.report.waiting_for_transactions)
            with self.lake.reading():
                ingested_ends = read_ingested_ends(before, bounds.topic_id)
            if not ingested_ends:
                self._warn_on_first_read(before, bounds)
            plan = plan_ingest(bounds, ingested_ends)
            firsts = {number: held.first for number, held in bounds.partitions.items()}
            unchanged = _Read(plan.topic_id, firsts, plan.ends, current_snapshot_id(before))
            if not self._has_records(plan):
                self.report.say(f"Nothing more to read in topic {bounds.name}")
                return unchanged
            job = self._run_job(bounds.name, plan, before)
            self.jobs.append(job)
            if not job.submitted:
                continue  # another attempt's job may have had a different end
            after = self._check_job(plan, job)
            snapshot_id = find_snapshot_of(after, job.job_id)
            if snapshot_id is None:
                return unchanged  # all records were aborted, and Flink does not commit without rows
            snapshot = after.snapshot_by_id(snapshot_id)
            if snapshot and snapshot.parent_snapshot_id == unchanged.snapshot_id:
                return _Read(plan.topic_id, firsts, plan.ends, snapshot_id)

    def _has_records(self, plan: IngestPlan) -> bool:
        if plan.span > PROBED_SPAN:
            return True
        spans = {number: (start, plan.ends[number]) for number, start in plan.starts.items()}
        return any(True for _ in self.topic.committed_offsets(spans))

    def _warn_on_first_read(self, table: Table, bounds: TopicBounds) -> None:
        earlier = sorted(read_noted_topics(table))
        if earlier:
            self.report.warn(
                f"Topic {bounds.name} was deleted and created again: bronze continues with the new topic (id "
                f"{bounds.topic_id}) from its beginning. Records of {', '.join(earlier)} that it had not read are "
                "gone: send the months concerned again."
            )
        cut_off = {number: held.first for number, held in bounds.partitions.items() if held.first > 0}
        if cut_off:
            self.report.warn(
                f"Topic {bounds.name} begins at {format_offsets(cut_off)}: earlier records were deleted before bronze "
                "first read the topic. Send the months concerned again."
            )

    def _run_job(self, topic_name: str, plan: IngestPlan, before: Table) -> FinishedJob:
        starts, ends = format_offsets(plan.starts), format_offsets(plan.ends)
        self.report.say(f"Reading at most {plan.span} records: from {starts} to {ends}")
        source_values = {
            "topic": topic_name,
            "bootstrap_servers": self.settings.kafka_bootstrap_servers,
            "schema_registry_url": self.settings.schema_registry_url,
            "start_offsets": starts,
            "end_offsets": ends,
        }
        self.runner.execute(read_statements("kafka_source.sql", source_values))
        values = {
            "job_name": TABLE,
            "topic_id": plan.topic_id,
            "ingested_at": f"{_ingestion_time(before):%Y-%m-%d %H:%M:%S.%f}",
        }
        return self.runner.run(
            TABLE,
            identity=f"{TABLE} {plan.topic_id} {starts}",
            make_statements=lambda job_id: read_statements("bronze_ingest.sql", {**values, "job_id": job_id}),
            is_committed=lambda job_id: find_snapshot_of(self.lake.load_table(TABLE), job_id) is not None,
        )

    def _check_job(self, plan: IngestPlan, job: FinishedJob) -> Table:
        check_nothing_lost_since(plan, self.topic.read_bounds())
        after = self.lake.load_table(TABLE)
        rows = rows_added_by(after, job.job_id)
        if rows > plan.span:
            raise LakeError(
                f"Flink job {job.job_id} added {rows} rows to {TABLE} for at most {plan.span} records: the table holds "
                "records twice. Roll it back to the snapshot before that job, then materialize this partition again."
            )
        return after


def _ingestion_time(table: Table) -> datetime:
    """Return the time in UTC, later than the last commit: the order in which two repeats arrived must not change."""
    now = datetime.now(UTC)
    snapshot = table.current_snapshot()
    if snapshot is None:
        return now
    return max(now, datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC) + timedelta(milliseconds=1))


def _make_report(
    lake: Lake, table: Table, month: str, reconciliation: Reconciliation, job_seconds: float
) -> TableReport:
    unreported_jobs = find_unreported_jobs(table)
    return TableReport(
        table_name=TABLE,
        column_schema=column_schema(table),
        row_count=lake.month_rows(table, month),
        snapshot_id=current_snapshot_id(table),
        job_id=unreported_jobs[-1] if unreported_jobs else current_job_id(table),
        job_seconds=job_seconds,
        rows_read=reconciliation.records,
        rows_written=reconciliation.rows_decoded,
        rows_rejected=0,
        duplicates=0,
        data_version=lake.month_data_version(table, month),
        details={
            "rows_undecodable": reconciliation.rows_undecodable,
            "rows_in_quarantine": lake.undecodable_rows(table),
            "offset_gaps": reconciliation.offset_gaps,
            "records_missing": reconciliation.records_missing,
            "rows_repeated": reconciliation.rows_repeated,
        },
    )
