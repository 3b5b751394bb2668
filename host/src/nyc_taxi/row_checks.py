"""Asset checks that the host makes from the counts of one report: every row must be accounted for."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from nyc_taxi.reports import read_counts, read_reported, read_source

COMMITTED = "every_event_committed"
KNOWN_COLUMNS = "known_columns_only"
ACCOUNTED_FOR = "every_row_accounted_for"
COMPLETE = "every_record_once"
DECODABLE = "every_record_decodable"

CURRENT_FATES = ("rows_written", "rows_rejected", "duplicates")
"""What becomes of the rows of a month's current version."""
BRONZE_FATES = (*CURRENT_FATES, "rows_undecodable")
SILVER_FATES = (*CURRENT_FATES, "rows_superseded")


def committed_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that all produced events are committed to the topic.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        COMMITTED,
        asset=asset,
        blocking=True,
        description=(
            "Events produced = acknowledged by the broker = committed; with those that an earlier attempt committed, "
            "they are the events of the version."
        ),
    )


def check_committed(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Compare the events that were produced, acknowledged and committed, and the version's.

    Args:
        result: What the generator reported.
    """
    names = ("events_produced", "events_acknowledged", "events_committed", "events_resumed", "events_in_version")
    counts = read_counts(result, names)
    produced, acknowledged, committed, resumed, version = counts.values()
    return dg.AssetCheckResult(
        check_name=COMMITTED,
        passed=produced == acknowledged == committed == version - resumed,
        description=(
            f"{produced} events produced, {acknowledged} acknowledged by the broker, {committed} committed, {resumed} "
            f"committed by an earlier attempt; {version} in the version. They are from {read_source(result)}."
        ),
        metadata=counts,
    )


def unknown_columns_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that warns of columns that the event's schema does not know.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        KNOWN_COLUMNS,
        asset=asset,
        description="The event's schema knows all columns of the source; bronze keeps the others in unknown_columns.",
    )


def check_unknown_columns(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Warn of unknown columns: silver and the marts leave them out.

    Args:
        result: What the generator reported.
    """
    unknown: Mapping[str, int] = read_reported(result, "unknown_columns", dict)
    listed = ", ".join(f"{name} ({count} values)" for name, count in sorted(unknown.items()))
    return dg.AssetCheckResult(
        check_name=KNOWN_COLUMNS,
        passed=not unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"{read_source(result)} has unknown columns: {listed}. Bronze keeps them in unknown_columns. Add "
            "them to the event's schema and to silver if they matter."
            if unknown
            else f"All columns of {read_source(result)} are known."
        ),
        metadata={"unknown_columns": dict(unknown)},
    )


def accounted_for_spec(asset: dg.AssetKey, fates: Sequence[str]) -> dg.AssetCheckSpec:
    """Return the spec of the check that no row was lost between reading and writing.

    Args:
        asset: The asset that is checked.
        fates: The names of the counts of what can become of a row.
    """
    return dg.AssetCheckSpec(
        ACCOUNTED_FOR,
        asset=asset,
        blocking=True,
        description=f"rows_read = {' + '.join(fates)}.",
    )


def check_accounted_for(result: dg.MaterializeResult[Any], fates: Sequence[str]) -> dg.AssetCheckResult:
    """Compare the rows that a step read with what became of them.

    Args:
        result: What the step reported.
        fates: The names of the counts of what can become of a row.
    """
    read, counts = read_counts(result, ("rows_read",)), read_counts(result, fates)
    unaccounted = read["rows_read"] - sum(counts.values())
    return dg.AssetCheckResult(
        check_name=ACCOUNTED_FOR,
        passed=unaccounted == 0,
        description=(
            f"{read['rows_read']} rows read; {', '.join(f'{name} {count}' for name, count in counts.items())}: "
            f"{unaccounted} unaccounted for."
        ),
        metadata={**read, **counts},
    )


def complete_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that bronze holds each record of the topic once.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        COMPLETE,
        asset=asset,
        blocking=True,
        description="Each record committed since the last step has one row, by topic, partition and offset.",
    )


def check_complete(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Look for records without a row and for surplus rows; gaps between offsets are not a fault.

    Args:
        result: What the comparison of topic and table reported.
    """
    counts = read_counts(result, ("rows_read", "records_missing", "rows_repeated", "offset_gaps"))
    read, missing, repeated, gaps = counts.values()
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=missing == repeated == 0,
        description=(
            f"{read} committed records: {missing} without a row, {repeated} rows too many; "
            f"{gaps} offsets without a record."
        ),
        metadata=counts,
    )


def decodable_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that warns of records that cannot be decoded.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        DECODABLE,
        asset=asset,
        description="Each record could be decoded; bronze.quarantine shows those that could not, with the reason.",
    )


def check_decodable(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Warn of records that could not be decoded: they are kept, and do not stop the others.

    Args:
        result: What the bronze step reported.
    """
    counts = read_counts(result, ("rows_undecodable", "rows_in_quarantine"))
    undecodable, kept = counts.values()
    return dg.AssetCheckResult(
        check_name=DECODABLE,
        passed=undecodable == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{undecodable} records could not be decoded; bronze.quarantine shows {kept} in all.",
        metadata=counts,
    )


def with_checks(result: dg.MaterializeResult[Any], *checks: dg.AssetCheckResult) -> dg.MaterializeResult[Any]:
    """Add the host's check results to those that the workload reported.

    Args:
        result: The materialization that the workload reported.
        checks: The results of the host's checks.

    Returns:
        The same materialization with all check results.
    """
    return dg.MaterializeResult(
        asset_key=result.asset_key,
        metadata=result.metadata,
        data_version=result.data_version,
        tags=result.tags,
        check_results=[*(result.check_results or ()), *checks],
    )
