"""How fast each stage of the pipeline was in its last runs, read from Dagster's event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from nyc_taxi.keys import BRONZE, FCT_TRIPS, GENERATE_EVENTS, SILVER


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline, as its event log tells of it.

    Args:
        name: What people call it.
        asset: The asset whose materializations count.
        step: The step that makes it.
        amount: The metadata with what went through, in events or rows.
        rate: The metadata with its rate by the workload's own clock; None takes the amount by the step's seconds.
    """

    name: str
    asset: dg.AssetKey
    step: str
    amount: str
    rate: str | None


STAGES = (
    Stage("generator", GENERATE_EVENTS, "generate_events", "events_acknowledged", "events_per_second"),
    Stage("bronze", BRONZE, "bronze__raw_trips", "rows_read", "rows_per_second"),
    Stage("silver", SILVER, "silver__cleaned_trips", "rows_read", "rows_per_second"),
    # Not fct_trips' own rate: what came out is the month's trips, what it took is the whole step with its tests.
    Stage("marts", FCT_TRIPS, "dbt_build", "dagster/row_count", None),
)


@dataclass
class RunRates:
    """The stages of one run.

    Args:
        run_id: The run.
        month: Its month.
        ended_at_s: When its last stage was materialized, in seconds since the epoch.
        rates: Events or rows a second by stage; a stage that the run did not materialize is left out.
        seconds: Seconds of the step by stage, its container's start and end included.
    """

    run_id: str
    month: str
    ended_at_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def read_rates(instance: dg.DagsterInstance, *, last: int) -> list[RunRates]:
    """Read the last runs that materialized any of the stages.

    Args:
        instance: Whose event log.
        last: How many runs at most.

    Returns:
        One entry a run, oldest first.
    """
    runs: dict[str, RunRates] = {}
    numbers: dict[tuple[str, str], Mapping[str, dg.MetadataValue]] = {}
    for stage in STAGES:
        for record in instance.fetch_materializations(stage.asset, limit=last).records:
            if record.asset_materialization is None:
                continue
            run = runs.setdefault(record.run_id, RunRates(record.run_id, record.partition_key or ""))
            run.ended_at_s = max(run.ended_at_s, record.timestamp)
            # The newest comes first: of a stage that was tried again, that one counts.
            numbers.setdefault((record.run_id, stage.name), record.asset_materialization.metadata)
    chosen = sorted(runs.values(), key=lambda run: run.ended_at_s)[-last:]
    for run in chosen:
        _fill_in(run, instance, {stage: numbers.get((run.run_id, stage.name)) for stage in STAGES})
    return chosen


def _fill_in(
    run: RunRates, instance: dg.DagsterInstance, numbers: Mapping[Stage, Mapping[str, dg.MetadataValue] | None]
) -> None:
    seconds = _step_seconds(instance, run.run_id, [stage.step for stage in numbers])
    for stage, metadata in numbers.items():
        if metadata is None or stage.step not in seconds:
            continue
        run.seconds[stage.name] = round(seconds[stage.step], 1)
        rate = _number(metadata, stage.rate) if stage.rate else _number(metadata, stage.amount) / seconds[stage.step]
        run.rates[stage.name] = round(rate, 1)


def _step_seconds(instance: dg.DagsterInstance, run_id: str, steps: Sequence[str]) -> dict[str, float]:
    stats = instance.get_run_step_stats(run_id, step_keys=list(steps))
    return {
        step.step_key: step.end_time - step.start_time
        for step in stats
        if step.end_time is not None and step.start_time is not None and step.end_time > step.start_time
    }


def _number(metadata: Mapping[str, dg.MetadataValue], name: str) -> float:
    """Take a number that every materialization of the asset promises."""
    value = metadata[name].value
    if not isinstance(value, int | float):
        raise dg.DagsterInvariantViolationError(f"{name} should be a number, and is {value!r}.")
    return float(value)
