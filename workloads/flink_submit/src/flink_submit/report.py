"""The messages to Dagster: log lines, Flink jobs, progress, and the metadata of the materialization."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_pipes import PipesContext

PROGRESS_INTERVAL_S = 5.0
NO_JOB = "none"


@dataclass(frozen=True)
class TableReport:
    """The metadata of one materialization; the workload's README explains each number.

    Args:
        table_name: Namespace and table.
        column_schema: Columns in the form of Dagster's ``table_schema``.
        row_count: Rows of the month in the table.
        snapshot_id: The table's current snapshot; None if it has none.
        job_id: The Flink job that wrote; if there was nothing to write, the one that committed the current snapshot.
        job_seconds: Seconds spent in Flink jobs.
        rows_read: Rows read.
        rows_written: Rows written.
        rows_rejected: Rows rejected with a reason.
        duplicates: Rows dropped as repeats.
        data_version: Version of the month's content.
        details: What only one of the steps reports, by its metadata names.
    """

    table_name: str
    column_schema: dict[str, Any]
    row_count: int
    snapshot_id: int | None
    job_id: str | None
    job_seconds: float
    rows_read: int
    rows_written: int
    rows_rejected: int
    duplicates: int
    data_version: str
    details: Mapping[str, int | str] = field(default_factory=dict)


class StepReport:
    """Reports a step to Dagster through Pipes.

    Args:
        context: The step's Pipes context.
        flink_ui_url: Address of Flink's UI, for links.
    """

    def __init__(self, context: PipesContext, flink_ui_url: str) -> None:
        self._context = context
        self._flink_ui_url = flink_ui_url.rstrip("/")
        self._last_wait = 0.0

    def say(self, text: str) -> None:
        """Log a line."""
        self._context.log.info(text)

    def warn(self, text: str) -> None:
        """Log a warning."""
        self._context.log.warning(text)

    def job_url(self, job_id: str, state: str = "completed") -> str:
        """Return the address of a job's page in Flink's UI; ``state`` is ``running`` or ``completed``."""
        return f"{self._flink_ui_url}/#/job/{state}/{job_id}/overview"

    def flink_job(self, job_id: str, name: str) -> None:
        """Report that a job exists and is being followed."""
        url = self.job_url(job_id, "running")
        self._context.log.info("Following Flink job %s (%s): %s", job_id, name, url)
        self._context.report_custom_message({"kind": "flink_job", "job_id": job_id, "url": url})

    def progress(self, job_id: str, state: str, elapsed_s: float, records: int) -> None:
        """Report a job's progress."""
        self._context.report_custom_message(
            {
                "kind": "progress",
                # Same names as in the materialization where it has them, so that the UI plots both as one line.
                "metadata": {
                    "flink_job_id": job_id,
                    "state": state,
                    "elapsed_s": round(elapsed_s, 1),
                    "rows_read": records,
                    "rows_per_second": round(records / elapsed_s, 1),
                },
            }
        )

    def progress_interval_s(self, elapsed_s: float) -> float:
        """Return the seconds until the next progress message: 5 at first, then more; some 30 messages in two hours."""
        return max(PROGRESS_INTERVAL_S, elapsed_s / 4)

    def waiting_for_transactions(self, undecided: int) -> None:
        """Report that open transactions hold records back; at most every ``PROGRESS_INTERVAL_S``."""
        now = time.monotonic()
        if now - self._last_wait >= PROGRESS_INTERVAL_S:
            self._last_wait = now
            self.say(
                f"Waiting for open transactions: {undecided} offsets of the topic are neither committed nor aborted"
            )

    def expired(self, tables: Mapping[str, Mapping[str, int]]) -> None:
        """Report the result of ``expire``: the sums over all tables, and each table's counts."""
        sums = {
            name: sum(table[name] for table in tables.values())
            for name in ("snapshots_before", "snapshots_after", "files_deleted")
        }
        self._context.report_asset_materialization(
            metadata={
                **sums,
                "tables": {"raw_value": {name: dict(table) for name, table in tables.items()}, "type": "json"},
            }
        )

    def materialize(self, report: TableReport) -> None:
        """Report the materialization with every promised metadata name."""
        job_url = self.job_url(report.job_id) if report.job_id else self._flink_ui_url
        rate = report.rows_read / report.job_seconds if report.job_seconds > 0 else 0.0
        self._context.report_asset_materialization(
            metadata={
                "flink_job_id": report.job_id or NO_JOB,
                "flink_job_url": {"raw_value": job_url, "type": "url"},
                "rows_read": report.rows_read,
                "rows_written": report.rows_written,
                "rows_rejected": report.rows_rejected,
                "duplicates": report.duplicates,
                **report.details,
                "rows_per_second": round(rate, 1),
                # Text, because JavaScript's numbers cannot represent its 63 bits exactly, and a plot would be useless.
                "snapshot_id": str(report.snapshot_id or NO_JOB),
                "dagster/row_count": report.row_count,
                "dagster/column_schema": {"raw_value": report.column_schema, "type": "table_schema"},
                "dagster/table_name": report.table_name,
            },
            data_version=report.data_version,
        )
