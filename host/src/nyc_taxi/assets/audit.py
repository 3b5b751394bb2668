"""The audit: a program that shares no code with the other steps counts a month anew, from the topic to the marts."""

from typing import Any

import dagster as dg

from drayage import DrayageClient, promises
from nyc_taxi.assets.kafka import GENERATE_EVENTS, TOPIC
from nyc_taxi.assets.lake import BRONZE, SILVER
from nyc_taxi.assets.marts import NAMESPACE
from nyc_taxi.partitions import MONTHS
from nyc_taxi.reports import AuditReport
from nyc_taxi.settings import Services
from nyc_taxi.workloads import Workload

AUDIT = dg.AssetKey("audit")

_PUBLISHED = (dg.AssetKey([NAMESPACE, "fct_trips"]), dg.AssetKey([NAMESPACE, "daily_revenue"]))

CHECKS = {
    "every_record_is_in_bronze_once": (
        "Each committed record of the month in the topic has one row in bronze, with the same values, and there is no "
        "other row. What retention has deleted is left out."
    ),
    "every_bronze_row_is_accounted_for": (
        "Bronze = silver + repeats + rejected + undecodable, row by row, by silver's rules applied anew."
    ),
    "silver_trip_ids_are_unique": "No trip_id of silver is there twice.",
    "published_trips_are_silvers": "marts.fct_trips has the trips of silver, with the same values.",
    "money_is_the_same_everywhere": "Silver, fct_trips and daily_revenue have the same sums on each day, to the cent.",
    "receipts_are_confirmed": "What generate_events, bronze and silver reported is what is there.",
}
"""The audit's checks by their names, and what they say."""

_RECEIPTS = {
    GENERATE_EVENTS: ("events_committed", "offsets"),
    BRONZE: ("duration_s", "dagster/row_count"),
    SILVER: ("rows_read", "rows_written", "rows_rejected", "duplicates"),
}


def build_audit(auditor: Workload) -> dg.AssetsDefinition:
    """Define the asset that the auditor image makes.

    Args:
        auditor: The auditor workload.

    Returns:
        audit.
    """

    @dg.asset(
        key=AUDIT,
        deps=[BRONZE, SILVER, *_PUBLISHED],
        partitions_def=MONTHS,
        group_name="reports",
        kinds={"go", "kafka", "iceberg"},
        owners=["team:taxi"],
        tags={"layer": "report"},
        code_version=auditor.image_id,
        metadata=promises(AuditReport),
        check_specs=[
            dg.AssetCheckSpec(name, asset=AUDIT, blocking=True, description=description)
            for name, description in CHECKS.items()
        ],
        description=(
            "The month counted anew from the topic to the published marts, by a program in Go that has no code in "
            "common with the other steps: a bug of theirs cannot hide itself. It confirms what they reported, or says "
            "where it is wrong."
        ),
    )
    def audit(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        result = drayage.run(
            context=context,
            image=auditor.image,
            extras={"topic": TOPIC, "receipts": read_receipts(context.instance, context.partition_key)},
            env=auditor.environment(services),
            **auditor.settings(),
        ).get_materialize_result()
        # Pipes has no description for a check, which is what lists of checks and `make run` show.
        checks = [
            check._replace(description=str(check.metadata["finding"].value)) for check in result.check_results or ()
        ]
        return result._replace(check_results=checks)

    return audit


def read_receipts(instance: dg.DagsterInstance, month: str) -> dict[str, dict[str, Any]]:
    """Read what the month's steps last reported.

    Args:
        instance: Whose event log is read.
        month: The month.

    Returns:
        By asset, the numbers that the audit confirms and ``recorded_at_s``, seconds since 1970. Left out is an asset
        that was never materialized for the month, or last by somebody's hand, without these numbers.
    """
    receipts: dict[str, dict[str, Any]] = {}
    for key, names in _RECEIPTS.items():
        newest = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[month]), limit=1
        ).records
        if newest and newest[0].asset_materialization:
            metadata = newest[0].asset_materialization.metadata
            if metadata.keys() >= set(names):
                receipts[key.to_user_string()] = {
                    "recorded_at_s": newest[0].timestamp,
                    **{name: metadata[name].value for name in names},
                }
    return receipts
