"""What a run's events say of its steps."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nyc_taxi.launch.webserver import innermost

Status = Literal["waiting", "running", "ok", "failed", "skipped", "not run"]
Number = int | float

# What a step counts, the final figure before the one that it reports on its way.
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
    """One step of a run, as far as its events tell.

    Args:
        key: Dagster's key of the step.
        status: Where it stands.
        started_at: Seconds since 1970; None if it has not begun.
        ended_at: Seconds since 1970; None if it has not ended.
        failure: Why it failed, in the step's own words.
        numbers: The last metadata of its assets, by name; of a step with many assets, of the last one.
        materialized: How many assets it has materialized.
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
        """The step as people know it: an asset's step goes by the asset's key."""
        return self.key.replace("__", "/")

    @property
    def done(self) -> bool:
        """Whether nothing more will come from the step."""
        return self.status in ("ok", "failed", "skipped")

    def seconds(self, now: float) -> float | None:
        """Tell how long the step has run, in seconds; None if it has not begun."""
        if self.started_at is None:
            return None
        return (self.ended_at or now) - self.started_at

    @property
    def amount(self) -> tuple[Number, str] | None:
        """How many events or rows the step has made, and which of the two; None of a step with many assets."""
        if self.materialized > 1:
            return None
        for name, noun in _AMOUNTS:
            if isinstance(number := self.numbers.get(name), int | float):
                return number, noun
        return None

    @property
    def rate(self) -> Number | None:
        """Events or rows in a second; None of a step with many assets."""
        if self.materialized > 1:
            return None
        for name in _RATES:
            if isinstance(number := self.numbers.get(name), int | float):
                return number
        return None

    @property
    def flink_job(self) -> str:
        """The id of the step's Flink job; empty if it has none."""
        return str(self.numbers.get("flink_job_id", ""))

    @property
    def tests(self) -> str:
        """What was built and tested; of a step that is neither dbt's nor one of many assets only its checks."""
        counted = [f"{self.checks[kind]} {kind}" for kind in ("passed", "failed", "warned") if self.checks[kind]]
        if "dbt_status" not in self.numbers and self.materialized < 2:  # noqa: PLR2004  many are two or more
            return f"checks: {', '.join(counted)}" if counted else ""
        return f"{self.materialized} built; tests: {', '.join(counted) or 'none'}"


@dataclass
class RunProgress:
    """The steps of a run, brought up to date event by event.

    Args:
        steps: The steps by key, in the order in which they run.
        failure: Why the run failed, if no step did.
        engine_error: What Dagster itself last failed at, such as starting the run's worker.
        warnings: A sentence for each check that did not pass and stops nothing.
        failed_checks: A sentence for each check that did not pass and stops what follows.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    failure: str | None = None
    engine_error: str | None = None
    warnings: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)

    def plan(self, plan: Mapping[str, Any]) -> None:
        """Take over which steps the run will execute, upstream ones first."""
        chosen = set(plan["stepKeysToExecute"] or ())
        for key in _in_order((plan["executionPlan"] or {}).get("steps", [])):
            if key in chosen:
                self.steps.setdefault(key, Step(key))

    def apply(self, event: Mapping[str, Any]) -> Step | None:
        """Bring a step up to date.

        Args:
            event: One of GraphQL's run events.

        Returns:
            The step that began or ended with this event, else None.
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
        """Forget what a retry does anew: all steps but those that ended well."""
        self.failure = self.engine_error = None
        self.failed_checks = []
        self.steps = {key: step if step.status == "ok" else Step(key) for key, step in self.steps.items()}

    def end(self) -> None:
        """Take in that the run is over: what waits for its turn now will not have one."""
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
    """Begin or end a step."""
    step.status = _MOVES[event["__typename"]]
    if step.status == "running":
        step.started_at = at
    elif step.status != "skipped":
        step.ended_at = at
    if step.status == "failed":
        step.failure = _failure(event)


def _failure(event: Mapping[str, Any]) -> str:
    """Tell why a step failed: what it said itself, else the innermost exception."""
    said = (event.get("failureMetadata") or {}).get("description")
    if said:
        return str(said)
    return innermost(event["error"]) if event.get("error") else str(event["message"])


def _numbers(entries: Iterable[Mapping[str, Any]]) -> dict[str, Number | str]:
    """Take the numbers and short texts out of metadata entries."""
    found: dict[str, Number | str] = {}
    for entry in entries:
        for kind in ("intValue", "floatValue", "text"):
            if entry.get(kind) is not None:
                found[entry["label"]] = entry[kind]
    return found


def _in_order(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sort an execution plan's steps so that each comes after those it depends on."""
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
