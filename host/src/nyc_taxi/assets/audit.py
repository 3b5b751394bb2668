"""The audit: a program that shares no code with the other steps counts a month again, from the topic to the marts."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from drayage import DrayageClient, partition_range, promises
from nyc_taxi.assets.kafka import TOPIC, VERSIONS_TOPIC
from nyc_taxi.dbt_manifest import Publication
from nyc_taxi.keys import AUDIT, BRONZE, GENERATE_EVENTS, OWNERS, SILVER, published_key
from nyc_taxi.partitions import MONTHS
from nyc_taxi.reports import AuditReport
from nyc_taxi.row_checks import SILVER_FATES
from nyc_taxi.settings import Services
from nyc_taxi.workloads import Workload

CHECKS = {
    "every_record_is_in_bronze_once": (
        "Each committed record of the month in the topic has one row in bronze, with the same values, and bronze has "
        "no other rows. Records that retention has deleted are left out."
    ),
    "every_bronze_row_is_accounted_for": (
        "Bronze = silver + repeats + rejected + superseded + undecodable, row by row, with silver's rules applied "
        "again: silver is the month's current version and nothing else."
    ),
    "silver_trip_ids_are_unique": "No trip_id occurs twice in silver.",
    "published_trips_are_silvers": "marts.fct_trips has the trips of silver, with the same values.",
    "money_is_the_same_everywhere": "Silver, fct_trips and daily_revenue have the same sums on each day, to the cent.",
    "receipts_are_confirmed": (
        "What generate_events, bronze, silver and publish_marts reported is what the topic and the tables hold."
    ),
}
"""The audit's checks: the description of each by its name."""

_VERSION = ("source", "source_version", "source_name")
_RECEIPTS = {
    GENERATE_EVENTS: ("events_in_version", "offsets", "source", "source_version"),
    BRONZE: ("duration_s", "dagster/row_count"),
    SILVER: ("rows_read", *SILVER_FATES, "rows_rounded", "rows_without_vendor", *_VERSION),
}
_PUBLISHED_RECEIPT = ("dagster/row_count", "snapshot_id")


def build_audit(auditor: Workload, publications: Sequence[Publication]) -> dg.AssetsDefinition:
    """Define the asset that the auditor image makes.

    Args:
        auditor: The auditor workload.
        publications: The marts whose published tables the audit confirms.

    Returns:
        ``audit``.
    """

    @dg.asset(
        key=AUDIT,
        deps=[BRONZE, SILVER, *(published_key(publication.mart) for publication in publications)],
        partitions_def=MONTHS,
        group_name="reports",
        kinds={"go", "kafka", "iceberg"},
        owners=OWNERS,
        tags={"layer": "report"},
        code_version=auditor.image_id,
        metadata=promises(AuditReport),
        check_specs=[
            dg.AssetCheckSpec(name, asset=AUDIT, blocking=True, description=description)
            for name, description in CHECKS.items()
        ],
        description=(
            "The month counted again, from the topic to the published marts, by a program in Go that shares no code "
            "with the other steps: a bug of theirs cannot hide itself. The audit confirms what they reported, or says "
            "where it is wrong."
        ),
    )
    def audit(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        result = drayage.run(
            context=context,
            image=auditor.image,
            extras={
                "topic": TOPIC,
                "versions_topic": VERSIONS_TOPIC,
                "receipts": {
                    **read_receipts(context.instance, context.partition_key),
                    "published": read_publications(context.instance, publications, context.partition_key),
                },
            },
            env=auditor.environment(services),
            **auditor.settings(),
        ).get_materialize_result()
        # A check that is reported through Pipes has no description, which lists of checks and `make run` show.
        checks = [
            check._replace(description=str(check.metadata["finding"].value)) for check in result.check_results or ()
        ]
        return result._replace(check_results=checks)

    return audit


def read_receipts(instance: dg.DagsterInstance, month: str) -> dict[str, dict[str, Any]]:
    """Read what the month's steps last reported.

    Args:
        instance: The Dagster instance whose event log is read.
        month: The month.

    Returns:
        For each asset, what the audit confirms and ``recorded_at_s``, in seconds since the epoch. Assets
        that were never materialized for the month are left out, and so are those whose last materialization lacks
        these numbers because it was reported by hand.
    """
    found = {key: _newest(instance, key, month, names) for key, names in _RECEIPTS.items()}
    return {
        key.to_user_string(): _receipt(record, _RECEIPTS[key]) for key, record in found.items() if record is not None
    }


def read_publications(
    instance: dg.DagsterInstance, publications: Sequence[Publication], month: str
) -> dict[str, dict[str, Any] | None]:
    """Read what the last run of the month reported of each published table.

    Args:
        instance: The Dagster instance whose event log is read.
        publications: The tables.
        month: The month.

    Returns:
        For each asset, a receipt as in :func:`read_receipts`, with the ``months`` whose rows it counts: those of its
        run, or None if the table is published as a whole. An asset without a report has None for a receipt.
    """
    receipts: dict[str, dict[str, Any] | None] = {}
    for publication in publications:
        key = published_key(publication.mart)
        record = _newest(instance, key, month, _PUBLISHED_RECEIPT)
        receipts[key.to_user_string()] = record and {
            **_receipt(record, _PUBLISHED_RECEIPT),
            "months": _months_of(instance, record.run_id, month) if publication.by_month else None,
        }
    return receipts


def _newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, month: str, names: Sequence[str]
) -> dg.EventLogRecord | None:
    """Return a month's last materialization; None if there is none or it lacks one of these numbers."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[month]), limit=1
    ).records
    made = records[0].asset_materialization if records else None
    return records[0] if made is not None and made.metadata.keys() >= set(names) else None


def _receipt(record: dg.EventLogRecord, names: Sequence[str]) -> dict[str, Any]:
    metadata = record.asset_materialization.metadata if record.asset_materialization else {}
    return {"recorded_at_s": record.timestamp, **{name: metadata[name].value for name in names}}


def _months_of(instance: dg.DagsterInstance, run_id: str, month: str) -> list[str]:
    """Return the months of a run; a backfill of the marts has several."""
    run = instance.get_run_by_id(run_id)
    months = partition_range(run.tags) if run else None
    if months is None:
        return [month]
    return list(MONTHS.get_partition_keys_in_range(dg.PartitionKeyRange(*months)))
