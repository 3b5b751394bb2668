from datetime import UTC, datetime, timedelta

import dagster as dg

from nyc_taxi.assets.maintenance import find_reported_snapshots
from nyc_taxi.keys import BRONZE, SILVER


def report(instance: dg.DagsterInstance, key: dg.AssetKey, snapshot: str) -> None:
    materialization = dg.AssetMaterialization(asset_key=key, metadata={"snapshot_id": snapshot})
    instance.report_runless_asset_event(materialization)


def test_snapshots_that_young_materializations_reported_are_listed_once_each() -> None:
    """They stay when snapshots expire; a table that has no snapshot reports none."""
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, BRONZE, "30")
        report(instance, BRONZE, "30")
        report(instance, SILVER, "4")
        report(instance, SILVER, "none")
        report(instance, dg.AssetKey("other"), "5")
        now = datetime.now(UTC)
        assert find_reported_snapshots(instance, now - timedelta(days=1)) == ["30", "4"]
        assert find_reported_snapshots(instance, now + timedelta(days=1)) == []
