from datetime import UTC, datetime, timedelta

import dagster as dg

from nyc_taxi.assets.maintenance import find_named_snapshots
from nyc_taxi.keys import BRONZE, SILVER


def report(instance: dg.DagsterInstance, key: dg.AssetKey, snapshot: str) -> None:
    materialization = dg.AssetMaterialization(asset_key=key, metadata={"snapshot_id": snapshot})
    instance.report_runless_asset_event(materialization)


def test_snapshots_of_young_receipts_are_named_once_each() -> None:
    """These stay when snapshots expire; a receipt of a table without any snapshot names none."""
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, BRONZE, "30")
        report(instance, BRONZE, "30")
        report(instance, SILVER, "4")
        report(instance, SILVER, "none")
        report(instance, dg.AssetKey("other"), "5")
        now = datetime.now(UTC)
        assert find_named_snapshots(instance, now - timedelta(days=1)) == ["30", "4"]
        assert find_named_snapshots(instance, now + timedelta(days=1)) == []
