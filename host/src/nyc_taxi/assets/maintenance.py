"""The lake's care: what nobody looks at any more goes."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from drayage import DrayageClient, promises
from nyc_taxi.assets.lake import BRONZE_POOL
from nyc_taxi.keys import BRONZE, EXPIRED_SNAPSHOTS, SILVER
from nyc_taxi.reports import ExpiryReport
from nyc_taxi.settings import Services
from nyc_taxi.workloads import Workload

MAINTENANCE_GROUP = "maintenance"

# A receipt of this age names a snapshot that somebody may still want to look at.
RECEIPTS_KEPT = timedelta(days=7)
_RECEIPTS_A_PAGE = 500


class ExpireConfig(dg.Config):
    """What is old."""

    older_than_days: float = Field(default=7.0, gt=0, description="Younger snapshots stay.")


def build_maintenance_assets(flink_submit: Workload) -> list[dg.AssetsDefinition]:
    """Define the asset that expires the lake's snapshots.

    Args:
        flink_submit: The flink_submit workload.

    Returns:
        lake/expired_snapshots.
    """

    @dg.asset(
        key=EXPIRED_SNAPSHOTS,
        # Bronze asks its table's history where it stopped.
        pool=BRONZE_POOL,
        group_name=MAINTENANCE_GROUP,
        kinds={"iceberg"},
        tags={"layer": "maintenance"},
        owners=["team:taxi"],
        code_version=flink_submit.image_id,
        metadata=promises(ExpiryReport),
        description=(
            "Snapshots of bronze and silver that are older than the setting are expired, and the files that only they "
            f"needed deleted. Those that a receipt of the last {RECEIPTS_KEPT.days} days names stay."
        ),
    )
    def expired_snapshots(
        context: dg.AssetExecutionContext,
        config: ExpireConfig,
        drayage: DrayageClient,
        services: dg.ResourceParam[Services],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        return drayage.run(
            context=context,
            image=flink_submit.image,
            command=["expire"],
            extras={
                "older_than_days": config.older_than_days,
                "keep_snapshots": find_named_snapshots(context.instance, datetime.now(UTC) - RECEIPTS_KEPT),
            },
            env=flink_submit.environment(services),
            **flink_submit.settings(),
        ).get_materialize_result()

    return [expired_snapshots]


def find_named_snapshots(instance: dg.DagsterInstance, since: datetime) -> list[str]:
    """Find the snapshots that materializations of the lake's tables name.

    Args:
        instance: Whose event log is read.
        since: Older materializations do not count.

    Returns:
        The ids as text, sorted, each once.
    """
    named = {
        snapshot
        for key in (BRONZE, SILVER)
        for metadata in _receipts(instance, key, since)
        if (snapshot := str(metadata["snapshot_id"].value)).isdecimal()
    }
    return sorted(named)


def _receipts(
    instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime
) -> Iterator[Mapping[str, dg.MetadataValue[Any]]]:
    """Read the metadata of an asset's materializations, page by page."""
    records_filter = dg.AssetRecordsFilter(asset_key=key, after_timestamp=since.timestamp())
    cursor, has_more = None, True
    while has_more:
        page = instance.fetch_materializations(records_filter, limit=_RECEIPTS_A_PAGE, cursor=cursor)
        for record in page.records:
            if record.asset_materialization and "snapshot_id" in record.asset_materialization.metadata:
                yield record.asset_materialization.metadata
        cursor, has_more = page.cursor, page.has_more
