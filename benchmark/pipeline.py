"""Time the whole pipeline: three runs, each in a month that was never run, written as JSON.

Each run is launched through the webserver as the UI does, so that queueing, run worker and step containers all count.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmark" / "results"

_MATERIALIZED = """
query Materialized($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionKeys
      assetMaterializations { partition }
    }
  }
}
"""


def main() -> None:
    """Run the benchmark and say where its result is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=10_000, help="trips of each month")
    arguments.add_argument("--runs", type=int, default=3, help="how many months")
    options = arguments.parse_args()

    url = f"http://127.0.0.1:{os.environ.get('DAGSTER_PORT', '3000')}"
    months = fresh_months(url, options.runs)
    runs = [run_month(url, month, options.events) for month in months]
    walls = [run["wall_s"] for run in runs]
    result = {
        "events": options.events,
        "runs": runs,
        "wall_s": {"min": min(walls), "median": statistics.median(walls), "max": max(walls)},
        "machine": describe_machine(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"pipeline-{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{options.events:,} events, {options.runs} months: median {statistics.median(walls):.1f} s; {path}")


def fresh_months(url: str, count: int) -> list[str]:
    """Return the latest months that were never generated, newest first.

    Raises:
        SystemExit: Fewer than `count` are left.
    """
    answer = httpx.post(
        f"{url}/graphql",
        json={"query": _MATERIALIZED, "variables": {"key": {"path": ["generate_events"]}}},
        timeout=30,
    )
    answer.raise_for_status()
    node = answer.json()["data"]["assetNodeOrError"]
    used = {event["partition"] for event in node["assetMaterializations"]}
    fresh = [month for month in reversed(node["partitionKeys"]) if month not in used][:count]
    if len(fresh) < count:
        sys.exit(f"Only {len(fresh)} months were never run: start afresh with 'make clean'.")
    return fresh


def run_month(url: str, month: str, events: int) -> dict[str, Any]:
    """Launch one month, wait for its end and return its wall time in seconds with its steps."""
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder) / "steps.json"
        command = [sys.executable, "-m", "nyc_taxi.launch", "--url", url, "--month", month]
        started = time.monotonic()
        subprocess.run([*command, "--events", str(events), "--json", str(steps)], check=True)  # noqa: S603 - ours
        wall_s = time.monotonic() - started
        return {"wall_s": round(wall_s, 2), **json.loads(steps.read_text())}


def describe_machine() -> dict[str, Any]:
    """Return what a reader needs to compare figures: processors, memory in MiB, system and architecture."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": os.cpu_count(),
        "memory_mib": memory_bytes // 2**20,
        "system": platform.platform(),
        "architecture": platform.machine(),
    }


if __name__ == "__main__":
    main()
