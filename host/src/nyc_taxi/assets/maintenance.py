"""Maintenance of the lake: old snapshots are expired."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from drayage import DrayageClient, promises
from nyc_taxi.assets.lake import BRONZE_POOL
from nyc_taxi.keys import BRONZE, EXPIRED_SNAPSHOTS, OWNERS, SILVER
from nyc_taxi.reports import ExpiryReport
from nyc_taxi.settings import Services
from nyc_taxi.workloads import Workload

MAINTENANCE_GROUP = "maintenance"

# People may still want to read the snapshot that a materialization of this age reported.
REPORTED_SNAPSHOTS_KEPT = timedelta(days=7)
_PAGE_SIZE = 500


class ExpireConfig(dg.Config):
    """The age at which snapshots are old."""

    older_than_days: float = Field(default=7.0, gt=0, description="Younger snapshots stay.")


def build_maintenance_assets(flink_submit: Workload) -> list[dg.AssetsDefinition]:
    """Define the asset that expires the lake's snapshots.

    Args:
        flink_submit: The flink_submit workload.

    Returns:
        ``lake/expired_snapshots``.
    """

    @dg.asset(
        key=EXPIRED_SNAPSHOTS,
        # A bronze step looks in its table's history for the offset to go on from.
        pool=BRONZE_POOL,
        group_name=MAINTENANCE_GROUP,
        kinds={"iceberg"},
        tags={"layer": "maintenance"},
        owners=OWNERS,
        code_version=flink_submit.image_id,
        metadata=promises(ExpiryReport),
        description=(
            "Expires the snapshots of bronze and silver that are older than the setting, and deletes the files that "
            "only they needed. Snapshots that a materialization of the last "
            f"{REPORTED_SNAPSHOTS_KEPT.days} days reported stay."
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
                "keep_snapshots": find_reported_snapshots(
                    context.instance, datetime.now(UTC) - REPORTED_SNAPSHOTS_KEPT
                ),
            },
            env=flink_submit.environment(services),
            **flink_submit.settings(),
        ).get_materialize_result()

    return [expired_snapshots]


def find_reported_snapshots(instance: dg.DagsterInstance, since: datetime) -> list[str]:
    """Find the snapshots that materializations of bronze and silver reported.

    Args:
        instance: The Dagster instance whose event log is read.
        since: Older materializations are left out.

    Returns:
        The snapshots' ids as text, sorted, without repeats.
    """
    reported = {
        snapshot
        for key in (BRONZE, SILVER)
        for metadata in _materializations(instance, key, since)
        if (snapshot := str(metadata["snapshot_id"].value)).isdecimal()
    }
    return sorted(reported)


def _materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime
) -> Iterator[Mapping[str, dg.MetadataValue[Any]]]:
    """Yield the metadata of an asset's materializations that reported a snapshot, read page by page."""
    records_filter = dg.AssetRecordsFilter(asset_key=key, after_timestamp=since.timestamp())
    cursor, has_more = None, True
    while has_more:
        page = instance.fetch_materializations(records_filter, limit=_PAGE_SIZE, cursor=cursor)
        for record in page.records:
            if record.asset_materialization and "snapshot_id" in record.asset_materialization.metadata:
                yield record.asset_materialization.metadata
        cursor, has_more = page.cursor, page.has_more
