"""The keys of the pipeline's assets in the order of the data, and their owners.

The keys of dbt's seeds and models are in the manifest, which ``dbt_manifest`` reads.
"""

import dagster as dg

OWNERS = ("team:taxi",)

KAFKA_TOPICS = dg.AssetKey("kafka_topics")
GENERATE_EVENTS = dg.AssetKey("generate_events")
BRONZE = dg.AssetKey(["bronze", "raw_trips"])
SILVER = dg.AssetKey(["silver", "cleaned_trips"])
FCT_TRIPS = dg.AssetKey(["core", "fct_trips"])
AUDIT = dg.AssetKey("audit")
THROUGHPUT = dg.AssetKey("throughput")
EXPIRED_SNAPSHOTS = dg.AssetKey(["lake", "expired_snapshots"])

_PUBLISHED = "marts"


def published_key(mart: dg.AssetKey) -> dg.AssetKey:
    """Return the key of the Iceberg table that a mart is published as.

    Args:
        mart: The key of the mart's model.
    """
    return dg.AssetKey([_PUBLISHED, mart.path[-1]])
