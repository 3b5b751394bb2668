"""Runs the pipeline the way users do: through the webserver, with its queue, a run worker and step containers."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from running_stack import RunningStack

# Measured on the container: its duration is the step's without Dagster's share. A short step has no memory sample.
_REPORTED = ("duration_s", "start_s", "cpu_s", "peak_memory_mib", "events_per_second", "rows_per_second")


def run_month(stack: RunningStack, month: str, events: int) -> dict[str, Any]:
    """Launch one month, and wait for its end.

    Args:
        stack: The running stack.
        month: A month that was never run.
        events: Number of trips to synthesise.

    Returns:
        Seconds from the launch to the published marts and to the end, the run's id, and for each step its seconds and
        its container's figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        url = stack.url("DAGSTER_PORT")
        command = [sys.executable, "-m", "nyc_taxi.launch", "--url", url, "--month", month]
        launched_at, started = time.time(), time.monotonic()
        subprocess.run([*command, "--source", "synthetic", "--events", str(events), "--json", str(file)], check=True)  # noqa: S603 - ours
        wall_s = time.monotonic() - started
        run = json.loads(file.read_text(encoding="utf-8"))
    ended_at = {step["step"]: step["ended_at"] for step in run["steps"]}
    return {
        "way": "pipeline",
        "events": events,
        "month": month,
        "run_id": run["run_id"],
        "wall_s": round(wall_s, 2),
        # Dagster's services run on this machine, so both times are from the same clock.
        "published_s": round(ended_at["publish_marts"] - launched_at, 2),
        "steps": [_step(step) for step in run["steps"]],
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    numbers = step["numbers"]
    return {
        "step": step["step"],
        "seconds": round(step["seconds"], 2),
        **{name: numbers[name] for name in _REPORTED if name in numbers},
    }
