"""``drayage runs`` and ``drayage steps``: lists what ran, and how it ended."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from drayage.cli.screen import AsJson, Run, Setup, note, print_json, print_table
from drayage.engine import ContainerState
from drayage.exchange.history import LAST, PastAttempt, states, status
from drayage.identity import short_run_id

_WORST_FIRST = (
    "failed",
    "unreadable",
    "lost",
    "unjudged",
    "running",
    "paused",
    "restarting",
    "created",
    "waiting",
    "succeeded",
)


def runs(
    ctx: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, help="List so many runs, the latest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the latest runs whose steps are recorded, latest first."""
    setup: Setup = ctx.obj
    found = setup.history.runs(limit + 1)
    if len(found) > limit:
        note(f"The latest {limit} runs; --limit lists more.")
    found = found[:limit]
    unjudged = [step for steps in found for step in steps if step.verdict is None]
    # Of the others all is recorded, and the engine need not be asked: loading its client alone takes 0.2 s.
    present = states(unjudged, setup.engine) if unjudged else {}
    rows = [_run_row([_step_row(step, present.get(step.attempt.name)) for step in steps]) for steps in found]
    if as_json:
        print_json(rows)
    else:
        columns = ("run", "started", "steps", "status", "seconds", "failed")
        print_table([{**row, "run": short_run_id(row["run"])} for row in rows], columns=columns)


def steps(
    ctx: typer.Context,
    run: Run = LAST,
    *,
    as_json: AsJson = False,
) -> None:
    """List the steps of a run: image, status, seconds, exit code, peak memory, and state of the container."""
    setup: Setup = ctx.obj
    found = setup.history.run(run)
    present = states(found, setup.engine)
    rows = [_step_row(step, present.get(step.attempt.name)) for step in found]
    if as_json:
        print_json(rows)
    else:
        columns = ("step", "attempt", "image", "status", "seconds", "exit", "peak_memory_mib", "container")
        print_table(rows, columns=columns)


def _step_row(step: PastAttempt, container: ContainerState | None) -> dict[str, Any]:
    ended = step.verdict.state if step.verdict else None
    if ended is None and container is not None and container.ended:
        ended = container
    return {
        "run": step.run_id,
        "step": step.step,
        "attempt": step.attempt.path.name,
        "started_at_s": step.created_at_s,
        "image": step.record.image if step.record else None,
        "image_id": step.record.image_id if step.record else None,
        "status": status(step, container),
        "seconds": step.measure("duration_s") or _seconds(step, container),
        "exit": ended.exit_code if ended else None,
        "peak_memory_mib": step.measure("peak_memory_mib"),
        "container": _presence(container),
        "container_id": container.id if container else None,
        "reasons": [step.problem] if step.problem else list(step.verdict.reasons) if step.verdict else [],
        "directory": str(step.attempt.path),
    }


def _presence(container: ContainerState | None) -> str:
    if container is None:
        return "removed"
    return "kept" if container.ended else container.status


def _seconds(step: PastAttempt, container: ContainerState | None) -> float | None:
    if container is None or not container.started_at_s:
        return None
    return round((container.finished_at_s if container.ended else time.time()) - step.created_at_s, 3)


def _run_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # If a step was retried, its last attempt counts.
    latest = {row["step"]: row for row in rows}.values()
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    started = dt.datetime.fromtimestamp(rows[0]["started_at_s"], tz=dt.UTC)
    return {
        "run": rows[0]["run"],
        "started": started.isoformat(sep=" ", timespec="seconds"),
        "steps": len(latest),
        "status": min((row["status"] for row in latest), key=_WORST_FIRST.index),
        "seconds": round(sum(seconds), 3) if seconds else None,
        "failed": ", ".join(row["step"] for row in latest if row["status"] == "failed") or None,
    }
