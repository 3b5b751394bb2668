"""Carries out an order: launches the run, follows it and shows the result."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from nyc_taxi.launch.follow import FollowedRun, Patience, follow, wait_for_job
from nyc_taxi.launch.screen import Screen, summary
from nyc_taxi.launch.selection import select_assets
from nyc_taxi.launch.webserver import Webserver
from nyc_taxi.months import PARTITION_TAG

GENERATE_EVENTS = "generate_events"


@dataclass(frozen=True)
class Order:
    """What is to be run.

    Args:
        month: The month; it has a partition.
        job: The name of the Dagster job.
        wanted: Asset keys, groups or steps; empty means the whole job.
        generate: Settings of ``generate_events`` by name; the others have their defaults.
        json_file: The file to write the steps and their numbers to; None writes none.
    """

    month: str
    job: str = "taxi_pipeline"
    wanted: tuple[str, ...] = ()
    generate: Mapping[str, int | str] = field(default_factory=dict)
    json_file: Path | None = None


def execute(
    order: Order, webserver: Webserver, *, console: Console, errors: Console, patience: Patience | None = None
) -> bool:
    """Launch a run, follow it and show the result.

    Args:
        order: What to run.
        webserver: The Dagster webserver to run it on.
        console: Shows the steps and the result.
        errors: Shows what failed.
        patience: The waiting times; by default those of ``Patience()``.

    Returns:
        Whether the run succeeded.

    Raises:
        LaunchError: The run could not be launched or followed.
    """
    run = _launch_and_follow(order, webserver, console, patience or Patience())
    if order.json_file is not None:
        order.json_file.write_text(json.dumps(_as_json(run, order), indent=2) + "\n", encoding="utf-8")
    console.print(summary(run.progress, time.time()))
    for warning in run.progress.warnings:
        _say(console, f"Warning: {warning}", "yellow")
    for failure in _failures(run):
        _say(errors, failure, "red")
    _say(console, f"In the UI: {webserver.run_url(run.run_id)}", "")
    return run.status == "SUCCESS"


def _launch_and_follow(order: Order, webserver: Webserver, console: Console, patience: Patience) -> FollowedRun:
    job = wait_for_job(webserver, order.job, patience)
    assets = webserver.list_assets(job)
    chosen = select_assets(assets, order.wanted) if order.wanted else assets
    generates = any(asset.key == GENERATE_EVENTS for asset in chosen)
    run_id = webserver.launch(
        job,
        assets=chosen if order.wanted else None,
        run_config={"ops": {GENERATE_EVENTS: {"config": dict(order.generate)}}} if generates and order.generate else {},
        tags={PARTITION_TAG: order.month} if any(asset.partitioned for asset in chosen) else {},
    )
    _say(console, f"{order.job} for {order.month}: {webserver.run_url(run_id)}", "")
    with Screen(console) as screen:
        return follow(
            webserver,
            run_id,
            patience=patience,
            on_change=screen.show,
            on_retry=lambda retry: _say(
                console, f"The run's worker died; Dagster goes on where it stopped: {webserver.run_url(retry)}", ""
            ),
        )


def _failures(run: FollowedRun) -> list[str]:
    """Return a sentence for each failed step and each failed check, or one for the run if nothing else failed."""
    failed = [f"{step.name} failed: {step.failure}" for step in run.progress.steps.values() if step.failure]
    failed += [f"Check failed: {check}" for check in run.progress.failed_checks]
    if failed or run.status == "SUCCESS":
        return failed
    if run.status == "CANCELED":
        return ["The run was cancelled."]
    return [f"The run failed: {run.progress.failure or 'Dagster gives no reason.'}"]


def _say(console: Console, sentence: str, style: str) -> None:
    """Print a sentence as it is: brackets are not markup, and an address is not broken in two."""
    console.print(sentence, style=style, soft_wrap=True, markup=False, highlight=False)


def _as_json(run: FollowedRun, order: Order) -> dict[str, Any]:
    """Return a run as the content of the JSON file."""
    now = time.time()
    return {
        "run_id": run.run_id,
        "status": run.status,
        "job": order.job,
        "month": order.month,
        "steps": [
            {
                "step": step.name,
                "status": step.status,
                "seconds": step.seconds(now),
                "ended_at": step.ended_at,
                "assets": step.materialized,
                "checks": dict(step.checks),
                "numbers": step.numbers,
            }
            for step in run.progress.steps.values()
        ],
    }
