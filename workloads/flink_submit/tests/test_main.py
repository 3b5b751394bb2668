import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PipesSession

from flink_submit.report import StepReport, TableReport

REPORT = TableReport(
    table_name="bronze.raw_trips",
    column_schema={"columns": []},
    row_count=3,
    snapshot_id=5204004399442026091,
    job_id="ab",
    job_seconds=2.0,
    rows_read=10,
    rows_written=10,
    rows_rejected=0,
    duplicates=0,
    data_version="v",
)


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the image in a separate process."""
    return subprocess.run(  # noqa: S603 - runs this package
        [sys.executable, "-m", "flink_submit", command],
        capture_output=True,
        text=True,
        check=False,
    )


def test_reports_every_promised_name(report: StepReport, pipes: PipesSession) -> None:
    """The host fails a step that leaves out a promised name."""
    report.materialize(REPORT)
    (message,) = pipes.messages("report_asset_materialization")
    assert message["data_version"] == "v"
    assert {name: value["raw_value"] for name, value in message["metadata"].items()} == {
        "flink_job_id": "ab",
        "flink_job_url": "http://ui.test:8081/#/job/completed/ab/overview",
        "rows_read": 10,
        "rows_written": 10,
        "rows_rejected": 0,
        "duplicates": 0,
        "rows_per_second": 5.0,
        "snapshot_id": "5204004399442026091",
        "dagster/row_count": 3,
        "dagster/column_schema": {"columns": []},
        "dagster/table_name": "bronze.raw_trips",
    }
    assert message["metadata"]["flink_job_url"]["type"] == "url"
    assert message["metadata"]["dagster/column_schema"]["type"] == "table_schema"


def test_progress_has_the_rate_that_the_materialization_has(report: StepReport, pipes: PipesSession) -> None:
    """Otherwise the plot of the rate would have gaps while a step runs."""
    report.progress("ab", "RUNNING", elapsed_s=8.0, records=20)
    (message,) = pipes.messages("report_custom_message")
    assert message["payload"]["metadata"]["rows_per_second"] == 2.5


def test_progress_stays_within_what_the_ui_can_plot() -> None:
    """More than some 30 observations a step would push older runs out of the UI's plots."""
    report = StepReport.__new__(StepReport)
    elapsed_s, messages = 0.0, 0
    while elapsed_s < 7200:
        elapsed_s += report.progress_interval_s(elapsed_s)
        messages += 1
    assert report.progress_interval_s(0) >= 5
    assert messages <= 32


@pytest.mark.usefixtures("pipes_environment")
def test_a_settings_error_reaches_the_host_and_the_exit_code(pipes_environment: Path) -> None:
    """The UI shows the message with which Pipes is closed."""
    result = run("bronze")
    assert result.returncode == 1
    assert result.stderr.startswith("SettingsError: Settings are missing or wrong: FLINK_JOBMANAGER_URL, ")
    closed = pipes_environment.read_text(encoding="utf-8").splitlines()[-1]
    assert "Settings are missing or wrong" in closed
    assert '"method": "closed"' in closed


def test_refuses_to_run_without_a_host() -> None:
    """Without a context there is neither a month nor a place to report to."""
    result = run("silver")
    assert (result.returncode, result.stderr.split(":")[0]) == (1, "SettingsError")


@pytest.mark.usefixtures("pipes_environment")
def test_sigterm_ends_the_step_at_once_and_closes_pipes(pipes_environment: Path) -> None:
    """A cancelled step has only some seconds before it is killed."""
    addresses = ("FLINK_SQL_GATEWAY_URL", "FLINK_JOBMANAGER_URL", "FLINK_UI_URL", "ICEBERG_CATALOG_URI", "S3_ENDPOINT")
    others = ("KAFKA_BOOTSTRAP_SERVERS", "ICEBERG_WAREHOUSE", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
    environment = dict.fromkeys(addresses, "http://127.0.0.1:9") | dict.fromkeys(others, "x")
    step = subprocess.Popen(
        [sys.executable, "-m", "flink_submit", "silver"], env=os.environ | environment, stderr=subprocess.PIPE
    )
    while not pipes_environment.exists():  # opened: the handler is in place
        assert step.poll() is None
        time.sleep(0.05)
    step.send_signal(signal.SIGTERM)
    _, stderr = step.communicate(timeout=30)
    assert step.returncode == 143
    assert stderr.startswith(b"StepCancelledError: The step was told to stop (SIGTERM)")
    assert "StepCancelledError" in pipes_environment.read_text(encoding="utf-8").splitlines()[-1]
