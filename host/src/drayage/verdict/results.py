"""Processes the results that a workload reported: judges them, keeps partial results, logs none of them twice."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg

from drayage.dagster_internals import (
    Context,
    declared_checks,
    log_materializations,
    partitions_of,
    silent_check,
    silent_materialization,
)
from drayage.promise import Promise
from drayage.request import StepRequest
from drayage.verdict.own_metadata import beside_own
from drayage.verdict.promises import read_promises
from drayage.verdict.reports import Check, Expected, Reports

Result = dg.PipesExecutionResult
Reported = dg.AssetKey | dg.AssetCheckKey
"""What a call can be asked to report."""


@dataclass(frozen=True)
class AlreadyLogged:
    """The results of a container that are in Dagster's event log: those that an interrupted run had recorded.

    Args:
        assets: Materialized assets, each with its partition; None for an asset without partitions.
        checks: Evaluated checks; a step evaluates each at most once, for all of its partitions.
    """

    assets: set[tuple[dg.AssetKey, str | None]] = field(default_factory=set)
    checks: set[dg.AssetCheckKey] = field(default_factory=set)


def promised_assets(context: Context, reports: Sequence[Reported] | None) -> dict[str, dict[str, Promise]]:
    """Return the promises of the assets that a call must report.

    Args:
        context: Dagster's context of the executing step.
        reports: What the call reports; None means all that is selected.

    Returns:
        The promises, empty for an asset without any, by asset key as Pipes writes it.
    """
    if not context.has_assets_def:
        return {}
    selected = context.selected_asset_keys
    return {
        spec.key.to_escaped_user_string(): read_promises(spec.metadata)
        for spec in context.assets_def.specs
        if spec.key in selected and (reports is None or spec.key in reports)
    }


def wanted_checks(context: Context, reports: Sequence[Reported] | None) -> set[dg.AssetCheckKey]:
    """Return the checks that a call must report; arguments are as in :func:`promised_assets`."""
    selected = context.selected_asset_check_keys if context.has_assets_def else set()
    return {key for key in selected if reports is None or key in reports}


def expected_of(request: StepRequest, *, streaming: bool) -> Expected:
    """Return what a step may report, and must.

    Args:
        request: The step's request.
        streaming: Whether Dagster gets each result when it is reported, rather than all in their right order.
    """
    context = request.context
    if not context.has_assets_def:
        return Expected(promised=request.promised)
    skippable = {spec.key.to_escaped_user_string() for spec in context.assets_def.specs if spec.skippable}
    required = {asset for asset, promised in request.promised.items() if promised or asset not in skippable}
    return Expected(
        promised=request.promised,
        assets={key.to_escaped_user_string() for key in context.selected_asset_keys},
        checks={_named(key) for key in declared_checks(context)},
        required_assets=() if request.implicit_materializations else required,
        required_checks={_named(key) for key in request.checks},
        made_from=_made_from(context) if streaming else {},
    )


def faults(reports: Reports, result: Result) -> list[str]:
    """Count a reported result.

    Args:
        reports: The results that were reported before.
        result: A result that the workload reported.

    Returns:
        What is wrong with it, one clause each; if anything is, Dagster must not get it.
    """
    if result.asset_key is None:
        return []
    asset = dg.AssetKey.from_coercible(result.asset_key).to_escaped_user_string()
    if isinstance(result, dg.AssetCheckResult):
        return reports.take_check(asset, str(result.check_name))
    return reports.take_materialization(asset, result.metadata)


def all_faults(request: StepRequest, results: Iterable[Result], *, streaming: bool) -> list[str]:
    """Return what is wrong with all that a workload reported, and what it did not report, one clause each."""
    reports = Reports(expected_of(request, streaming=streaming))
    return [text for result in results for text in faults(reports, result)] + reports.missing()


def with_metadata(result: Result, metadata: Mapping[str, dg.MetadataValue]) -> Result:
    """Return a materialization with the step's own numbers added; a check is returned unchanged."""
    if isinstance(result, dg.MaterializeResult):
        return result._replace(metadata={**metadata, **beside_own(result.metadata or {}, metadata)})
    return result


