"""Asset checks that compare the numbers of one report: each row must be accounted for."""

from typing import Any

import dagster as dg

ACKNOWLEDGED = "every_event_acknowledged"
ACCOUNTED_FOR = "every_row_accounted_for"


def acknowledged_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Describe the check that the broker acknowledged what was produced."""
    return dg.AssetCheckSpec(
        ACKNOWLEDGED,
        asset=asset,
        blocking=True,
        description="The broker acknowledged as many events as were produced.",
    )


def check_acknowledged(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Compare produced with acknowledged events."""
    produced, acknowledged = _count(result, "events_produced"), _count(result, "events_acknowledged")
    return dg.AssetCheckResult(
        check_name=ACKNOWLEDGED,
        passed=produced == acknowledged,
        description=f"{produced} events produced, {acknowledged} acknowledged by the broker.",
        metadata={"events_produced": produced, "events_acknowledged": acknowledged},
    )


def accounted_for_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Describe the check that no row was lost between reading and writing."""
    return dg.AssetCheckSpec(
        ACCOUNTED_FOR,
        asset=asset,
        blocking=True,
        description="Rows read = rows written + rows rejected + duplicates.",
    )


def check_accounted_for(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Compare the rows that a step read with what became of them."""
    read = _count(result, "rows_read")
    fates = {name: _count(result, name) for name in ("rows_written", "rows_rejected", "duplicates")}
    written, rejected, duplicates = fates.values()
    return dg.AssetCheckResult(
        check_name=ACCOUNTED_FOR,
        passed=read == written + rejected + duplicates,
        description=(
            f"{read} rows read; {written} written, {rejected} rejected, {duplicates} duplicates: "
            f"{read - written - rejected - duplicates} unaccounted for."
        ),
        metadata={"rows_read": read, **fates},
    )


def with_checks(result: dg.MaterializeResult[Any], *checks: dg.AssetCheckResult) -> dg.MaterializeResult[Any]:
    """Add checks made on the host to those that the workload reported.

    Returns:
        The same materialization with more check results.
    """
    return dg.MaterializeResult(
        asset_key=result.asset_key,
        metadata=result.metadata,
        data_version=result.data_version,
        tags=result.tags,
        check_results=[*(result.check_results or ()), *checks],
    )


def _count(result: dg.MaterializeResult[Any], name: str) -> int:
    """Take a whole number out of a materialization's metadata."""
    value = (result.metadata or {})[name]
    number = value.value if isinstance(value, dg.MetadataValue) else value
    if not isinstance(number, int):
        raise dg.DagsterInvariantViolationError(
            f"{name} should be a whole number, and is {number!r}: the promise of the asset is not kept."
        )
    return number
