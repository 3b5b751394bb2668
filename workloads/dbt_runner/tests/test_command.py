"""The command as the container runs it, where it ends before dbt starts."""

import os
import subprocess
import sys

import pytest
from step import WORKLOAD, Runner

from services import STORE, TABLE, Services


def test_command_outside_dagster_says_how_to_run_dbt_instead() -> None:
    """Without this error, dagster-pipes would do nothing and the command would succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_PIPES")}
    ended = subprocess.run(
        [sys.executable, "-m", "dbt_runner", "build"],
        env={**environment, "PYTHONPATH": str(WORKLOAD / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "not started as a Dagster step" in ended.stderr


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (TABLE, (404, {}), "Materialize silver/cleaned_trips for this month first"),
        (STORE, (503, "starting"), "object store at http://127.0.0.1"),
    ],
)
def test_lake_out_of_reach_fails_the_step_with_one_line(
    runner: Runner, services: Services, path: str, answer: tuple[int, object], expected: str
) -> None:
    """The message tells the whole story, both in Dagster and in the container's log."""
    services.answers[path] = answer
    step = runner.run(iceberg_catalog_uri=services.url, s3_endpoint=services.url)
    assert step.exit_code == 1
    assert expected in step.failure
    assert "\n" not in step.failure
    assert step.stderr.count("\n") == 1
    assert step.materializations == {}


def test_missing_settings_fail_the_step(runner: Runner) -> None:
    """Pipes is already open, so Dagster shows the reason."""
    step = runner.run(s3_region="")
    assert step.exit_code == 1
    assert "S3_REGION" in step.failure


def test_damaged_marts_file_fails_the_step_before_dbt(runner: Runner) -> None:
    """The file is left as it is, so that it can be inspected."""
    marts = runner.folder / "marts.duckdb"
    marts.write_bytes(b"garbage" * 1000)
    step = runner.run()
    assert step.exit_code == 1
    assert "marts.duckdb cannot be read" in step.failure
    assert marts.read_bytes() == b"garbage" * 1000


def test_missing_asset_keys_fail_the_step(runner: Runner) -> None:
    """A node that is built but not reported would succeed silently."""
    step = runner.run(extras={"asset_keys": {}})
    assert step.exit_code == 1
    assert "dbt nodes for which it has no asset" in step.failure