def in_order(context: Context, results: Iterable[Result]) -> list[Result]:
    """Return the results with every asset after those that it is made from, as Dagster takes them."""
    if not context.has_assets_def:
        return list(results)
    order = TopologicalSorter(_deps(context)).static_order()
    ranks: dict[dg.AssetKey | None, int] = {key: rank for rank, key in enumerate(order)}
    return sorted(results, key=lambda result: ranks.get(_key(result), len(ranks)))


def without_logged(context: Context, results: Iterable[Result], already_logged: AlreadyLogged) -> Iterator[Any]:
    """Yield the results, but replace those that an interrupted run already logged with outputs that log nothing.

    Dagster records one materialization for each partition of the step. If it was interrupted among them, the missing
    ones are logged here.

    Args:
        context: Dagster's context of the executing step.
        results: What the workload reported.
        already_logged: What the interrupted run logged; what is logged here is added to it.

    Yields:
        One result or silent output for each reported result.
    """
    logged = {asset for asset, _ in already_logged.assets}
    for result in results:
        key = None if result.asset_key is None else dg.AssetKey.from_coercible(result.asset_key)
        if isinstance(result, dg.MaterializeResult) and key is not None and key in logged:
            _log_missing(context, key, result, already_logged)
            yield silent_materialization(key)
        elif isinstance(result, dg.AssetCheckResult) and key is not None and result.check_name is not None:
            check = dg.AssetCheckKey(key, result.check_name)
            silent = silent_check(context, check) if check in already_logged.checks else None
            yield result if silent is None else silent
        else:
            yield result


def _log_missing(
    context: Context, key: dg.AssetKey, result: dg.MaterializeResult[Any], already_logged: AlreadyLogged
) -> None:
    """Log a materialization of each partition that Dagster has not recorded."""
    missing = [part for part in partitions_of(context, key) if (key, part) not in already_logged.assets]
    if missing:
        log_materializations(context, result, key, missing)
        already_logged.assets.update((key, partition) for partition in missing)


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
        if result.asset_key is None or not _is_declared(context, result):
            continue
        own: dict[str, Any] = {**metadata, "drayage/partial": True}
        if isinstance(result, dg.AssetCheckResult):
            own |= {"check": result.check_name, "passed": result.passed}
        kept = {**own, **beside_own(result.metadata or {}, own)}
        context.log_event(dg.AssetObservation(result.asset_key, metadata=kept, partition=partition))


def _is_declared(context: Context, result: Result) -> bool:
    """Return whether the step declares an asset or check: an observation of another would create an asset."""
    if not context.has_assets_def or _key(result) in context.selected_asset_keys:
        return True
    return isinstance(result, dg.AssetCheckResult) and any(
        (key.asset_key, key.name) == (_key(result), result.check_name) for key in declared_checks(context)
    )


def _key(result: Result) -> dg.AssetKey | None:
    return None if result.asset_key is None else dg.AssetKey.from_coercible(result.asset_key)


def _deps(context: Context) -> dict[dg.AssetKey, set[dg.AssetKey]]:
    """Return which of the step's assets each of them is made from; an asset may also be made from itself, earlier."""
    selected = context.selected_asset_keys
    return {key: (set(context.assets_def.asset_deps.get(key, ())) & selected) - {key} for key in selected}


def _made_from(context: Context) -> dict[str, set[str]]:
    """Return which of the step's assets are made from each of them."""
    made: dict[str, set[str]] = {}
    for key, deps in _deps(context).items():
        for dep in deps:
            made.setdefault(dep.to_escaped_user_string(), set()).add(key.to_escaped_user_string())
    return made


def _named(key: dg.AssetCheckKey) -> Check:
    return key.asset_key.to_escaped_user_string(), key.name
