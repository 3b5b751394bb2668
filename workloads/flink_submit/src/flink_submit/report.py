"""What Dagster is told: log lines, Flink jobs, progress, and the metadata of the materialization."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_pipes import PipesContext

PROGRESS_INTERVAL_S = 5.0
NO_JOB = "none"


@dataclass(frozen=True)
class TableReport:
    """The numbers of one materialization; what each means is said in the workload's README.

    Attributes:
        table_name: Namespace and table.
        column_schema: Columns in the form of Dagster's `table_schema`.
        row_count: Rows of the month in the table.
        snapshot_id: The table's current snapshot; None while it has none.
        job_id: Flink job that wrote, or that made the current snapshot when there was nothing to write.
        job_seconds: Time spent in Flink jobs.
        rows_read: Rows that went in.
        rows_written: Rows that came out.
        rows_rejected: Rows refused with a reason.
        duplicates: Rows dropped as repeats.
        data_version: Name of the month's content.
        counts: Further counts, which only one of the steps has, by their names in the metadata.
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
    counts: Mapping[str, int] = field(default_factory=dict)


class StepReport:
    """Speaks to Dagster through Pipes, and to whoever reads the container's log."""

    def __init__(self, context: PipesContext, flink_ui_url: str) -> None:
        self._context = context
        self._flink_ui_url = flink_ui_url.rstrip("/")
        self._last_wait = 0.0

    def say(self, text: str) -> None:
        """Logs a line."""
        self._context.log.info(text)

    def warn(self, text: str) -> None:
        """Logs a line that someone should look at."""
        self._context.log.warning(text)

    def job_url(self, job_id: str, state: str = "completed") -> str:
        """Returns the page of a job in Flink's UI; `state` is `running` or `completed`."""
        return f"{self._flink_ui_url}/#/job/{state}/{job_id}/overview"

    def flink_job(self, job_id: str, name: str) -> None:
        """Tells that a job exists and is being followed."""
        url = self.job_url(job_id, "running")
        self._context.log.info("Following Flink job %s (%s): %s", job_id, name, url)
        self._context.report_custom_message({"kind": "flink_job", "job_id": job_id, "url": url})

    def progress(self, job_id: str, state: str, elapsed_s: float, records: int) -> None:
        """Tells how far a job is."""
        self._context.report_custom_message(
            {
                "kind": "progress",
                # The names of the materialization, where there are such: the UI plots both as one line.
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
        """Returns the seconds until the next progress message: 5 at first, then ever more, some 30 in two hours."""
        return max(PROGRESS_INTERVAL_S, elapsed_s / 4)

    def waiting_for_transactions(self, undecided: int) -> None:
        """Tells that open transactions hold records back; at most every `PROGRESS_INTERVAL_S`."""
        now = time.monotonic()
        if now - self._last_wait >= PROGRESS_INTERVAL_S:
            self._last_wait = now
            self.say(
                f"Waiting for open transactions: {undecided} offsets of the topic are neither committed nor aborted"
            )

    def expired(self, tables: Mapping[str, Mapping[str, int]]) -> None:
        """Reports what `expire` did: the sums over all tables, and each table's own."""
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
        """Reports the materialization with every promised name."""
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
                **report.counts,
                "rows_per_second": round(rate, 1),
                # Text: its 63 bits exceed what JavaScript can count, and a plot of it would tell nothing.
                "snapshot_id": str(report.snapshot_id or NO_JOB),
                "dagster/row_count": report.row_count,
                "dagster/column_schema": {"raw_value": report.column_schema, "type": "table_schema"},
                "dagster/table_name": report.table_name,
            },
            data_version=report.data_version,
        )
