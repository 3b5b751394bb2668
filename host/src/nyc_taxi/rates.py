"""The speed of each stage of the pipeline in the last runs, read from Dagster's event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from nyc_taxi.keys import BRONZE, FCT_TRIPS, GENERATE_EVENTS, SILVER


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline, and where the event log has its numbers.

    Args:
        name: The name in pictures and tables.
        asset: The asset whose materializations count.
        step: The key of the step that makes the asset.
        amount: The name of the metadata that counts the events or rows.
        rate: The name of the metadata with the rate, which the workload measured; None divides the amount by the
            step's seconds.
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
    # Not the rate that fct_trips reports: the month's trips by the seconds of the whole step, its tests included.
    Stage("marts", FCT_TRIPS, "dbt_build", "dagster/row_count", None),
)


@dataclass
class RunRates:
    """The rates of one run's stages.

    Args:
        run_id: The run's id.
        month: The run's month.
        ended_at_s: When the last stage was materialized, in seconds since the epoch.
        rates: Events or rows a second by stage; stages that the run did not materialize are left out.
        seconds: Seconds of the step by stage, with the start and the end of its container.
    """

    run_id: str
    month: str
    ended_at_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def read_rates(instance: dg.DagsterInstance, *, last: int) -> list[RunRates]:
    """Read the rates of the last runs that materialized any of the stages.

    Args:
        instance: The Dagster instance whose event log is read.
        last: The highest number of runs.

    Returns:
        One entry for each run, oldest first.
    """
    runs: dict[str, RunRates] = {}
    numbers: dict[tuple[str, str], Mapping[str, dg.MetadataValue]] = {}
    for stage in STAGES:
        for record in instance.fetch_materializations(stage.asset, limit=last).records:
            if record.asset_materialization is None:
                continue
            run = runs.setdefault(record.run_id, RunRates(record.run_id, record.partition_key or ""))
            run.ended_at_s = max(run.ended_at_s, record.timestamp)
            # The newest comes first, and counts if the stage was materialized more than once.
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
    """Return a number that the asset promises for every materialization."""
    value = metadata[name].value
    if not isinstance(value, int | float):
        raise dg.DagsterInvariantViolationError(f"{name} is {value!r}; expected a number, as the asset promises.")
    return float(value)
