"""The pipeline as people run it: launched through the webserver, with queue, run worker and step containers."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from running_stack import RunningStack

# Of the container: its own time differs from the step's by what Dagster does. A short step has no sample of memory.
_REPORTED = ("duration_s", "start_s", "cpu_s", "peak_memory_mib", "events_per_second", "rows_per_second")


def run_month(stack: RunningStack, month: str, events: int) -> dict[str, Any]:
    """Launch one month and wait for its end.

    Args:
        stack: Where.
        month: A month that was never run.
        events: Trips to synthesise.

    Returns:
        Seconds from launch to the published marts and to the end, the run's id, and by step its seconds and what its
        container reported.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        url = stack.url("DAGSTER_PORT")
        command = [sys.executable, "-m", "nyc_taxi.launch", "--url", url, "--month", month]
        launched_at, started = time.time(), time.monotonic()
        subprocess.run([*command, "--events", str(events), "--json", str(file)], check=True)  # noqa: S603 - ours
        wall_s = time.monotonic() - started
        run = json.loads(file.read_text(encoding="utf-8"))
    ended_at = {step["step"]: step["ended_at"] for step in run["steps"]}
    return {
        "way": "pipeline",
        "events": events,
        "month": month,
        "run_id": run["run_id"],
        "wall_s": round(wall_s, 2),
        # Dagster's clock is this machine's: its services run on it.
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
