"""Processes the results that a workload reported: checks promises, keeps partial results, logs none of them twice."""

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
    """The events that an interrupted run had already logged for the step when it ended.

    Args:
        assets: Materialized assets.
        checks: Evaluated checks.
    """

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()


def broken(request: StepRequest, result: Result) -> list[str]:
    """Return which promises a reported materialization breaks, or that its asset is not one of the step's.

    Args:
        request: The step's request.
        result: A result that the workload reported; a check breaks no promise.

    Returns:
        One clause for each broken promise.
    """
    if result.asset_key is None:
        return []
    key = dg.AssetKey.from_coercible(result.asset_key)
    if isinstance(result, dg.AssetCheckResult):
        return []
    context = request.context
    if context.has_assets_def and key not in context.selected_asset_keys:
        return [f"a materialization of {key.to_user_string()} was reported, which is not one of the step's assets"]
    promised = request.promised.get(key.to_escaped_user_string(), {})
    return [
        f"{key.to_user_string()} was promised metadata: {text}" for text in broken_promises(promised, result.metadata)
    ]


def unreported(request: StepRequest, results: Iterable[Result]) -> list[str]:
    """Return which of the assets with promises have no reported materialization, one clause for each."""
    if request.implicit_materializations:
        return []
    reported = {
        dg.AssetKey.from_coercible(result.asset_key).to_escaped_user_string()
        for result in results
        if isinstance(result, dg.MaterializeResult) and result.asset_key is not None
    }
    return unreported_promises(request.promised, reported)


def with_metadata(result: Result, metadata: Mapping[str, dg.MetadataValue]) -> Result:
    """Return a materialization with the step's own numbers added; a check is returned unchanged."""
    if isinstance(result, dg.MaterializeResult):
        return result._replace(metadata={**(result.metadata or {}), **metadata})
    return result


def without_logged(context: Context, results: Iterable[Result], already_logged: AlreadyLogged) -> Iterator[Any]:
    """Yield the results, but replace those that an interrupted run already logged with outputs that log nothing.

    Args:
        context: Dagster's context of the executing step.
        results: What the workload reported.
        already_logged: What the interrupted run logged.

    Yields:
        One result or silent output for each reported result.
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
    """Log a red step's results as observations.

    A red step materializes nothing, because a materialization would trigger downstream assets.

    Args:
        context: Dagster's context of the executing step.
        results: The results that were reported but not yielded.
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
