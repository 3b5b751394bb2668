"""The state of a run's steps, from the run's events."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nyc_taxi.launch.webserver import innermost
from nyc_taxi.sources import describe_source

Status = Literal["waiting", "running", "ok", "failed", "skipped", "not run"]
Number = int | float

# The counts of a step: a final count stands before one that is reported while the step runs.
_AMOUNTS = (("events_acknowledged", "events"), ("rows_written", "rows"), ("rows_read", "rows"))
_RATES = ("events_per_second", "rows_per_second")

_MOVES: Mapping[str, Status] = {
    "ExecutionStepStartEvent": "running",
    "ExecutionStepSuccessEvent": "ok",
    "ExecutionStepSkippedEvent": "skipped",
    "ExecutionStepFailureEvent": "failed",
}


@dataclass
class Step:
    """One step of a run, as far as its events have been read.

    Args:
        key: Dagster's key of the step.
        status: The state of the step.
        started_at: When the step began, in seconds since the epoch; None if it has not begun.
        ended_at: When the step ended, in seconds since the epoch; None if it has not ended.
        failure: Why the step failed, in its own words.
        numbers: The last metadata of the step's asset by name; if it has many assets, of the last one.
        materialized: How many assets the step has materialized.
        checks: How many checks passed, failed and warned.
    """

    key: str
    status: Status = "waiting"
    started_at: float | None = None
    ended_at: float | None = None
    failure: str | None = None
    numbers: dict[str, Number | str] = field(default_factory=dict)
    materialized: int = 0
    checks: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The name that the UI shows: an asset's step has the name of the asset's key."""
        return self.key.replace("__", "/")

    @property
    def done(self) -> bool:
        """Whether the step is over."""
        return self.status in ("ok", "failed", "skipped")

    def seconds(self, now: float) -> float | None:
        """Return how long the step has run, in seconds; None if it has not begun.

        Args:
            now: The current time, in seconds since the epoch.
        """
        if self.started_at is None:
            return None
        return (self.ended_at or now) - self.started_at

    @property
    def amount(self) -> tuple[Number, str] | None:
        """The number of events or rows, and which of the two they are; None for a step with many assets."""
        if self.materialized > 1:
            return None
        for name, noun in _AMOUNTS:
            if isinstance(number := self.numbers.get(name), int | float):
                return number, noun
        return None

    @property
    def rate(self) -> Number | None:
        """Events or rows a second; None for a step with many assets."""
        if self.materialized > 1:
            return None
        for name in _RATES:
            if isinstance(number := self.numbers.get(name), int | float):
                return number
        return None

    @property
    def source(self) -> str:
        """Where the month's trips come from, synthetic ones in capitals; empty if the step does not say."""
        if self.materialized > 1:
            return ""
        return describe_source(str(self.numbers.get("source", "")), str(self.numbers.get("source_name", "")))

    @property
    def left_out(self) -> dict[str, Number]:
        """The rows that are in no table of trips: ``rejected`` and ``superseded``; empty if the step does not say."""
        if self.materialized > 1 or not isinstance(self.numbers.get("rows_superseded"), int):
            return {}
        counts = {name: self.numbers.get(f"rows_{name}") for name in ("rejected", "superseded")}
        return {name: count for name, count in counts.items() if isinstance(count, int | float)}

    @property
    def flink_job(self) -> str:
        """The id of the step's Flink job; empty if it has none."""
        return str(self.numbers.get("flink_job_id", ""))

    @property
    def tests(self) -> str:
        """What was built and tested; only the checks if the step is not dbt's and has one asset."""
        counted = [f"{self.checks[kind]} {kind}" for kind in ("passed", "failed", "warned") if self.checks[kind]]
        if "dbt_status" not in self.numbers and self.materialized < 2:  # noqa: PLR2004  many are two or more
            return f"checks: {', '.join(counted)}" if counted else ""
        return f"{self.materialized} built; tests: {', '.join(counted) or 'none'}"


