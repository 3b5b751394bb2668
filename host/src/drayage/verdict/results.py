"""What becomes of the results that a workload reported: promises checked, partial ones kept, none twice."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from drayage.dagster_internals import Context, silent_check, silent_materialization
from drayage.request import StepRequest
from drayage.verdict.promises import broken_promises, unreported_promises

Result = dg.PipesExecutionResult


@dataclass(frozen=True)
class AlreadyLogged:
    """The events of the step that an interrupted run logged before it ended.

    Args:
        assets: Materialized assets.
        checks: Evaluated checks.
    """

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()


def broken(request: StepRequest, result: Result) -> list[str]:
    """Tell which promises of its asset a reported materialization breaks, and whether it belongs here at all."""
    if result.asset_key is None:
        return []
    key = dg.AssetKey.from_coercible(result.asset_key)
    if isinstance(result, dg.AssetCheckResult):
        return []
    context = request.context
    if context.has_assets_def and key not in context.selected_asset_keys:
        return [f"a materialization of {key.to_user_string()} was reported, which is none of the step's assets"]
    promised = request.promised.get(key.to_escaped_user_string(), {})
    return [
        f"{key.to_user_string()} was promised metadata: {text}" for text in broken_promises(promised, result.metadata)
    ]


def unreported(request: StepRequest, results: Iterable[Result]) -> list[str]:
    """Tell which promised assets no materialization was reported for."""
    if request.implicit_materializations:
        return []
    reported = {
        dg.AssetKey.from_coercible(result.asset_key).to_escaped_user_string()
        for result in results
        if isinstance(result, dg.MaterializeResult) and result.asset_key is not None
    }
    return unreported_promises(request.promised, reported)


def with_metadata(result: Result, metadata: Mapping[str, dg.MetadataValue]) -> Result:
    """Put the step's own numbers on a materialization; a check stays as it was reported."""
    if isinstance(result, dg.MaterializeResult):
        return result._replace(metadata={**(result.metadata or {}), **metadata})
    return result


def without_logged(context: Context, results: Iterable[Result], already_logged: AlreadyLogged) -> Iterator[Any]:
    """Replace what an interrupted run logged already by outputs that log nothing.

    Args:
        context: Dagster's context of the executing step.
        results: What the workload reported.
        already_logged: What was logged of it before.
    """
    for result in results:
        key = None if result.asset_key is None else dg.AssetKey.from_coercible(result.asset_key)
        if isinstance(result, dg.MaterializeResult) and key is not None and key in already_logged.assets:
            yield silent_materialization(key)
        elif isinstance(result, dg.AssetCheckResult) and key is not None and result.check_name is not None:
            check = dg.AssetCheckKey(key, result.check_name)
            silent = silent_check(context, check) if check in already_logged.checks else None
            yield result if silent is None else silent
        else:
            yield result


def keep_as_observations(context: Context, results: Sequence[Result], metadata: Mapping[str, dg.MetadataValue]) -> None:
    """Keep what a red step reported: a red step materialized nothing, and must not set off what lies downstream.

    Args:
        context: Dagster's context of the executing step.
        results: What was reported and not yielded.
        metadata: The step's own numbers.
    """
    partition = context.partition_key if context.has_partition_key else None
    for result in results:
        if result.asset_key is None:
            continue
        kept: dict[str, Any] = {**metadata, **(result.metadata or {}), "drayage/partial": True}
        if isinstance(result, dg.AssetCheckResult):
            kept |= {"check": result.check_name, "passed": result.passed}
        context.log_event(dg.AssetObservation(result.asset_key, metadata=kept, partition=partition))