@dataclass
class RunProgress:
    """The steps of a run, updated event by event.

    Args:
        steps: The steps by key, in the order in which they run.
        failure: Why the run failed, if no step did.
        engine_error: Dagster's own last error, such as that the run's worker could not be started.
        warnings: A sentence for each failed check that stops nothing.
        failed_checks: A sentence for each failed check that stops the steps after it.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    failure: str | None = None
    engine_error: str | None = None
    warnings: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)

    def plan(self, plan: Mapping[str, Any]) -> None:
        """Add the steps that the run will execute, upstream ones first.

        Args:
            plan: The run's execution plan, as GraphQL returns it.
        """
        chosen = set(plan["stepKeysToExecute"] or ())
        for key in _in_order((plan["executionPlan"] or {}).get("steps", [])):
            if key in chosen:
                self.steps.setdefault(key, Step(key))

    def apply(self, event: Mapping[str, Any]) -> Step | None:
        """Update the steps from an event.

        Args:
            event: A run event, as GraphQL returns it.

        Returns:
            The step that began or ended with this event; None if none did.
        """
        kind = event["__typename"]
        if kind == "EngineEvent" and event.get("error"):
            self.engine_error = innermost(event["error"])
        elif kind == "RunFailureEvent":
            self.failure = innermost(event["error"]) if event.get("error") else self.engine_error or event["message"]
        if not (key := event.get("stepKey")):
            return None
        step = self.steps.setdefault(key, Step(key))
        if kind in _MOVES:
            _move(step, event, at=float(event["timestamp"]) / 1000)
            return step
        if kind in ("MaterializationEvent", "ObservationEvent"):
            step.materialized += kind == "MaterializationEvent"
            step.numbers.update(_numbers(event["metadataEntries"]))
        elif kind == "AssetCheckEvaluationEvent":
            self._count_check(step, event["evaluation"])
        return None

    def begin_again(self) -> None:
        """Reset what a retry does again: all steps that did not succeed."""
        self.failure = self.engine_error = None
        self.failed_checks = []
        self.steps = {key: step if step.status == "ok" else Step(key) for key, step in self.steps.items()}

    def end(self) -> None:
        """Mark the steps that the finished run never reached."""
        for step in self.steps.values():
            if step.status == "waiting":
                step.status = "not run"

    def _count_check(self, step: Step, evaluation: Mapping[str, Any]) -> None:
        warned = not evaluation["success"] and evaluation["severity"] == "WARN"
        step.checks["passed" if evaluation["success"] else "warned" if warned else "failed"] += 1
        if not evaluation["success"]:
            asset = "/".join(evaluation["assetKey"]["path"])
            said = f": {evaluation['description']}" if evaluation.get("description") else ""
            (self.warnings if warned else self.failed_checks).append(f"{asset} {evaluation['checkName']}{said}")


def _move(step: Step, event: Mapping[str, Any], *, at: float) -> None:
    """Set a step's status and times from an event."""
    step.status = _MOVES[event["__typename"]]
    if step.status == "running":
        step.started_at = at
    elif step.status != "skipped":
        step.ended_at = at
    if step.status == "failed":
        step.failure = _failure(event)


def _failure(event: Mapping[str, Any]) -> str:
    """Return why a step failed: its own words, or the innermost exception."""
    said = (event.get("failureMetadata") or {}).get("description")
    if said:
        return str(said)
    return innermost(event["error"]) if event.get("error") else str(event["message"])


def _numbers(entries: Iterable[Mapping[str, Any]]) -> dict[str, Number | str]:
    """Return the numbers and texts among metadata entries, by label."""
    found: dict[str, Number | str] = {}
    for entry in entries:
        for kind in ("intValue", "floatValue", "text"):
            if entry.get(kind) is not None:
                found[entry["label"]] = entry[kind]
    return found


def _in_order(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of an execution plan's steps, each after those that it depends on."""
    waits_for = {
        step["key"]: {parent["key"] for given in step["inputs"] for parent in given["dependsOn"]} for step in steps
    }
    ordered: list[str] = []
    while len(ordered) < len(waits_for):
        ready = [key for key in waits_for if key not in ordered and waits_for[key] & waits_for.keys() <= set(ordered)]
        if not ready:
            return list(waits_for)
        ordered += ready
    return ordered
